"""What a compressed frame says about its own size, read before a native decoder sees it.

A decoder allocates what the code stream claims, not what the DICOM header claims, so both must agree.
Markers: ITU-T T.81 (JPEG), T.87 (JPEG-LS), T.800 (JPEG 2000).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from medai.core.errors import InputError, TruncatedFile


@dataclass(frozen=True)
class FrameSize:
    """Rows, columns, components and bits that a code stream claims."""

    rows: int
    columns: int
    components: int
    bits: int


def frame_size(stream: bytes, name: str) -> FrameSize | None:
    """Return the size that a JPEG, JPEG-LS or JPEG 2000 code stream claims; None for another kind.

    Raises
    ------
    TruncatedFile
        If the stream ends inside its header.
    """
    try:
        if stream[:4] == b"\xff\x4f\xff\x51":
            return _jpeg2000(stream, name)
        if stream[:3] == b"\xff\xd8\xff":
            return _jpeg(stream)
    except (struct.error, IndexError):
        raise TruncatedFile(f"A compressed frame of {name!r} ends inside its header.", hint="Copy it again.") from None
    return None


def _jpeg2000(stream: bytes, name: str) -> FrameSize:
    _, x1, y1, x0, y0, tile_x, tile_y, *_ = struct.unpack(">H8I", stream[6:40])
    components = struct.unpack(">H", stream[40:42])[0]
    if x1 <= x0 or y1 <= y0 or not tile_x or not tile_y or not 1 <= components <= 4:
        raise InputError(f"The JPEG 2000 header of {name!r} is impossible.", hint="The file is damaged.")
    tiles = -(-(x1 - x0) // tile_x) * -(-(y1 - y0) // tile_y)
    if tiles > 65535:
        raise InputError(f"The JPEG 2000 header of {name!r} claims {tiles} tiles.", hint="The file is damaged.")
    bits = {(stream[42 + 3 * n] & 0x7F) + 1 for n in range(components)}
    steps = {stream[43 + 3 * n : 45 + 3 * n] for n in range(components)}
    if steps != {b"\x01\x01"}:
        raise InputError(f"The JPEG 2000 components of {name!r} are sub-sampled.", hint="Decompress the file first.")
    return FrameSize(y1 - y0, x1 - x0, components, max(bits))


_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def _jpeg(stream: bytes) -> FrameSize | None:
    position = 2
    while True:
        if stream[position] != 0xFF:
            return None
        marker = stream[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _FRAMES:
            bits, rows, columns, components = struct.unpack(">BHHB", stream[position + 4 : position + 10])
            return FrameSize(rows, columns, components, bits)
        if marker in (0xD9, 0xDA):
            return None
        length = struct.unpack(">H", stream[position + 2 : position + 4])[0]
        position += 2 + max(length, 2)
