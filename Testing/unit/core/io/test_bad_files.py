"""The rows of the bad-input table that readers must meet, each read in a child with a memory limit and a time-out."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.io import write_volume
from medai.core.volume import Volume

ARRAY = np.random.default_rng(5).integers(-1000, 2000, (12, 14, 16)).astype(np.int16)
VOLUME = Volume(ARRAY, Geometry.from_spacing(ARRAY.shape, (0.5, 0.75, 2.0), (1, 2, 3)))  # type: ignore[arg-type]


def written(folder: Path, suffix: str) -> Path:
    write_volume(VOLUME, folder / f"x{suffix}")
    return folder / f"x{suffix}"


def cut(folder: Path, suffix: str, share: float) -> Path:
    file = written(folder, suffix)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    return file


def flipped(folder: Path, suffix: str, share: float) -> Path:
    file = written(folder, suffix)
    data = bytearray(file.read_bytes())
    data[int(len(data) * share)] ^= 0x10
    file.write_bytes(data)
    return file


def content(folder: Path, suffix: str, data: bytes) -> Path:
    (folder / f"x{suffix}").write_bytes(data)
    return folder / f"x{suffix}"


def patched(folder: Path, offset: int, fmt: str, *values: Any, suffix: str = ".nii") -> Path:
    file = written(folder, ".nii")
    data = bytearray(file.read_bytes())
    struct.pack_into(fmt, data, offset, *values)
    return content(folder, suffix, gzip.compress(bytes(data)) if suffix == ".nii.gz" else bytes(data))


def replaced(folder: Path, suffix: str, old: bytes, new: bytes) -> Path:
    file = written(folder, suffix)
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new))
    return file


def escaping(folder: Path) -> Path:
    (folder / "secret.raw").write_bytes(ARRAY.tobytes())
    inside = folder / "in"
    inside.mkdir()
    head = (
        b"NRRD0005\ntype: short\ndimension: 3\nsizes: 16 14 12\nspace: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
        b"endian: little\nencoding: raw\ndata file: ../secret.raw\n\n"
    )
    return content(inside, ".nhdr", head)


def lying_bzip2(folder: Path) -> Path:
    """2 GB promised by a file of 200 bytes, which bzip2 could really hold."""
    head = (
        b"NRRD0005\ntype: short\ndimension: 3\nsizes: 1000 1000 1000\nspace: LPS\nendian: little\nencoding: bzip2\n"
        b"space directions: (1,0,0) (0,1,0) (0,0,1)\n\n"
    )
    return content(folder, ".nrrd", head + bz2.compress(bytes(1000)))


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "x.nii.gz")
    return folder / "x.nii.gz"


def loop(folder: Path) -> Path:
    (folder / "x.nrrd").symlink_to(folder / "x.nrrd")
    return folder / "x.nrrd"


LIE = (42, "<3h", 30000, 30000, 30000)
DIRECTIONS = b"space directions: (-0.5,0.0,0.0)"
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    **{f"1 {s} cut at {p}": (lambda f, s=s, p=p: cut(f, s, p), "TRUNCATED")
       for s in (".nii", ".nii.gz") for p in (0.2, 0.5, 0.9, 0.999)},
    **{f"2 {s} cut at {p}": (lambda f, s=s, p=p: cut(f, s, p), "TRUNCATED")
       for s in (".nrrd", ".mha") for p in (0.01, 0.5, 0.9, 0.999)},
    **{f"3 {s} bit flip at {p}": (lambda f, s=s, p=p: flipped(f, s, p), "TRUNCATED")
       for s in (".nii.gz", ".nrrd", ".mha") for p in (0.6, 0.8, 0.95)},
    **{f"4 {s} empty": (lambda f, s=s: content(f, s, b""), "INPUT")
       for s in (".nii", ".nii.gz", ".nrrd", ".mha", ".png", ".dcm")},
    **{f"4 {s} is text": (lambda f, s=s: content(f, s, b"This is a letter, not an image.\n" * 40), "INPUT")
       for s in (".nii", ".nii.gz", ".nrrd", ".mha", ".png", ".tif", ".jpg")},
    "4 text as .dcm": (lambda f: content(f, ".dcm", b"This is a letter, not an image.\n" * 40), "TRUNCATED"),
    "5 .nii": (lambda f: patched(f, *LIE), "HEADER_BUDGET TRUNCATED"),
    "5 .nii.gz": (lambda f: patched(f, *LIE, suffix=".nii.gz"), "HEADER_BUDGET TRUNCATED"),
    "5 .nrrd": (
        lambda f: replaced(f, ".nrrd", b"sizes: 16 14 12", b"sizes: 100000 100000 1000"), "HEADER_BUDGET TRUNCATED",
    ),
    "5 .nrrd bzip2": (lying_bzip2, "TRUNCATED"),
    "5 .mha": (
        lambda f: replaced(f, ".mha", b"DimSize = 16 14 12", b"DimSize = 100000 100000 1000"),
        "HEADER_BUDGET TRUNCATED",
    ),
    "6 data file outside": (escaping, "OUTSIDE_FOLDER"),
    "7 .nii 0": (lambda f: patched(f, 80, "<f", 0.0), "SPACING"),
    "7 .nii negative": (lambda f: patched(f, 84, "<f", -2.0), "SPACING"),
    "7 .nii nan": (lambda f: patched(f, 88, "<f", float("nan")), "SPACING"),
    "7 .nrrd 0": (lambda f: replaced(f, ".nrrd", DIRECTIONS, b"space directions: (0,0,0)"), "INPUT"),
    "7 .mha negative": (lambda f: replaced(f, ".mha", b"ElementSpacing = 0.5", b"ElementSpacing = -0.5"), "INPUT"),
    "7 .mha nan": (lambda f: replaced(f, ".mha", b"ElementSpacing = 0.5", b"ElementSpacing = nan"), "INPUT"),
    "9 .nii": (lambda f: patched(f, 280, "<12f", *[1, 0, 0, 0] * 3), "GEOMETRY"),
    "9 .nrrd": (lambda f: replaced(f, ".nrrd", DIRECTIONS, b"space directions: (0,0,1)"), "GEOMETRY"),
    "16 slope inf": (lambda f: patched(f, 112, "<f", float("inf")), "INPUT"),
    "16 slope nan": (lambda f: patched(f, 112, "<f", float("nan")), "INPUT"),
    "16 intercept nan": (lambda f: patched(f, 112, "<2f", 1.0, float("nan")), "INPUT"),
    "17 datatype against bits": (lambda f: patched(f, 70, "<2h", 4, 64), "INPUT"),
    "19 four dimensions": (lambda f: patched(f, 40, "<5h", 4, 16, 14, 6, 2), "AMBIGUOUS"),
    "22 complex": (lambda f: patched(f, 70, "<2h", 32, 64), "UNSUPPORTED"),
    "22 128 bits": (lambda f: patched(f, 70, "<2h", 1536, 128), "UNSUPPORTED"),
    "55 FIFO": (fifo, "INPUT"),
    "55 link loop": (loop, "INPUT"),
    "55 device": (lambda _: Path("/dev/zero"), "INPUT"),
}  # fmt: skip


def assert_plain(text: str) -> None:
    """A message for people: one or two sentences, no traceback, no path of this machine."""
    assert "Traceback" not in text
    assert "CANARY" not in text
    assert "/tmp" not in text
    assert 10 < len(text) < 500


@pytest.mark.parametrize("row", list(REFUSED))
def test_refused(tmp_path: Path, gate_child: Any, row: str) -> None:
    if ".dcm" in row:
        pytest.importorskip("pydicom")
    build, codes = REFUSED[row]
    file = build(tmp_path)
    before = {p: p.lstat().st_size for p in tmp_path.rglob("*")}
    answer = gate_child.read(file)
    assert "error" in answer, answer
    assert answer["error"]["code"] in codes.split(), answer
    assert_plain(answer["text"])
    assert {p: p.lstat().st_size for p in tmp_path.rglob("*")} == before


SHEARED = (280, "<12f", 0.5, 0, 1.0, 0, 0, 0.5, 0, 0, 0, 0, 2.0, 0)
MIRRORED = (280, "<12f", -0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 2.0, 0)
READ: dict[str, tuple[Callable[[Path], Path], list[str]]] = {
    "8 sheared sform": (lambda f: patched(f, *SHEARED), ["GEOM_SHEAR_TILT"]),
    "10 left-handed": (lambda f: patched(patched(f, *MIRRORED).parent, *MIRRORED), ["ORIENT_UNKNOWN"]),
    "16 slope 0 is 'not scaled' in NIfTI": (lambda f: patched(f, 112, "<f", 0.0), []),
}


@pytest.mark.parametrize("row", list(READ))
def test_read_and_flagged(tmp_path: Path, gate_child: Any, row: str) -> None:
    build, flags = READ[row]
    answer = gate_child.read(build(tmp_path))
    assert answer.get("shape") == [12, 14, 16], answer
    assert answer["flags"] == flags


def test_row_10_left_handed_without_contradiction(tmp_path: Path, gate_child: Any) -> None:
    geometry = Geometry.from_spacing((12, 14, 16), (0.5, 0.75, 2.0), (1, 2, 3), np.diag([-1.0, 1, 1]))
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        mirrored = Volume(ARRAY, geometry)
        write_volume(mirrored, tmp_path / f"m{suffix}")
        answer = gate_child.read(tmp_path / f"m{suffix}")
        assert answer["flags"] == []
        assert answer["digest"] == mirrored.digest()


def dicom_folder(folder: Path, write_series: Any, change: Callable[[list[Path]], Any]) -> Path:
    series = write_series(folder / "s", np.arange(6) * 2.5)
    change(sorted(series.iterdir()))
    return Path(series)


def rewrite(file: Path, old: bytes, new: bytes) -> None:
    data = file.read_bytes()
    assert data.count(old) == 1
    file.write_bytes(data.replace(old, new))


def tag(group: int, element: int, vr: bytes) -> bytes:
    return struct.pack("<HH", group, element) + vr


ROWS = tag(0x28, 0x10, b"US\2\0")
AXES = b"1.0\\0.0\\0.0\\0.0\\1.0\\0.0"
DICOM_REFUSED: dict[str, tuple[Callable[[list[Path]], Any], str]] = {
    "7 spacing 0": (lambda f: [rewrite(x, b"0.5\\0.25", b"0.0\\0.25") for x in f], "SPACING"),
    "7 spacing in one slice": (lambda f: rewrite(f[3], b"0.5\\0.25", b"0.5\\-.25"), "SPACING"),
    "9 parallel axes": (lambda f: [rewrite(x, AXES, AXES[:12] + AXES[:11]) for x in f], "INPUT"),
    "12 one slice cut in half": (lambda f: f[2].write_bytes(f[2].read_bytes()[:-24]), "TRUNCATED"),
    "12 one slice cut in its header": (lambda f: f[2].write_bytes(f[2].read_bytes()[:500]), "TRUNCATED INPUT"),
    "12 one slice empty": (lambda f: f[2].write_bytes(b""), "TRUNCATED"),
    "14 one slice twice": (lambda f: (f[0].parent / "copy.dcm").write_bytes(f[0].read_bytes()), "DUPLICATE_SLICES"),
    "16 intercept text": (lambda f: rewrite(f[4], b"-1024.0", b"minus 1"), "INPUT"),
    "16 slope nan": (lambda f: rewrite(f[4], b"1.0 ", b"nan "), "INPUT"),
    "16 slope inf": (lambda f: rewrite(f[4], b"1.0 ", b"inf "), "INPUT"),
    "16 slope 0": (lambda f: rewrite(f[4], b"1.0 ", b"0.0 "), "INPUT"),
    "17 rows 65535": (
        lambda f: [rewrite(x, ROWS + b"\4\0", ROWS + b"\xff\xff") for x in f], "TRUNCATED",
    ),
    "17 rows as text": (
        lambda f: rewrite(f[1], ROWS + b"\4\0", tag(0x28, 0x10, b"LO\2\0") + b"AB"), "INPUT",
    ),
    "17 columns 0": (
        lambda f: rewrite(f[1], tag(0x28, 0x11, b"US\2\0") + b"\6\0", tag(0x28, 0x11, b"US\2\0") + b"\0\0"), "INPUT",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", list(DICOM_REFUSED))
def test_dicom_refused(tmp_path: Path, gate_child: Any, write_series: Any, row: str) -> None:
    change, codes = DICOM_REFUSED[row]
    answer = gate_child.read(dicom_folder(tmp_path, write_series, change))
    assert "error" in answer, answer
    assert answer["error"]["code"] in codes.split(), answer
    assert_plain(answer["text"])


def test_row_11_in_the_child(tmp_path: Path, gate_child: Any, write_series: Any) -> None:
    answer = gate_child.read(dicom_folder(tmp_path, write_series, lambda f: f[2].unlink()))
    assert answer["flags"] == ["GEOM_MISSING_SLICE"]
    assert "CANARY" not in answer["text"]


def test_row_55_a_folder_with_traps(tmp_path: Path, gate_child: Any, write_series: Any) -> None:
    def traps(files: list[Path]) -> None:
        folder = files[0].parent
        os.mkfifo(folder / "fifo")
        (folder / "up").symlink_to(tmp_path)
        (folder / "zero").symlink_to("/dev/zero")

    answer = gate_child.read(dicom_folder(tmp_path, write_series, traps))
    assert answer["shape"] == [6, 4, 6]
    assert "2 x special file" in answer["text"]


def test_the_child_sees_crashes_hangs_and_raw_errors(gate_child: Any, tmp_path: Path) -> None:
    """The harness itself: without this, a broken child would make every test above pass or fail for nothing."""
    good = written(tmp_path, ".nii")
    assert gate_child.read(good)["digest"] == VOLUME.digest()
    assert "on purpose" in gate_child.read("@raise")["raw"]
    assert gate_child.read("@crash")["crash"] != 0
    assert gate_child.read("@hang", timeout=0.5)["hang"] == 0.5
    assert gate_child.read(good)["shape"] == [12, 14, 16], "a new child is started"
