"""PNG, JPEG and TIFF as 2D images: K = 1, grey or colour; every bit kept or the file refused."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import AmbiguousInput, DependencyError, InputError, TruncatedFile, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from .budget import check_sizes
from .gate import orientation_unknown
from .source import open_file

FORMATS = ("PNG", "JPEG", "TIFF")
MAX_PICTURE_BYTES = 4 << 30
_PNG_MARK = b"\x89PNG\r\n\x1a\n"
_DEFAULT_DPI = (72, 90, 96, 100, 120, 144, 150, 192, 200, 240, 250, 300, 350, 400, 600, 720, 1200, 2400)
"""Resolutions that programs write without knowing the object's size."""
_BYTES = {"1": 1, "L": 1, "P": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I": 4, "F": 4, "I;16": 2, "I;16B": 2, "I;16L": 2}


def read_picture(path: Path, frame: int | None = None, *, indices: bool = False) -> Volume:
    """Read a PNG, JPEG or TIFF file.

    Parameters
    ----------
    path : Path
        The file; what it is follows from its content, not from its name.
    frame : int, optional
        Page of a multi-page TIFF, from 0.
    indices : bool
        Give a palette image's indices instead of its colours (a label image).

    Returns
    -------
    Volume
        Shape (1, J, I), or (1, J, I, 3) for colour, (1, J, I, 4) for colour with real transparency.  Rows grow towards
        P and columns towards L by convention; the flag ORIENT_UNKNOWN says that this is not known.

    Raises
    ------
    AmbiguousInput
        If there are several pages and none was chosen.
    InputError, TruncatedFile, UnsupportedInput
        If the file is damaged or of a kind that would lose bits.
    """
    image_module = _pillow()
    name = path.name
    with open_file(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if stream.read(8) == _PNG_MARK:
            _check_png(stream, name)
        stream.seek(0)
        try:
            image = image_module.open(stream, formats=FORMATS)
        except image_module.DecompressionBombError:
            raise InputError(f"{name!r} claims far too many pixels.", hint="Crop or down-sample it first.") from None
        except Exception:  # Pillow raises many kinds for damaged headers
            raise InputError(
                f"{name!r} is no readable PNG, JPEG or TIFF image.", hint="Check the file, or save it as 8-bit PNG."
            ) from None
        try:
            return _volume(image, name, frame, indices)
        except (InputError, MemoryError):
            raise
        except Exception:  # and as many for damaged pixels
            raise TruncatedFile(f"The pixels of {name!r} are damaged or cut short.", hint="Copy it again.") from None


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise DependencyError("PNG, JPEG and TIFF images need the package pillow.", hint="pip install pillow") from None
    return Image


def _check_png(stream: Any, name: str) -> None:
    """Verify every chunk's CRC (PNG specification, 5.3) and refuse 16-bit colour, which Pillow would cut to 8 bits."""
    ended = False
    while not ended:
        head = stream.read(8)
        if len(head) < 8:
            raise TruncatedFile(f"{name!r} is cut short: the PNG has no end mark.", hint="Copy it again.")
        length, kind = struct.unpack(">I4s", head)
        check, left = zlib.crc32(kind), length
        first = b""
        while left:
            part = stream.read(min(left, 1 << 20))
            if not part:
                raise TruncatedFile(f"{name!r} is cut short inside a PNG chunk.", hint="Copy it again.")
            first = first or part
            check, left = zlib.crc32(part, check), left - len(part)
        if stream.read(4) != struct.pack(">I", check):
            raise TruncatedFile(f"{name!r} is damaged: a PNG checksum does not hold.", hint="Copy it again.")
        if kind == b"IHDR" and len(first) >= 10 and first[8] == 16 and first[9] != 0:
            raise UnsupportedInput(
                f"{name!r} is a 16-bit colour PNG, which would lose bits.", hint="Save it as TIFF or NRRD."
            )
        ended = kind == b"IEND"


def _volume(image: Any, name: str, frame: int | None, indices: bool) -> Volume:
    pages = int(getattr(image, "n_frames", 1))
    if pages > 1 and frame is None:
        raise AmbiguousInput(
            f"{name!r} holds {pages} pages, one is needed.", hint=f"Choose a frame (page) from 0 to {pages - 1}."
        )
    if not 0 <= (frame or 0) < pages:
        raise InputError(f"{name!r} has no page {frame}; it holds {pages}, counted from 0.")
    if pages > 1:
        image.seek(frame or 0)
    if image.mode not in _BYTES:
        raise UnsupportedInput(
            f"{name!r} has the pixel kind {image.mode!r}; grey and RGB are read.", hint="Save as RGB."
        )
    if not (indices and image.mode == "P"):
        _refuse_lost_bits(image, name)
    width, height = image.size
    check_sizes([height, width], _BYTES[image.mode], name)
    array = _array(image, indices)
    spacing, known = _spacing(image)
    text = "a picture states none" + ("" if known else ", and no trustworthy pixel size: 1 mm is assumed")
    flags = [orientation_unknown(text)]
    if image.format == "JPEG":
        flags.append(QCFlag("LOSSY_COMPRESSED", Severity.WARNING, "JPEG compresses with loss."))
    geometry = Geometry.from_lps((1, *array.shape[:2]), np.diag([spacing[0], spacing[1], 1.0, 1.0]))
    meta = {"format": image.format, "pixel_size": "from the file's resolution" if known else "assumed"}
    return Volume(array[np.newaxis], geometry, flags=tuple(flags), meta=meta)


def _refuse_lost_bits(image: Any, name: str) -> None:
    bits = image.tag_v2.get(258) if image.format == "TIFF" else None
    depth = max(bits) if isinstance(bits, tuple) else bits
    held = {"1": 1, "L": 8, "P": 8, "LA": 8, "RGB": 8, "RGBA": 8, "I;16": 16, "I;16B": 16, "I;16L": 16}.get(
        image.mode, 32
    )
    if depth is not None and depth > held:
        raise UnsupportedInput(f"{name!r} holds {depth} bits a sample, which would be cut to {held}.", hint="Use NRRD.")


def _array(image: Any, indices: bool) -> npt.NDArray[Any]:
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode == "P" and not indices:
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    array = np.asarray(image)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if array.ndim == 3 and array.shape[2] in (2, 4) and (array[..., -1] == 255).all():
        array = array[..., :-1]  # opaque everywhere: the fourth channel says nothing
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return np.ascontiguousarray(array)


def _spacing(image: Any) -> tuple[tuple[float, float], bool]:
    """Return mm along I and J, and whether the file can be believed: a stated unit and no program's default value."""
    unit, across, down = 0.0, 0.0, 0.0
    if image.format == "TIFF":
        tags = image.tag_v2
        unit = {2: 25.4, 3: 10.0}.get(tags.get(296, 2), 0.0) if 282 in tags and 283 in tags else 0.0
        if unit:
            across, down = float(tags[282]), float(tags[283])
    elif image.format == "PNG" and "dpi" in image.info:
        # Pillow gives dots per inch only if the pHYs chunk states metres
        unit, (across, down) = 25.4, image.info["dpi"]
    if not (unit and np.isfinite([across, down]).all() and min(across, down) > 0):
        return (1.0, 1.0), False
    spacing = (unit / across, unit / down)
    usual = any(abs(25.4 / s / dpi - 1) < 5e-3 for s in spacing for dpi in _DEFAULT_DPI)
    if usual or not all(1e-6 <= s <= 100 for s in spacing):
        return (1.0, 1.0), False
    return spacing, True
