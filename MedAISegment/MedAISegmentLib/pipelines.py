"""A pipeline as the panel holds it: JSON text in the parameter node, checked and filled in before a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

Steps = list[dict[str, Any]]


def stepsOf(text: str) -> Steps:
    """Return the steps of a parameter node's text; none if somebody has put something else there."""
    try:
        steps = json.loads(text or "[]")
    except ValueError:
        return []
    good = isinstance(steps, list) and all(isinstance(s, dict) and isinstance(s.get("step"), str) for s in steps)
    return steps if good else []


def textOf(steps: Steps) -> str:
    """Return the text that a parameter node keeps, and with it the scene's file."""
    return json.dumps(steps, ensure_ascii=False)


def problemOf(steps: Steps, hasLabels: bool) -> str:
    """Return why these steps cannot run, in one sentence; empty if they can, or if the library is not there yet."""
    if not steps:
        return _("Add a step first.")
    if not any(step.get("enabled", True) for step in steps):
        return _("Tick at least one step.")
    try:
        from medai.core.errors import MedAIError
        from medai.segment.pipeline import parse_pipeline
    except ImportError:
        return ""
    try:
        parse_pipeline(steps, where="steps", result="any", has_labels=hasLabels)
    except MedAIError as error:
        return str(error)
    return ""


def givesSegments(steps: Steps) -> bool:
    """Tell whether the steps end with segments, or only with another image."""
    from medai.segment.pipeline import find_step
    from medai.segment.preprocess import Filter

    return any(not issubclass(find_step(s["step"]), Filter) for s in steps if s.get("enabled", True))


def loadSteps(path: str) -> Steps:
    """Read a pipeline's JSON file.

    Raises
    ------
    medai.core.errors.SettingsError
        If it is no pipeline; the path of the first key that does not fit is named.
    """
    from medai.core.settings import load_json_file
    from medai.segment.pipeline import parse_pipeline

    found = load_json_file(path)
    parse_pipeline(found, where=Path(path).name, result="any", has_labels=True)
    return plainSteps(found["pipeline"] if isinstance(found, dict) else found)


def saveSteps(path: str, steps: Steps) -> None:
    """Write a pipeline's JSON file, whole or not at all; ``medai segment --pipeline`` reads it."""
    from medai.core.atomic import write_text

    target = Path(path if path.lower().endswith(".json") else f"{path}.json")
    write_text(target, json.dumps({"pipeline": steps}, indent=2, ensure_ascii=False) + "\n")


def plainSteps(pipeline: Any) -> Steps:
    """Return a pipeline's steps as dicts, whether they are that already or the library's own class."""
    steps = getattr(pipeline, "steps", pipeline)
    return [dict(step) if isinstance(step, dict) else step.to_dict() for step in steps]


def recipes() -> list[Any]:
    """Return the recipes that ship with the library: ``id``, ``title``, ``description``, ``modality``, ``pipeline``."""
    try:
        from medai.segment.recipes import list_recipes
    except ImportError:
        return []
    return list(list_recipes())


def wants(steps: Steps, *keys: str) -> bool:
    """Tell whether a step that is ticked has settings of all these names, such as ``seeds`` or ``grid``."""
    return any(set(keys) <= _keys(step) for step in steps if step.get("enabled", True))


def filled(steps: Steps, *placed: dict[str, Any]) -> Steps:
    """Return the steps with values from the scene in every step that has settings for them.

    Parameters
    ----------
    placed : dict
        Settings that belong together: ``{"seeds": [...]}``, ``{"centre_ras": ..., "size_mm": ...}``,
        ``{"grid": {...}}``.
    """
    result = []
    for step in steps:
        keys, given = _keys(step), dict(step.get("settings", {}))
        for values in placed:
            if set(values) <= keys:
                given.update(values)
        result.append({**step, "settings": given} if given else dict(step))
    return result


def _keys(step: dict[str, Any]) -> set[str]:
    try:
        from medai.core.errors import MedAIError
        from medai.segment.pipeline import find_step
    except ImportError:
        return set()
    try:
        return set(find_step(step["step"]).Settings.model_fields)
    except MedAIError:
        return set()
