"""What a pipeline does to one slice: quick enough to follow a slider.

Only a few slices around the shown one are looked at, so limits that a step finds from the whole image (Otsu,
percentiles, clusters) may come out differently in the real run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.resample import resample_volume
from medai.core.volume import Volume

from .pipeline import Pipeline, PipelineResult, find_step, parse_pipeline, run_pipeline
from .plane import Plane, plane_of

Array = npt.NDArray[Any]
BINS = 128
"""Bins of the two histograms."""
LARGEST_PICTURE = 512
"""Pictures are thinned out to at most so many pixels along an edge; the steps see every voxel."""
SAMPLE = 1 << 16
"""Values that percentiles are taken from."""
QUICK = 3.0
"""Summed weight up to which three slices are looked at before anything was measured."""
BUDGET_S, LONGEST_S = 0.06, 0.08
"""Time for the steps, with neighbouring slices and alone: pictures and the way to the worker take as long again."""
FILL = 0.3
"""Opacity of a segment inside its outline."""
UNSEEN = ("Model", "Atlas")
"""Groups of steps that need the whole image and minutes."""


@dataclass(frozen=True)
class Preview:
    """Two pictures and their histograms.

    Parameters
    ----------
    before, after : array of uint8, shape (rows, columns, 3)
        As a slice view shows them; ``after`` has the segments laid over.
    pixel_mm : tuple of float
        Height and width of a pixel in mm.
    histograms : tuple of dict
        Of the slice before and after: ``counts`` (:data:`BINS` numbers), ``low``, ``high``.
    same_scale : bool
        True if both pictures have one window, because the values are comparable.
    segments : tuple of dict
        ``name``, ``color``, ``voxels`` in the slice.
    notes : tuple of str
        What was left out.
    slices : int
        How many slices the steps saw.
    seconds : float
        How long the steps took.
    """

    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    pixel_mm: tuple[float, float]
    histograms: tuple[dict[str, Any], dict[str, Any]]
    same_scale: bool
    segments: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    slices: int
    seconds: float


def slice_at(geometry: Geometry, normal_ras: Sequence[float], point_ras: Sequence[float]) -> tuple[int, int]:
    """Return the array axis (0 is K) nearest to a slice view's normal, and the slice nearest to a point in it.

    Parameters
    ----------
    geometry : Geometry
        The image's grid.
    normal_ras, point_ras : sequence of 3 floats
        The view's normal, and a point on its plane in RAS mm.
    """
    columns = geometry.direction
    column = int(np.argmax(np.abs(np.asarray(normal_ras, dtype=np.float64) @ columns)))
    axis = 2 - column
    index = round(float(geometry.to_ijk(np.asarray(point_ras, dtype=np.float64))[column]))
    return axis, min(max(index, 0), geometry.shape[axis] - 1)


def effort_for(pipeline: Any, seconds_per_slice: float | None = None) -> tuple[int, int]:
    """Return how many slices to each side the steps get (4, 1 or 0), and every how manyth voxel of them (1, 2 or 4).

    Parameters
    ----------
    pipeline : Pipeline or list of dict
        The steps; before anything was measured, those that are quick on a whole image get three slices.
    seconds_per_slice : float, optional
        What the same steps took before on all voxels of a slice; as much is taken as fits into :data:`BUDGET_S`.
    """
    if seconds_per_slice is None:
        steps = pipeline.steps if isinstance(pipeline, Pipeline) else parse_pipeline(pipeline, result="any").steps
        return (1 if sum(find_step(item.step).weight for item in steps if item.enabled) <= QUICK else 0), 1
    halo = next((halo for halo in (4, 1) if (2 * halo + 1) * seconds_per_slice <= BUDGET_S), 0)
    return halo, next((thin for thin in (1, 2) if seconds_per_slice / thin**2 <= LONGEST_S), 4)


def slab_around(
    array: Array, geometry: Geometry, axis: int, index: int, halo: int, thin: int = 1
) -> tuple[Array, Geometry, int]:
    """Return a copy of the slices around one, their grid, and where the one is among them.

    Parameters
    ----------
    array : array, shape (K, J, I[, components])
    geometry : Geometry
        Its grid.
    axis, index : int
        The slice, as :func:`slice_at` gives it.
    halo : int
        Slices to each side, as far as there are any.
    thin : int
        Within a slice, only every so manyth row and column is taken.
    """
    size = geometry.shape[axis]
    first, stop = max(0, index - halo), min(size, index + halo + 1)
    box = tuple(slice(first, stop) if n == axis else slice(None, None, thin) for n in range(3))
    found = np.ascontiguousarray(array[box])
    affine = geometry.ijk_to_ras.copy()
    affine[:3, 3] += first * affine[:3, 2 - axis]
    for other in range(3):
        if other != axis:
            affine[:3, 2 - other] *= thin
    k, j, i = found.shape[:3]
    return found, Geometry((k, j, i), affine), index - first


def preview(
    volume: Volume,
    pipeline: Any,
    axis: int,
    position: int,
    *,
    labels: LabelMap | None = None,
    window: tuple[float, float] | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Preview:
    """Run a pipeline on a few slices and show one of them before and after.

    Where the steps refuse so thin a slab, they get the slice alone.  Networks are left out, and so is what follows
    them.  A filter that changes the grid is shown on the grid it came from.

    Parameters
    ----------
    volume : Volume
        The slab, as :func:`slab_around` cuts it.
    pipeline : Pipeline or list of dict
        See :func:`medai.segment.pipeline.parse_pipeline`.
    axis, position : int
        Which slice of the slab is shown.
    labels : LabelMap, optional
        Segments to start from, on the slab's grid.
    window : tuple of 2 floats, optional
        Values shown black and white; the 1st and 99th percentile of the slice if not given.

    Raises
    ------
    InputError
        If no seed lies in the slab, or a step cannot work on it.
    SettingsError
        If the pipeline is not valid.
    """
    begun = time.monotonic()
    steps, notes = _without_models(pipeline, labels is not None)
    token = cancel or CancelToken()
    result, slices = _result(volume, steps, axis, position, labels, notes, progress, token)
    taken = time.monotonic() - begun
    image = result.image
    thin = _alone(volume, axis, position)
    if not image.geometry.same_as(thin.geometry):
        if image.geometry.same_as(volume.geometry):
            image = _alone(image, axis, position)
        else:
            notes.append("A step changes the grid; the picture shows its result on the grid of the image.")
            image = resample_volume(image, thin.geometry)
    plane = plane_of(thin.geometry, axis)
    before, after = plane.cut(_grey(thin.array)), plane.cut(_grey(image.array))
    first = window or _robust(before)
    own = _robust(after)
    same = _overlap(_robust(before), own) >= 0.5
    outlined = None
    segments: tuple[dict[str, Any], ...] = ()
    if result.labels is not None:
        found = result.labels
        at = position if found.geometry.shape[axis] == volume.geometry.shape[axis] else 0
        outlined = plane.cut(found.array.take([at], axis=axis))
        counts = np.bincount(outlined.reshape(-1), minlength=1 + max((s.label for s in found.segments), default=0))
        segments = tuple(
            {"name": s.name, "color": list(s.color), "label": s.label, "voxels": int(counts[s.label])}
            for s in found.segments
        )
    return Preview(
        _picture(before, first, plane),
        _picture(after, first if same else own, plane, outlined, segments),
        plane.pixel_mm,
        _histograms(before, after, same),
        same,
        segments,
        tuple(notes),
        slices,
        taken,
    )


def _without_models(pipeline: Any, has_labels: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the steps before the first network, and what to say about it."""
    parsed = parse_pipeline(pipeline, result="any", has_labels=has_labels)
    steps: list[dict[str, Any]] = []
    for item in parsed.steps:
        member = find_step(item.step)
        if item.enabled and member.group in UNSEEN:
            return steps, [f"{member.title} needs the whole image; the preview shows the steps before it."]
        steps.append(item.to_dict())
    return steps, []


def _result(
    volume: Volume,
    steps: list[dict[str, Any]],
    axis: int,
    position: int,
    labels: LabelMap | None,
    notes: list[str],
    progress: ProgressFn,
    cancel: CancelToken,
) -> tuple[PipelineResult, int]:
    slices = volume.geometry.shape[axis]
    if not any(step.get("enabled", True) for step in steps):
        return PipelineResult(volume, labels), slices
    near = [_with_seeds_inside(step, volume.geometry) for step in steps]
    try:
        return run_pipeline(volume, near, labels=labels, progress=progress, cancel=cancel), slices
    except (InputError, SettingsError):
        if slices == 1:
            raise
    # So thin a slab is too short for some kernels; a single slice is worked on in its plane.
    thin = _alone(volume, axis, position)
    near = [_with_seeds_inside(step, thin.geometry) for step in steps]
    cut = None
    if labels is not None:
        cut = labels.replace(array=labels.array.take([position], axis=axis), geometry=thin.geometry)
    found = run_pipeline(thin, near, labels=cut, progress=progress, cancel=cancel)
    notes.append("The steps saw this slice only, because they need more slices than a preview has.")
    return found, 1


def _with_seeds_inside(step: dict[str, Any], geometry: Geometry) -> dict[str, Any]:
    """Return a step without the seeds that lie outside a grid."""
    seeds = step.get("settings", {}).get("seeds")
    if not seeds:
        return step
    size = np.asarray(geometry.size)
    index = [np.rint(geometry.to_ijk(np.asarray(seed["ras"]))) for seed in seeds]
    inside = [seed for seed, ijk in zip(seeds, index, strict=True) if np.all(ijk >= 0) and np.all(ijk < size)]
    if not inside:
        raise InputError("No seed lies in the slice shown.", hint="Scroll the slice view to a seed.")
    return {**step, "settings": {**step["settings"], "seeds": inside}}


def _alone(volume: Volume, axis: int, position: int) -> Volume:
    array, grid, _ = slab_around(volume.array, volume.geometry, axis, position, 0)
    return volume.replace(array=array, geometry=grid)


def _grey(array: Array) -> Array:
    return array if array.ndim == 3 else array.mean(axis=3, dtype=np.float32)


def _robust(values: Array) -> tuple[float, float]:
    """Return the 1st and 99th percentile of the finite values; two different numbers in any case."""
    found = _finite(values).reshape(-1)
    if found.size:
        low, high = (float(v) for v in np.percentile(found[:: max(1, found.size // SAMPLE)], (1, 99)))
        if high > low:
            return low, high
    return _extremes(found)


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return how much two ranges share of what they span together."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(0.0, shared) / (max(one[1], other[1]) - min(one[0], other[0]))


def _histograms(before: Array, after: Array, same: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    ranges = [_extremes(before), _extremes(after)]
    if same:
        both = min(r[0] for r in ranges), max(r[1] for r in ranges)
        ranges = [both, both]
    found = []
    for values, (low, high) in zip((before, after), ranges, strict=True):
        counts = np.histogram(_finite(values), bins=BINS, range=(low, high))[0]
        found.append({"counts": [int(n) for n in counts], "low": low, "high": high})
    return found[0], found[1]


def _finite(values: Array) -> Array:
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    return values if values.dtype.kind != "f" else values[np.isfinite(values)]


def _extremes(values: Array) -> tuple[float, float]:
    found = _finite(values)
    low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _picture(
    values: Array,
    window: tuple[float, float],
    plane: Plane,
    labels: Array | None = None,
    segments: Sequence[dict[str, Any]] = (),
) -> npt.NDArray[np.uint8]:
    """Return an RGB picture; voxels that are no number are black."""
    thin = max(1, -(-max(values.shape) // LARGEST_PICTURE))
    small = np.asarray(values[::thin, ::thin], dtype=np.float32)
    low, high = window
    grey = np.nan_to_num(np.clip((small - low) * (255.0 / (high - low)), 0, 255), nan=0.0)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    if labels is not None and labels.any():
        marks = labels[::thin, ::thin]
        colors = np.zeros((1 + max(s["label"] for s in segments), 3), dtype=np.float32)
        for segment in segments:
            colors[segment["label"]] = 255.0 * np.asarray(segment["color"], dtype=np.float32)
        opacity = np.where(_edge(marks), 1.0, FILL).astype(np.float32)
        opacity[marks == 0] = 0.0
        picture += opacity[:, :, None] * (colors[marks] - picture)
    return np.asarray(np.rint(picture), dtype=np.uint8)


def _edge(labels: Array) -> npt.NDArray[np.bool_]:
    """Return the pixels that have another label beside them."""
    edge = np.zeros(labels.shape, dtype=np.bool_)
    for axis in (0, 1):
        differs = np.diff(labels.astype(np.int32), axis=axis) != 0
        ahead = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        behind = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        edge[ahead] |= differs
        edge[behind] |= differs
    return edge
