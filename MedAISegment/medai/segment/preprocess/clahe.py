"""Contrast-limited adaptive histogram equalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from ..colour import ColourSettings, by_component
from ..slabs import for_slabs
from ._base import Filter
from ._tiles import Axis, Bins, Counts, Maps, blended, counts_of, maps_of
from ._values import constant_flag, kept_type, range_of

GREYS = 16384
"""Levels to which scikit-image rounds an image before it counts."""


class ClaheSettings(ColourSettings):
    """Size of the tiles and strength."""

    mode: Literal["slice", "volume"] = Field(
        "slice", title="Mode", description="Tiles within each slice alone, or boxes through the slices."
    )
    tile: float = Field(
        50.0,
        gt=0,
        le=10000,
        title="Tile",
        description="Edge of a tile, in the unit below; an axis shorter than that is one tile.",
    )
    tile_unit: Literal["mm", "voxel"] = Field("mm", title="Tile unit", description="Millimetres or voxels.")
    clip_limit: float = Field(
        0.01,
        gt=0,
        le=1,
        title="Clip limit",
        description="Largest share of a tile's voxels in one grey value; more is spread over the others. Smaller is"
        " gentler, 1 means no limit.",
    )
    bins: int = Field(256, ge=8, le=4096, title="Bins", description="Grey values that are told apart.")


class Clahe(Filter):
    """Each voxel is equalised by the histograms of the tiles around it (Zuiderveld, Graphics Gems IV, 474 (1994)).

    Bins, tiles, their mirrored completion at the far borders, the clip limit and the linear blend between the tiles'
    centres are those of ``skimage.exposure.equalize_adapthist``, except that a tile's centre is its true one
    (scikit-image's lies half a voxel off), that the excess is spread evenly over the bins below the limit instead of
    count by count, and that the result is not stretched again: it is the rank in the image's own range.  After
    stretching, results differ by less than 2 % of the range on average, from tiles of 40 voxels on.  A limit below one
    voxel in ``bins`` counts as that.  The type of the voxels is kept and whole numbers are rounded.  NaN is not counted
    and stays; infinity becomes the largest or smallest finite value.  A constant image is returned unchanged with the
    flag ``INT_CONSTANT``.
    """

    name = "clahe"
    title = "Adaptive equalisation (CLAHE)"
    group = "Enhance"
    weight = 3.0
    Settings = ClaheSettings

    def apply(self, value: Volume, settings: ClaheSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Equalise a scalar or colour volume.

        Raises
        ------
        SettingsError
            If a tile would be narrower than two voxels within the slice.
        InputError
            If there is no finite value.
        """
        axes = _axes(value, settings)
        flags: list[QCFlag] = []

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            low, high = range_of(array, None, cancel)
            if low == high:
                flags.append(constant_flag(self.title))
                return array.astype(kept_type(array))
            work = _Work(array, low, high, settings, axes, cancel)
            (work.by_slice if settings.mode == "slice" else work.by_layer)(part, self.title)
            return work.result

        result = by_component(value.array, one, progress, settings.colour)
        return value.replace(array=result, unit="" if not flags else value.unit).with_flags(*flags)


def _axes(value: Volume, settings: ClaheSettings) -> tuple[Axis, Axis, Axis]:
    edges = []
    for axis, (size, spacing) in enumerate(zip(value.geometry.shape, value.geometry.spacing_kji, strict=True)):
        voxel = spacing if settings.tile_unit == "mm" else 1.0
        edge = round(settings.tile / voxel)
        if axis > 0 and edge < 2 and size > 1:
            raise SettingsError(
                f"clahe.tile: {settings.tile:g} {settings.tile_unit} is less than two voxels of a slice.",
                hint=f"Use at least {2 * voxel:.3g} {settings.tile_unit}.",
            )
        edges.append(min(max(edge, 1), size))
    shape = value.geometry.shape
    return Axis.of(shape[0], edges[0]), Axis.of(shape[1], edges[1]), Axis.of(shape[2], edges[2])


class _Work:
    """One component: the bins of its voxels, the maps of its tiles, and the result."""

    def __init__(
        self,
        array: npt.NDArray[Any],
        low: float,
        high: float,
        settings: ClaheSettings,
        axes: tuple[Axis, Axis, Axis],
        cancel: CancelToken,
    ) -> None:
        self.array, self.low, self.high, self.cancel = array, low, high, cancel
        self.axes, self.clip = axes, settings.clip_limit
        width = 1 + GREYS // settings.bins
        self.bins = (GREYS - 1) // width + 1
        self.bins_of = _placer(array.dtype, low, high, width, self.bins)
        self.result = np.empty(array.shape, dtype=kept_type(array))

    def by_slice(self, progress: ProgressFn, message: str) -> None:
        """Every slice has its own tiles."""

        def each(start: int, stop: int) -> None:
            for k in range(start, stop):
                bins = self.bins_of(self.array[k])
                self.write(k, bins, maps_of(self.counts(bins), self.clip))

        for_slabs(len(self.array), each, slab=1, progress=progress, cancel=self.cancel, message=message)

    def by_layer(self, progress: ProgressFn, message: str) -> None:
        """Boxes through the slices; only the two layers are held between whose centres the slices lie."""
        deep = self.axes[0]
        layers: dict[int, Maps] = {}
        for start, stop in deep.groups():
            pair = int(deep.low[start]), int(deep.high[start])
            layers = {n: layers[n] if n in layers else self.layer(n) for n in pair}
            first, second = (layers[n] for n in pair)

            def between(a: int, b: int, offset: int = start, first: Maps = first, second: Maps = second) -> None:
                for k in range(offset + a, offset + b):
                    self.write(k, self.bins_of(self.array[k]), first + deep.share[k] * (second - first))

            part = sub_progress(progress, start / deep.size, stop / deep.size)
            for_slabs(stop - start, between, slab=1, progress=part, cancel=self.cancel, message=message)

    def layer(self, number: int) -> Maps:
        """Return the maps of one layer of tiles."""
        deep = self.axes[0]
        slices = deep.index[number * deep.edge : (number + 1) * deep.edge]

        def count(start: int, stop: int) -> Any:
            return sum(self.counts(self.bins_of(self.array[k])) for k in slices[start:stop])

        total: Any = sum(for_slabs(len(slices), count, slab=1, progress=no_progress, cancel=self.cancel))
        return maps_of(total, self.clip)

    def counts(self, bins: Bins) -> Counts:
        """Return the histograms of a slice's tiles; the last bin holds voxels without a value."""
        return counts_of(bins, self.axes[1], self.axes[2], self.bins + 1)

    def write(self, k: int, bins: Bins, maps: Maps) -> None:
        """Fill one slice of the result."""
        for rows, share in blended(bins, maps, self.axes[1], self.axes[2]):
            values = self.low + (self.high - self.low) * share.astype(np.float64)
            out = self.result[k, rows]
            if out.dtype.kind in "iu":
                out[...] = np.clip(np.rint(values), self.low, self.high)
            else:
                out[...] = values
                out[bins[rows] == self.bins] = np.nan


def _placer(
    dtype: np.dtype[Any], low: float, high: float, width: int, missing: int
) -> Callable[[npt.NDArray[Any]], Bins]:
    """Return the function from values to bins; ``missing`` is the bin of NaN."""

    def place(values: npt.NDArray[Any]) -> Bins:
        with np.errstate(all="ignore"):
            grey = np.rint(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * (GREYS - 1))
        found: Bins = np.nan_to_num(grey, nan=0).astype(np.uint16)
        found //= np.uint16(width)
        found[np.isnan(grey)] = missing
        return found

    if dtype.kind not in "iu" or dtype.itemsize > 2:
        return place
    first = int(low)
    table = place(np.arange(first, int(high) + 1))
    return lambda values: np.take(table, values.astype(np.int32) - first, mode="clip")
