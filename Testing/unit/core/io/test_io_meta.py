from __future__ import annotations

import zlib
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
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "10 20 30",
    "ElementSpacing": "1 2 3",
    "DimSize": "2 3 4",
    "ElementType": "MET_SHORT",
}


def meta(path: Path, data: bytes | None = None, *, target: str = "LOCAL", **changes: Any) -> Path:
    fields = {**BASE, **changes}
    lines = [f"{key} = {value}" for key, value in fields.items() if value is not None]
    head = "\n".join([*lines, f"ElementDataFile = {target}"]) + "\n"
    path.write_bytes(head.encode() + (ARRAY.tobytes() if data is None else data))
    return path


def test_local_raw(tmp_path: Path) -> None:
    volume = read_volume(meta(tmp_path / "x.mha"))
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_array_equal(
        volume.geometry.ijk_to_ras, [[-1, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]]
    )
    assert volume.flags == ()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("name", ["x.mha", "x.mhd"])
@pytest.mark.parametrize("compress", [False, True])
def test_files_of_simpleitk(tmp_path: Path, dtype: str, name: str, compress: bool, rng: np.random.Generator) -> None:
    import SimpleITK as sitk

    geometry = Geometry.from_spacing((4, 3, 2), (0.5, 0.7, 2.0), (1, -2, 3), np.linalg.qr(rng.normal(size=(3, 3)))[0])
    array = (rng.normal(size=(4, 3, 2)) * 60).astype(dtype)
    sitk.WriteImage(to_sitk(array, geometry), str(tmp_path / name), useCompression=compress)
    volume = read_volume(tmp_path / name)
    assert volume.array.dtype == array.dtype
    np.testing.assert_array_equal(volume.array, array)
    assert volume.geometry.same_as(geometry_of(sitk.ReadImage(str(tmp_path / name))), 1e-9)
    assert volume.geometry.same_as(geometry, 1e-5), "the header's text keeps few digits"


def test_big_endian_and_older_names_of_keys(tmp_path: Path) -> None:
    file = meta(
        tmp_path / "x.mha", ARRAY.astype(">i2").tobytes(), BinaryDataByteOrderMSB=None, ElementByteOrderMSB="True",
        Offset=None, Position="1 2 3", TransformMatrix=None, Orientation="0 1 0 1 0 0 0 0 1",
    )  # fmt: skip
    volume = read_volume(file)
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_array_equal(volume.geometry.ijk_to_lps[:3], [[0, 2, 0, 1], [1, 0, 0, 2], [0, 0, 3, 3]])


def test_channels_and_frames(tmp_path: Path) -> None:
    colour = meta(tmp_path / "c.mha", bytes(range(72)), ElementType="MET_UCHAR", ElementNumberOfChannels="3")
    np.testing.assert_array_equal(read_volume(colour).array, np.arange(72, dtype=np.uint8).reshape(4, 3, 2, 3))
    frames = meta(
        tmp_path / "t.mha", bytes(range(72)), ElementType="MET_UCHAR", NDims="4", DimSize="2 3 4 3",
        ElementSpacing="1 2 3 1", Offset="0 0 0 0", TransformMatrix="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
    )  # fmt: skip
    with pytest.raises(AmbiguousInput, match="3 frames"):
        read_volume(frames)
    np.testing.assert_array_equal(
        read_volume(frames, frame=2).array, np.arange(48, 72, dtype=np.uint8).reshape(4, 3, 2)
    )


def test_two_dimensions(tmp_path: Path) -> None:
    file = meta(
        tmp_path / "x.mha", ARRAY[0].tobytes(), NDims="2", DimSize="2 3", ElementSpacing="1 2", Offset="3 4",
        TransformMatrix="1 0 0 1",
    )  # fmt: skip
    volume = read_volume(file)
    np.testing.assert_array_equal(volume.array, ARRAY[:1])
    assert volume.geometry.spacing == (1, 2, 1)


def test_no_directions_is_flagged(tmp_path: Path) -> None:
    assert [f.code for f in read_volume(meta(tmp_path / "x.mha", TransformMatrix=None)).flags] == ["ORIENT_UNKNOWN"]


@pytest.mark.parametrize("target", ["../x.raw", "/etc/hostname", "a/../../x.raw"])
def test_row_6_data_file_outside_the_folder(tmp_path: Path, target: str) -> None:
    (tmp_path / "x.raw").write_bytes(ARRAY.tobytes())
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(InputError, match="outside its own folder"):
        read_volume(meta(folder / "x.mhd", b"", target=target))


def test_header_size(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(b"junk!" + ARRAY.tobytes())
    for size in ("5", "-1"):
        file = meta(tmp_path / "x.mhd", b"", target="x.raw", HeaderSize=size)
        np.testing.assert_array_equal(read_volume(file).array, ARRAY)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"ElementType": "MET_STRING"}, UnsupportedInput, "type"),
        ({"ElementType": None}, InputError, "no elementtype"),
        ({"NDims": "9"}, UnsupportedInput, "dimensions"),
        ({"NDims": "x"}, InputError, "NDims"),
        ({"DimSize": "2 3"}, InputError, "DimSize"),
        ({"DimSize": "2 3 0"}, InputError, "sizes"),
        ({"DimSize": "100000 100000 1000"}, InputError, "GiB|cut short"),
        ({"ElementNumberOfChannels": "-3"}, InputError, "sizes"),
        ({"ElementSpacing": "1 0 1"}, InputError, "positive"),
        ({"ElementSpacing": "1 -1 1"}, InputError, "positive"),
        ({"ElementSpacing": "1 nan 1"}, InputError, "finite"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, GeometryError, "determinant"),
        ({"TransformMatrix": "1 0 0"}, InputError, "TransformMatrix"),
        ({"BinaryData": "False"}, UnsupportedInput, "text"),
        ({"ElementToIntensityFunctionSlope": "2"}, UnsupportedInput, "intensity function"),
        ({"ObjectType": "Tube"}, UnsupportedInput, "not an image"),
        ({"HeaderSize": "-4"}, InputError, "HeaderSize"),
    ],
)
def test_bad_headers(tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read_volume(meta(tmp_path / "x.mha", **changes))


def test_rows_2_3_and_4(tmp_path: Path) -> None:
    file = tmp_path / "y.mha"
    packed = zlib.compress(ARRAY.tobytes())
    whole = meta(tmp_path / "x.mha", packed, CompressedData="True").read_bytes()
    start = len(whole) - len(packed)
    for length in (len(whole) - 1, start + 5, start, start - 10, 30):
        file.write_bytes(whole[:length])
        with pytest.raises(TruncatedFile):
            read_volume(file)
    for position in range(start, len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 8]) + whole[position + 1 :])
        with pytest.raises(TruncatedFile):
            read_volume(file)
    for text in ("plain text", "NRRD0004\n", "several = files\nno field\n"):
        file.write_text(text)
        with pytest.raises(InputError):
            read_volume(file)
    with pytest.raises(UnsupportedInput, match="several files"):
        read_volume(meta(file, b"", target="LIST"))
    with pytest.raises(InputError, match="twice"):
        read_volume(meta(file, Position="1 2 3"))
