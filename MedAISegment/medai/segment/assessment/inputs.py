"""Images that a model is not made for: made from one of its own cases, or given as files."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.io import read_volume
from medai.core.io.formats import format_of, stem
from medai.core.labelmap import LabelMap
from medai.core.resample import reorient_array
from medai.core.volume import Volume

SMALLEST_CORNER = 20
"""A corner without the organ must be at least this share of the image along each axis, in percent."""
FEWEST_VOXELS = 8
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OutsideInput:
    """A named image outside the domain.

    Parameters
    ----------
    name, what : str
        The name, and what is wrong with the image.
    make : callable
        Returns the image; raises :class:`InputError` if it cannot be made from the case, or read.
    given : bool
        True for a file; one that cannot be read counts as refused.
    """

    name: str
    what: str
    make: Callable[[], Volume]
    given: bool = False


def generated(image: Volume, labels: LabelMap, modality: str, *, seed: int = 0) -> list[OutsideInput]:
    """Return inputs made from a case of the domain.

    The case is turned to RAS first, so that the inputs do not hang on how it was stored.

    Parameters
    ----------
    image : Volume
        Scalar or with channels.
    labels : LabelMap
        On the image's grid.
    modality : str
        What the model expects; images that only differ in content say that they are of it.
    seed : int
        Of the noise.
    """
    array, grid = reorient_array(image.array, image.geometry, "RAS")
    mask = reorient_array(labels.array, labels.geometry, "RAS")[0] > 0
    values = np.asarray(array, dtype=np.float64)
    known = values[np.isfinite(values)]
    centre, spread = (float(known.mean()), float(known.std()) or 1.0) if known.size else (0.0, 1.0)

    def normal(name: str) -> Floats:
        sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode("ascii"))])
        return np.random.default_rng(sequence).standard_normal(values.shape)

    def volume(data: Floats, said: str = modality, where: Geometry = grid) -> Volume:
        return Volume(data.astype(np.float32), where, said)

    def ct(said: str) -> Volume:
        return volume(_hounsfield(values, known, normal("CT")), said)

    def corner() -> Volume:
        start, shape = empty_corner(mask)
        return volume(values).crop(start, shape)

    return [
        OutsideInput(
            "noise", "normal noise of the case's mean and spread, no anatomy",
            lambda: volume(centre + spread * normal("noise")),
        ),
        OutsideInput(
            "constant", "one value with 1 % of noise, no anatomy",
            lambda: volume(centre + 0.01 * spread * normal("constant")),
        ),
        OutsideInput(
            "CT-like, unmarked", "the case with a CT's values and contrast; the file does not say its modality",
            lambda: ct(""),
        ),
        OutsideInput("CT-like, marked", "the same, and the file says CT", lambda: ct("CT")),
        OutsideInput(
            "upside down", "the header says that up is down; the anatomy is mirrored",
            lambda: volume(values, modality, grid.flip(0)),
        ),
        OutsideInput(
            "mirrored", "the header says that left is right",
            lambda: volume(values, modality, grid.flip(2)),
        ),
        OutsideInput("corner", "a corner of the case in which the label map is empty", corner),
    ]  # fmt: skip


def from_folder(folder: str | Path) -> list[OutsideInput]:
    """Return an input for each image file of a folder, by name; a sub-folder is taken for a DICOM series.

    Raises
    ------
    InputError
        If it is no folder, or holds nothing.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"There is no folder {place.name!r} with images outside the domain.", hint="Check the path.")
    paths = sorted(p for p in place.iterdir() if not p.name.startswith(".") and (p.is_dir() or format_of(p)))
    if not paths:
        raise InputError(f"The folder {place.name!r} holds no images.", hint="Put images of other kinds into it.")

    def reader(path: Path) -> Callable[[], Volume]:
        return lambda: read_volume(path)

    return [OutsideInput(p.name if p.is_dir() else stem(p), "a given image", reader(p), given=True) for p in paths]


def empty_corner(mask: npt.NDArray[np.bool_]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return start and shape (K, J, I) of the largest corner of equal shares of all axes without a voxel of the mask.

    Of corners of one size the first in the order of the axes is taken.

    Raises
    ------
    InputError
        If none has :data:`SMALLEST_CORNER` percent of each axis and :data:`FEWEST_VOXELS` voxels.
    """
    for percent in range(90, SMALLEST_CORNER - 1, -5):
        sizes = [n * percent // 100 for n in mask.shape]
        if min(sizes) < FEWEST_VOXELS:
            break
        for code in range(8):
            ends = [(code >> axis) & 1 for axis in range(3)]
            start = [n - size if end else 0 for n, size, end in zip(mask.shape, sizes, ends, strict=True)]
            box = tuple(slice(a, a + n) for a, n in zip(start, sizes, strict=True))
            if not mask[box].any():
                return (start[0], start[1], start[2]), (sizes[0], sizes[1], sizes[2])
    raise InputError("No corner of the case is free of the organ.")


def _hounsfield(values: Floats, known: Floats, noise: Floats) -> Floats:
    """Return values as a head's in CT: the darkest is air, the brightest bone, between them soft tissue and noise.

    The percentiles 2 and 98 of the values are mapped to 0 and 80 HU; what is darker falls steeply to -1000 HU, what is
    brighter rises steeply to 1000 HU.
    """
    low, high = np.percentile(known, (2, 98)) if known.size else (0.0, 1.0)
    share = (np.nan_to_num(values) - low) / (float(high - low) or 1.0)
    soft = 80.0 * np.clip(share, 0.0, 1.0)
    bone = 5000.0 * np.clip(share - 1.0, 0.0, None)
    air = 10000.0 * np.clip(share, None, 0.0)
    return np.asarray(np.clip(soft + bone + air + 8.0 * noise, -1000.0, 1000.0))
