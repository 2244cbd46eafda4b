"""``medai train``: pairs and a recipe in, a measured model folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .run import JsonFlag
from .shell import bar, emit, guarded, say, shown


def train_command(
    data: Annotated[Path, typer.Option(help="Folder with 'images' and 'labels' (same file names).")],
    out: Annotated[Path, typer.Option(help="New model folder.")],
    recipe: Annotated[str, typer.Option(help="Recipe's JSON file, or the id of a shipped model.")] = "hippocampus",
    epochs: Annotated[int, typer.Option(help="Other number of epochs than the recipe's; 0 keeps it.")] = 0,
    json: JsonFlag = False,
) -> None:
    """Train a U-Net; the same recipe, data, versions and kind of machine give the same weights."""

    def work(token: Any) -> Any:
        from medai.core.settings import load_json_file
        from medai.segment.models import ModelStore
        from medai.segment.training.recipe import Recipe
        from medai.segment.training.service import train_model

        file = Path(recipe) if recipe.endswith(".json") else ModelStore().find(recipe).folder / "recipe.json"
        parsed = Recipe.parse(load_json_file(file), where=file.name)
        if epochs:
            values = parsed.to_dict()
            values["optimiser"]["epochs"] = epochs
            parsed = Recipe.parse(values, where="options")
        with bar(json) as progress:
            return train_model(parsed, data, out, progress=progress, cancel=token)

    metrics = guarded(work, as_json=json)
    if json:
        emit({"model": str(out), "metrics": metrics})
        return
    say(f"Model written to {out}; measured on {metrics['cases']} {metrics['on']}:")
    for name, row in metrics["labels"].items():
        say(f"  {name:<28} Dice {shown(row['dice']['mean'], 3)}   HD95 {shown(row['hd95_mm']['mean'], 2)} mm")
    say(f"  mean Dice {metrics['mean_dice']:.3f}")
