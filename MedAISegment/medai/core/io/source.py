"""Bytes of input files: regular files only, whole compressed streams, checksums verified."""

from __future__ import annotations

import bz2
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError, TruncatedFile

CHUNK = 1 << 18
MAX_DEFLATE_RATIO = 1032
"""Deflate cannot expand data further than this (zlib technical details), so a larger promise is a lie."""
MAX_TRAILING = 16 << 20
"""Decompressed bytes behind the image that are still read to reach the checksum; more is taken for a bomb."""


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a regular, non-empty file for reading; never blocks on a FIFO and never reads a device.

    Raises
    ------
    InputError
        If it is missing, not a regular file, empty or not readable.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise InputError(f"The file {path.name!r} does not exist.", hint="Check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name is not valid"
        raise InputError(f"The file {path.name!r} cannot be read: {reason.lower()}.") from None
    with open(handle, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path.name!r} is not a regular file.", hint="Give an image file or a DICOM folder.")
        if status.st_size == 0:
            raise InputError(f"The file {path.name!r} is empty.", hint="Copy or export it again.")
        try:
            yield stream
        except OSError as error:
            raise InputError(f"The file {path.name!r} cannot be read: {error.strerror or error}.") from None


def peek(path: Path, count: int) -> bytes:
    """Return up to ``count`` first bytes of a file, decompressed if it is a gzip file."""
    with open_file(path) as stream:
        start = stream.read(CHUNK)
        if start[:2] != b"\x1f\x8b":
            return start[:count]
        try:
            decoder = zlib.decompressobj(wbits=31)
            found = decoder.decompress(start, count)
            while len(found) < count and not decoder.eof:
                more = decoder.unconsumed_tail or stream.read(CHUNK)
                if not more:
                    break
                found += decoder.decompress(more, count - len(found))
            return found
        except zlib.error:
            raise TruncatedFile(
                f"The gzip data of {path.name!r} is damaged.", hint="Copy or download the file again."
            ) from None


@dataclass(frozen=True)
class Payload:
    """Where an image's bytes are.

    Parameters
    ----------
    path : Path
        The file that holds them.
    start : int
        Byte of the file at which the (maybe compressed) data begins.
    encoding : str
        ``raw``, ``gzip``, ``zlib`` or ``bzip2``.
    skip : int
        Decoded bytes before the image.
    nbytes : int
        Decoded bytes of the whole image.
    """

    path: Path
    start: int
    encoding: str
    skip: int
    nbytes: int

    def check(self) -> None:
        """Refuse promises that the file cannot keep, before anything is allocated.

        Raises
        ------
        TruncatedFile
            If the file is too short for the header's sizes.
        """
        with open_file(self.path) as stream:
            held = os.fstat(stream.fileno()).st_size - self.start
        most = held
        if self.encoding in ("gzip", "zlib"):
            most = held * MAX_DEFLATE_RATIO
        elif self.encoding == "bzip2":
            most = self._bunzipped_size()  # bzip2 has no useful bound on its ratio
        if self.skip + self.nbytes > most:
            raise self._short(max(most - self.skip, 0), at_most=self.encoding != "raw")

    def read(self, first: int = 0, count: int | None = None) -> npt.NDArray[np.uint8]:
        """Return ``count`` decoded bytes from ``first`` on; a compressed stream is read to its end and verified.

        Returns
        -------
        numpy array of uint8, shape (count,)

        Raises
        ------
        TruncatedFile
            If the data ends early or its checksum does not match.
        """
        self.check()
        count = self.nbytes - first if count is None else count
        buffer = np.empty(count, dtype=np.uint8)
        view = buffer.data
        with open_file(self.path) as stream:
            stream.seek(self.start)
            if self.encoding == "raw":
                stream.seek(self.skip + first, os.SEEK_CUR)
                done = 0
                while done < count:
                    got = stream.readinto(view[done:])  # type: ignore[attr-defined]
                    if not got:
                        raise self._short(first + done)
                    done += got
                return buffer
            position = -(self.skip + first)
            limit = self.skip + self.nbytes + MAX_TRAILING
            total = 0
            try:
                for piece in self._decoded(stream):
                    total += len(piece)
                    if total > limit:
                        raise InputError(
                            f"{self.path.name!r} holds far more data than its header says ({self.nbytes} bytes).",
                            hint="The header is wrong, or the file is a decompression bomb.",
                        )
                    low, high = max(position, 0), min(position + len(piece), count)
                    if high > low:
                        view[low:high] = memoryview(piece)[low - position : high - position]
                    position += len(piece)
            except (zlib.error, OSError, EOFError, ValueError):
                raise TruncatedFile(
                    f"The compressed data of {self.path.name!r} is damaged (its checksum or structure does not hold).",
                    hint="Copy or download the file again.",
                ) from None
            if total < self.skip + self.nbytes:
                raise self._short(max(total - self.skip, 0))
        return buffer

    def _bunzipped_size(self) -> int:
        total, limit = 0, self.skip + self.nbytes
        with open_file(self.path) as stream:
            stream.seek(self.start)
            try:
                for piece in _bunzip(stream):
                    total += len(piece)
                    if total >= limit:
                        break
            except (OSError, EOFError, ValueError):
                pass  # read() says what is wrong
        return total

    def _short(self, held: int, at_most: bool = False) -> TruncatedFile:
        return TruncatedFile(
            f"{self.path.name!r} is cut short: its header promises {self.nbytes} bytes of voxels, "
            f"it holds {'at most ' if at_most else ''}{held}.",
            hint="Copy or download the file again.",
        )

    def _decoded(self, stream: BinaryIO) -> Iterator[bytes]:
        if self.encoding == "bzip2":
            yield from _bunzip(stream)
        else:
            yield from _inflate(stream, 31 if self.encoding == "gzip" else 15, self.path.name)


def _inflate(stream: BinaryIO, wbits: int, name: str) -> Iterator[bytes]:
    """Yield decoded pieces of all gzip members; zlib itself verifies each member's CRC and length at its trailer."""
    decoder = zlib.decompressobj(wbits=wbits)
    data = stream.read(CHUNK)
    while True:
        while data and not decoder.eof:
            piece = decoder.decompress(data, 4 * CHUNK)
            yield piece
            data = decoder.unconsumed_tail
        if decoder.eof:
            rest = decoder.unused_data + stream.read(CHUNK)
            if wbits != 31 or not rest.startswith(b"\x1f\x8b"):
                return  # padding behind the last member, as gzip tools allow
            decoder, data = zlib.decompressobj(wbits=wbits), rest
            continue
        data = stream.read(CHUNK)
        if not data:
            while tail := decoder.decompress(b"", 4 * CHUNK):
                yield tail
            if decoder.eof:
                return
            raise TruncatedFile(
                f"The compressed data of {name!r} ends before its checksum.", hint="Copy or download the file again."
            )


def _bunzip(stream: BinaryIO) -> Iterator[bytes]:
    decoder = bz2.BZ2Decompressor()
    while not decoder.eof:
        data = stream.read(CHUNK) if decoder.needs_input else b""
        if not data and decoder.needs_input:
            raise EOFError
        yield decoder.decompress(data, 4 * CHUNK)
