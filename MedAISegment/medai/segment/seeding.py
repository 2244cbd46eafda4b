"""Seeds for a saved pipeline: read from Slicer's markups files, and put into the steps that grow from seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medai.core.errors import InputError, SettingsError
from medai.core.settings import load_json_file

from .pipeline import Pipeline, PipelineStep, find_step, parse_pipeline
from .seeds import Seed

NUMBERED = re.compile(r"(?:^|[-_ ]+)\d+$")


def place_seeds(pipeline: Any, seeds: Sequence[Seed], *, where: str = "pipeline", has_labels: bool = False) -> Pipeline:
    """Return the pipeline with the seeds in every step that takes seeds and has none yet.

    Parameters
    ----------
    pipeline : Pipeline or list of dict
        See :func:`medai.segment.pipeline.parse_pipeline`.
    seeds : sequence of Seed
        Nothing is changed if there are none.

    Raises
    ------
    SettingsError
        If there are seeds and no step takes them.
    """
    parsed = parse_pipeline(pipeline, where=where, result="any", has_labels=has_labels)
    if not seeds:
        return parsed
    given = [seed.to_dict() for seed in seeds]
    steps: list[PipelineStep] = []
    taken = False
    for item in parsed.steps:
        takes = "seeds" in find_step(item.step).Settings.model_fields
        taken = taken or takes
        if takes and not item.settings.get("seeds"):
            item = item.model_copy(update={"settings": {**item.settings, "seeds": given}})
        steps.append(item)
    if not taken:
        raise SettingsError(f"{where}: there are seeds, but no step grows from seeds.", hint="Leave the seeds out.")
    return parse_pipeline(Pipeline(steps=tuple(steps)), where=where, result="any", has_labels=has_labels)


def segment_of_label(label: str) -> str:
    """Return the segment that a control point's label names: ``Liver-2`` and ``Liver 3`` both mean ``Liver``.

    A number without a hyphen or space before it belongs to the name: ``L4`` and ``L5`` are two vertebrae.
    """
    name = NUMBERED.sub("", label.strip()).strip()
    return name[:64] or "Segment"


def read_markups(path: str | Path) -> tuple[Seed, ...]:
    """Read the defined control points of a Slicer markups file (``.mrk.json``) as seeds, in RAS mm.

    Raises
    ------
    SettingsError
        If the file cannot be read as JSON.
    InputError
        If it holds no markups, or a point that is no position.
    """
    name = Path(path).name
    data = load_json_file(path)
    lists = data.get("markups") if isinstance(data, dict) else None
    if not isinstance(lists, list) or not lists:
        raise InputError(f"{name} is no Slicer markups file.", hint="Save the points in Slicer as .mrk.json.")
    seeds: list[Seed] = []
    for points in lists:
        # Slicer writes LPS; files of older versions may say RAS, or hold the enumeration's number (0 is RAS).
        system = points.get("coordinateSystem", "LPS") if isinstance(points, dict) else None
        if system not in ("LPS", "RAS", "0", "1", 0, 1):
            raise InputError(f"{name}: the coordinate system of the points is neither LPS nor RAS.")
        sign = 1.0 if system in ("RAS", "0", 0) else -1.0
        placed = points.get("controlPoints", [])
        if not isinstance(placed, list):
            raise InputError(f"{name}: the control points are no list.", hint="Save the points in Slicer as .mrk.json.")
        for number, point in enumerate(placed, start=1):
            if not isinstance(point, dict) or point.get("positionStatus", "defined") != "defined":
                continue
            position = point.get("position")
            if not isinstance(position, list) or len(position) != 3 or not all(_is_number(v) for v in position):
                raise InputError(f"{name}: point {number} has no position of three numbers.")
            label = point.get("label")
            values = {
                "ras": [sign * float(position[0]), sign * float(position[1]), float(position[2])],
                "segment": segment_of_label(label if isinstance(label, str) else ""),
            }
            seeds.append(Seed.parse(values, where=f"{name}: point {number}"))
    if not seeds:
        raise InputError(f"{name} holds no placed point.", hint="Place at least one point.")
    return tuple(seeds)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
