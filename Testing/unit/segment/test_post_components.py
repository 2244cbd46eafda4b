"""Operations that keep some of a segment's connected components."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import remove_small_objects
from skimage.segmentation import clear_border

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.segment.postprocess import _components
from medai.segment.postprocess.keep_at import KeepAt
from medai.segment.postprocess.largest_components import LargestComponents
from medai.segment.postprocess.minimum_size import MinimumSize
from medai.segment.postprocess.remove_border import RemoveBorder
from medai.segment.postprocess.select_components import SelectComponents

SHAPE = (10, 20, 30)


@pytest.fixture(autouse=True, params=["runs", "voxels"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of this file runs on both ways in which components are found."""
    if request.param == "voxels":
        monkeypatch.setattr(_components, "component_runs", lambda *args, **more: None)


ORDER = {6: 1, 18: 2, 26: 3}


def on_grid(array: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), axes: Any = None) -> LabelMap:
    grid = Geometry.from_spacing(array.shape, spacing, (3.0, -5.0, 8.0), axes)
    segments = [Segment(1, "A"), Segment(2, "B")]
    return LabelMap(array.astype(np.uint8), grid, tuple(segments[: max(1, int(array.max()))]))


def boxes(*places: tuple[slice, slice, slice]) -> LabelMap:
    array = np.zeros(SHAPE, dtype=np.uint8)
    for place in places:
        array[place] = 1
    return on_grid(array)


SMALL, MIDDLE, LARGE = np.s_[1:3, 2:4, 2:5], np.s_[5:8, 2:5, 2:6], np.s_[2:8, 9:15, 9:18]


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_the_largest_equal_scipys_sorted_by_size(rng: np.random.Generator, number: int, connectivity: int) -> None:
    mask = rng.random(SHAPE) < 0.16
    found, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, ORDER[connectivity]))
    sizes = np.bincount(found.reshape(-1))[1:]
    wanted = 1 + np.argsort(-sizes, kind="stable")[:number]
    result = LargestComponents().run(on_grid(mask), {"number": number, "connectivity": connectivity})
    assert np.array_equal(result.array > 0, np.isin(found, wanted))


def test_of_equal_components_the_first_stays() -> None:
    value = boxes(np.s_[5:7, 1:3, 1:3], np.s_[1:3, 15:17, 20:22], np.s_[1:3, 1:3, 20:22])
    result = LargestComponents().run(value)
    assert ndimage.find_objects(result.array) == [np.s_[1:3, 1:3, 20:22]]


def test_each_segment_keeps_its_own_largest() -> None:
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[LARGE], array[SMALL], array[MIDDLE], array[0, 0, 0] = 1, 1, 2, 2
    array[3, 10, 10] = 2
    result = LargestComponents().run(on_grid(array))
    expected = np.zeros(SHAPE, dtype=np.uint8)
    expected[LARGE], expected[MIDDLE], expected[3, 10, 10] = 1, 2, 0
    assert np.array_equal(result.array, expected)


def test_minimum_size_is_a_volume_in_mm3(rng: np.random.Generator) -> None:
    """A component of exactly the limit stays, although 0.1 x 0.1 x 0.1 x 12 is no round number in binary."""
    mask = rng.random(SHAPE) < 0.25
    value = on_grid(mask, (0.1, 0.1, 0.1))
    result = MinimumSize().run(value, {"minimum_mm3": 0.012})
    expected = remove_small_objects(mask, max_size=11) if _new_skimage() else remove_small_objects(mask, 12)
    assert np.array_equal(result.array > 0, expected)
    assert not np.array_equal(expected, mask)


def _new_skimage() -> bool:
    import inspect

    return "max_size" in inspect.signature(remove_small_objects).parameters


def test_all_too_small_leaves_an_empty_segment_with_a_flag() -> None:
    result = MinimumSize().run(boxes(SMALL), {"minimum_mm3": 1000.0})
    assert not result.array.any()
    assert [s.name for s in result.segments] == ["A"]
    assert [(f.code, f.affects) for f in result.flags] == [("MASK_EMPTY", "A")]


def test_remove_border_equals_scikit_image(rng: np.random.Generator) -> None:
    mask = rng.random(SHAPE) < 0.2
    result = RemoveBorder().run(on_grid(mask))
    found, _ = ndimage.label(mask)
    assert np.array_equal(result.array > 0, clear_border(found) > 0)


def test_air_around_the_body_goes_and_lungs_that_reach_the_last_slice_stay() -> None:
    array = np.ones(SHAPE, dtype=np.uint8)
    array[:, 3:17, 3:27] = 0
    array[:, 5:15, 6:12] = array[:, 5:15, 16:24] = 1
    result = RemoveBorder().run(on_grid(array), {"faces": "sides"})
    expected = np.zeros(SHAPE, dtype=np.uint8)
    expected[:, 5:15, 6:12] = expected[:, 5:15, 16:24] = 1
    assert np.array_equal(result.array, expected)
    assert not RemoveBorder().run(on_grid(array), {"faces": "ends"}).array.any()


@pytest.mark.parametrize(
    ("face", "place"),
    [
        ("left", np.s_[4:6, 4:6, 0:2]),
        ("right", np.s_[4:6, 4:6, 28:30]),
        ("posterior", np.s_[4:6, 0:2, 4:6]),
        ("anterior", np.s_[4:6, 18:20, 4:6]),
        ("inferior", np.s_[0:2, 4:6, 4:6]),
        ("superior", np.s_[8:10, 4:6, 4:6]),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_each_face_is_the_patients(face: str, place: tuple[slice, ...], turned: bool) -> None:
    """RAS: I grows to the right, J to the front, K up; turned by 180 degrees about every axis in turn."""
    value = boxes(place, np.s_[4:6, 10:12, 14:16])
    if turned:
        array, grid = value.array, value.geometry
        for axis in range(3):
            array, grid = np.flip(array, axis), grid.flip(axis)
        value = value.replace(array=array.copy(), geometry=grid)
    gone = RemoveBorder().run(value, {"faces": face}).array
    assert gone.sum() == 8
    kept = SelectComponents().run(value, {"reaches": face}).array
    assert kept.sum() == 8
    assert np.array_equal(gone + kept, value.array)
    assert np.array_equal(SelectComponents().run(value, {"avoids": face}).array, gone)
    farthest = SelectComponents().run(value, {"order": face, "number": 1}).array
    assert np.array_equal(farthest, kept)


def test_a_single_slice_has_no_face_above_and_below() -> None:
    array = np.zeros((1, 9, 9), dtype=np.uint8)
    array[0, 3:5, 3:5] = array[0, 0, 7] = 1
    assert RemoveBorder().run(on_grid(array)).array.sum() == 4
    assert RemoveBorder().run(on_grid(array), {"faces": "ends"}).array.sum() == 5


def test_select_by_volume_and_place() -> None:
    value = boxes(SMALL, MIDDLE, LARGE)
    sizes = {name: value.array[place].size for name, place in {"s": SMALL, "m": MIDDLE, "l": LARGE}.items()}
    assert sizes == {"s": 12, "m": 36, "l": 324}

    def left(**settings: Any) -> int:
        return int(SelectComponents().run(value, settings).array.sum())

    assert left() == 12 + 36 + 324
    assert left(minimum_ml=0.036) == 36 + 324
    assert left(maximum_ml=0.036) == 12 + 36
    assert left(minimum_ml=0.013, maximum_ml=0.3) == 36
    assert left(number=2) == 36 + 324
    assert left(maximum_ml=0.1, number=1) == 36
    assert left(order="superior", number=1) == 36
    assert left(order="anterior", number=1) == 324
    assert left(order="inferior", number=1) == 12
    assert left(order="central", number=1) == 324
    assert left(minimum_ml=1.0) == 0


def test_limits_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(SettingsError, match="maximum_ml 1 is less than minimum_ml 2"):
        SelectComponents().run(boxes(SMALL), {"minimum_ml": 2.0, "maximum_ml": 1.0})


def seed(value: LabelMap, kji: tuple[int, int, int], segment: str = "any") -> dict[str, Any]:
    return {"ras": [float(v) for v in value.geometry.to_ras(np.array(kji[::-1], dtype=float))], "segment": segment}


def test_keep_at_points_inside_and_beside() -> None:
    value = boxes(SMALL, MIDDLE, LARGE)

    def left(*places: tuple[int, int, int], **more: Any) -> int:
        return int(KeepAt().run(value, {"seeds": [seed(value, p) for p in places], **more}).array.sum())

    assert left((2, 3, 3)) == 12
    assert left((2, 3, 3), (6, 3, 3)) == 12 + 36
    assert left((3, 3, 3)) == 12, "one voxel above the small, two below the middle one"
    assert left((4, 3, 3)) == 36, "two above the small, one below the middle one"
    assert left((9, 19, 29), distance_mm=30.0) == 324
    assert left((9, 19, 29)) == 0
    assert left((5, 7, 15), distance_mm=1.9) == 0
    assert left((5, 7, 15), distance_mm=2.0) == 324


def test_points_count_for_the_segment_of_their_name() -> None:
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[SMALL], array[LARGE] = 1, 1
    array[MIDDLE], array[9, 19, 20:29] = 2, 2
    value = on_grid(array)
    only_a = KeepAt().run(value, {"seeds": [seed(value, (2, 3, 3), "A")]})
    assert only_a.counts() == {1: 12, 2: 45}, "B has no point and stays"
    both = KeepAt().run(value, {"seeds": [seed(value, (2, 3, 3), "A"), seed(value, (9, 19, 21), "B")]})
    assert both.counts() == {1: 12, 2: 9}
    anyone = KeepAt().run(value, {"seeds": [seed(value, (3, 3, 3))]})
    assert anyone.counts() == {1: 12, 2: 36}


def test_points_that_cannot_be_used() -> None:
    value = boxes(SMALL)
    with pytest.raises(InputError, match="no seed"):
        KeepAt().run(value)
    with pytest.raises(InputError, match="outside the image"):
        KeepAt().run(value, {"seeds": [{"ras": [1e4, 0, 0]}]})
