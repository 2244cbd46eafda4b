"""The public functions: what they choose by suffix and content, and what every reader has in common."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.errors import AmbiguousInput, DependencyError, InputError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap, read_volume, write_volume
from medai.core.volume import Volume

SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".mha"]


def volume(array: Any) -> Volume:
    return Volume(array, Geometry.from_spacing(array.shape[:3], (0.5, 0.75, 2.0), (1, 2, 3)))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_row_20_nan_and_inf_are_flagged(tmp_path: Path, suffix: str) -> None:
    array = np.zeros((3, 4, 5), np.float32)
    array[0, 0, 0], array[1, 1, 1], array[2, 2, 2] = np.nan, np.inf, -np.inf
    write_volume(volume(array), tmp_path / f"x{suffix}")
    back = read_volume(tmp_path / f"x{suffix}")
    (flag,) = back.flags
    assert (flag.code, flag.measured) == ("INT_NAN", 3.0)
    np.testing.assert_array_equal(back.array, array)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, -1.0, 70000.0])
def test_row_30_labels_that_are_none(tmp_path: Path, suffix: str, bad: float) -> None:
    array = np.zeros((3, 4, 5), np.float32)
    array[1, 1, 1] = bad
    write_volume(volume(array), tmp_path / f"x{suffix}")
    with pytest.raises(InputError, match=r"whole numbers|from 0 to 65535"):
        read_labelmap(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("dtype", ["i8", "f8", "f4", "u4", "i2"])
def test_whole_numbers_of_any_type_are_labels(tmp_path: Path, dtype: str) -> None:
    array = np.zeros((3, 4, 5), dtype)
    array[1, 1, 1] = 3
    write_volume(volume(array), tmp_path / "x.nii.gz")
    labels = read_labelmap(tmp_path / "x.nii.gz")
    assert labels.array.dtype == np.uint8
    assert labels.counts() == {3: 1}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_vector_image_is_no_label_image(tmp_path: Path, suffix: str) -> None:
    write_volume(volume(np.zeros((3, 4, 5, 3), np.uint8)), tmp_path / f"x{suffix}")
    with pytest.raises(UnsupportedInput, match="3 components"):
        read_labelmap(tmp_path / f"x{suffix}")


def test_four_dimensional_labels_are_ambiguous(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4, 5), np.uint8), np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(AmbiguousInput):
        read_labelmap(tmp_path / "x.nii")


def test_gzip_is_seen_by_content(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    write_volume(volume(array), tmp_path / "x.nii.gz")
    (tmp_path / "y.nii").write_bytes((tmp_path / "x.nii.gz").read_bytes())
    (tmp_path / "z.nii.gz").write_bytes(gzip.decompress((tmp_path / "x.nii.gz").read_bytes()))
    for name in ("y.nii", "z.nii.gz"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, array)


def test_dicom_is_seen_by_content(tmp_path: Path, write_slice: Any) -> None:
    for name in ("1.2.840.77", "IM0001", "x.dcm"):
        assert read_volume(write_slice(tmp_path / name)).modality == "CT"


@pytest.mark.parametrize(
    ("name", "words"), [("x.txt", "no format"), ("x", "no format"), ("none.nii", "not exist"), ("x.hdr", "no format")]
)
def test_what_is_not_read(tmp_path: Path, name: str, words: str) -> None:
    if not name.startswith("none"):
        (tmp_path / name).write_text("hello")
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / name)


def test_without_pydicom_or_pillow_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + bytes(100))
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    for package, target in (("pydicom", tmp_path / "x.dcm"), ("pydicom", tmp_path), ("PIL", tmp_path / "x.png")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(DependencyError, match="pydicom" if package == "pydicom" else "pillow"):
                read_volume(target)


def test_a_series_is_chosen_in_folders_only(tmp_path: Path) -> None:
    write_volume(volume(np.zeros((3, 4, 5), np.int16)), tmp_path / "x.nii")
    with pytest.raises(InputError, match="no series can be chosen"):
        read_volume(tmp_path / "x.nii", series_uid="1.2.3")


def test_frame_0_of_a_3d_image_is_the_image(tmp_path: Path) -> None:
    write_volume(volume(np.ones((3, 4, 5), np.int16)), tmp_path / "x.nii")
    assert read_volume(tmp_path / "x.nii", frame=0).array.shape == (3, 4, 5)
    with pytest.raises(InputError, match="no frame 1"):
        read_volume(tmp_path / "x.nii", frame=1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_inputs_are_not_changed(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"x{suffix}"
    write_volume(volume(np.ones((3, 4, 5), np.int16)), file)
    before, status = file.read_bytes(), file.stat()
    read_volume(file)
    assert file.read_bytes() == before
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
