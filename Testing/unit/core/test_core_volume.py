"""medai.core.volume."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from medai.core.errors import GeometryError, InputError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume, digest_array

GRID = Geometry.from_spacing((3, 4, 5), (0.5, 1.0, 2.0), (1.0, 2.0, 3.0))
FLAG = QCFlag("INT_CONSTANT", Severity.WARNING, "All voxels are equal.")


def ramp(dtype: str = "i2") -> Volume:
    return Volume(np.arange(60).reshape(3, 4, 5).astype(dtype), GRID, "CT", "[hnsf'U]", "ramp")


@pytest.mark.parametrize("shape", [(3, 4), (60,), (3, 4, 6), (5, 4, 3), (3, 4, 5, 0), (1, 3, 4, 5), (3, 4, 5, 2, 2)])
def test_a_shape_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        Volume(np.zeros(shape), GRID)


@pytest.mark.parametrize("dtype", ["c8", "O", "U3", "M8[s]", [("r", "u1"), ("g", "u1")]])
def test_voxels_that_are_no_real_numbers_are_refused(dtype: object) -> None:
    with pytest.raises(UnsupportedInput, match="real numbers are needed"):
        Volume(np.zeros((3, 4, 5), dtype), GRID)  # type: ignore[call-overload]


def test_the_array_is_a_read_only_view() -> None:
    mine = np.zeros((3, 4, 5), np.int16)
    volume = Volume(mine, GRID)
    assert np.shares_memory(volume.array, mine)
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1
    mine[0, 0, 0] = 7  # the caller's own array stays writable
    assert mine[0, 0, 0] == 7


def test_fields_cannot_be_changed() -> None:
    volume = Volume(np.zeros((3, 4, 5)), GRID, meta={"kernel": "B30"})
    with pytest.raises(AttributeError):
        volume.name = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        volume.meta["kernel"] = "B60"  # type: ignore[index]


def test_components_and_slices() -> None:
    assert ramp().components == 1
    assert Volume(np.zeros((3, 4, 5, 3), np.uint8), GRID).components == 3
    assert not ramp().is_2d
    assert Volume(np.zeros((1, 4, 5)), Geometry.from_spacing((1, 4, 5))).is_2d


def test_colour_is_refused_where_grey_is_needed() -> None:
    ramp().require_scalar("Otsu")
    with pytest.raises(UnsupportedInput, match="Otsu needs a scalar image, given 3 components per voxel"):
        Volume(np.zeros((3, 4, 5, 3), np.uint8), GRID).require_scalar("Otsu")


def test_replace_keeps_the_rest_and_checks_again() -> None:
    other = ramp().replace(name="other")
    assert (other.name, other.modality, other.unit) == ("other", "CT", "[hnsf'U]")
    with pytest.raises(InputError):
        ramp().replace(array=np.zeros((1, 1, 1)))


def test_a_flag_is_added_once() -> None:
    assert ramp().with_flags(FLAG).with_flags(FLAG).flags == (FLAG,)


def test_crop_is_a_view_in_the_right_place() -> None:
    volume = ramp()
    box = volume.crop((1, 1, 2), (2, 3, 2))
    assert np.array_equal(box.array, volume.array[1:3, 1:4, 2:4])
    assert np.shares_memory(box.array, volume.array)
    assert box.geometry.origin == (1.0 + 2 * 0.5, 2.0 + 1.0, 3.0 + 2.0)
    assert box.unit == volume.unit


@pytest.mark.parametrize(
    ("start", "shape", "error"),
    [
        ((-1, 0, 0), (1, 1, 1), InputError),
        ((2, 0, 0), (2, 1, 1), InputError),
        ((0, 0, 5), (1, 1, 1), InputError),
        ((0, 0, 0), (0, 1, 1), GeometryError),
        ((1, 1, 1), (1, -1, 1), GeometryError),
    ],
)
def test_a_box_outside_or_without_voxels_is_refused(
    start: tuple[int, int, int], shape: tuple[int, int, int], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ramp().crop(start, shape)


def test_the_digest_counts_type_shape_values_and_grid() -> None:
    base = ramp()
    others = [
        ramp("i4"),
        base.replace(array=base.array[..., None]),
        base.replace(array=base.array + 1),
        base.replace(geometry=Geometry.from_spacing((3, 4, 5))),
    ]
    assert len({v.digest() for v in [base, *others]}) == 5
    assert base.replace(name="x", modality="MR").digest() == base.digest()


def test_the_digest_is_what_its_definition_says() -> None:
    volume = ramp()
    content = b"<i2|(3, 4, 5)|" + GRID.ijk_to_ras.astype("<f8").tobytes() + np.arange(60, dtype="<i2").tobytes()
    assert volume.digest() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"])
def test_the_digest_is_independent_of_memory(dtype: str) -> None:
    array = (np.arange(60).reshape(3, 4, 5) % 100).astype(dtype)
    strided = np.zeros((6, 4, 10), dtype)[::2, :, ::2]
    strided[...] = array
    versions = [array, np.asfortranarray(array), strided, array.astype(np.dtype(dtype).newbyteorder(">"))]
    assert len({digest_array(version, GRID) for version in versions}) == 1
