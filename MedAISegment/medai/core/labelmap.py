"""An immutable label image with named, coloured, coded segments."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .geometry import Geometry
from .qc import QCFlag
from .volume import digest_array

MAX_LABEL = 65535
"""Largest label: what 16 bits hold."""
FEW_LABELS = 8
"""Up to this label voxels are counted by comparisons."""


@dataclass(frozen=True)
class Code:
    """A coded concept, as DICOM writes it.

    Parameters
    ----------
    value : str
        Code value, for example ``5366008``.
    scheme : str
        Coding scheme designator, for example ``SCT``.
    meaning : str
        Meaning for people.
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Segment:
    """What one label value stands for.

    Parameters
    ----------
    label : int
        Value in the array, 1 to 65535.
    name : str
        Name for people, unique in its LabelMap.
    color : tuple of float
        RGB, each 0 to 1.
    category, type : Code, optional
        DICOM segmented property category and type.
    modifier : Code, optional
        Modifier of the type, for example a side.
    """

    label: int
    name: str
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    category: Code | None = None
    type: Code | None = None
    modifier: Code | None = None

    def __post_init__(self) -> None:
        try:
            label = operator.index(self.label)
            color = tuple(float(c) for c in self.color)
        except (TypeError, ValueError):
            raise InputError("A segment needs a whole number as its label and three numbers as its color.") from None
        if not 1 <= label <= MAX_LABEL:
            raise InputError(f"A segment's label must be a whole number from 1 to {MAX_LABEL}, given {label}.")
        if len(color) != 3 or not all(0.0 <= c <= 1.0 for c in color):
            raise InputError(f"A segment's color must be three numbers from 0 to 1, given {color[:4]}.")
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "color", color)

    def relabelled(self, label: int) -> Segment:
        """Return the same segment under another label."""
        return dataclasses.replace(self, label=label)

    def to_dict(self) -> dict[str, Any]:
        """Return the segment as JSON-ready values."""
        return {**dataclasses.asdict(self), "color": list(self.color)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Segment:
        """Rebuild a segment that :meth:`to_dict` wrote."""
        codes = {key: Code(**data[key]) for key in ("category", "type", "modifier") if data.get(key)}
        return cls(label=data["label"], name=data["name"], color=data.get("color", (0.5, 0.5, 0.5)), **codes)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label image: 0 is background, every other value has a :class:`Segment`.

    Parameters
    ----------
    array : numpy array of integers, shape (K, J, I)
        Stored as the smallest of uint8 and uint16 that holds every label; read-only.
    geometry : Geometry
        The grid.
    segments : tuple of Segment
        Labels that occur in the array and have no segment get one called ``Label N``.  A segment may be empty.
    flags : tuple of QCFlag
        What was noticed while the labels were made.
    meta : mapping
        How the labels were made, JSON-ready: model, device, regions, confidence.

    Raises
    ------
    InputError
        For values that are not whole numbers from 0 to 65535, and for repeated labels or names.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    segments: tuple[Segment, ...] = ()
    flags: tuple[QCFlag, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 3 or array.shape != self.geometry.shape:
            raise InputError(f"The label array's shape {array.shape} does not fit the grid's {self.geometry.shape}.")
        array = _whole_numbers(array)
        labels = [s.label for s in self.segments]
        names = [s.name for s in self.segments]
        if len(set(labels)) != len(labels):
            raise InputError(f"Each segment needs its own label, given {labels[:10]}.")
        if len(set(names)) != len(names):
            raise InputError("Two segments have the same name.", hint="Give each segment its own name.")
        present = [int(n) for n in np.flatnonzero(_histogram(array)) if n]
        extra = tuple(Segment(n, _free_name(f"Label {n}", names)) for n in present if n not in labels)
        segments = tuple(self.segments) + extra
        largest = max([s.label for s in segments], default=0)
        array = array.astype(np.uint8 if largest < 256 else np.uint16, copy=False).view()
        array.setflags(write=False)
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "segments", segments)
        object.__setattr__(self, "flags", tuple(self.flags))
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    def segment(self, name: str) -> Segment:
        """Return the segment called ``name``; raises :class:`InputError` if there is none."""
        for item in self.segments:
            if item.name == name:
                return item
        raise InputError(
            f"There is no segment called {name!r}.",
            hint=f"Known: {', '.join(s.name for s in self.segments) or 'none'}.",
        )

    def mask(self, segment: Segment) -> npt.NDArray[np.bool_]:
        """Boolean array, shape (K, J, I), of one segment."""
        return np.asarray(self.array == segment.label)

    def counts(self) -> dict[int, int]:
        """Return the number of voxels of each segment's label, empty segments included."""
        found = _histogram(self.array)
        return {s.label: int(found[s.label]) for s in self.segments}

    def volumes_ml(self) -> dict[str, float]:
        """Voxel volume of each segment in mL, by name."""
        voxel = self.geometry.voxel_volume_mm3 / 1000.0
        counts = self.counts()
        return {s.name: counts[s.label] * voxel for s in self.segments}

    def replace(self, **changes: Any) -> LabelMap:
        """Return a copy with other fields, as :func:`dataclasses.replace` does."""
        return dataclasses.replace(self, **changes)

    def digest(self) -> str:
        """SHA-256 of the labels and the affine; names and colours do not count."""
        return digest_array(self.array, self.geometry, np.dtype(np.uint16))


def _whole_numbers(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or not np.array_equal(array, np.rint(array)):
            raise InputError(
                "The mask holds NaN, infinity or fractions; labels must be whole numbers.",
                hint="Threshold the mask, or round it on purpose.",
            )
    elif array.dtype.kind not in "iu":
        raise InputError(f"Labels of type {array.dtype} cannot be used; whole numbers are needed.")
    if array.size and (array.min() < 0 or array.max() > MAX_LABEL):
        raise InputError(f"Labels must lie from 0 to {MAX_LABEL}, given {array.min():g} to {array.max():g}.")
    return array if array.dtype in (np.uint8, np.uint16) else array.astype(np.uint16)


def _histogram(array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    # bincount widens to 8 bytes a voxel: slice by slice the copy stays small.
    total = np.zeros(MAX_LABEL + 1, dtype=np.int64)
    largest = int(array.max(initial=0))
    if largest <= FEW_LABELS:
        # A comparison of bytes is so much faster than bincount that one for each label is, too.
        for plane in array:
            for label in range(1, largest + 1):
                total[label] += np.count_nonzero(plane == label)
        total[0] = array.size - total.sum()
        return total
    for plane in array:
        counts = np.bincount(plane.reshape(-1))
        total[: len(counts)] += counts
    return total


def _free_name(wanted: str, taken: list[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted} ({number})", number + 1
    return name
