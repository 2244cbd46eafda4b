"""Damaged files of every format, made by mutation and read in a child: never a crash, a hang or a raw exception."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medai.core.geometry import Geometry
from medai.core.io import read_volume, write_volume
from medai.core.volume import Volume

SETTINGS = settings(
    max_examples=30, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
PIXELS = np.random.default_rng(3).integers(0, 255, (24, 32), dtype=np.uint8)
COUNTER = itertools.count()


def volume_file(suffix: str) -> Callable[[Path, Any], Path]:
    def build(folder: Path, _: Any) -> Path:
        array = np.random.default_rng(4).integers(-99, 99, (5, 6, 7)).astype(np.int16)
        write_volume(Volume(array, Geometry.from_spacing((5, 6, 7))), folder / f"seed{suffix}")
        return folder / f"seed{suffix}"

    return build


def picture_file(suffix: str, **options: Any) -> Callable[[Path, Any], Path]:
    def build(folder: Path, _: Any) -> Path:
        from PIL import Image

        Image.fromarray(PIXELS).save(folder / f"seed{suffix}", **options)
        return folder / f"seed{suffix}"

    return build


def dicom_file(codec: str) -> Callable[[Path, Any], Path]:
    def build(folder: Path, write_slice: Any) -> Path:
        file = folder / "seed.dcm"
        if codec == "native":
            return Path(write_slice(file, PIXELS.astype(np.int16)))
        if codec == "rle":
            import pydicom

            data = pydicom.dcmread(write_slice(file, PIXELS))
            data.compress(pydicom.uid.RLELossless)
            data.save_as(file)
            return file
        if codec == "JPEG":
            import SimpleITK as sitk

            writer = sitk.ImageFileWriter()
            writer.SetImageIO("GDCMImageIO")
            writer.SetUseCompression(True)
            writer.SetCompressor(codec)
            writer.SetFileName(str(file))
            writer.Execute(sitk.GetImageFromArray(PIXELS[None]))
            return file
        from PIL import Image

        target = io.BytesIO()
        kind = {"jpeg": "JPEG", "j2k": "JPEG2000"}[codec]
        Image.fromarray(PIXELS).save(target, format=kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
        syntax = {"jpeg": "1.2.840.10008.1.2.4.50", "j2k": "1.2.840.10008.1.2.4.90"}[codec]
        return Path(write_slice(file, PIXELS, syntax=syntax, encoded=[target.getvalue()]))

    return build


SEEDS: dict[str, Callable[[Path, Any], Path]] = {
    **{suffix[1:]: volume_file(suffix) for suffix in (".nii", ".nii.gz", ".nrrd", ".mha", ".seg.nrrd")},
    "png": picture_file(".png"),
    "jpg": picture_file(".jpg"),
    "tif": picture_file(".tif"),
    "tif deflate": picture_file(".tif", compression="tiff_adobe_deflate"),
    "tif lzw": picture_file(".tif", compression="tiff_lzw"),
    **{f"dcm {codec}": dicom_file(codec) for codec in ("native", "rle", "jpeg", "j2k", "JPEG")},
}
CHECKED = {"nii.gz", "png"}
"""Formats whose checksum covers every byte that matters: what is read must be what was written."""


@st.composite
def mutations(draw: Any) -> list[tuple[str, float, bytes]]:
    """A few edits: where as a share of the file (more often near its start, where headers are), and what."""
    place = st.one_of(st.floats(0, 1), st.floats(0, 0.15))
    value = st.one_of(
        st.binary(min_size=1, max_size=8),
        st.sampled_from([
            b"\xff" * 4, b"\x00" * 8, b"\xff\xff\xff\x7f", struct.pack("<f", float("nan")), struct.pack("<d", 1e308),
            b"-1", b"99999999", b"nan", b"../../",
        ]),
    )  # fmt: skip
    kind = st.sampled_from(["overwrite", "insert", "delete", "cut"])
    return draw(st.lists(st.tuples(kind, place, value), min_size=1, max_size=4))


def mutate(data: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    for kind, share, value in edits:
        at = int(share * max(len(data) - 1, 0))
        if kind == "overwrite":
            data = data[:at] + value + data[at + len(value) :]
        elif kind == "insert":
            data = data[:at] + value + data[at:]
        elif kind == "delete":
            data = data[:at] + data[at + len(value) :]
        else:
            data = data[:at]
    return data


def check(answer: dict[str, Any], edits: Any) -> None:
    assert "error" in answer or "shape" in answer, (answer, edits)
    assert "CANARY" not in answer["text"], (answer, edits)
    if "error" in answer:
        assert answer["error"]["code"] != "OUT_OF_MEMORY", (answer, edits)
        assert answer["error"]["message"].endswith("."), answer


@pytest.mark.parametrize("seed", list(SEEDS))
@SETTINGS
@given(edits=mutations())
def test_mutated_files(tmp_path_factory: Any, gate_child: Any, write_slice: Any, seed: str, edits: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / f"seed-{seed.replace(' ', '-')}"
    if not folder.is_dir():
        if seed.startswith("dcm"):
            pytest.importorskip("pydicom")
        folder.mkdir()
        SEEDS[seed](folder, write_slice)
    (source,) = folder.glob("seed.*")
    data = source.read_bytes()
    target = tmp_path_factory.getbasetemp() / f"mutant{source.name[4:]}"
    changed = mutate(data, edits)
    target.write_bytes(changed)
    answer = gate_child.read(target)
    check(answer, edits)
    assert target.read_bytes() == changed, "inputs are never changed"
    if "shape" in answer and seed in CHECKED:
        assert answer["digest"] == read_volume(source).digest(), edits


REAL = [
    "wg04/CT2_JLSL", "wg04/CT2_JPLL", "wg04/CT2_J2KR", "wg04/MR4_JLSN", "wg04/MR4_JPLY", "wg04/CT2_RLE",
    "dcmqi_seg/24x38x3/multiframe/*.dcm", "highdicom/dx_image.dcm",
    "msd_hippocampus/images/hippocampus_001.nii.gz", "pyradiomics/breast1_image.nrrd",
]  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
@settings(SETTINGS, max_examples=15)
@given(edits=mutations())
def test_mutated_real_files(data_dir: Path, tmp_path_factory: Any, gate_child: Any, name: str, edits: Any) -> None:
    if name.startswith(("wg04", "dcmqi", "highdicom")):
        pytest.importorskip("pydicom")
    found = sorted(data_dir.glob(name))
    if not found:
        pytest.skip(f"{name} is not among the test data")
    suffix = "".join(found[0].suffixes[-2:]) if found[0].name.endswith(".gz") else found[0].suffix
    target = tmp_path_factory.getbasetemp() / f"real{suffix}"
    target.write_bytes(mutate(found[0].read_bytes(), edits))
    check(gate_child.read(target), edits)


FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(SETTINGS, max_examples=100)
@given(
    dim=st.lists(st.integers(-32768, 32767), min_size=8, max_size=8),
    datatype=st.one_of(
        st.sampled_from([2, 4, 8, 16, 64, 128, 256, 512, 768, 1024, 1280, 2304]), st.integers(-9999, 9999)
    ),
    bitpix=st.one_of(st.sampled_from([8, 16, 24, 32, 64]), st.integers(-99, 999)),
    pixdim=st.lists(FLOATS, min_size=8, max_size=8),
    offset_and_scale=st.lists(FLOATS, min_size=3, max_size=3),
    codes=st.lists(st.integers(-2, 6), min_size=2, max_size=2),
    forms=st.lists(FLOATS, min_size=18, max_size=18),
    keep=st.sets(st.sampled_from(["dim", "type", "pixdim", "scale", "forms"])),
)
def test_any_nifti_header(tmp_path_factory: Any, gate_child: Any, keep: set[str], **f: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "headers"
    if not folder.is_dir():
        folder.mkdir()
        write_volume(Volume(np.ones((5, 6, 7), np.int16), Geometry.from_spacing((5, 6, 7))), folder / "good.nii")
    data = bytearray((folder / "good.nii").read_bytes())
    if "dim" not in keep:
        struct.pack_into("<8h", data, 40, *f["dim"])
    if "type" not in keep:
        struct.pack_into("<2h", data, 70, f["datatype"], f["bitpix"])
    if "pixdim" not in keep:
        struct.pack_into("<8f", data, 76, *f["pixdim"])
    if "scale" not in keep:
        struct.pack_into("<3f", data, 108, *f["offset_and_scale"])
    if "forms" not in keep:
        struct.pack_into("<2h18f", data, 252, *f["codes"], *f["forms"])
    (folder / "x.nii").write_bytes(data)
    check(gate_child.read(folder / "x.nii"), f)
