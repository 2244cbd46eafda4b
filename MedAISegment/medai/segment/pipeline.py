"""A pipeline is a list of (step name, settings): filters, segmenters and label operations, in the order they run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.registry import Registry
from medai.core.resample import resample_labels
from medai.core.settings import Settings
from medai.core.volume import Volume

from .merge import Merge, merged
from .postprocess import POSTPROCESS, Post
from .preprocess import PREPROCESS, Filter
from .segmenters import SEGMENTERS, Segmenter

Result = Literal["labels", "image", "any"]
REGISTRIES: tuple[Registry[Any], ...] = (PREPROCESS, SEGMENTERS, POSTPROCESS)


class PipelineStep(Settings):
    """One step's name and its settings."""

    step: str = Field(min_length=1, max_length=64, description="Name of a filter, segmenter or label operation.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Its settings; defaults for keys not given.")
    enabled: bool = Field(True, description="False: the step is kept and checked, but does not run.")
    merge: Merge = Field(
        "replace",
        description="Of a segmenter: drop the segments so far, lay the new ones over them, or only where none is.",
    )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; ``enabled`` and ``merge`` only where they are not the default."""
        values = super().to_dict()
        for key, default in (("enabled", True), ("merge", "replace")):
            if values[key] == default:
                del values[key]
        return values


class Pipeline(Settings):
    """Steps in their order."""

    steps: tuple[PipelineStep, ...] = Field(min_length=1, max_length=100)


@dataclass(frozen=True)
class PipelineResult:
    """What a pipeline gave.

    Parameters
    ----------
    image : Volume
        The image after the last filter; its grid differs from the input's if a filter changed it.
    labels : LabelMap or None
        The segments on the input's grid; None if nothing was segmented.
    """

    image: Volume
    labels: LabelMap | None


def all_steps() -> Iterator[type[Filter] | type[Segmenter] | type[Post]]:
    """Every filter, segmenter and label operation, whether it can run here or not."""
    for registry in REGISTRIES:
        yield from registry.classes()


def find_step(name: str) -> type[Filter] | type[Segmenter] | type[Post]:
    """Return the step called ``name``.

    Raises
    ------
    SettingsError
        If there is none of that name.
    DependencyError
        If it exists but cannot run here.
    """
    for registry in REGISTRIES:
        if name in {cls.name for cls in registry.classes()} or name in {u.name for u in registry.unavailable()}:
            found: type[Filter] | type[Segmenter] | type[Post] = registry.get(name)
            return found
    known = sorted(cls.name for cls in all_steps())
    near = [other for other in known if name[:4] and other.startswith(name[:4])]
    raise SettingsError(
        f"There is no step called {name!r}.", hint=f"Known: {', '.join(near or known)}; 'medai steps' lists them all."
    )


def parse_pipeline(
    pipeline: Any, *, where: str = "pipeline", result: Result = "labels", has_labels: bool = False
) -> Pipeline:
    """Check a pipeline before anything runs: names, order, and every step's settings.

    Parameters
    ----------
    pipeline : Pipeline, list of dict
        ``[{"step": "median", "settings": {"radius": 1}}, {"step": "threshold"}, {"step": "fill_holes"}]``.
    result : {"labels", "image", "any"}
        What it must give: ``labels`` needs a segmenter (or labels to start from), ``image`` refuses everything but
        filters.
    has_labels : bool
        True if it will be given labels to start from.

    Returns
    -------
    Pipeline
        With every default filled in.

    Raises
    ------
    SettingsError
        With the path of the first thing that does not fit.
    DependencyError
        If a step's package is missing.
    """
    if isinstance(pipeline, dict) and "pipeline" in pipeline:
        pipeline = pipeline["pipeline"]  # a recipe's or a protocol's file
    parsed = pipeline if isinstance(pipeline, Pipeline) else _parsed(pipeline, where)
    steps = []
    labelled = has_labels
    for index, item in enumerate(parsed.steps):
        path = f"{where}[{index}]"
        try:
            member = find_step(item.step)
        except SettingsError as error:
            raise SettingsError(f"{path}.step: {error.message}", hint=error.hint) from None
        if result == "image" and not issubclass(member, Filter):
            raise SettingsError(f"{path}.step: {item.step!r} gives segments; only filters are possible here.")
        if item.merge != "replace" and not issubclass(member, Segmenter):
            raise SettingsError(f"{path}.merge: only a segmenter has segments to merge, {item.step!r} has not.")
        settings = member.Settings.parse(item.settings, where=f"{path}.settings")
        if item.enabled:
            needs = issubclass(member, Post) or (not issubclass(member, Post) and member.uses_labels == "required")
            if needs and not labelled:
                raise SettingsError(
                    f"{path}.step: {item.step!r} works on segments, and there are none before it.",
                    hint="Put a segmenter before it, or start from a label map.",
                )
            labelled = labelled or issubclass(member, Segmenter)
        steps.append(item.model_copy(update={"settings": settings.to_dict()}))
    if result == "labels" and not labelled:
        raise SettingsError(
            f"{where}: no step gives segments.", hint="Add a segmenter, such as threshold, or filter the image only."
        )
    return Pipeline(steps=tuple(steps))


def _parsed(pipeline: Any, where: str) -> Pipeline:
    try:
        return Pipeline.parse({"steps": pipeline}, where=where)
    except SettingsError as error:
        # The list is the whole file: there is no key 'steps' in it.
        raise SettingsError(error.message.replace(f"{where}.steps", where), hint=error.hint) from None


def run_pipeline(
    volume: Volume,
    pipeline: Any,
    *,
    labels: LabelMap | None = None,
    result: Result = "any",
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> PipelineResult:
    """Run a pipeline on an image and return the image and the labels.

    Where a filter changes the grid (resampling, cropping), the labels so far are carried over for the steps that look
    at them, and the labels made last are brought back onto the input's grid: by nearest neighbour, or, onto smaller
    voxels, by interpolated membership.

    Parameters
    ----------
    volume : Volume
        Never changed.
    pipeline : Pipeline or list of dict
        See :func:`parse_pipeline`.
    labels : LabelMap, optional
        Segments to start from, on the image's grid: to repair, to grow, or as painted seeds.
    result : {"any", "labels", "image"}
        See :func:`parse_pipeline`.

    Raises
    ------
    GeometryError
        If ``labels`` lie on another grid; both are shown.
    """
    parsed = parse_pipeline(pipeline, result=result, has_labels=labels is not None)
    if labels is not None:
        volume.geometry.require_same(labels.geometry, "labels")
    token = cancel or CancelToken()
    members = [find_step(item.step) for item in parsed.steps]
    shares = [member.weight if item.enabled else 0.0 for member, item in zip(members, parsed.steps, strict=True)]
    total = sum(shares) or 1.0
    seconds: list[dict[str, Any]] = []
    image, done = volume, 0.0
    made = labels  # the labels on the grid on which they were made: carried over once, not from grid to grid
    for member, item, share in zip(members, parsed.steps, shares, strict=True):
        if not item.enabled:
            continue
        token.check()
        part = sub_progress(progress, min(1.0, done / total), min(1.0, (done + share) / total))
        done += share
        begun = time.monotonic()
        if issubclass(member, Filter):
            image = member().run(image, item.settings, labels=labels, progress=part, cancel=token)
            if labels is not None and not labels.geometry.same_as(image.geometry):
                labels = _carried(made, image.geometry, token)
        elif issubclass(member, Segmenter):
            new = member().run(image, item.settings, labels=labels, progress=part, cancel=token)
            labels = made = merged(labels, new, item.merge)
        else:
            assert labels is not None  # parse_pipeline saw to it
            labels = made = member().run(labels, item.settings, progress=part, cancel=token)
        seconds.append({"step": item.step, "seconds": round(time.monotonic() - begun, 3)})
    record = {"pipeline": [s.to_dict() for s in parsed.steps], "seconds": seconds}
    labels = _carried(made, volume.geometry, token)
    if labels is not None:
        noticed = tuple(f for f in image.flags if f not in volume.flags and f not in labels.flags)
        labels = labels.replace(geometry=volume.geometry, flags=labels.flags + noticed, meta={**labels.meta, **record})
    return PipelineResult(image, labels)


def _carried(labels: LabelMap | None, target: Geometry, cancel: CancelToken) -> LabelMap | None:
    if labels is None or labels.geometry.same_as(target):
        return labels
    finer = target.voxel_volume_mm3 < 0.9 * labels.geometry.voxel_volume_mm3
    return resample_labels(labels, target, smooth=finer, cancel=cancel)


def run(
    volume: Volume,
    pipeline: Any,
    *,
    labels: LabelMap | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> LabelMap:
    """Run a pipeline on an image and return the segments.

    Parameters
    ----------
    volume, pipeline, labels
        See :func:`run_pipeline`.

    Returns
    -------
    LabelMap
        On the image's grid.  ``meta["pipeline"]`` holds the complete settings, ``meta["seconds"]`` each step's time.
    """
    found = run_pipeline(volume, pipeline, labels=labels, result="labels", progress=progress, cancel=cancel).labels
    assert found is not None  # result="labels" saw to it
    return found


def apply_filters(
    volume: Volume,
    pipeline: Any,
    *,
    labels: LabelMap | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Volume:
    """Run filters on an image and return the filtered image.

    Parameters
    ----------
    volume, pipeline, labels
        See :func:`run_pipeline`; every step must be a filter.
    """
    return run_pipeline(volume, pipeline, labels=labels, result="image", progress=progress, cancel=cancel).image
