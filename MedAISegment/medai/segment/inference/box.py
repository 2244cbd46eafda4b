"""One small region through a model: all class probabilities at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import ModelError, OutOfMemory
from medai.core.progress import CancelToken, ProgressFn, rising

from ..manifest import Manifest
from .fallback import Attempt, attempts
from .network import NetworkSource
from .options import InferenceOptions
from .prepare import FloatImage
from .stream import WindowRun

if TYPE_CHECKING:
    import torch


def predict_box(
    array: npt.NDArray[np.float32],
    sources: Sequence[NetworkSource],
    manifest: Manifest,
    options: InferenceOptions,
    *,
    mirror_axis: int | None,
    progress: ProgressFn,
    cancel: CancelToken,
) -> tuple[FloatImage, dict[str, FloatImage], dict[str, Any]]:
    """Return class probabilities of a region that is small enough to hold all of them.

    Parameters
    ----------
    array : array of float32, shape (C, K, J, I)
        Prepared; padded with 0 up to the window.
    sources : sequence of NetworkSource
        Members of the ensemble.
    mirror_axis : int, optional
        Axis of the image (K, J, I = 0, 1, 2) to flip before the network; the result is flipped back.  For models that
        know one side of the body only.

    Returns
    -------
    probabilities : array of float32, shape (classes, K, J, I)
        After the manifest's activation.
    maps : dict of str to array of float32, shape (K, J, I)
        ``entropy`` of the probabilities (0 to 1), and those of the slabs, if the options ask for uncertainty.
    facts : dict
        Those of :class:`~medai.segment.inference.stream.WindowRun`; ``fallbacks`` lists the flags of smaller windows
        or another device, if memory was short.

    Raises
    ------
    OutOfMemory
        If nothing that was tried had enough memory.
    ModelError
        If a score is NaN or infinite.
    """
    values = np.ascontiguousarray(array if mirror_axis is None else np.flip(array, mirror_axis + 1))
    fallbacks: list[dict[str, Any]] = []
    progress = rising(progress)  # another attempt begins anew
    for attempt in attempts(manifest, options, (array.shape[1], array.shape[2], array.shape[3])):
        if attempt.flag is not None:
            fallbacks = [attempt.flag.to_dict()]
        try:
            scores, maps, facts = _try(values, sources, attempt, progress, cancel)
        except (OutOfMemory, MemoryError):
            continue
        break
    if options.uncertainty != "none":
        maps["entropy"] = entropy_of(scores)
    if mirror_axis is not None:
        scores = np.ascontiguousarray(np.flip(scores, mirror_axis + 1))
        maps = {name: np.ascontiguousarray(np.flip(found, mirror_axis)) for name, found in maps.items()}
    return scores, maps, {**facts, "fallbacks": fallbacks}


def _try(
    values: npt.NDArray[np.float32],
    sources: Sequence[NetworkSource],
    attempt: Attempt,
    progress: ProgressFn,
    cancel: CancelToken,
) -> tuple[FloatImage, dict[str, FloatImage], dict[str, Any]]:
    """Run once.  A function of its own: nothing of a failed attempt holds memory while the next one runs."""
    manifest, shape = attempt.manifest, values.shape[1:]
    run = WindowRun(values, sources, manifest, attempt.options, progress=progress, cancel=cancel)
    scores: FloatImage = np.empty((manifest.classes, *shape), dtype=np.float32)
    maps: dict[str, FloatImage] = {}
    for slab in run:
        part = _activate(slab.scores, manifest.inference.activation)
        rows = slice(slab.start, slab.start + part.shape[1])
        scores[:, rows] = part.numpy()
        if not np.isfinite(scores[:, rows]).all():
            raise ModelError(
                "The network's output holds NaN or infinite scores.",
                hint="Run it with precision 'f32'; if that does not help, its weights are damaged.",
            )
        for name, values_there in slab.maps.items():
            maps.setdefault(name, np.empty(shape, dtype=np.float32))[rows] = values_there.numpy()
    return scores, maps, run.facts


def entropy_of(probabilities: FloatImage) -> FloatImage:
    """Return the entropy over the classes (axis 0), divided by its largest value, ln(number of classes)."""
    tiny = np.finfo(np.float32).tiny
    nats = -(probabilities * np.log(np.maximum(probabilities, tiny))).sum(axis=0)
    return np.asarray(nats / np.log(len(probabilities)), dtype=np.float32)


def _activate(scores: torch.Tensor, activation: str) -> torch.Tensor:
    import torch

    if activation == "softmax":
        return torch.softmax(scores, dim=0)
    return torch.sigmoid(scores) if activation == "sigmoid" else scores
