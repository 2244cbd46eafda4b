from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.errors import AmbiguousInput, GeometryError, InputError, TruncatedFile, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.io import read_volume
from medai.core.sitk import geometry_of, to_sitk

ARRAY = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
BASE = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "2 3 4",
    "space directions": "(1,0,0) (0,2,0) (0,0,3)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(10,20,30)",
}


def nrrd(path: Path, data: bytes | None = None, *, end: str = "\n", **changes: Any) -> Path:
    """Write a header with changed fields (``_`` for a space, None removes one) and data."""
    fields = dict(BASE)
    for key, value in changes.items():
        fields[key.replace("_", " ")] = value
    lines = ["NRRD0005"] + [f"{key}: {value}" for key, value in fields.items() if value is not None]
    body = ARRAY.tobytes() if data is None else data
    path.write_bytes((end.join(lines) + end + end).encode() + body)
    return path


def test_attached_raw(tmp_path: Path) -> None:
    volume = read_volume(nrrd(tmp_path / "x.nrrd"))
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_array_equal(
        volume.geometry.ijk_to_ras, [[-1, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]]
    )
    assert volume.flags == ()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("raw", ARRAY.tobytes()), ("gzip", gzip.compress(ARRAY.tobytes())), ("bz2", bz2.compress(ARRAY.tobytes()))],
)
@pytest.mark.parametrize("detached", [False, True])
def test_encodings_attached_and_detached(
    tmp_path: Path, encoding: str, packed: bytes, line_end: str, detached: bool
) -> None:
    if detached:
        (tmp_path / "x data.bin").write_bytes(packed)
        file = nrrd(tmp_path / "x.nhdr", b"", end=line_end, encoding=encoding, data_file="x data.bin")
    else:
        file = nrrd(tmp_path / "x.nrrd", packed, end=line_end, encoding=encoding)
    np.testing.assert_array_equal(read_volume(file).array, ARRAY)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("compress", [False, True])
def test_files_of_simpleitk(tmp_path: Path, dtype: str, compress: bool, rng: np.random.Generator) -> None:
    import SimpleITK as sitk

    direction = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    geometry = Geometry.from_spacing((4, 3, 2), (0.5, 0.7, 2.0), (1, -2, 3), direction)
    array = (rng.normal(size=(4, 3, 2)) * 60).astype(dtype)
    sitk.WriteImage(to_sitk(array, geometry), str(tmp_path / "x.nrrd"), useCompression=compress)
    volume = read_volume(tmp_path / "x.nrrd")
    assert volume.array.dtype == array.dtype
    np.testing.assert_array_equal(volume.array, array)
    assert volume.geometry.same_as(geometry, 1e-9)


@pytest.mark.parametrize("space", ["right-anterior-superior", "RAS", "left-anterior-superior", "LPS"])
def test_spaces(tmp_path: Path, space: str) -> None:
    import SimpleITK as sitk

    file = nrrd(tmp_path / "x.nrrd", space=space)
    volume = read_volume(file)
    assert volume.geometry.same_as(geometry_of(sitk.ReadImage(str(file))), 1e-9)
    assert volume.flags == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"space": "scanner-xyz"},
        {"space": None, "space_origin": None, "space_directions": None, "spacings": "1 2 3"},
    ],
)
def test_unknown_orientation_is_flagged(tmp_path: Path, changes: dict[str, Any]) -> None:
    volume = read_volume(nrrd(tmp_path / "x.nrrd", **changes))
    assert [f.code for f in volume.flags] == ["ORIENT_UNKNOWN"]
    np.testing.assert_allclose(volume.geometry.spacing, (1, 2, 3))


def test_big_endian(tmp_path: Path) -> None:
    file = nrrd(tmp_path / "x.nrrd", ARRAY.astype(">i2").tobytes(), endian="big")
    np.testing.assert_array_equal(read_volume(file).array, ARRAY)


def test_components_first_and_frames_last(tmp_path: Path) -> None:
    colour = nrrd(
        tmp_path / "c.nrrd", bytes(range(72)), type="uint8", dimension="4", sizes="3 2 3 4",
        space_directions="none (1,0,0) (0,1,0) (0,0,1)", kinds="RGB-color domain domain domain",
    )  # fmt: skip
    np.testing.assert_array_equal(read_volume(colour).array, np.arange(72, dtype=np.uint8).reshape(4, 3, 2, 3))
    series = nrrd(
        tmp_path / "t.nrrd", bytes(range(72)), type="uint8", dimension="4", sizes="2 3 4 3",
        space_directions="(1,0,0) (0,1,0) (0,0,1) none", kinds="domain domain domain list",
    )  # fmt: skip
    with pytest.raises(AmbiguousInput, match="3 frames"):
        read_volume(series)
    np.testing.assert_array_equal(
        read_volume(series, frame=1).array, np.arange(24, 48, dtype=np.uint8).reshape(4, 3, 2)
    )


def test_frames_that_run_fastest(tmp_path: Path) -> None:
    file = nrrd(
        tmp_path / "t.nrrd", bytes(range(72)), type="uint8", dimension="4", sizes="3 2 3 4",
        space_directions="none (1,0,0) (0,1,0) (0,0,1)", kinds="list domain domain domain",
    )  # fmt: skip
    np.testing.assert_array_equal(
        read_volume(file, frame=2).array, np.arange(72, dtype=np.uint8).reshape(4, 3, 2, 3)[..., 2]
    )


@pytest.mark.parametrize("target", ["../x.raw", "../../etc/hostname", "/etc/hostname", "..\\x.raw", ".", "sub/../../x"])
def test_row_6_data_file_outside_the_folder(tmp_path: Path, target: str) -> None:
    (tmp_path / "x.raw").write_bytes(ARRAY.tobytes())
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "sub").mkdir()
    with pytest.raises(InputError, match="outside its own folder"):
        read_volume(nrrd(folder / "x.nhdr", b"", data_file=target))


def test_row_6_link_that_leads_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.raw").write_bytes(ARRAY.tobytes())
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "x.raw").symlink_to(tmp_path / "secret.raw")
    with pytest.raises(InputError, match="outside its own folder"):
        read_volume(nrrd(folder / "x.nhdr", b"", data_file="x.raw"))


def test_data_file_in_a_subfolder_is_read(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.raw").write_bytes(ARRAY.tobytes())
    np.testing.assert_array_equal(read_volume(nrrd(tmp_path / "x.nhdr", b"", data_file="sub/x.raw")).array, ARRAY)


def test_byte_skip(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"junk!" + ARRAY.tobytes())
    for skip in ("5", "-1"):
        file = nrrd(tmp_path / "x.nhdr", b"", data_file="x.raw", byte_skip=skip)
        np.testing.assert_array_equal(read_volume(file).array, ARRAY)


def test_a_sheared_grid_is_kept_and_flagged(tmp_path: Path) -> None:
    volume = read_volume(nrrd(tmp_path / "x.nrrd", space_directions="(1,0,0) (0.3,1,0) (0,0,1)"))
    assert [f.code for f in volume.flags] == ["GEOM_SHEAR_TILT"]
    assert volume.geometry.ijk_to_lps[0, 1] == 0.3


def test_units_become_mm(tmp_path: Path) -> None:
    volume = read_volume(nrrd(tmp_path / "x.nrrd", space_units='"cm" "cm" "cm"'))
    np.testing.assert_allclose(volume.geometry.spacing, (10, 20, 30))
    np.testing.assert_allclose(volume.geometry.origin, (-100, -200, 300))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"type": "block"}, UnsupportedInput, "type"),
        ({"type": None}, InputError, "no 'type'"),
        ({"endian": None}, InputError, "no 'endian'"),
        ({"endian": "middle"}, InputError, "byte order"),
        ({"encoding": "hex"}, UnsupportedInput, "encoded"),
        ({"sizes": "2 3"}, InputError, "sizes"),
        ({"sizes": "2 3 x"}, InputError, "sizes"),
        ({"sizes": "2 3 4.5"}, InputError, "whole numbers"),
        ({"sizes": "2 3 0"}, InputError, "sizes"),
        ({"sizes": "2 3 -4"}, InputError, "sizes"),
        ({"sizes": "100000 100000 1000"}, InputError, "GiB|cut short"),
        ({"dimension": "7"}, UnsupportedInput, "dimensions"),
        ({"dimension": "nan"}, InputError, "dimension"),
        ({"space_directions": "(1,0,0) (0,1,0)"}, InputError, "entries"),
        ({"space_directions": "(1,0,0) (0,0,0) (0,0,1)"}, InputError, "is 0"),
        ({"space_directions": "(1,0,0) (1,0,0) (0,0,1)"}, GeometryError, "determinant"),
        ({"space_directions": "(1,0,0) (0,inf,0) (0,0,1)"}, InputError, "finite"),
        ({"space_directions": "(1,0,0) (0,nan,0) (0,0,1)"}, InputError, "finite"),
        ({"space_origin": "(1,2,zz)"}, InputError, "space origin"),
        ({"kinds": "domain domain"}, InputError, "kinds"),
        ({"data_file": "LIST"}, UnsupportedInput, "several files"),
        ({"data_file": "x%03d.raw 1 4 1"}, UnsupportedInput, "several files"),
        ({"line_skip": "3"}, UnsupportedInput, "line skip"),
        ({"byte_skip": "-7"}, InputError, "byte skip"),
        ({"space_units": '"furlong" "furlong" "furlong"'}, UnsupportedInput, "millimetres"),
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "1 0 1"}, InputError, "positive"),
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "1 -2 1"}, InputError, "positive"),
    ],
)
def test_bad_headers(tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read_volume(nrrd(tmp_path / "x.nrrd", **changes))


def test_rows_2_and_4_cut_or_foreign(tmp_path: Path) -> None:
    whole = nrrd(tmp_path / "x.nrrd").read_bytes()
    file = tmp_path / "y.nrrd"
    for length in (len(whole) - 1, len(whole) - 40, 100, 9):
        file.write_bytes(whole[:length])
        with pytest.raises(TruncatedFile):
            read_volume(file)
    file.write_text("a plain text")
    with pytest.raises(InputError, match="not an NRRD"):
        read_volume(file)
    file.write_bytes(whole.replace(b"sizes: 2 3 4\n", b"sizes: 2 3 4\nsizes: 2 3 4\n"))
    with pytest.raises(InputError, match="twice"):
        read_volume(file)
    file.write_bytes(whole.replace(b"sizes: 2 3 4\n", b"sizes 2 3 4\n"))
    with pytest.raises(InputError, match="no field"):
        read_volume(file)


def test_keys_and_comments_do_not_reach_the_volume(tmp_path: Path) -> None:
    file = nrrd(tmp_path / "x.nrrd")
    file.write_bytes(file.read_bytes().replace(b"NRRD0005\n", b"NRRD0005\n# CANARY\nPatient:=CANARY\n"))
    volume = read_volume(file)
    assert "CANARY" not in str(volume.meta)
    np.testing.assert_array_equal(volume.array, ARRAY)
