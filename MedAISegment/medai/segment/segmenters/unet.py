"""U-Net segmentation with a model from the store, in given regions, in regions found by the atlas, or everywhere."""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import Code, LabelMap, Segment
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..inference.locate import atlas_regions, recentred
from ..inference.prepare import FloatImage, model_grid
from ..inference.quality import image_flags, segment_flags
from ..inference.regions import Box, Region, cut, paste
from ..inference.window import choose_device, predict
from ..manifest import Manifest, Side
from ..models import ModelInfo, ModelStore, load_network
from ._base import Segmenter

SIDES: dict[Side, Code] = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}


class UNetSettings(Settings):
    """Which model, where, and on what."""

    model: str = Field("hippocampus", min_length=1, title="Model", description="Id of a model, or a model's folder.")
    regions: Literal["atlas", "image"] | tuple[Region, ...] = Field(
        "atlas", title="Regions", description="'atlas' finds both sides in a whole head; 'image' takes all; or boxes."
    )
    recentre: bool = Field(
        True, title="Recentre", description="Run atlas regions a second time, centred on what the first run found."
    )
    largest_component: bool = Field(
        True, title="Largest component", description="Keep the largest connected part of each region only."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", title="Device", description="Where the network runs.")


class UNet(Segmenter):
    """A U-Net over boxes: orientation and spacing to the model and back, Gaussian-weighted windows, arg-max.

    Class probabilities, not labels, are brought back to the image's grid, so borders stay smooth on other spacings.
    Where two boxes overlap, the later one does not overwrite what the earlier one labelled.
    """

    name = "unet"
    title = "U-Net"
    group = "Model"
    weight = 20.0
    requires = ("torch", "monai", "safetensors")
    Settings = UNetSettings

    def apply(self, value: Volume, settings: UNetSettings, *, progress: ProgressFn, cancel: CancelToken) -> LabelMap:
        """Segment a scalar volume.

        Raises
        ------
        ModelError
            If the model is missing or its files do not fit its manifest.
        InputError
            If a region lies outside the image or holds no structure of the image.
        DeviceError
            If the device is missing or has too little memory.
        """
        value.require_scalar(self.title)
        if settings.regions != "image" and settings.regions != "atlas" and not settings.regions:
            raise InputError("The list of regions is empty.", hint="Give at least one region, 'atlas' or 'image'.")
        progress(0.0, "loading the model")
        model = ModelStore().find(settings.model)
        device = choose_device(settings.device)
        network = load_network(model)
        cancel.check()
        flags = list(image_flags(value, model.manifest))
        info: dict[str, Any] = {"model": model_facts(model), "device": device}
        regions = _regions(value, settings, model.manifest, info, sub_progress(progress, 0.02, 0.5), cancel)
        grid = model_grid(value.geometry, model.manifest.prepare)
        canvas = _Canvas(value.geometry, model.manifest)
        info["regions"] = []
        for index, region in enumerate(regions):
            part = sub_progress(progress, 0.5 + 0.5 * index / len(regions), 0.5 + 0.5 * (index + 1) / len(regions))
            started = time.monotonic()
            box, scores = _run(network, value, grid, region, model.manifest, device, part, cancel)
            again = region is not None and settings.regions == "atlas" and settings.recentre
            if again and region is not None:
                moved = recentred(region, scores, box, model.manifest)
                if moved is not None:
                    box, scores = _run(network, value, grid, moved, model.manifest, device, part, cancel)
            if settings.largest_component:
                scores = _keep_largest(scores)
            facts = canvas.add(box, scores)
            info["regions"].append({**facts, "seconds": round(time.monotonic() - started, 3)})
            flags += segment_flags(facts, box, scores, model.manifest)
        return LabelMap(canvas.labels, value.geometry, tuple(canvas.segments), tuple(_unique(flags)), info)


def model_facts(model: ModelInfo) -> dict[str, Any]:
    """Return what provenance and the report must say about a model, JSON-ready."""
    m = model.manifest
    return {
        "id": m.id,
        "version": m.version,
        "title": m.description.title,
        "sha256": m.weights_sha256,
        "licence": m.description.licence,
        "intended_use": m.description.intended_use,
        "training_data": m.description.training_data,
        "citation": m.description.citation,
        "limits": list(m.description.limits),
        "metrics": dict(m.metrics),
    }


def _regions(
    value: Volume,
    settings: UNetSettings,
    manifest: Manifest,
    info: dict[str, Any],
    progress: ProgressFn,
    cancel: CancelToken,
) -> list[Region | None]:
    if settings.regions == "image":
        return [None]
    if settings.regions == "atlas":
        return list(atlas_regions(value, manifest, info, progress=progress, cancel=cancel))
    return list(settings.regions)


def _run(
    network: Any, value: Volume, grid: Geometry, region: Region | None, manifest: Manifest, device: str,
    progress: ProgressFn, cancel: CancelToken,
) -> tuple[Box, FloatImage]:  # fmt: skip
    cancel.check()
    box = cut(value, grid, region, manifest.prepare)
    axis = next(2 - column for column, letter in enumerate(manifest.prepare.orientation) if letter in "LR")
    mirror_axis = axis if manifest.description.mirrors(box.side) else None
    scores = predict(
        network, box.image, manifest.window, mirror_axis=mirror_axis, device=device, progress=progress, cancel=cancel
    )
    scores[0][~box.inside] = 1.0
    scores[1:, ~box.inside] = 0.0
    return box, scores


def _keep_largest(scores: FloatImage) -> FloatImage:
    from scipy import ndimage

    foreground = np.argmax(scores, axis=0) > 0
    parts, count = ndimage.label(foreground, np.ones((3, 3, 3), dtype=bool))
    if count < 2:
        return scores
    sizes = np.bincount(parts.reshape(-1))[1:]
    drop = foreground & (parts != 1 + int(np.argmax(sizes)))
    scores = scores.copy()
    scores[0][drop] = 1.0
    scores[1:, drop] = 0.0
    return scores


class _Canvas:
    """The labels on the image's grid, and the segments that regions add to it."""

    def __init__(self, geometry: Geometry, manifest: Manifest) -> None:
        self.geometry = geometry
        self.manifest = manifest
        self.labels: npt.NDArray[np.uint16] = np.zeros(geometry.shape, dtype=np.uint16)
        self.segments: list[Segment] = []

    def add(self, box: Box, scores: FloatImage) -> dict[str, Any]:
        """Put one region's arg-max onto the grid; returns facts about it, JSON-ready."""
        classes, where = paste(scores, box.grid, self.geometry)
        found = np.argmax(scores, axis=0)
        part = self.labels[where]
        voxel_ml = self.geometry.voxel_volume_mm3 / 1000
        facts: dict[str, Any] = {"side": box.side, "labels": {}, "grid": box.grid.to_dict()}
        for index, entry in enumerate(self.manifest.labels, start=1):
            segment = self._segment(entry.label, box.side)
            new = (classes == index) & (part == 0)
            part[new] = segment.label
            probability = scores[index][found == index]
            facts["labels"][segment.name] = {
                "volume_ml": float(np.count_nonzero(new) * voxel_ml),
                "mean_probability": float(probability.mean()) if probability.size else None,
                "model_label": entry.name,
            }
        return facts

    def _segment(self, label: int, side: Side) -> Segment:
        entry = next(e for e in self.manifest.labels if e.label == label).to_segment()
        numbers = {"": label, "left": label, "right": label + max(e.label for e in self.manifest.labels)}
        name = f"{side.capitalize()} {entry.name[0].lower()}{entry.name[1:]}" if side else entry.name
        wanted = Segment(
            numbers[side],
            name,
            entry.color if side != "right" else _deeper(entry.color),
            entry.category,
            entry.type,
            SIDES.get(side),
        )
        existing = next((s for s in self.segments if s.name == name), None)
        if existing is not None:
            return existing
        if any(s.label == wanted.label for s in self.segments):
            raise InputError(
                "Regions with and without a side cannot be mixed.", hint="Give every region a side, or none."
            )
        self.segments.append(wanted)
        return wanted


def _deeper(color: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the same hue, darker: the right side's colour."""
    r, g, b = (round(0.72 * c, 3) for c in color)
    return r, g, b


def _unique(flags: list[QCFlag]) -> list[QCFlag]:
    return list(dict.fromkeys(flags))
