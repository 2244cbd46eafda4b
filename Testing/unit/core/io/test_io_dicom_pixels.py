from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.errors import AmbiguousInput, DependencyError, InputError, TruncatedFile, UnsupportedInput
from medai.core.io import read_volume
from medai.core.io.dicom import decode
from medai.core.io.dicom.codestream import FrameSize, frame_size

pydicom = pytest.importorskip("pydicom")
J2K = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
BIG = "1.2.840.10008.1.2.2"
RAW = {"RescaleSlope": None, "RescaleIntercept": None, "Modality": "MR"}


def j2k(pixels: Any) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format="JPEG2000", irreversible=False, no_jp2=True)
    return target.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", BIG])
def test_native_types_are_exact(tmp_path: Path, write_slice: Any, dtype: str, syntax: str) -> None:
    limits = np.iinfo(dtype)
    pixels = np.resize(np.array([limits.min, limits.max, 0, 1, 2], dtype=dtype), (4, 6))
    stored = pixels.byteswap() if syntax == BIG else pixels
    file = tmp_path / "x.dcm"
    write_slice(file, pixels, syntax="1.2.840.10008.1.2.1" if syntax == BIG else syntax, **RAW)
    if syntax == BIG:
        data = pydicom.dcmread(file)
        data.file_meta.TransferSyntaxUID = pydicom.uid.UID(BIG)
        data.PixelData = stored.tobytes()
        fresh = pydicom.Dataset()
        for element in data:
            setattr(fresh, element.keyword, element.value)
        fresh.file_meta = data.file_meta
        fresh.save_as(file, enforce_file_format=True, implicit_vr=False, little_endian=False)
    volume = read_volume(file)
    assert volume.array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(volume.array[0], pixels)


def test_high_bits_are_not_values(tmp_path: Path, write_slice: Any) -> None:
    pixels = np.array([[0x0FFF, 0x8001, 0x7800]], dtype=np.uint16)
    unsigned = write_slice(tmp_path / "u.dcm", pixels, BitsStored=12, HighBit=11, **RAW)
    assert read_volume(unsigned).array.tolist() == [[[0x0FFF, 1, 0x0800]]]
    signed = write_slice(tmp_path / "s.dcm", pixels, BitsStored=12, HighBit=11, PixelRepresentation=1, **RAW)
    assert read_volume(signed).array.tolist() == [[[-1, 1, -2048]]]


@pytest.mark.parametrize("planar", [0, 1])
def test_colour(tmp_path: Path, write_slice: Any, planar: int) -> None:
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    stored = np.moveaxis(pixels, -1, 0).copy() if planar else pixels
    file = write_slice(tmp_path / "x.dcm", pixels, PlanarConfiguration=planar, PixelData=stored.tobytes(), **RAW)
    volume = read_volume(file)
    np.testing.assert_array_equal(volume.array[0], pixels)
    with pytest.raises(UnsupportedInput, match="3 components"):
        volume.require_scalar("this test")


def test_colour_of_compressed_and_luminance_images_becomes_rgb(tmp_path: Path, write_slice: Any) -> None:
    from PIL import Image

    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :, 0], pixels[8:, :, 2] = 200, 100
    for kind, syntax, photometric in (
        ("JPEG", "1.2.840.10008.1.2.4.50", "YBR_FULL_422"),
        ("JPEG2000", J2K, "YBR_RCT"),
    ):
        target = io.BytesIO()
        options = {"quality": 95} if kind == "JPEG" else {"no_jp2": True, "irreversible": False}
        Image.fromarray(pixels).save(target, format=kind, **options)
        file = write_slice(
            tmp_path / f"{kind}.dcm", pixels, syntax=syntax, encoded=[target.getvalue()],
            PhotometricInterpretation=photometric, **RAW,
        )  # fmt: skip
        volume = read_volume(file)
        assert volume.components == 3
        difference = np.abs(volume.array[0].astype(int) - pixels)
        assert np.median(difference) == 0, kind
        assert difference[2:6].max() <= (6 if kind == "JPEG" else 0)
    luminance = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    volume = read_volume(write_slice(tmp_path / "y.dcm", luminance, PhotometricInterpretation="YBR_FULL", **RAW))
    assert np.abs(volume.array[0].astype(int) - pixels).max() <= 2


def test_rescale_is_applied_exactly(tmp_path: Path, write_series: Any, write_slice: Any) -> None:
    folder = write_series(tmp_path / "a", [0, 1], RescaleSlope=2, RescaleIntercept=-1000)
    assert read_volume(folder).array.dtype == np.int16
    assert read_volume(folder).array[1, 0, 1] == 2 * 2 - 1000
    mixed = write_series(tmp_path / "b", [0, 1], RescaleSlope=0.5, RescaleIntercept=0, Modality="PT", Units="BQML")
    write_slice(mixed / "c.dcm", z=2, RescaleSlope=0.25, RescaleIntercept=0, Modality="PT", Units="BQML")
    volume = read_volume(mixed)
    assert volume.array.dtype == np.float32
    assert volume.unit == "Bq/mL"
    assert volume.array[:, 0, 4].tolist() == [2.0, 2.5, 1.5]


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [
        ("nan", "0"),
        ("inf", "0"),
        ("0", "0"),
        ("1e308", "0"),
        ("1", "nan"),
        ("1", "1e308"),
        (None, "0"),
        ("1", None),
    ],
)
def test_row_16_rescale(tmp_path: Path, write_series: Any, slope: str | None, intercept: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = write_series(tmp_path / "s", [0, 1], RescaleSlope=slope, RescaleIntercept=intercept)
    with pytest.raises(InputError, match=r"[Ss]lope|Rescale"):
        read_volume(folder)


@pytest.mark.parametrize("value", [b"text!!!", b"-1,02.4", b"       "])
def test_row_16_intercept_that_is_text(tmp_path: Path, write_series: Any, value: bytes) -> None:
    folder = write_series(tmp_path / "s", [0, 1])
    for file in folder.iterdir():
        data = file.read_bytes()
        assert data.count(b"-1024.0") == 1
        file.write_bytes(data.replace(b"-1024.0", value))
    with pytest.raises(InputError, match="Rescale"):
        read_volume(folder)


def test_ct_without_rescale_is_flagged(tmp_path: Path, write_slice: Any) -> None:
    volume = read_volume(write_slice(tmp_path / "x.dcm", RescaleSlope=None, RescaleIntercept=None))
    assert [f.code for f in volume.flags] == ["INT_RANGE_NOT_HU"]
    assert volume.unit == ""


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"Rows": 60000, "Columns": 60000}, "incomplete|GiB"),
        ({"Rows": None}, "Rows"),
        ({"Rows": 0}, "Rows"),
        ({"BitsAllocated": 12, "BitsStored": 12, "HighBit": 11}, "allocates 12"),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "allocates 1"),
        ({"BitsStored": 99}, "BitsStored"),
        ({"HighBit": 3}, "unusual bits"),
        ({"SamplesPerPixel": 4}, "4 samples"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE"),
        ({"NumberOfFrames": 1000}, "1000 frames without positions"),
        ({"NumberOfFrames": "-3"}, "NumberOfFrames"),
        ({"PixelData": b"\0" * 20}, "incomplete"),
        ({"PixelData": None}, "no pixel data"),
    ],
)
def test_row_17_sizes_and_kinds(tmp_path: Path, write_slice: Any, attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_volume(write_slice(tmp_path / "x.dcm", **attributes))


def test_lossless_jpeg_2000(tmp_path: Path, write_slice: Any, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 255, (40, 50), dtype=np.uint8)
    volume = read_volume(write_slice(tmp_path / "x.dcm", pixels, syntax=J2K, encoded=[j2k(pixels)], **RAW))
    np.testing.assert_array_equal(volume.array[0], pixels)
    assert volume.flags == ()


def test_rle(tmp_path: Path, write_slice: Any, rng: np.random.Generator) -> None:
    pixels = rng.integers(-2000, 2000, (40, 50)).astype(np.int16)
    file = write_slice(tmp_path / "x.dcm", pixels)
    data = pydicom.dcmread(file)
    data.compress(pydicom.uid.RLELossless)
    data.save_as(file)
    np.testing.assert_array_equal(read_volume(file).array[0], pixels - 1024)


def test_a_code_stream_of_another_size_is_refused(tmp_path: Path, write_slice: Any) -> None:
    small, large = np.zeros((40, 50), np.uint8), np.zeros((400, 500), np.uint8)
    with pytest.raises(InputError, match=r"claims \(400, 500, 1\)"):
        read_volume(write_slice(tmp_path / "x.dcm", small, syntax=J2K, encoded=[j2k(large)], **RAW))
    with pytest.raises(InputError, match="no readable size"):
        read_volume(write_slice(tmp_path / "x.dcm", small, syntax=J2K, encoded=[b"nonsense"], **RAW))


def test_a_cut_encapsulated_frame_is_refused(tmp_path: Path, write_slice: Any, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 255, (40, 50), dtype=np.uint8)
    file = write_slice(tmp_path / "x.dcm", pixels, syntax=J2K, encoded=[j2k(pixels)], **RAW)
    whole = file.read_bytes()
    for lost in (5, 7, 9, 100, len(whole) // 3):
        file.write_bytes(whole[:-lost])
        with pytest.raises(TruncatedFile):
            read_volume(file)


@pytest.mark.parametrize(
    ("syntax", "name", "package"),
    [
        ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000", "pylibjpeg-openjpeg"),
        ("1.2.840.10008.1.2.4.70", "JPEG Lossless", "pylibjpeg-libjpeg"),
        ("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", "pyjpegls"),
        ("1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression", "pylibjpeg-openjpeg"),
    ],
)
def test_row_18_a_missing_codec_is_named(syntax: str, name: str, package: str) -> None:
    error = decode._no_codec(syntax)
    assert isinstance(error, DependencyError)
    assert name in error.message
    assert syntax in error.message
    assert package in error.hint


def test_row_18_a_codec_that_nothing_here_reads(tmp_path: Path, write_slice: Any, rng: np.random.Generator) -> None:
    syntax = "1.2.840.10008.1.2.4.201"
    if pydicom.pixels.get_decoder(pydicom.uid.UID(syntax)).is_available:
        pytest.skip("HTJ2K is readable here")
    pixels = rng.integers(0, 255, (40, 50), dtype=np.uint8)
    with pytest.raises(DependencyError, match="High-Throughput JPEG 2000"):
        read_volume(write_slice(tmp_path / "x.dcm", pixels, syntax=syntax, encoded=[j2k(pixels)], **RAW))


def test_row_18_an_unknown_syntax(tmp_path: Path, write_slice: Any) -> None:
    with pytest.raises((DependencyError, InputError)):
        read_volume(write_slice(tmp_path / "x.dcm", syntax="1.2.840.10008.1.2.4.102", encoded=[b"\0" * 40], **RAW))
    with pytest.raises(InputError):
        read_volume(
            write_slice(
                tmp_path / "y.dcm", np.zeros((4, 6), np.uint8), syntax="1.2.840.10008.1.2.4.50", encoded=[b"\0" * 40]
            )
        )


def test_lossy_and_burned_in_are_flagged(tmp_path: Path, write_slice: Any) -> None:
    file = write_slice(tmp_path / "x.dcm", LossyImageCompression="01", BurnedInAnnotation="YES")
    assert {f.code for f in read_volume(file).flags} == {"LOSSY_COMPRESSED", "BURNED_IN"}


def test_a_modality_table_is_refused(tmp_path: Path, write_slice: Any) -> None:
    table = pydicom.Dataset()
    table.LUTDescriptor = [2, 0, 16]
    with pytest.raises(UnsupportedInput, match="table"):
        read_volume(write_slice(tmp_path / "x.dcm", ModalityLUTSequence=pydicom.Sequence([table])))


def test_multi_frame_without_positions_needs_a_frame(tmp_path: Path, write_slice: Any) -> None:
    pixels = np.arange(72, dtype=np.int16).reshape(3, 4, 6)
    file = write_slice(
        tmp_path / "x.dcm", pixels[0], NumberOfFrames=3, PixelData=pixels.tobytes(), ImagePositionPatient=None,
        ImageOrientationPatient=None, **RAW,
    )  # fmt: skip
    with pytest.raises(AmbiguousInput, match="3 frames"):
        read_volume(file)
    np.testing.assert_array_equal(read_volume(file, frame=1).array[0], pixels[1])
    with pytest.raises(InputError, match="no frame"):
        read_volume(file, frame=3)


def test_sizes_that_code_streams_claim() -> None:
    from PIL import Image

    for mode, shape, components in (("L", (30, 20), 1), ("RGB", (30, 20, 3), 3)):
        image = Image.fromarray(np.zeros(shape, np.uint8), mode)
        target = io.BytesIO()
        image.save(target, format="JPEG")
        assert frame_size(target.getvalue(), "x") == FrameSize(30, 20, components, 8)
        target = io.BytesIO()
        image.save(target, format="JPEG2000", no_jp2=True)
        assert frame_size(target.getvalue(), "x") == FrameSize(30, 20, components, 8)
        with pytest.raises(TruncatedFile):
            frame_size(target.getvalue()[:30], "x")
    assert frame_size(b"something", "x") is None


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
@pytest.mark.parametrize("modality", ["MG", "DX", "CR", "NM"])
def test_a_negative_radiograph_is_read_as_a_positive(write_slice, tmp_path, dtype, modality):
    """MONOCHROME1: low values are dense.  Of other modalities values are quantities and stay."""
    stored = 8 if dtype == "u1" else 12
    low, high = (0, 2**stored - 1) if dtype[0] == "u" else (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1)
    pixels = np.linspace(low, high, 24).astype(dtype).reshape(4, 6)
    more = {
        "Modality": modality, "BitsStored": stored, "HighBit": stored - 1, "RescaleSlope": None,
        "RescaleIntercept": None, "ImagePositionPatient": None, "ImageOrientationPatient": None,
    }  # fmt: skip
    plain = read_volume(write_slice(tmp_path / "p.dcm", pixels, **more))
    assert np.array_equal(plain.array[0], pixels)
    assert "inverted" not in plain.meta
    negative = read_volume(write_slice(tmp_path / "n.dcm", pixels, PhotometricInterpretation="MONOCHROME1", **more))
    assert negative.array.dtype == plain.array.dtype
    if modality == "NM":
        assert np.array_equal(negative.array[0], pixels)
        assert "inverted" not in negative.meta
    else:
        assert np.array_equal(negative.array[0], low + high - pixels.astype(int))
        assert negative.meta["inverted"].startswith("MONOCHROME1")


@pytest.mark.parametrize(
    ("spacings", "expected", "source"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (0.1, 0.2), "Pixel Spacing"),
        ({"ImagerPixelSpacing": [0.07, 0.05]}, (0.05, 0.07), "ImagerPixelSpacing (at the detector"),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.3, 0.3]}, (0.1, 0.2), "Pixel Spacing"),
        ({"NominalScannedPixelSpacing": [0.4, 0.3]}, (0.3, 0.4), "NominalScannedPixelSpacing"),
        ({}, (1.0, 1.0), "1 mm is assumed"),
    ],
)
@pytest.mark.parametrize("modality", ["DX", "MG"])
def test_a_radiograph_without_a_position_has_its_spacing(write_slice, tmp_path, modality, spacings, expected, source):
    path = write_slice(
        tmp_path / "x.dcm", np.arange(24, dtype=np.uint16).reshape(4, 6), Modality=modality, RescaleSlope=None,
        RescaleIntercept=None, ImagePositionPatient=None, ImageOrientationPatient=None,
        **{"PixelSpacing": None, **spacings},
    )  # fmt: skip
    volume = read_volume(path)
    assert volume.geometry.shape == (1, 4, 6)
    assert volume.geometry.spacing[:2] == pytest.approx(expected)
    (flag,) = [f for f in volume.flags if f.code == "ORIENT_UNKNOWN"]
    assert source in flag.message
