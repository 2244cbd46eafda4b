"""A pipeline is a list of (step name, settings): filters in any number, then one segmenter."""

from __future__ import annotations

import time
from typing import Any

from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.settings import Settings
from medai.core.volume import Volume

from .preprocess import PREPROCESS
from .segmenters import SEGMENTERS


class PipelineStep(Settings):
    """One step's name and its settings."""

    step: str = Field(min_length=1, max_length=64, description="Name of a filter or segmenter.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Its settings; defaults for keys not given.")


class Pipeline(Settings):
    """Filters, then one segmenter."""

    steps: tuple[PipelineStep, ...] = Field(min_length=1, max_length=100)


def parse_pipeline(pipeline: Any, *, where: str = "pipeline") -> Pipeline:
    """Check a pipeline before anything runs: names, order, and every step's settings.

    Parameters
    ----------
    pipeline : Pipeline, list of dict
        ``[{"step": "median", "settings": {"radius": 1}}, ..., {"step": "threshold"}]``.

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
    parsed = pipeline if isinstance(pipeline, Pipeline) else Pipeline.parse({"steps": pipeline}, where=where)
    steps = []
    for index, item in enumerate(parsed.steps):
        last = index == len(parsed.steps) - 1
        path = f"{where}[{index}]"
        kinds = (SEGMENTERS, PREPROCESS) if last else (PREPROCESS, SEGMENTERS)
        known = {cls.name for cls in kinds[0].classes()}
        if item.step not in known and item.step in {cls.name for cls in kinds[1].classes()}:
            raise SettingsError(
                f"{path}.step: {item.step!r} is a {kinds[1].kind}; "
                + ("the last step must be a segmenter." if last else "a segmenter must be the last step.")
            )
        try:
            member = kinds[0].get(item.step)
        except SettingsError as error:
            raise SettingsError(f"{path}.step: {error.message}", hint=error.hint) from None
        settings = member.Settings.parse(item.settings, where=f"{path}.settings")
        steps.append(PipelineStep(step=item.step, settings=settings.to_dict()))
    return Pipeline(steps=tuple(steps))


def run(
    volume: Volume, pipeline: Any, *, progress: ProgressFn = no_progress, cancel: CancelToken | None = None
) -> LabelMap:
    """Run a pipeline on an image.

    Parameters
    ----------
    volume : Volume
        Never changed.
    pipeline : Pipeline or list of dict
        See :func:`parse_pipeline`.

    Returns
    -------
    LabelMap
        On the image's grid.  ``meta["pipeline"]`` holds the complete settings, ``meta["seconds"]`` each step's time.
    """
    parsed = parse_pipeline(pipeline)
    token = cancel or CancelToken()
    seconds: list[dict[str, Any]] = []
    image = volume
    count = len(parsed.steps)
    for index, item in enumerate(parsed.steps):
        token.check()
        # The segmenter is nearly all of the time.
        start, stop = (0.1 * index / count, 0.1 * (index + 1) / count) if index < count - 1 else (0.1, 1.0)
        part = sub_progress(progress, start, stop)
        begun = time.monotonic()
        if index < count - 1:
            image = PREPROCESS.create(item.step).run(image, item.settings, progress=part, cancel=token)
        else:
            labels = SEGMENTERS.create(item.step).run(image, item.settings, progress=part, cancel=token)
        seconds.append({"step": item.step, "seconds": round(time.monotonic() - begun, 3)})
    meta = {**labels.meta, "pipeline": [s.to_dict() for s in parsed.steps], "seconds": seconds}
    return labels.replace(meta=meta)
