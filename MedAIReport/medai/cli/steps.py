"""``medai steps``: what a pipeline can be made of."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .run import JsonFlag
from .shell import emit, guarded, say


def steps_command(
    name: Annotated[str, typer.Argument(help="Name of a step or recipe; nothing lists all of them.")] = "",
    json: JsonFlag = False,
) -> None:
    """List the filters, segmenters, label operations and recipes, or explain one."""
    found = guarded(lambda token: _one(name) if name else _all(), as_json=json)
    if json:
        emit(found)
    elif name:
        _show_one(found)
    else:
        _show_all(found)


def _all() -> dict[str, Any]:
    from medai.segment.pipeline import REGISTRIES, all_steps
    from medai.segment.recipes import list_recipes

    steps = [
        {"name": cls.name, "title": cls.title, "group": cls.group, "unavailable": cls.unavailable_reason()}
        for cls in all_steps()
    ]
    broken = [item for registry in REGISTRIES for item in registry.unavailable()]
    known = {step["name"] for step in steps}
    steps += [
        {"name": item.name, "title": item.name, "group": "", "unavailable": item.reason}
        for item in broken
        if item.name not in known
    ]
    recipes = [{"id": r.id, "title": r.title, "modality": r.modality} for r in list_recipes()]
    return {"steps": steps, "recipes": recipes}


def _one(name: str) -> dict[str, Any]:
    from medai.segment.pipeline import all_steps, find_step
    from medai.segment.recipes import list_recipes, load_recipe

    if name in {r.id for r in list_recipes()} and name not in {cls.name for cls in all_steps()}:
        return load_recipe(name).to_dict()
    step = find_step(name)
    return {
        "name": step.name,
        "title": step.title,
        "group": step.group,
        "description": (step.__doc__ or "").strip(),
        "settings": step.Settings.model_json_schema(),
    }


def _show_all(found: dict[str, Any]) -> None:
    for group in sorted({step["group"] for step in found["steps"]}):
        say(group or "Not available")
        for step in found["steps"]:
            if step["group"] == group:
                reason = f" (not available: {step['unavailable']})" if step["unavailable"] else ""
                say(f"  {step['name']:<26} {step['title']}{reason}")
    say("Recipes")
    for recipe in found["recipes"]:
        say(f"  {recipe['id']:<26} {recipe['title']}")


def _show_one(found: dict[str, Any]) -> None:
    say(f"{found.get('name') or found['id']}: {found['title']}")
    say("")
    say(found["description"])
    if "pipeline" in found:
        for step in found["pipeline"]:
            say(f"  {step['step']} {step['settings']}")
        return
    say("")
    for name, field in found["settings"].get("properties", {}).items():
        unit = f" {field['unit']}" if "unit" in field else ""
        choices = f" one of {', '.join(map(str, field['enum']))};" if "enum" in field else ""
        limits = [
            text.format(field[key])
            for key, text in (
                ("minimum", "at least {}"),
                ("exclusiveMinimum", "more than {}"),
                ("maximum", "at most {}"),
                ("exclusiveMaximum", "less than {}"),
            )
            if key in field
        ]
        bounds = f" {', '.join(limits)};" if limits else ""
        say(f"  {name} = {field.get('default')!r}{unit}:{choices}{bounds} {field.get('description', '')}")
