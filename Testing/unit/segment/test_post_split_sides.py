"""Left and right: by parts, at a waist, at a plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap
from medai.core.labelmap import LabelMap, Segment
from medai.core.qc import QCFlag, Severity
from medai.segment.anatomy import LEFT, RIGHT, named
from medai.segment.postprocess.split_sides import SplitSides

SHAPE = (30, 50, 70)
SPACING = (3.0, 1.2, 1.1)


def two_balls(bridge: int = 0, gap: float = 3.0, small: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return lungs joined in front by a bridge of some slices, and which voxels belong to the right ball."""
    k, j, i = np.meshgrid(*(np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    middle = 38.5
    radius = 17.0
    one = (k - 43) ** 2 + (j - 30) ** 2 + (i - middle + radius + gap) ** 2 < radius**2
    two = (k - 43) ** 2 + (j - 30) ** 2 + (i - middle - small * radius - gap) ** 2 < (small * radius) ** 2
    joined = one | two
    if bridge:
        joined |= (np.abs(k - 43) < 1.5 * bridge) & (np.abs(j - 30) < 1.5 * bridge) & (np.abs(i - middle) < gap + 9)
    return joined, i > middle


def lung(mask: np.ndarray, geometry: Geometry | None = None) -> LabelMap:
    flag = QCFlag("FOV_CLIPPED", Severity.WARNING, "Cut off.", affects="Lung")
    grid = geometry or Geometry.from_spacing(SHAPE, SPACING[::-1], (-40.0, 0.0, 0.0))
    return LabelMap(mask.astype(np.uint8) * 3, grid, (named(3, "Lung"),), (flag,))


def test_two_parts_go_to_their_sides_with_names_and_codes() -> None:
    mask, right = two_balls()
    result = SplitSides().run(lung(mask))
    assert [s.name for s in result.segments] == ["Left lung", "Right lung"]
    assert [s.modifier for s in result.segments] == [LEFT, RIGHT]
    assert {s.type for s in result.segments} == {named(1, "Lung").type}
    assert [s.label for s in result.segments] == [3, 1]
    assert np.array_equal(result.mask(result.segment("Right lung")), mask & right)
    assert np.array_equal(result.mask(result.segment("Left lung")), mask & ~right)
    assert {f.affects for f in result.flags} == {"Left lung", "Right lung"}


@pytest.mark.parametrize("bridge", [1, 2, 3])
@pytest.mark.parametrize("small", [1.0, 0.6])
def test_parts_that_touch_are_parted_at_their_waist(bridge: int, small: float) -> None:
    mask, right = two_balls(bridge, small=small)
    result = SplitSides().run(lung(mask))
    found = result.mask(result.segment("Right lung"))
    assert (found & ~right).sum() + (mask & right & ~found).sum() <= 0.01 * mask.sum()


def test_a_waist_beside_the_plane_is_found_where_a_plane_would_cut_into_a_lung() -> None:
    """The plane lies 8 mm off the waist, as where a heart or a collapsed lung pushes the middle aside."""
    mask, right = two_balls(2)
    grid = Geometry.from_spacing(SHAPE, SPACING[::-1], (-38.5 - 8.0, 0.0, 0.0))
    parts = SplitSides().run(lung(mask, grid), {"position_mm": 0.0})
    plane = SplitSides().run(lung(mask, grid), {"position_mm": 0.0, "method": "plane"})
    wrong = [int((r.mask(r.segment("Right lung")) ^ (mask & right)).sum()) for r in (parts, plane)]
    assert wrong[0] <= 0.01 * mask.sum()
    assert wrong[1] > 0.03 * mask.sum()


def test_one_organ_over_the_middle_is_cut_at_the_plane() -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[5:25, 10:40, 10:60] = True
    result = SplitSides().run(lung(mask))
    assert np.array_equal(result.mask(result.segment("Right lung"))[..., 35:], mask[..., 35:])
    assert result.counts() == {1: 20 * 30 * 25, 3: 20 * 30 * 25}


def test_an_organ_of_one_side_stays_whole_where_it_crosses_the_middle() -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[5:25, 10:40, 10:40] = True
    grid = Geometry.from_spacing(SHAPE, SPACING[::-1], (-33 * 1.1, 0.0, 0.0))
    result = SplitSides().run(lung(mask, grid), {"position_mm": 0.0})
    assert result.counts() == {3: int(mask.sum()), 1: 0}
    assert "MASK_EMPTY" in {f.code for f in result.flags if f.affects == "Right lung"}
    cut = SplitSides().run(lung(mask, grid), {"position_mm": 0.0, "method": "plane"})
    assert cut.counts()[1] == 20 * 30 * 6, "a voxel on the plane counts as left"


@pytest.mark.parametrize("flips", [(2,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
def test_right_is_the_patients_right(flips: tuple[int, ...], axes: tuple[int, int, int]) -> None:
    value = lung(two_balls(2)[0])
    array, grid = value.array, value.geometry
    for axis in flips:
        array, grid = np.flip(array, axis), grid.flip(axis)
    turned = value.replace(array=np.ascontiguousarray(array.transpose(axes)), geometry=grid.transpose(axes))
    straight, other = SplitSides().run(value), SplitSides().run(turned)
    back = other.array.transpose(np.argsort(axes))
    for axis in flips:
        back = np.flip(back, axis)
    assert np.array_equal(back, straight.array)


def test_an_oblique_grid_is_cut_along_the_patients_plane() -> None:
    turn = np.deg2rad(25)
    axes = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    grid = Geometry.from_spacing((6, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), axes)
    value = LabelMap(np.ones((6, 40, 40), dtype=np.uint8), grid, (Segment(1, "CT block", (0.8, 0.4, 0.2)),))
    result = SplitSides().run(value, {"method": "plane", "middle": "image"})
    k, j, i = np.indices(value.array.shape)
    right = grid.to_ras(np.stack([i, j, k], axis=-1))[..., 0] > grid.centre[0] + 1e-6
    assert np.array_equal(result.mask(result.segment("Right CT block")), right)
    assert result.segment("Right CT block").color == pytest.approx((0.6, 0.3, 0.15))
    assert result.segment("Left CT block").color == (0.8, 0.4, 0.2)
    ends = SplitSides().run(value, {"method": "plane"})
    assert np.array_equal(ends.array, result.array), "of a block the segment's middle is the image's"


def test_small_parts_go_to_the_side_they_lie_on() -> None:
    mask, _ = two_balls()
    mask[2, 5, 20] = mask[2, 5, 50] = True
    mask[2, 40:42, 31:36] = True  # 4 of 5 voxels in a row lie left of the middle: too many to cut
    mask[2, 45:47, 33:37] = True  # 2 and 2
    found = SplitSides().run(lung(mask), {"position_mm": -40.0 + 34.5 * 1.1})
    right = found.mask(found.segment("Right lung"))
    assert not right[2, 5, 20]
    assert right[2, 5, 50]
    assert not right[2, 40:42].any()
    assert right[2, 45].nonzero()[0].tolist() == [35, 36]


def test_a_name_that_is_taken_is_refused() -> None:
    mask, _ = two_balls()
    value = lung(mask)
    value = value.replace(segments=(*value.segments, Segment(5, "Left lung")))
    with pytest.raises(InputError, match="'Left lung'"):
        SplitSides().run(value, {"segments": ["Lung"]})


@pytest.mark.parametrize(
    ("left", "right"), [(3, 2), (77, 78), (80, 81), (82, 83), (84, 85), (86, 87), (88, 89)]
)  # kidneys, hip bones, three gluteal muscles, muscles of the back, iliopsoas
def test_pairs_of_a_real_body_are_told_apart(data_dir: Path, left: int, right: int) -> None:
    """Each pair of a machine-made segmentation is made one and split again; the muscles of the back touch."""
    found = read_labelmap(data_dir / "totalsegmentator" / "example_seg_fast_force_split.nii.gz")
    truth = found.array
    pair = LabelMap(np.isin(truth, (left, right)).astype(np.uint8), found.geometry, (Segment(1, "Pair"),))
    result = SplitSides().run(pair)
    for label, name in ((left, "Left pair"), (right, "Right pair")):
        mask = result.mask(result.segment(name))
        dice = 2 * (mask & (truth == label)).sum() / (mask.sum() + (truth == label).sum())
        assert dice > 0.98, (name, dice)
