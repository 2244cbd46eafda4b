"""What ``medai segment``'s options mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Expected = tuple[str, bool]


def steps_of(
    model: str,
    recipe: str,
    pipeline: str,
    step: list[str] | None,
    boxes: Any,
    network: dict[str, Any],
    has_labels: bool,
) -> tuple[Any, Expected]:
    """Return the pipeline that the options ask for, and what it expects of the image (modality, Hounsfield units)."""
    from medai.core.errors import SettingsError
    from medai.core.settings import load_json_file
    from medai.segment.pipeline import parse_pipeline
    from medai.segment.recipes import load_recipe

    from .stepoption import parse_steps

    if sum(map(bool, (model, recipe, pipeline, step))) != 1:
        raise SettingsError("Give one of --model, --recipe, --pipeline and --step.")
    if recipe:
        found = load_recipe(recipe)
        return [s.to_dict() for s in found.pipeline], (found.modality, found.hounsfield)
    where = "options"
    if pipeline:
        where, steps = Path(pipeline).name, load_json_file(pipeline)
        if isinstance(steps, dict) and "pipeline" in steps:
            found = load_recipe(pipeline)
            return [s.to_dict() for s in found.pipeline], (found.modality, found.hounsfield)
    elif step:
        steps = parse_steps(step)
    else:
        steps = [{"step": "unet", "settings": {"model": model, "regions": boxes, **network}}]
    return parse_pipeline(steps, where=where, has_labels=has_labels), ("", False)


def require_model(given: dict[str, bool]) -> None:
    """Refuse options that only a model takes: steps and recipes have their own, and these would be passed over.

    Parameters
    ----------
    given : dict
        Option -> whether it was given.

    Raises
    ------
    SettingsError
        Naming the options.
    """
    from medai.core.errors import SettingsError

    names = [name for name, was in given.items() if was]
    if names:
        raise SettingsError(
            f"{', '.join(names)}: only with --model.", hint="In a pipeline, write them as settings of the step 'unet'."
        )


def with_uncertainty(model: str, tta: bool | None, dropout: int) -> dict[str, Any]:
    """Return the settings that give the maps a model can give: agreement needs more than one pass."""
    from medai.core.errors import SettingsError
    from medai.segment.models import ModelStore

    if dropout == 1:
        raise SettingsError("--dropout: at least 2 runs are needed to compare them, given 1.")
    if dropout:
        return {"uncertainty": "dropout", "samples": dropout}
    manifest = ModelStore().find(model).manifest
    mirrored = tta if tta is not None else manifest.inference.mirror
    several = len(manifest.weights) > 1 or (mirrored and bool(manifest.inference.mirror_axes))
    return {"uncertainty": "ensemble" if several else "entropy"}


def boxes_of(regions: list[str] | None, rois: list[str] | None) -> list[dict[str, Any]]:
    """Return the boxes that ``--region`` and ``--roi`` ask for."""
    return [_region(text) for text in regions or []] + [_roi(text) for text in rois or []]


def seed_of(text: str) -> Any:
    """Return the seed that ``SEGMENT:R,A,S`` means."""
    from medai.core.errors import SettingsError
    from medai.segment.seeds import Seed

    name, colon, position = text.rpartition(":")
    try:
        r, a, s = (float(v) for v in position.split(","))
    except ValueError:
        colon = ""
    if not colon or not name:
        raise SettingsError(f"The seed {text!r} cannot be read.", hint="Write it as Liver:-60,10,35 (name, RAS mm).")
    return Seed.parse({"ras": [r, a, s], "segment": name}, where="seed")


def _region(text: str) -> dict[str, Any]:
    from medai.core.errors import SettingsError

    parts = text.split(":")
    try:
        side, centre, size = parts
        values = [[float(v) for v in part.split(",")] for part in (centre, size)]
        if side not in ("left", "right", "none") or any(len(v) != 3 for v in values):
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"The region {text!r} cannot be read.", hint="Write it as left:-26,-22,-14:36,52,36 (side, RAS mm, mm)."
        ) from None
    return {"side": "" if side == "none" else side, "centre_ras": values[0], "size_mm": values[1]}


def _roi(text: str) -> dict[str, Any]:
    from medai.core.errors import SettingsError

    if text.lower().endswith(".json"):
        from medai.segment.roifile import read_roi

        centre, size = read_roi(text)
        return {"side": "", "centre_ras": list(centre), "size_mm": list(size)}
    try:
        return _region(f"none:{text}")
    except SettingsError:
        raise SettingsError(
            f"The ROI {text!r} cannot be read.", hint="Write it as 10,-20,35:120,100,80 (centre RAS mm, size mm)."
        ) from None
