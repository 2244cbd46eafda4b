"""Detecting in an image: prepare, look window by window, bring boxes back, add masks."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from medai.core.errors import DependencyError, DeviceError, ModelError
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..inference.prepared import prepare
from .flags import border_flags, image_flags
from .frames import boxes_between, clipped, kji
from .manifest import MANIFEST, SelectEntry
from .masks import add_masks
from .model import DetectorModel, Networks, find_detector, load_networks
from .network import build_detector
from .plane.model import detector_kind
from .plane.service import detect as detect_in_slices
from .plane.settings import KIND
from .result import Detection, Detections
from .windows import Found, find_boxes


class DetectSettings(Settings):
    """What to detect with, and what to keep."""

    model: str = Field("nodule-synthetic", min_length=1, description="A shipped detector's id, or a folder.")
    score: float | None = Field(None, ge=0, le=1, description="Smallest score that is kept; None: as the model says.")
    masks: bool = Field(True, description="Run the second stage, if the model has one.")
    device: Literal["", "cpu", "cuda"] = Field("", description="Empty: CUDA if there is one, else the CPU.")


def detect(
    volume: Volume,
    settings: DetectSettings | dict[str, Any] | None = None,
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Detections:
    """Find things in an image.

    The result does not depend on how the image is stored (order and directions of its axes), up to rounding.

    Parameters
    ----------
    volume : Volume
        Scalar; never changed.
    settings : DetectSettings or dict
    progress, cancel
        Told and asked for every few windows and for every mask.

    Returns
    -------
    Detections
        Empty if nothing reaches the score.

    Raises
    ------
    InputError
        If voxels are NaN or infinite, or the image has several components.
    ModelError, ManifestError, ChecksumError
        If the detector cannot be used.
    DependencyError
        If PyTorch or MONAI is missing.
    """
    chosen = DetectSettings.parse(settings, where="detect")
    folder = Path(chosen.model)
    if (folder / MANIFEST).is_file() and detector_kind(folder) == KIND:
        # Slices of a 2D detector; its own settings have defaults for what is not chosen here.
        return detect_in_slices(volume, chosen.to_dict(), progress=progress, cancel=cancel)
    return run_detector(find_detector(chosen.model), volume, chosen, progress=progress, cancel=cancel)


def run_detector(
    model: DetectorModel,
    volume: Volume,
    settings: DetectSettings | None = None,
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Detections:
    """Find things with a detector that was found already; see :func:`detect`."""
    chosen, token = settings or DetectSettings(), cancel or CancelToken()
    manifest = model.manifest
    volume.require_scalar("This detector")
    token.check()
    started = time.monotonic()
    progress(0.0, "loading the detector")
    networks = _networks(model)
    device = _device(chosen.device)
    flags = image_flags(volume, manifest, token)
    prepared = prepare(volume, manifest.prepare, progress=sub_progress(progress, 0.02, 0.1), cancel=token)
    score = manifest.select.shown if chosen.score is None else chosen.score
    select = manifest.select.model_copy(update={"score": min(score, manifest.select.score)})
    levels = manifest.network.settings.levels
    detector = build_detector(networks.boxes.to(device), manifest.anchors, levels, select).eval()
    part = sub_progress(progress, 0.1, 0.8 if chosen.masks else 1.0)
    found = find_boxes(prepared.array, detector, manifest.window, select, device=device, progress=part, cancel=token)
    boxes = boxes_between(kji(found.boxes), prepared.grid, volume.geometry)
    items = _items(boxes, found, volume, model, score)
    flags += border_flags(items, volume.geometry)
    meta = {**facts(model, select, score), "windows": found.windows, "device": device}
    result = Detections(items, volume.geometry, tuple(flags), None, meta, volume.name)
    if chosen.masks and networks.masks is not None:
        part = sub_progress(progress, 0.8, 1.0)
        result = with_masks(model, volume, result, device=device, progress=part, cancel=token)
    meta["seconds"] = round(time.monotonic() - started, 3)
    progress(1.0, f"{len(items)} found")
    return dataclasses.replace(result, meta=meta)


def with_masks(
    model: DetectorModel,
    volume: Volume,
    found: Detections,
    *,
    device: str = "cpu",
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Detections:
    """Run the second stage on findings in an image.

    Raises
    ------
    ModelError
        If the detector has none.
    """
    network = _networks(model).masks
    if network is None:
        raise ModelError(f"The detector {model.id!r} makes no masks.")
    items, masks = add_masks(
        volume, found.items, network.to(device), model.manifest, device=device, progress=progress,
        cancel=cancel or CancelToken(),
    )  # fmt: skip
    masks = masks.replace(flags=found.flags, meta=dict(found.meta))
    return dataclasses.replace(found, items=items, masks=masks)


def facts(model: DetectorModel, select: SelectEntry, score: float) -> dict[str, Any]:
    """Return what provenance must say about a detector, JSON-ready."""
    m = model.manifest
    return {
        "model": {
            "id": m.id,
            "version": m.version,
            "title": m.description.title,
            "sha256": m.weights.sha256,
            "licence": m.description.licence,
            "intended_use": m.description.intended_use,
            "limits": list(m.description.limits),
            "training_data": m.description.training_data,
        },
        "score": score,
        "select": select.to_dict(),
    }


def _items(boxes: Any, found: Found, volume: Volume, model: DetectorModel, score: float) -> tuple[Detection, ...]:
    """Make findings of boxes along I, J, K; what lies in the padding outside the image is left out."""
    inside, kept = clipped(boxes, volume.geometry.size, visible=0.1)
    inside_kept = zip(inside, found.scores[kept], found.classes[kept], strict=True)
    return tuple(
        Detection.of(
            volume.geometry, row[:3], row[3:], float(np.clip(value, 0, 1)), label=int(kind) + 1,
            name=model.manifest.labels[int(kind)].name,
        )
        for row, value, kind in inside_kept
        if value >= score and (row[3:] > row[:3]).all()
    )  # fmt: skip


def _networks(model: DetectorModel) -> Networks:
    try:
        return load_networks(model)
    except ImportError as error:
        raise DependencyError(
            f"Detecting needs PyTorch and MONAI, and {error.name or 'a part of them'} is missing.",
            hint="Install the extra 'models' of medai-extension.",
        ) from None


def _device(wanted: str) -> str:
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise DeviceError("There is no CUDA device.", hint="Choose the CPU.")
    return wanted or ("cuda" if there else "cpu")
