"""medai.core.labelmap: row 30 of the bad inputs, and the bookkeeping of segments."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import Code, LabelMap, Segment

GRID = Geometry.from_spacing((2, 3, 4), (1.0, 2.0, 5.0))
SIDE = Code("7771000", "SCT", "Left")


def labels(values: list[int], dtype: object = np.uint8) -> np.ndarray:
    return np.resize(np.array(values, dtype=dtype), (2, 3, 4))  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (labels([0, 1.5], float), "NaN, infinity or fractions"),
        (labels([0, np.nan], float), "NaN, infinity or fractions"),
        (labels([0, np.inf], float), "NaN, infinity or fractions"),
        (labels([0, -1], int), "from 0 to 65535, given -1 to 0"),
        (labels([0, 70000], int), "from 0 to 65535, given 0 to 70000"),
        (labels([0, 2**63], np.uint64), "from 0 to 65535"),
        (labels([0, 1e300], float), "from 0 to 65535"),
        (labels([0, 1], complex), "whole numbers are needed"),
        (np.array([["a"] * 4] * 6).reshape(2, 3, 4), "whole numbers are needed"),
        (np.zeros((2, 3)), "does not fit"),
        (np.zeros((2, 3, 5)), "does not fit"),
        (np.zeros((2, 3, 4, 1)), "does not fit"),
    ],
)
def test_a_mask_that_holds_no_labels_is_refused(array: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        LabelMap(array, GRID)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.uint64, np.float32, np.float64, ">u2", ">i4"])
def test_whole_numbers_of_any_type_are_taken(dtype: object) -> None:
    result = LabelMap(labels([0, 1], dtype), GRID)
    assert result.array.dtype == np.uint8
    assert np.array_equal(result.array, labels([0, 1]))


@pytest.mark.parametrize(("largest", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_the_smallest_type_that_holds_every_label(largest: int, dtype: type) -> None:
    assert LabelMap(labels([0, largest], np.int32), GRID).array.dtype == dtype
    assert LabelMap(labels([0]), GRID, (Segment(largest, "empty"),)).array.dtype == dtype


@pytest.mark.parametrize("largest", [1, 8, 9, 300])
def test_voxels_are_counted_right_for_few_and_for_many_labels(largest: int) -> None:
    array = np.random.default_rng(1).integers(0, largest + 1, (6, 20, 30)).astype(np.uint16)
    found = LabelMap(array, Geometry.from_spacing(array.shape))
    assert found.counts() == {n: int((array == n).sum()) for n in range(1, largest + 1) if (array == n).any()}


def test_the_array_is_read_only() -> None:
    result = LabelMap(labels([0, 1]), GRID)
    with pytest.raises(ValueError, match="read-only"):
        result.array[0, 0, 0] = 2


def test_labels_without_a_segment_get_one_of_a_free_name() -> None:
    result = LabelMap(labels([0, 3, 7, 9]), GRID, (Segment(3, "Label 7"), Segment(5, "empty")))
    assert [(s.label, s.name) for s in result.segments] == [
        (3, "Label 7"),
        (5, "empty"),
        (7, "Label 7 (2)"),
        (9, "Label 9"),
    ]


@pytest.mark.parametrize(
    "segments", [(Segment(1, "a"), Segment(1, "b")), (Segment(1, "a"), Segment(2, "a"))], ids=["label", "name"]
)
def test_repeated_labels_or_names_are_refused(segments: tuple[Segment, ...]) -> None:
    with pytest.raises(InputError):
        LabelMap(labels([0]), GRID, segments)


@pytest.mark.parametrize("label", [0, -1, 65536, 1.0, "1", None])
def test_a_segment_needs_a_label(label: object) -> None:
    with pytest.raises(InputError, match="label"):
        Segment(label, "x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "color", [(0, 0), (0, 0, 0, 1), (0, 0, 1.1), (0, -0.1, 0), (0, 0, np.nan), ("r", "g", "b"), None]
)
def test_a_segment_needs_a_color(color: object) -> None:
    with pytest.raises(InputError, match="color"):
        Segment(1, "x", color)  # type: ignore[arg-type]


def test_numpy_labels_become_plain() -> None:
    segment = Segment(np.int16(3), "x", np.array([0, 0.5, 1]))  # type: ignore[arg-type]
    assert json.loads(json.dumps(segment.to_dict()))["label"] == 3
    assert segment.color == (0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    "segment",
    [
        Segment(1, "x"),
        Segment(65535, "Linker Hippocampus ä", (0.1, 0.2, 1.0), Code("1", "SCT", "c"), Code("2", "SCT", "t"), SIDE),
        Segment(2, "y", modifier=SIDE),
    ],
)
def test_segment_round_trip(segment: Segment) -> None:
    assert Segment.from_dict(json.loads(json.dumps(segment.to_dict()))) == segment


def test_masks_counts_and_volumes() -> None:
    result = LabelMap(labels([0, 0, 1, 1, 1, 2]), GRID, (Segment(1, "one"), Segment(2, "two"), Segment(300, "empty")))
    assert result.counts() == {1: 12, 2: 4, 300: 0}
    assert result.volumes_ml() == pytest.approx({"one": 0.12, "two": 0.04, "empty": 0.0})
    assert int(result.mask(result.segment("two")).sum()) == 4
    assert result.mask(result.segment("two")).dtype == bool
    with pytest.raises(InputError, match="no segment called 'three'"):
        result.segment("three")


@given(hnp.arrays(np.uint16, (2, 3, 4), elements=st.integers(0, 65535)))
def test_counts_are_those_of_numpy(array: np.ndarray) -> None:
    values, counts = np.unique(array[array > 0], return_counts=True)
    result = LabelMap(array, GRID)
    assert result.counts() == dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert np.array_equal(result.array, array)


def test_the_digest_counts_labels_and_grid_only() -> None:
    base = LabelMap(labels([0, 1]), GRID)
    assert LabelMap(labels([0, 1], np.uint16), GRID, (Segment(1, "x"), Segment(999, "y"))).digest() == base.digest()
    assert LabelMap(labels([0, 2]), GRID).digest() != base.digest()
    assert base.replace(geometry=Geometry.from_spacing((2, 3, 4))).digest() != base.digest()
