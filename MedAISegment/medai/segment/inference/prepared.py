"""From an image to the array that a network reads: orientation, box, values, voxels, in the order the model says.

Whatever way the image is stored (any of 48 axis orders and directions), the numbers are the same: everything that
adds up values or samples them works on slabs in the model's orientation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medai.core.errors import InputError, OutOfMemory, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.volume import Volume

from ..slabs import for_slabs
from .axis_weights import Sampler
from .body_box import Bounds, body_box
from .normalising import Chain, Changes, apply_all, is_measured
from .onehot import Placement, with_labels
from .overshoot import clipper
from .prepare import ChannelEntry, FloatImage, Normalise, PrepareSettings
from .sampling import Axes, require_size, resample, sample_axes, sampled_grid, slab_of
from .source import Mask, Source

__all__ = ["Prepared", "prepare", "with_labels"]

LARGEST = 1e15
"""Networks read 32 bits; squares of larger values, and sums of them, do not fit."""


@dataclass(frozen=True)
class Prepared:
    """What a network reads.

    Parameters
    ----------
    array : array of float32, shape (C, K, J, I)
        C-contiguous.
    grid : Geometry
        Where the voxels lie; its axes are parallel to the image's.
    placement : Placement, optional
        How the image's voxels came there, for the labels of a previous stage.
    """

    array: FloatImage
    grid: Geometry
    placement: Placement | None = None


def prepare(
    volume: Volume,
    settings: PrepareSettings,
    *,
    crop_body: bool = False,
    keep_mask: bool = False,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Prepared:
    """Turn an image into a network's input.

    Parameters
    ----------
    volume : Volume
        Never changed; its components are the channels.
    settings : PrepareSettings
        Of the model.
    crop_body : bool
        Keep only the voxels in the box around the body, for CT.  The voxels kept lie where they would lie without it
        and have the same values, whatever is measured in the image.
    keep_mask : bool
        With ``crop="nonzero"``: keep nnU-Net's mask of what is not 0 in the placement.  nnU-Net takes the outside as a
        label of its own when it resamples a previous stage's labels (``with_labels``).

    Returns
    -------
    Prepared

    Raises
    ------
    InputError
        If the number of channels does not fit the model, voxels are NaN or infinite, every voxel has the same value
        and the model measures values in the image, or the result would be too large.
    OutOfMemory
        If there is too little memory for the result.
    """
    token = cancel or CancelToken()
    source = Source.of(volume, settings.orientation)
    chains = _chains(source, settings)
    body = _body(source, volume, settings, crop_body)
    progress(0.0, "Preparing")
    if settings.crop == "nonzero":
        box = source.nonzero_box(token)
        if box is None:
            raise InputError("Every voxel of the image is 0.", hint="Check that the image is the right one.")
        source = source.crop(box)
        if body is not None:
            k, j, i = ((low - s.start, high - s.start) for (low, high), s in zip(body, box, strict=True))
            body = (k, j, i)
    ranges = [source.value_range(channel, token) for channel in range(len(chains))]
    largest = max(abs(value) for pair in ranges for value in pair)
    if largest > LARGEST:
        raise InputError(
            f"The model takes values up to {LARGEST:g}, the image holds {largest:.3g}.", hint="Scale the image first."
        )
    measured = any(is_measured(step) for chain in chains for step in chain)
    if measured and all(low == high for low, high in ranges):
        raise InputError(
            f"Every voxel of the image has the same value, {ranges[0][0]:g}; the model needs contrast to scale by.",
            hint="Check that the image is the right one and is not empty.",
        )
    progress(0.05, "Preparing")
    axes = sample_axes(source.shape, source.grid.spacing_kji, settings)
    whole = axes
    if body is not None:
        axes = _inside(axes, body)
    first = settings.normalise_first
    # What is measured after resampling is measured everywhere, so that a crop to the body changes no value.
    late_crop = not first and measured and body is not None
    made = whole if late_crop else axes
    require_size(made, len(chains))
    filled = None
    if (keep_mask and settings.crop == "nonzero") or (first and _uses_filled(chains)):
        filled = source.filled_mask(token)
    try:
        array = np.empty((len(chains), *(axis.count for axis in made)), dtype=np.float32)
        for channel, chain in enumerate(chains):
            part = sub_progress(progress, 0.05 + 0.9 * channel / len(chains), 0.05 + 0.9 * (channel + 1) / len(chains))
            changes: Changes = ()
            if first:
                changes = _resolved(source, channel, chain, filled, settings, token)
            _sample(source, channel, changes, filled, made, ranges[channel], array[channel], settings, part, token)
        if not first:
            _normalise_after(array, chains, settings, token)
        if late_crop:
            array = np.ascontiguousarray(array[(slice(None), *_where(whole, axes))])
        if settings.crop == "positive":
            array, axes = _positive(array, axes, token)
    except MemoryError:
        raise OutOfMemory(
            f"There is too little memory for the prepared image of {made[2].count} x {made[1].count} x "
            f"{made[0].count} voxels and {len(chains)} channels.",
            hint="Close other programs, or segment a smaller region.",
        ) from None
    progress(1.0, "Prepared")
    placement = Placement(source.grid, settings.orientation, axes, filled if keep_mask else None)
    return Prepared(array, sampled_grid(source.grid, axes), placement)


def _chains(source: Source, settings: PrepareSettings) -> list[tuple[Normalise, ...]]:
    """Return the steps of each channel; refuse another number of channels than the model's."""
    channels = settings.channels or (ChannelEntry(name="", normalise=_usual(settings)),)
    if len(channels) != len(source.channels):
        names = ", ".join(entry.name for entry in channels if entry.name)
        given, wanted = len(source.channels), len(channels)
        raise UnsupportedInput(
            f"The model reads {wanted} channel{'s' if wanted > 1 else ''}{f' ({names})' if names else ''}, the image "
            f"has {given}.",
            hint="Give one image for each channel, in the model's order."
            if wanted > 1
            else "Give a scalar image, or choose one channel.",
        )
    return [entry.normalise for entry in channels]


def _usual(settings: PrepareSettings) -> tuple[Normalise, ...]:
    """Return what :func:`~medai.segment.inference.prepare.normalise` does, as steps."""
    low, high = settings.percentiles
    return Normalise(method="clip_percentiles", low=low, high=high), Normalise(method="zscore")


def _body(source: Source, volume: Volume, settings: PrepareSettings, crop_body: bool) -> Bounds | None:
    if not (crop_body or settings.crop == "body") or len(source.channels) != 1:
        return None
    return body_box(source.channels[0], source.grid, volume.modality)


def _inside(axes: Axes, body: Bounds) -> Axes:
    """Return the samples that lie in a box of voxels; at least one."""
    parts = []
    for axis, (low, high) in zip(axes, body, strict=True):
        start = int(np.searchsorted(axis.positions, low - 0.5))
        stop = int(np.searchsorted(axis.positions, high - 0.5))
        start = min(start, axis.count - 1)
        parts.append(axis.part(start, max(stop, start + 1)))
    return parts[0], parts[1], parts[2]


def _where(whole: Axes, axes: Axes) -> tuple[slice, ...]:
    starts = [round((part.first - axis.first) / axis.step) for axis, part in zip(whole, axes, strict=True)]
    return tuple(slice(start, start + part.count) for start, part in zip(starts, axes, strict=True))


def _positive(array: FloatImage, axes: Axes, cancel: CancelToken) -> tuple[FloatImage, Axes]:
    """Cut out the box around the values above 0 in any channel; all of it if there are none."""
    bounds = []
    for axis in range(3):
        cancel.check()
        others = tuple(n for n in range(4) if n != axis + 1)
        found = np.flatnonzero(array.max(axis=others) > 0)
        bounds.append((int(found[0]), int(found[-1]) + 1) if found.size else (0, array.shape[axis + 1]))
    k, j, i = (axis.part(start, stop) for axis, (start, stop) in zip(axes, bounds, strict=True))
    return np.ascontiguousarray(array[(slice(None), *(slice(*pair) for pair in bounds))]), (k, j, i)


def _uses_filled(chains: list[tuple[Normalise, ...]]) -> bool:
    return any(step.over == "filled" for chain in chains for step in chain)


def _resolved(
    source: Source,
    channel: int,
    chain: tuple[Normalise, ...],
    filled: Mask | None,
    settings: PrepareSettings,
    cancel: CancelToken,
) -> Changes:
    name = settings.channels[channel].name if settings.channels else ""
    finder = Chain(source.load(channel), source.shape, filled, name, cancel, strict=not settings.channels)
    return finder.resolve(chain)


def _sample(
    source: Source,
    channel: int,
    changes: Changes,
    filled: Mask | None,
    axes: Axes,
    limits: tuple[float, float],
    out: FloatImage,
    settings: PrepareSettings,
    progress: ProgressFn,
    cancel: CancelToken,
) -> None:
    """Change a channel's values, then sample them, slab by slab."""
    samplers = Sampler(axes[0]), Sampler(axes[1]), Sampler(axes[2])
    needed = tuple(slice(sampler.low, sampler.high) for sampler in samplers)
    part = Source([source.channels[channel][needed]], source.grid)
    mask = filled[needed] if filled is not None else None
    read = part.load(0)

    def load(start: int, stop: int) -> FloatImage:
        return apply_all(changes, read(start, stop), mask[start:stop] if mask is not None else None)

    change = None
    if settings.interpolate == "cubic" and settings.grid == "edges" and any(a.kind != "same" for a in axes):
        change = clipper(source, channel, changes, filled, axes, limits, settings, cancel)
    resample(load, samplers, out, change=change, progress=progress, cancel=cancel)


def _normalise_after(
    array: FloatImage, chains: list[tuple[Normalise, ...]], settings: PrepareSettings, cancel: CancelToken
) -> None:
    """Measure and change the values of sampled channels in place."""
    shape = (array.shape[1], array.shape[2], array.shape[3])
    grid = Geometry.from_spacing(shape)
    filled = Source(list(array), grid).filled_mask(cancel) if _uses_filled(chains) else None
    source = Source(list(array), grid)
    resolved = [_resolved(source, n, chain, filled, settings, cancel) for n, chain in enumerate(chains)]
    for values, changes in zip(array, resolved, strict=True):

        def part(start: int, stop: int, values: FloatImage = values, changes: Changes = changes) -> None:
            apply_all(changes, values[start:stop], filled[start:stop] if filled is not None else None)

        for_slabs(shape[0], part, slab=slab_of(shape), progress=no_progress, cancel=cancel)
