"""``medai detect`` for 2D images: the same commands, for detectors and recipes of the kind ``detector2d``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from .shell import say


def is_plane_recipe(name: str) -> bool:
    """Tell whether a recipe's file describes a detector for 2D images."""
    from medai.core.settings import load_json_file
    from medai.segment.detection.plane.settings import KIND

    if not name.endswith(".json"):
        return False
    value = load_json_file(Path(name))
    return isinstance(value, dict) and value.get("kind") == KIND


def is_plane_model(name: str) -> bool:
    """Tell whether a folder holds a detector for 2D images."""
    from medai.segment.detection.plane.model import detector_kind
    from medai.segment.detection.plane.settings import KIND

    folder = Path(name)
    return (folder / "detector.json").is_file() and detector_kind(folder) == KIND


def train_plane(
    recipe: str, data: Path | None, out: Path, work: Path | None, epochs: int, progress: Any, token: Any
) -> Any:
    """Train a Mask R-CNN on a folder with ``images`` and ``masks``."""
    from medai.core.atomic import ensure_folder
    from medai.core.settings import load_json_file
    from medai.segment.detection.plane.service import train
    from medai.segment.detection.plane.settings import MaskRcnnRecipe

    folder = _data(data)
    chosen = MaskRcnnRecipe.parse(load_json_file(Path(recipe)), where=Path(recipe).name)
    if epochs:
        values = chosen.to_dict()
        values["optimiser"]["epochs"] = epochs
        chosen = MaskRcnnRecipe.parse(values, where="options")
    place = work or out.with_name(f"{out.name}.training")
    made = not place.exists()
    ensure_folder(place)
    metrics = train(chosen, folder, out, checkpoint=place / "state.pt", progress=progress, cancel=token)
    if made and not any(place.iterdir()):
        place.rmdir()
    return metrics


def measure_plane(model: str, data: Path | None, out: Path, progress: Any, token: Any) -> Any:
    """Measure a Mask R-CNN on the held-back images of a folder, or on all if it knows none; write ``metrics.json``."""
    import json

    from medai.core.atomic import ensure_folder, write_text
    from medai.segment.detection.plane.model import held_back_names
    from medai.segment.detection.plane.service import measure_data

    folder = _data(data)
    ensure_folder(out)
    cases: Literal["held-back", "all"] = "held-back" if held_back_names(Path(model)) else "all"
    metrics = {**measure_data(model, folder, cases=cases, progress=progress, cancel=token), "on": cases}
    write_text(out / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    return metrics


def tell_plane(metrics: dict[str, Any]) -> None:
    """Say what was measured."""
    say(f"  {metrics['instances']} instances in {metrics['images']} images ({metrics.get('on', '')})")
    for what in ("boxes", "masks"):
        if what in metrics:
            say(f"  {what}: AP {metrics[what]['ap']:.3f}, AP50 {metrics[what]['ap50']:.3f}")
    if "froc" in metrics:
        say(f"  FROC: CPM {metrics['froc']['cpm']:.3f}")


def _data(data: Path | None) -> Path:
    from medai.core.errors import InputError

    if data is None:
        raise InputError("A detector for 2D images needs --data.", hint="Give a folder with 'images' and 'masks'.")
    return data
