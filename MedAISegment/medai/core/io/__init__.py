"""Reading and writing images, behind a gate that refuses damaged, impossible and ambiguous files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medai.core.errors import InputError, UnsupportedInput
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume

from .formats import format_of, stem
from .meta import parse_meta
from .nifti import parse_nifti
from .nrrd import parse_nrrd
from .raw import shear_flag, value_flags
from .writing import write_image

__all__ = ["read_labelmap", "read_volume", "write_labelmap", "write_volume"]

_PARSERS = {"nifti": parse_nifti, "nrrd": parse_nrrd, "meta": parse_meta}


def read_volume(path: str | Path, *, series_uid: str | None = None, frame: int | None = None) -> Volume:
    """Read an image."""
    file = Path(path)
    kind = format_of(file)
    if kind not in _PARSERS:
        raise UnsupportedInput(f"{file.name!r} is of no format that is read.")
    volume = _PARSERS[kind](file).read(frame)
    volume = volume.replace(name=stem(file))
    return volume.with_flags(*shear_flag(volume.geometry), *value_flags(volume.array))


def read_labelmap(path: str | Path, *, segments: Sequence[Segment] = ()) -> LabelMap:
    """Read a label image."""
    volume = read_volume(path)
    if volume.components != 1:
        raise InputError(f"{Path(path).name!r} holds {volume.components} components per voxel; a label image has one.")
    return LabelMap(volume.array, volume.geometry, tuple(segments), volume.flags)


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write an image."""
    write_image(volume.array, volume.geometry, Path(path))


def write_labelmap(labels: LabelMap, path: str | Path) -> None:
    """Write a label image."""
    write_image(labels.array, labels.geometry, Path(path))
