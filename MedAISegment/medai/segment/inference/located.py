"""Models that were trained on crops: run in given boxes, in boxes that the atlas finds, or everywhere at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from ..models.info import ModelInfo
from .box import predict_box
from .canvas import Canvas
from .facts import model_facts
from .locate import atlas_regions, recentred
from .locator import Found
from .measured import box_domain, needs_repeat
from .network import NetworkSource
from .options import InferenceOptions
from .prepare import FloatImage, model_grid
from .quality import absent_flags, image_flags, segment_flags
from .regions import Box, Region, cut
from .result import Result
from .run import lowest_trust, networks_of

Regions = Literal["atlas", "image"] | tuple[Region, ...] | Found


def run_located(
    model: ModelInfo,
    volume: Volume,
    regions: Regions,
    options: InferenceOptions,
    *,
    recentre: bool,
    largest_component: bool,
    progress: ProgressFn,
    cancel: CancelToken,
) -> Result:
    """Segment with a model whose manifest has a region.

    Class probabilities, not labels, are brought back to the image's grid, so borders stay smooth on other spacings.
    Where two boxes overlap, the later one does not overwrite what the earlier one labelled.

    Parameters
    ----------
    regions : {"atlas", "image"}, tuple of Region, or Found
        Boxes found by registering a template, the whole image, given boxes, or boxes that another model found; of the
        last, sides on which nothing was found get empty segments with the flag ``FOV_ORGAN_ABSENT``.
    recentre : bool
        Run each box that was found a second time, centred on what the first run found.
    largest_component : bool
        Keep the largest connected part of each box only.

    Raises
    ------
    InputError
        If a region lies outside the image or holds no structure of the image.
    """
    volume.require_scalar("This model")
    began = time.monotonic()
    progress(0.0, "loading the model")
    sources = networks_of(model, options)
    flags = list(image_flags(volume, model.manifest, cancel))
    info: dict[str, Any] = {"model": model_facts(model)}
    if isinstance(regions, Found):
        flags += regions.flags
        info["locator"] = regions.facts
    boxes = _boxes(model, volume, regions, info, sub_progress(progress, 0.02, 0.5), cancel)
    grid = model_grid(volume.geometry, model.manifest.prepare)
    canvas = Canvas(volume.geometry, model.manifest)
    info["regions"] = []
    for index, region in enumerate(boxes):
        part = sub_progress(progress, 0.5 + 0.5 * index / len(boxes), 0.5 + 0.5 * (index + 1) / len(boxes))
        started = time.monotonic()
        work = _Work(model, volume, grid, sources, options, part, cancel)
        again = region is not None and recentre and (regions == "atlas" or isinstance(regions, Found))
        box, scores, maps, ran = work.run(region, 0.0, 0.4 if again else 0.7)
        if region is not None and again:
            moved = recentred(region, scores, box, model.manifest)
            if moved is not None:
                region = moved
                box, scores, maps, ran = work.run(moved, 0.4, 0.7)
        if largest_component:
            scores = _keep_largest(scores)
        facts = canvas.add(box, scores, maps)
        if model.manifest.domain:
            shifted = work.repeat(region, box, largest_component) if needs_repeat(model.manifest) else None
            facts["domain"], judged = box_domain(facts, np.argmax(scores, axis=0), box.grid, shifted, model.manifest)
            flags += judged
        part(1.0, "done")
        info["regions"].append({**facts, "seconds": round(time.monotonic() - started, 3)})
        info |= {"device": ran["device"], "inference": ran}
        flags += [QCFlag.from_dict(flag) for flag in ran["fallbacks"]]
        flags += segment_flags(facts, box, scores, model.manifest)
    if isinstance(regions, Found):
        flags += absent_flags([name for side in regions.missing for name in canvas.expect(side)])
    info["trust"] = lowest_trust(info["regions"])
    info["seconds_total"] = round(time.monotonic() - began, 3)
    labels = LabelMap(canvas.labels, volume.geometry, tuple(canvas.segments), tuple(dict.fromkeys(flags)), info)
    found = {
        name: Volume(array, volume.geometry, name=f"{volume.name} {name}".strip())
        for name, array in sorted(canvas.maps.items())
    }
    return Result(labels, found, info)


def _boxes(
    model: ModelInfo, volume: Volume, regions: Regions, info: dict[str, Any], progress: ProgressFn, cancel: CancelToken
) -> Sequence[Region | None]:
    if regions == "image":
        return [None]
    if isinstance(regions, Found):
        return regions.regions
    if regions == "atlas":
        return atlas_regions(volume, model.manifest, info, progress=progress, cancel=cancel)
    return regions


class _Work:
    """What stays the same from box to box."""

    def __init__(
        self, model: ModelInfo, volume: Volume, grid: Geometry, sources: Sequence[NetworkSource],
        options: InferenceOptions, progress: ProgressFn, cancel: CancelToken,
    ) -> None:  # fmt: skip
        self.manifest, self.volume, self.grid, self.sources = model.manifest, volume, grid, sources
        self.options, self.progress, self.cancel = options, progress, cancel

    def run(
        self, region: Region | None, start: float, stop: float
    ) -> tuple[Box, FloatImage, dict[str, FloatImage], dict[str, Any]]:
        """Run one box; ``start`` and ``stop`` are its share of the progress."""
        self.cancel.check()
        box = cut(self.volume, self.grid, region, self.manifest.prepare)
        letters = self.manifest.prepare.orientation
        axis = next(2 - column for column, letter in enumerate(letters) if letter in "LR")
        scores, maps, facts = predict_box(
            box.image[None], self.sources, self.manifest, self.options,
            mirror_axis=axis if self.manifest.description.mirrors(box.side) else None,
            progress=sub_progress(self.progress, start, stop), cancel=self.cancel,
        )  # fmt: skip
        scores[0][~box.inside] = 1.0
        scores[1:, ~box.inside] = 0.0
        return box, scores, maps, facts

    def repeat(self, region: Region | None, box: Box, largest_component: bool) -> tuple[Any, Geometry]:
        """Run a box again, shifted as the manifest says; returns its classes (K, J, I) and its grid."""
        hint = self.manifest.region
        shift = np.asarray(hint.repeat_shift_mm if hint is not None else (0.0, 0.0, 0.0))
        if self.manifest.description.mirrors(box.side):
            shift = shift * (-1.0, 1.0, 1.0)
        if region is None:
            size = [0.0, 0.0, 0.0]
            for column, (axis, _) in enumerate(box.grid.axis_map):
                size[axis] = box.grid.size[column] * box.grid.spacing[column]
            r, a, s = (float(v) for v in box.grid.centre)
            region = Region(side=box.side, centre_ras=(r, a, s), size_mm=(size[0], size[1], size[2]))
        r, a, s = (float(v) for v in np.asarray(region.centre_ras) + shift)
        other, scores, _, _ = self.run(region.model_copy(update={"centre_ras": (r, a, s)}), 0.7, 1.0)
        if largest_component:
            scores = _keep_largest(scores)
        return np.argmax(scores, axis=0), other.grid


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
