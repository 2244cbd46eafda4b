"""Scene bundles (.mrb): a zip of one folder with a .mrml file and ``Data``; packing, checking, unpacking."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..core.errors import InputError, OutputError, TruncatedFile

MAX_FILES = 100_000
_ROOM = 1 << 20
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def safe_stem(name: str, default: str = "data") -> str:
    """Return a file name without suffix that every file system and zip reader takes: ASCII, short, not reserved."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:48].strip("_-")
    return f"{default}_{stem}" if _RESERVED.match(stem) else stem or default


def pack(folder: Path, target: Path) -> None:
    """Zip ``folder`` with itself as the only top-level entry.

    Image files are compressed already, so the fastest level is used.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bundle:
        for path in sorted(folder.rglob("*")):
            bundle.write(path, (PurePosixPath(folder.name) / path.relative_to(folder).as_posix()).as_posix())


def check_written(folder: Path) -> None:
    """Prove that a bundle folder was written to its end.

    MRML reports a failed image file, but not a scene or table file that a full disk cut short.

    Raises
    ------
    OutputError
        If the scene file is missing or cut, or the disk has no room left.
    """
    try:
        probe = folder / ".room"
        probe.write_bytes(bytes(_ROOM))
        probe.unlink()
    except OSError as error:
        raise OutputError(
            "The scene could not be saved: the temporary folder is full.",
            hint="Free space there, or set TMPDIR to a folder on a larger disk.",
        ) from error
    try:
        ET.parse(next(folder.glob("*.mrml")))
    except (StopIteration, ET.ParseError) as error:
        raise OutputError(
            "The scene could not be saved: its scene file is incomplete or holds text that XML cannot.",
            hint="Is the disk full, or does a node's name hold control characters?",
        ) from error


def count_lines(path: Path) -> int:
    """Return the number of complete lines of a text file."""
    with open(path, "rb") as stream:
        return sum(line.endswith(b"\n") for line in stream)


def check_bundle(path: Path, room_in: Path) -> None:
    """Refuse a bundle that is cut, damaged, would write outside its folder, or would fill the disk.

    Parameters
    ----------
    path : Path
        The .mrb file.
    room_in : Path
        The folder that it will be unpacked into.

    Raises
    ------
    TruncatedFile
        If the zip is cut or an entry's checksum does not match.
    InputError
        If it is no scene bundle, or is unsafe to unpack.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            entries = bundle.infolist()
            for entry in entries:
                _check_entry(entry)
            if len(entries) > MAX_FILES or len({entry.filename.lower() for entry in entries}) != len(entries):
                raise InputError(f"The scene {path.name!r} holds too many or repeated files.")
            if not any(entry.filename.lower().endswith(".mrml") for entry in entries):
                raise InputError(f"The file {path.name!r} is a zip file without a scene in it.")
            size, room = sum(entry.file_size for entry in entries), shutil.disk_usage(room_in).free
            if size > room - _ROOM:
                raise InputError(
                    f"The scene {path.name!r} unpacks to {size / 1e9:.1f} GB, and {room / 1e9:.1f} GB are free.",
                    hint="Free space in the temporary folder, or set TMPDIR to another one.",
                )
            complete = all(_reads_to_its_end(bundle, entry) for entry in entries)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise TruncatedFile(
            f"The scene {path.name!r} is cut short, damaged or not a scene bundle.", hint="Copy or save it again."
        ) from error
    if not complete:
        raise TruncatedFile(f"A file in the scene {path.name!r} is damaged.", hint="Copy or save it again.")


def check_unpacked(path: Path, folder: Path) -> None:
    """Refuse a bundle of which not every byte arrived in ``folder``; Slicer's unpacker prints errors and goes on."""
    with zipfile.ZipFile(path) as bundle:
        promised = sum(entry.file_size for entry in bundle.infolist())
    if sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) != promised:
        raise InputError(
            f"The scene {path.name!r} could not be unpacked completely.",
            hint="Is there enough room in the temporary folder?",
        )


def _reads_to_its_end(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    # Reading also compares the checksum, but only at the size that the entry promises.
    count = 0
    with bundle.open(entry) as stream:
        while chunk := stream.read(_ROOM):
            count += len(chunk)
    return count == entry.file_size


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    link = (entry.external_attr >> 16) & 0o170000 == 0o120000
    if not name or ".." in parts or name.startswith(("/", "\\")) or PureWindowsPath(name).drive or link:
        raise InputError(
            "The scene bundle holds a link or a file name that points outside its folder.",
            hint="Do not open this file; ask its sender.",
        )
