from __future__ import annotations

import gzip
import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.errors import AmbiguousInput, GeometryError, InputError, TruncatedFile, UnsupportedInput
from medai.core.io import read_volume
from medai.core.io.nifti import quaternion_affine

nib = pytest.importorskip("nibabel")

OBLIQUE = np.array([[0.9, -0.4, 0.1, -10.0], [0.4, 0.9, -0.2, 20.0], [0.0, 0.25, 2.0, -30.5], [0, 0, 0, 1]])


def saved(path: Path, array: Any, affine: Any = OBLIQUE, *, cls: Any = None, **codes: int) -> Path:
    image = (cls or nib.Nifti1Image)(array, affine)
    if "sform" in codes:
        image.set_sform(affine, codes["sform"])
    if "qform" in codes:
        image.set_qform(affine, codes["qform"])
    nib.save(image, path)
    return path


def patched(path: Path, offset: int, fmt: str, *values: Any) -> Path:
    data = bytearray(path.read_bytes())
    struct.pack_into(fmt, data, offset, *values)
    path.write_bytes(data)
    return path


ARRAY = np.arange(2 * 3 * 4, dtype=np.int16).reshape(4, 3, 2)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_row_22_every_type_and_byte_order_is_lossless(
    tmp_path: Path, suffix: str, kind: str, dtype: str, order: str
) -> None:
    limits = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo(dtype)
    values = np.array([limits.min, limits.max, 0, 1, 77, 5], dtype=dtype).reshape(3, 2, 1)
    header = getattr(nib, kind).header_class(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    image = getattr(nib, kind)(values, OBLIQUE, header)
    file = tmp_path / f"x{suffix}"
    nib.save(image, file)
    raw = gzip.decompress(file.read_bytes()) if suffix == ".nii.gz" else file.read_bytes()
    size = 348 if kind == "Nifti1Image" else 540
    assert raw[:4] == struct.pack(order + "i", size), "the test must really write this byte order"
    volume = read_volume(file)
    assert volume.array.dtype == np.dtype(dtype)
    assert volume.array.dtype.isnative
    np.testing.assert_array_equal(volume.array, values.transpose())
    assert volume.name == "x"


@pytest.mark.parametrize(("slope", "inter"), [(2.0, -1024.0), (1.0, -1024.0), (0.25, 3.5), (-1.0, 0.0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_scaling_agrees_with_nibabel(tmp_path: Path, slope: float, inter: float, dtype: Any) -> None:
    file = patched(saved(tmp_path / "x.nii", ARRAY.astype(dtype)), 112, "<2f", slope, inter)
    expected = np.asarray(nib.load(file).dataobj, dtype=np.float64).T
    np.testing.assert_allclose(read_volume(file).array, expected, rtol=1e-6)


def test_slope_0_means_not_scaled(tmp_path: Path) -> None:
    file = patched(saved(tmp_path / "x.nii", ARRAY), 112, "<2f", 0.0, 99.0)
    np.testing.assert_array_equal(read_volume(file).array, ARRAY.T)


@pytest.mark.parametrize("slope", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", [112, 116])
def test_row_16_nonsense_scaling(tmp_path: Path, slope: float, field: int) -> None:
    file = patched(saved(tmp_path / "x.nii", ARRAY), field, "<f", slope)
    with pytest.raises(InputError, match="slope"):
        read_volume(file)


def test_row_16_huge_slope_in_nifti2(tmp_path: Path) -> None:
    file = patched(saved(tmp_path / "x.nii", ARRAY, cls=nib.Nifti2Image), 176, "<d", 1e308)
    with pytest.raises(InputError, match="slope 1e\\+308"):
        read_volume(file)


def test_sform_wins_over_qform(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ARRAY, np.eye(4))
    image.set_sform(OBLIQUE, 4)
    image.set_qform(np.diag([2.0, 2, 2, 1]), 1)
    nib.save(image, tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, nib.load(tmp_path / "x.nii").affine, atol=1e-6)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, OBLIQUE, atol=1e-6)
    assert "ORIENT_UNKNOWN" not in [f.code for f in volume.flags], "another space is no contradiction"


def test_two_affines_of_one_space_that_differ_are_flagged(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ARRAY, np.eye(4))
    image.set_sform(np.eye(4), 1)
    image.set_qform(np.diag([-1.0, 1, 1, 1]), 1)
    nib.save(image, tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, np.eye(4))
    assert [f.code for f in volume.flags] == ["ORIENT_UNKNOWN"]


def test_qform_where_there_is_no_sform(tmp_path: Path) -> None:
    rotation = np.linalg.qr(OBLIQUE[:3, :3])[0]
    affine = np.eye(4)
    affine[:3, :3] = rotation * [1.0, 2.0, 3.0]
    affine[:3, 3] = [5, -6, 7]
    file = saved(tmp_path / "x.nii", ARRAY, affine, sform=0, qform=1)
    volume = read_volume(file)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, nib.load(file).affine, atol=1e-6)
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, affine, atol=1e-5)
    assert volume.flags == ()


def test_neither_form_is_flagged(tmp_path: Path) -> None:
    file = saved(tmp_path / "x.nii", ARRAY, np.diag([2.0, 3, 4, 1]), sform=0, qform=0)
    volume = read_volume(file)
    assert volume.geometry.spacing == (2, 3, 4)
    assert [f.code for f in volume.flags] == ["ORIENT_UNKNOWN"]


def test_all_48_quaternions() -> None:
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.eye(3)[:, axes] * signs
            affine = np.eye(4)
            affine[:3, :3] = matrix * [1.0, 2.0, 3.0]
            header = nib.Nifti1Header()
            header.set_qform(affine, 1)
            values = [float(header[key]) for key in
                      ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")]  # fmt: skip
            found = quaternion_affine(values, (1.0, 2.0, 3.0), float(header["pixdim"][0]), "x")
            np.testing.assert_allclose(found, affine, atol=1e-6)


@pytest.mark.parametrize(("code", "factor"), [(1, 1000.0), (2, 1.0), (3, 0.001), (0, 1.0)])
def test_units_of_space_become_mm(tmp_path: Path, code: int, factor: float) -> None:
    file = patched(saved(tmp_path / "x.nii", ARRAY, np.diag([2.0, 3, 4, 1])), 123, "B", code)
    np.testing.assert_allclose(read_volume(file).geometry.spacing, np.array([2, 3, 4]) * factor)
    with pytest.raises(InputError, match="unit"):
        read_volume(patched(file, 123, "B", 5))


def test_row_8_sheared_sform_is_kept_and_flagged(tmp_path: Path) -> None:
    affine = np.diag([1.0, 1, 2, 1])
    affine[0, 2] = 0.5
    image = nib.Nifti1Image(ARRAY, affine)
    image.set_sform(affine, 1)
    nib.save(image, tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    np.testing.assert_array_equal(volume.geometry.ijk_to_ras, affine)
    assert [f.code for f in volume.flags] == ["GEOM_SHEAR_TILT"]


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_row_7_spacing(tmp_path: Path, value: float, axis: int) -> None:
    file = patched(saved(tmp_path / "x.nii", ARRAY), 76 + 4 * axis, "<f", value)
    with pytest.raises(InputError, match="spacing"):
        read_volume(file)


def test_row_9_singular_sform(tmp_path: Path) -> None:
    file = patched(saved(tmp_path / "x.nii", ARRAY), 296, "<3f", 0.9, -0.4, 0.1)  # srow_y = srow_x
    with pytest.raises(GeometryError, match=r"x\.nii.*determinant"):
        read_volume(file)


def test_row_10_left_handed(tmp_path: Path) -> None:
    affine = np.diag([-1.0, 1, 1, 1])
    volume = read_volume(saved(tmp_path / "x.nii", ARRAY, affine))
    assert not volume.geometry.is_right_handed
    assert volume.geometry.orientation == "LAS"
    assert volume.flags == ()


def test_row_14_and_19_four_dimensions_need_a_frame(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    for suffix in (".nii", ".nii.gz"):
        file = saved(tmp_path / f"x{suffix}", array)
        with pytest.raises(AmbiguousInput, match="5 frames") as caught:
            read_volume(file)
        assert "frame" in caught.value.hint
        for frame in range(5):
            volume = read_volume(file, frame=frame)
            np.testing.assert_array_equal(volume.array, array[..., frame].T)
        for frame in (5, -1):
            with pytest.raises(InputError, match="no frame"):
                read_volume(file, frame=frame)


def test_a_single_frame_needs_no_choice(tmp_path: Path) -> None:
    volume = read_volume(saved(tmp_path / "x.nii", ARRAY[..., None]))
    np.testing.assert_array_equal(volume.array, ARRAY.T)


def test_row_19_rgb_and_vectors_become_components(tmp_path: Path) -> None:
    rgb = np.zeros((4, 3, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["R"], rgb["G"], rgb["B"] = ARRAY, ARRAY + 50, ARRAY + 100
    volume = read_volume(saved(tmp_path / "rgb.nii.gz", rgb))
    np.testing.assert_array_equal(volume.array, np.stack([ARRAY, ARRAY + 50, ARRAY + 100], -1).transpose(2, 1, 0, 3))
    vectors = np.arange(4 * 3 * 2 * 3, dtype=np.float32).reshape(4, 3, 2, 1, 3)
    image = nib.Nifti1Image(vectors, OBLIQUE)
    image.header.set_intent("vector")
    nib.save(image, tmp_path / "vector.nii")
    volume = read_volume(tmp_path / "vector.nii")
    np.testing.assert_array_equal(volume.array, vectors[:, :, :, 0].transpose(2, 1, 0, 3))
    with pytest.raises(UnsupportedInput, match="3 components"):
        volume.require_scalar("this test")


def test_a_plane_is_one_slice(tmp_path: Path) -> None:
    volume = read_volume(saved(tmp_path / "x.nii", ARRAY[:, :, 0], np.diag([2.0, 2, 1, 1])))
    assert volume.array.shape == (1, 3, 4)
    assert volume.is_2d


@pytest.mark.parametrize(
    ("offset", "fmt", "value", "words"),
    [
        (40, "<h", 0, "dimensions"),
        (40, "<h", 9, "dimensions"),
        (42, "<h", 0, "sizes"),
        (44, "<h", -5, "sizes"),
        (70, "<h", 32, "complex64"),
        (70, "<h", 1234, "unknown type"),
        (72, "<h", 8, "contradicts"),
        (108, "<f", np.nan, "begin at byte"),
        (108, "<f", 3.0, "begin at byte"),
        (108, "<f", 352.5, "begin at byte"),
        (344, "<4s", b"xxxx", "not a NIfTI"),
        (344, "<4s", b"ni1\0", "pair"),
        (0, "<i", 349, "not a NIfTI"),
        (256, "<f", 3.0, "not a rotation"),
        (256, "<f", np.nan, "not a rotation"),
    ],
)
def test_rows_4_and_17_headers_that_contradict_themselves(
    tmp_path: Path, offset: int, fmt: str, value: Any, words: str
) -> None:
    file = patched(saved(tmp_path / "x.nii", ARRAY, np.eye(4), qform=1, sform=0), offset, fmt, value)
    with pytest.raises(InputError, match=words):
        read_volume(file)


def test_header_cut_short(tmp_path: Path) -> None:
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        data = saved(tmp_path / "x.nii", ARRAY, cls=kind).read_bytes()
        for length in (3, 100, 347):
            (tmp_path / "cut.nii").write_bytes(data[:length])
            with pytest.raises((TruncatedFile, InputError)):
                read_volume(tmp_path / "cut.nii")


def test_extensions_are_skipped(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ARRAY, OBLIQUE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"CANARY" * 10))
    nib.save(image, tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    np.testing.assert_array_equal(volume.array, ARRAY.T)
    assert "CANARY" not in str(volume.meta)
