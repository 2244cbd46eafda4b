from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.io import read_volume
from medai.core.io.dicom.decode import _frame_dataset
from medai.core.io.dicom.gdcm import GdcmDecoder
from medai.core.io.dicom.header import read_header
from medai.core.io.dicom.pixels import _encapsulated

pydicom = pytest.importorskip("pydicom")
PIXELS = np.random.default_rng(6).integers(0, 4000, (40, 50), dtype=np.uint16)


def compressed(path: Path, kind: str) -> Path:
    """Write a lossless file that pydicom alone cannot decode, with SimpleITK's encoder."""
    import SimpleITK as sitk

    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(kind)
    writer.SetFileName(str(path))
    writer.Execute(sitk.GetImageFromArray(PIXELS[None]))
    return path


@pytest.mark.parametrize(
    ("kind", "syntax"), [("JPEG", "1.2.840.10008.1.2.4.70"), ("JPEG2000", "1.2.840.10008.1.2.4.90")]
)
def test_lossless_codecs_through_the_child(tmp_path: Path, kind: str, syntax: str) -> None:
    file = compressed(tmp_path / "x.dcm", kind)
    assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_volume(file).array[0], PIXELS)


def frame_of(file: Path) -> Any:
    header = read_header(file)
    assert header is not None
    return _frame_dataset(header, _encapsulated(header, pydicom.dcmread(file).PixelData)[0])


def test_the_child_is_reused_and_replaced_after_a_crash(tmp_path: Path) -> None:
    frame = frame_of(compressed(tmp_path / "x.dcm", "JPEG"))
    with GdcmDecoder() as decoder:
        np.testing.assert_array_equal(decoder.decode(frame), PIXELS)
        first = decoder._process
        assert first is not None
        np.testing.assert_array_equal(decoder.decode(frame), PIXELS)
        assert decoder._process is first
        first.kill()
        first.wait()
        np.testing.assert_array_equal(decoder.decode(frame), PIXELS)
        assert decoder._process is not first
        last = decoder._process
    assert last is not None
    assert last.poll() is not None, "no child outlives the reader"


def test_no_file_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    read_volume(compressed(tmp_path / "x.dcm", "JPEG"))
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_frame_on_which_gdcm_crashes_is_a_refusal(tmp_path: Path) -> None:
    """A precision of 128 bits in the JPEG header brings GDCM 3 to a segmentation fault."""
    file = compressed(tmp_path / "x.dcm", "JPEG")
    data = bytearray(file.read_bytes())
    start = data.find(b"\xff\xd8\xff\xc3")
    assert data[start + 6] <= 16
    data[start + 6] = 128
    file.write_bytes(data)
    with pytest.raises(InputError, match="claims 128 bits"):
        read_volume(file)
    with GdcmDecoder() as decoder:
        assert decoder.decode(frame_of(file)) is None, "the child's crash is an answer, not ours"


def test_a_damaged_frame_is_not_called_a_missing_codec(tmp_path: Path, write_slice: Any) -> None:
    file = write_slice(tmp_path / "x.dcm", PIXELS)
    whole = pydicom.dcmread(file)
    whole.compress(pydicom.uid.RLELossless)
    frame = bytearray(whole.PixelData)
    frame[16 + 8 : 16 + 12] = b"\xff\xff\x00\x00"  # the offset of the second segment
    whole.PixelData = bytes(frame)
    whole.save_as(file)
    with pytest.raises(InputError, match="cannot be decoded"):
        read_volume(file)
