"""Taking a zip archive apart without trusting it.

Everything is checked by the archive's table of contents before one byte is written, and what is written stays inside
one new folder.
"""

from __future__ import annotations

import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from medai.core.errors import ModelError, OutputError
from medai.core.progress import CancelToken, ProgressFn, no_progress

from .staging import explained

_BLOCK = 1 << 20
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_LOCAL_HEADER = 30  # bytes of a local header without its name


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most.

    The largest nnU-Net of TotalSegmentator has a few hundred MB; weights hardly compress, tables of numbers do.
    """

    members: int = 20_000
    depth: int = 16
    name: int = 240
    single: int = 8 << 30
    total: int = 16 << 30
    ratio: float = 200.0
    ratio_from: int = 16 << 20
    contents: int = 64 << 20


def extract(
    archive: Path,
    folder: Path,
    *,
    limits: Limits | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> list[Path]:
    """Extract a zip archive into a new folder, and return the files.

    Refused are: absolute names, ``..``, drive letters, names that Windows cannot hold or reads as others, links and
    devices, two members of one name (case and Unicode forms aside), encrypted members, methods other than stored and
    deflated, members that share bytes, and whatever exceeds ``limits``.  Archives inside are left as they are.

    Parameters
    ----------
    archive : Path
        The zip file.
    folder : Path
        The new folder.
    limits : Limits, optional
        Counts, sizes and ratios that are allowed.
    progress : callable
    cancel : CancelToken, optional

    Raises
    ------
    ModelError
        Code ARCHIVE; nothing was written then.  Or while extracting, if the content does not fit its own table: the
        folder is the caller's to remove.
    OutputError
        If the disk is full.
    Cancelled
        If somebody asked to stop; asked every MiB.
    """
    allowed = limits or Limits()
    token = cancel or CancelToken()
    try:
        with open(archive, "rb") as stream:
            _check_contents_size(archive.name, stream, allowed)
            with zipfile.ZipFile(stream) as opened:
                members = _checked(archive.name, opened.infolist(), allowed)
                total = sum(info.file_size for info, _ in members)
                _check_space(folder, total)
                return _write(opened, members, folder, max(1, total), progress, token)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, UnicodeDecodeError) as error:
        raise _refused(archive.name, f"it is damaged or no zip archive ({error})", "Get the file again.") from None
    except RuntimeError:
        raise _refused(archive.name, "it is encrypted") from None
    except OSError as error:
        raise explained(error, f"The archive {archive.name!r} cannot be unpacked") from None


def _write(
    opened: zipfile.ZipFile,
    members: list[tuple[zipfile.ZipInfo, str]],
    folder: Path,
    total: int,
    progress: ProgressFn,
    token: CancelToken,
) -> list[Path]:
    files, done = [], 0
    for info, name in members:
        token.check()
        target = folder.joinpath(*name.split("/"))
        if info.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        # zipfile gives at most the size that the table states, and checks the CRC at the end.
        with opened.open(info) as source, open(target, "xb") as sink:
            while block := source.read(_BLOCK):
                token.check()
                sink.write(block)
                done += len(block)
                progress(min(1.0, done / total), "unpacking")
        if target.stat().st_size != info.file_size:
            raise zipfile.BadZipFile(f"{name} is shorter than its table says")
        files.append(target)
    progress(1.0, "unpacking")
    return files


def _checked(archive: str, infos: Sequence[zipfile.ZipInfo], limits: Limits) -> list[tuple[zipfile.ZipInfo, str]]:
    """Return the members with their names inside the new folder, or refuse the whole archive."""
    if len(infos) > limits.members:
        raise _refused(archive, f"it has {len(infos)} members, at most {limits.members} are allowed")
    members, seen, total = [], dict[str, bool](), 0
    for info in infos:
        name = _safe_name(archive, info, limits)
        _check_kind(archive, info, name)
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen and not (seen[key] and info.is_dir()):
            raise _refused(archive, f"two members are called {_short(name)}")
        seen[key] = info.is_dir()
        total += info.file_size
        if info.file_size > limits.single or total > limits.total:
            raise _refused(archive, f"it would take more than {_gib(limits.single)} a file or {_gib(limits.total)}")
        if info.file_size > limits.ratio_from and info.file_size > limits.ratio * max(1, info.compress_size):
            raise _refused(archive, f"{_short(name)} grows more than {limits.ratio:g} times: it looks like a bomb")
        members.append((info, name))
    for key in seen:
        parts = key.split("/")
        if any(seen.get("/".join(parts[:n])) is False for n in range(1, len(parts))):
            raise _refused(archive, f"the member {_short(key)} lies in another one that is a file")
    _check_overlap(archive, infos)
    return members


def _safe_name(archive: str, info: zipfile.ZipInfo, limits: Limits) -> str:
    # The name as it is written: zipfile itself cuts at a zero byte and may change separators.
    name = info.orig_filename.replace("\\", "/")
    if not name or name.startswith("/") or ":" in name:
        raise _refused(archive, f"the member {_short(name)} has an absolute path")
    parts = name.rstrip("/").split("/")
    if len(parts) > limits.depth or len(name) > limits.name:
        raise _refused(archive, f"the member {_short(name)} lies too deep or its name is too long")
    for part in parts:
        if part in ("", ".", "..") or part != part.strip(" ") or part.endswith("."):
            raise _refused(archive, f"the member {_short(name)} leaves the folder or has no plain name")
        if any(unicodedata.category(c) in ("Cc", "Cf", "Cs") or c in '<>"|?*' for c in part):
            raise _refused(archive, f"the member {_short(name)} has a character that file names must not hold")
        if part.split(".")[0].lower() in _RESERVED:
            raise _refused(archive, f"the member {_short(name)} has a name that Windows keeps for devices")
    return "/".join(parts)


def _check_kind(archive: str, info: zipfile.ZipInfo, name: str) -> None:
    if info.flag_bits & 0x41:
        raise _refused(archive, f"the member {_short(name)} is encrypted")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(archive, f"the member {_short(name)} is a link or a device")
    if kind == stat.S_IFDIR and not info.is_dir():
        raise _refused(archive, f"the member {_short(name)} is a folder with content")
    if info.compress_type not in _METHODS:
        raise _refused(archive, f"the member {_short(name)} is compressed by method {info.compress_type}")


def _check_overlap(archive: str, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse members that share bytes: that is how a small archive holds petabytes (Fifield, WOOT 2019)."""
    end = 0
    for info in sorted(infos, key=lambda i: i.header_offset):
        if info.header_offset < end:
            raise _refused(archive, f"the member {_short(info.orig_filename)} shares its bytes with another")
        end = info.header_offset + _LOCAL_HEADER + info.compress_size


def _check_contents_size(archive: str, stream: BinaryIO, limits: Limits) -> None:
    """Refuse an archive whose table of contents alone would fill the memory; zipfile reads the table as a whole."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 65_557))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile("the end of the table of contents is missing")
    count, length = struct.unpack("<HI", tail[at + 10 : at + 16])
    before = tail[max(0, at - 20) : at]
    if before.startswith(b"PK\x06\x07"):
        stream.seek(struct.unpack("<Q", before[8:16])[0])
        record = stream.read(56)
        if record.startswith(b"PK\x06\x06"):
            count, length = struct.unpack("<QQ", record[32:48])
    stream.seek(0)
    if count > limits.members:
        raise _refused(archive, f"it has {count} members, at most {limits.members} are allowed")
    if length > limits.contents:
        raise _refused(archive, f"its table of contents has {length} bytes, at most {limits.contents} are read")


def _check_space(folder: Path, total: int) -> None:
    free = shutil.disk_usage(folder).free
    if total > free:
        raise OutputError(
            f"The disk is full: the model needs {total / 1e6:.0f} MB, {free / 1e6:.0f} MB are free.",
            hint="Make room, or choose another folder with MEDAI_MODELS.",
        )


def _refused(archive: str, reason: str, hint: str = "Ask for another archive where it came from.") -> ModelError:
    return ModelError(f"The archive {archive!r} is refused: {reason}.", hint=hint, code="ARCHIVE")


def _short(name: str) -> str:
    return f"{name!r:.80}"


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.3g} GiB"
