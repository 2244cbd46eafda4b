"""Dilating, eroding, opening, closing, filling holes and rims, on one segment and on several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.segment.morphology import closed, dilated, eroded, opened
from medai.segment.postprocess.close import Close
from medai.segment.postprocess.dilate import Dilate
from medai.segment.postprocess.erode import Erode
from medai.segment.postprocess.fill_holes import FillHoles
from medai.segment.postprocess.open import Open
from medai.segment.postprocess.shell import Shell

SPACING = (2.5, 0.7, 0.9)
SHAPE = (14, 30, 34)


def on_grid(array: np.ndarray, spacing_kji: tuple[float, float, float] = SPACING) -> LabelMap:
    grid = Geometry.from_spacing(array.shape, spacing_kji[::-1])
    names = {1: "A", 2: "B", 3: "C"}
    return LabelMap(array.astype(np.uint8), grid, tuple(Segment(n, names[n]) for n in range(1, int(array.max()) + 1)))


def blobs(rng: np.random.Generator, level: float = 0.12) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=SHAPE), (0.8, 2, 2)) > level


@pytest.mark.parametrize(("post", "function"), [(Dilate, dilated), (Erode, eroded), (Open, opened), (Close, closed)])
@pytest.mark.parametrize("within", ["volume", "axial", "coronal", "sagittal"])
def test_on_its_box_equals_on_the_whole_image(rng: np.random.Generator, post: Any, function: Any, within: str) -> None:
    """The tested functions on the whole image are the reference for the work on a segment's box."""
    mask = blobs(rng)
    mask[:3] = mask[:, :9] = mask[..., 27:] = False
    flat = {"volume": None, "axial": 0, "coronal": 1, "sagittal": 2}[within]
    result = post().run(on_grid(mask), {"radius_mm": 2.6, "within": within})
    expected = function(mask, 2.6, SPACING, flat=flat)
    assert np.array_equal(result.array > 0, expected)
    assert not np.array_equal(expected, mask)


def test_planes_are_the_patients_not_the_arrays() -> None:
    """The same ball within axial planes, whichever array axis runs up."""
    array = np.zeros((9, 11, 13), dtype=np.uint8)
    array[4, 5, 6] = 1
    value = on_grid(array, (1.0, 1.0, 1.0))
    up = value.replace(
        array=np.ascontiguousarray(value.array.transpose(2, 0, 1)), geometry=value.geometry.transpose((2, 0, 1))
    )
    flat = Dilate().run(value, {"radius_mm": 1.0, "within": "axial"})
    turned = Dilate().run(up, {"radius_mm": 1.0, "within": "axial"})
    assert flat.array.sum() == turned.array.sum() == 5
    assert np.array_equal(flat.array.transpose(2, 0, 1), turned.array)


def test_between_two_that_grow_the_nearer_wins() -> None:
    """Equal to each voxel's nearest segment, measured voxel by voxel in mm; a tie goes to the first."""
    array = np.zeros((7, 12, 16), dtype=np.uint8)
    array[3, 5, 3] = array[2, 6, 3] = 1
    array[3, 6, 11] = array[5, 4, 10] = 2
    array[1, 9, 7] = 3
    value = on_grid(array)
    radius = 4.4
    places = np.argwhere(np.ones(array.shape)) * SPACING
    near = np.stack([
        np.sqrt(((places[:, None] - np.argwhere(array == n) * SPACING) ** 2).sum(axis=2)).min(axis=1) for n in (1, 2, 3)
    ])  # fmt: skip
    nearest = np.where(near.min(axis=0) <= radius, 1 + np.round(near, 5).argmin(axis=0), 0).reshape(array.shape)
    result = Dilate().run(value, {"radius_mm": radius})
    assert (near.min(axis=0) <= radius).sum() > 300
    assert np.array_equal(result.array, nearest)


def test_growing_takes_background_only_unless_told() -> None:
    array = np.zeros((9, 11, 13), dtype=np.uint8)
    array[4, 5, 4], array[4, 5, 6], array[4, 5, 5] = 1, 2, 3
    value = on_grid(array, (1.0, 1.0, 1.0))
    kind = Dilate().run(value, {"radius_mm": 1.5, "segments": ["A"]})
    assert (kind.array == 2).sum() == (kind.array == 3).sum() == 1
    rough = Dilate().run(value, {"radius_mm": 1.5, "segments": ["A"], "overwrite": True})
    assert (rough.array == 3).sum() == 0
    assert [(f.code, f.affects) for f in rough.flags] == [("MASK_EMPTY", "C")]
    both = Dilate().run(value, {"radius_mm": 2.5, "segments": ["A", "B"], "overwrite": True})
    assert (both.array[4, 5, 4], both.array[4, 5, 6]) == (1, 2), "segments worked on do not eat each other"


def test_eroding_beside_another_segment_and_at_the_images_border() -> None:
    array = np.zeros((5, 9, 12), dtype=np.uint8)
    array[:, :, :6], array[:, :, 6:9] = 1, 2
    result = Erode().run(on_grid(array, (1.0, 1.0, 1.0)), {"radius_mm": 1.0, "segments": ["A"]})
    expected = array.copy()
    expected[:, :, 5] = 0
    assert np.array_equal(result.array, expected)


def test_eroding_all_away_leaves_an_empty_segment_with_a_flag() -> None:
    array = np.zeros((5, 9, 12), dtype=np.uint8)
    array[2, 4, 4:8] = 1
    result = Erode().run(on_grid(array))
    assert not result.array.any()
    assert [f.affects for f in result.flags if f.code == "MASK_EMPTY"] == ["A"]
    again = Dilate().run(result)
    assert again.flags == result.flags, "one flag is enough"


def test_a_segment_that_is_filled_again_loses_its_flag() -> None:
    array = np.zeros((5, 9, 12), dtype=np.uint8)
    array[2, 4, 4:8] = 1
    value = on_grid(array)
    flags = Erode().run(value).flags
    assert flags
    assert Dilate().run(value.replace(flags=flags)).flags == ()


@pytest.mark.parametrize("radius", [0.0, -1.0, 1000.0])
@pytest.mark.parametrize("post", [Dilate, Erode, Open, Close])
def test_radii_out_of_range_are_refused(post: Any, radius: float) -> None:
    with pytest.raises(SettingsError, match="radius_mm"):
        post().run(on_grid(np.ones((3, 3, 3))), {"radius_mm": radius})


def test_holes_equal_scipys(rng: np.random.Generator) -> None:
    mask = ~(rng.random(SHAPE) < 0.25)
    result = FillHoles().run(on_grid(mask)).array > 0
    assert np.array_equal(result, ndimage.binary_fill_holes(mask))
    assert not np.array_equal(result, mask)


@pytest.mark.parametrize(("within", "axis"), [("axial", 0), ("coronal", 1), ("sagittal", 2)])
def test_holes_of_planes_equal_scipys(rng: np.random.Generator, within: str, axis: int) -> None:
    mask = ~(rng.random(SHAPE) < 0.4)
    expected = np.stack([ndimage.binary_fill_holes(p) for p in np.moveaxis(mask, axis, 0)], axis=axis)
    assert np.array_equal(FillHoles().run(on_grid(mask), {"within": within}).array > 0, expected)


def test_holes_up_to_a_size() -> None:
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[1:13, 2:28, 2:32] = 1
    array[3:5, 5:7, 5:7] = 0  # 8 voxels
    array[6:9, 10:14, 10:14] = 0  # 48 voxels
    array[6:9, 20:24, 2:6] = 0  # open at the side
    voxel = float(np.prod(SPACING))
    value = on_grid(array)

    def filled(**settings: Any) -> int:
        return int(FillHoles().run(value, settings).array.sum() - array.sum())

    assert filled() == 56
    assert filled(maximum_mm3=8 * voxel) == 8
    assert filled(maximum_mm3=7.9 * voxel) == 0
    assert filled(within="axial", maximum_mm3=4 * voxel) == 8, "4 voxels in each of two slices"
    assert filled(within="sagittal") == 56 + 48, "cut sagittally the notch is closed"


def test_a_hole_at_the_images_border_is_none_and_a_single_slice_is_filled() -> None:
    array = np.ones((4, 9, 9), dtype=np.uint8)
    array[0, 4, 4] = array[2, 2, 2] = 0
    result = FillHoles().run(on_grid(array)).array
    assert result[0, 4, 4] == 0
    assert result[2, 2, 2] == 1
    assert FillHoles().run(on_grid(array[:1])).array.all()
    assert FillHoles().run(on_grid(array[:1]), {"within": "axial"}).array.all()


def test_what_lies_in_a_hole_stays() -> None:
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[2:12, 4:26, 4:28] = 1
    array[4:9, 8:16, 8:16] = 0
    array[5:8, 10:14, 10:14] = 2
    kind = FillHoles().run(on_grid(array), {"segments": ["A"]})
    assert (kind.array == 2).sum() == (array == 2).sum()
    assert (kind.array == 1).sum() == 10 * 22 * 24 - (array == 2).sum()
    rough = FillHoles().run(on_grid(array), {"segments": ["A"], "overwrite": True})
    assert (rough.array == 1).sum() == 10 * 22 * 24


@pytest.mark.parametrize("keep", [True, False])
def test_rims(rng: np.random.Generator, keep: bool) -> None:
    mask = blobs(rng)
    value = on_grid(mask)
    outside = Shell().run(value, {"thickness_mm": 1.5, "keep": keep})
    rim = outside.segment("A rim")
    assert np.array_equal(outside.mask(rim), dilated(mask, 1.5, SPACING) & ~mask)
    inside = Shell().run(value, {"thickness_mm": 1.5, "side": "inside", "keep": keep, "suffix": "cortex"})
    core = eroded(mask, 1.5, SPACING)
    assert np.array_equal(inside.mask(inside.segment("A cortex")), mask & ~core)
    assert [s.name for s in outside.segments] == ["A", "A rim"][not keep :]
    if keep:
        assert np.array_equal(outside.mask(outside.segment("A")), mask)
        assert np.array_equal(inside.mask(inside.segment("A")), core)


def test_rims_of_neighbours_and_names_that_are_taken() -> None:
    array = np.zeros((7, 9, 20), dtype=np.uint8)
    array[3, 4, 4], array[3, 4, 9] = 1, 2
    value = on_grid(array, (1.0, 1.0, 1.0))
    result = Shell().run(value, {"thickness_mm": 3.0})
    a, b = result.mask(result.segment("A rim")), result.mask(result.segment("B rim"))
    assert not (a & b).any()
    assert a[..., :7].any()
    assert not a[..., 7:].any()
    assert not b[..., :7].any()
    with pytest.raises(InputError, match="'A rim'"):
        Shell().run(result, {"segments": ["A"]})
