"""What every segmenter that grows from seeds shares: settings, limits, whose a voxel is, and what is doubtful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.qc import QCFlag, Severity
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..components import Connectivity
from ..inside import InsideSettings
from ..runs import MaskOf
from ..seeds import Index, Seed, segments_of
from ..slabs import for_slabs
from ._runs import Mask, slab_of

Array = npt.NDArray[Any]


class SeedSettings(Settings):
    """Base of the settings of segmenters that start from points."""

    seeds: tuple[Seed, ...] = Field(
        (),
        max_length=10000,
        title="Seeds",
        description="Points inside the structures; points of one name grow one segment, several names several.",
    )


class GrowSettings(SeedSettings, InsideSettings):
    """Base of the settings of segmenters that grow from seeds."""

    max_ml: float | None = Field(
        None,
        gt=0,
        title="Largest volume",
        description="A segment larger than this is flagged: it probably leaked. None: no limit.",
        json_schema_extra={"unit": "mL"},
    )


class ConnectedSettings(GrowSettings):
    """Base of the settings of segmenters that follow neighbouring voxels."""

    connectivity: Connectivity = Field(
        6,
        title="Connectivity",
        description="Neighbours share a face (6), also an edge (18), or also a corner (26).",
    )


def typed_limits(dtype: np.dtype[Any], lower: float | None, upper: float | None) -> tuple[Any, Any] | None:
    """Return the limits as numbers of the voxels' type, so that comparing makes no copy in another type.

    For whole numbers ``lower`` is rounded up and ``upper`` down, which changes nothing.  Infinite voxels lie outside
    whatever the limits.  None: no number of that type lies within.
    """
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    if dtype.kind == "f":
        info = np.finfo(dtype)
        low, high = float(info.min), float(info.max)
        # Single numbers of a narrower type are compared in double precision, as if the voxels were.
        low = low if lower is None else max(low, lower)
        high = high if upper is None else min(high, upper)
        return (np.float64(low), np.float64(high)) if low <= high else None
    whole = np.iinfo(dtype)
    bottom = whole.min if lower is None else max(int(whole.min), int(np.ceil(lower)))
    top = whole.max if upper is None else min(int(whole.max), int(np.floor(upper)))
    kind = dtype.newbyteorder("=").type
    return (kind(bottom), kind(top)) if bottom <= top else None


def range_mask(array: Array, lower: float | None, upper: float | None, inside: Mask | None = None) -> MaskOf:
    """Return the mask ``lower <= array <= upper``, slab by slab; NaN and infinity lie outside."""
    limits = typed_limits(array.dtype, lower, upper)

    def mask_of(start: int, stop: int) -> Mask:
        values = array[start:stop]
        if limits is None:
            return np.zeros(values.shape, dtype=np.bool_)
        result: Mask = values >= limits[0]
        result &= values <= limits[1]
        if inside is not None:
            result &= inside[start:stop]
        return result

    return mask_of


def value_at(array: Array, index: Index, segment: str, number: int) -> float:
    """Return the value of a seed's voxel.

    Raises
    ------
    InputError
        If it is NaN or infinite.
    """
    value = float(array[index])
    if not np.isfinite(value):
        raise InputError(
            f"Seed {number} of {segment!r} lies on a voxel without a value (NaN or infinity).", hint="Move the point."
        )
    return value


def require_in_range(
    array: Array, seeds: Mapping[str, Sequence[Index]], lower: float | None, upper: float | None
) -> None:
    """Raise :class:`InputError` if a seed's own value lies outside the limits; it names the seed and its value."""
    for segment, places in seeds.items():
        for number, index in enumerate(places, start=1):
            value = value_at(array, index, segment, number)
            if (lower is not None and value < lower) or (upper is not None and value > upper):
                low = "no limit" if lower is None else f"{lower:g}"
                high = "no limit" if upper is None else f"{upper:g}"
                raise InputError(
                    f"Seed {number} of {segment!r} has the value {value:g}, outside {low} to {high}.",
                    hint="Move the point, or widen the limits.",
                )


def require_inside(seeds: Mapping[str, Sequence[Index]], inside: Mask | None, name: str) -> None:
    """Raise :class:`InputError` if a seed lies outside the segment to work inside."""
    if inside is None:
        return
    for segment, places in seeds.items():
        for number, index in enumerate(places, start=1):
            if not inside[index]:
                raise InputError(
                    f"Seed {number} of {segment!r} lies outside the segment {name!r}.",
                    hint="Move the point, or leave 'inside' empty.",
                )


class Claims:
    """The label image that segments are laid into; a voxel that two claim goes to the nearer seed.

    Distances are straight lines in mm; at equal distance the segment that comes first keeps the voxel.

    Parameters
    ----------
    geometry : Geometry
        The grid.
    seeds : dict
        Voxels (K, J, I) of each segment's seeds; segment number n in that order gets label n + 1.
    """

    def __init__(self, geometry: Geometry, seeds: Mapping[str, Sequence[Index]]) -> None:
        self.geometry = geometry
        self.names = tuple(seeds)
        self.points = [np.asarray(places, dtype=np.float32) for places in seeds.values()]
        self.array: Array = np.zeros(geometry.shape, dtype=np.uint8 if len(seeds) < 256 else np.uint16)

    def add(
        self,
        number: int,
        mask_of: MaskOf,
        *,
        progress: ProgressFn = no_progress,
        cancel: CancelToken,
        message: str = "",
    ) -> None:
        """Let segment ``number`` (from 0) claim the voxels of a mask."""
        label = number + 1

        def part(start: int, stop: int) -> None:
            mask, here = mask_of(start, stop), self.array[start:stop]
            taken = mask & (here > 0) & (here != label)
            if taken.any():
                for other in np.unique(here[taken]):
                    places = np.nonzero(taken & (here == other))
                    at = np.stack(places, axis=1).astype(np.float32)
                    at[:, 0] += start
                    nearer = self._squares(at, number) < self._squares(at, int(other) - 1)
                    here[tuple(axis[nearer] for axis in places)] = label
                mask &= ~taken
            here[mask] = label

        slab = slab_of(self.array.shape)
        for_slabs(len(self.array), part, slab=slab, progress=progress, cancel=cancel, message=message)

    def _squares(self, at: npt.NDArray[np.float32], number: int) -> npt.NDArray[np.float32]:
        """Return the squared distance in mm2 of voxels (n, 3) to the nearest seed of a segment."""
        spacing = np.asarray(self.geometry.spacing_kji, dtype=np.float32)
        best = np.full(len(at), np.inf, dtype=np.float32)
        for point in self.points[number]:
            np.minimum(best, np.square((at - point) * spacing).sum(axis=1), out=best)
        return best

    def finish(self, volume: Volume, max_ml: float | None = None) -> LabelMap:
        """Return the label map with flags for segments that are empty, too large, or cut off by the image's border."""
        labels = LabelMap(self.array, volume.geometry, segments_of(self.names))
        return labels.replace(flags=doubts(labels, max_ml))


def doubts(labels: LabelMap, max_ml: float | None = None) -> tuple[QCFlag, ...]:
    """Return the flags of grown segments: empty, larger than ``max_ml`` mL, touching the image's border."""
    flags: list[QCFlag] = []
    volumes = labels.volumes_ml()
    edge = border_labels(labels.array)
    for segment in labels.segments:
        name, volume = segment.name, volumes[segment.name]
        if volume == 0.0:
            flags.append(QCFlag("MASK_EMPTY", Severity.WARNING, f"The segment {name!r} is empty.", affects=name))
        if max_ml is not None and volume > max_ml:
            message = f"The segment {name!r} has {volume:.4g} mL, more than {max_ml:g} mL: it probably leaked."
            flags.append(QCFlag("VOL_IMPLAUSIBLE", Severity.WARNING, message, volume, max_ml, name))
        if segment.label in edge:
            message = f"The segment {name!r} touches the border of the image: part of the structure may be missing."
            flags.append(QCFlag("FOV_CLIPPED", Severity.WARNING, message, affects=name))
    return tuple(flags)


def border_labels(array: Array) -> set[int]:
    """Return the labels on the image's outer faces; an axis of one voxel has none."""
    found: set[int] = set()
    for axis, size in enumerate(array.shape):
        if size > 1:
            for place in (0, size - 1):
                found.update(int(v) for v in np.unique(np.take(array, place, axis=axis)))
    return found - {0}


def neighbourhood(array: Array, index: Index, radius: int) -> npt.NDArray[np.float64]:
    """Return the finite values of the box of a radius in voxels around a voxel; the border's voxels are repeated."""
    rows = [
        np.clip(np.arange(n - radius, n + radius + 1), 0, size - 1) for n, size in zip(index, array.shape, strict=True)
    ]
    values: npt.NDArray[np.float64] = array[np.ix_(*rows)].astype(np.float64).reshape(-1)
    return values[np.isfinite(values)]
