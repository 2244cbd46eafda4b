#!/usr/bin/env python3
"""Write docs/steps.md: every filter, segmenter, label operation and recipe, with its settings, from the code.

python Utilities/list_steps.py            # rewrite
python Utilities/list_steps.py --check    # exit code 1 if the page and the code differ
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "steps.md"
HEAD = """# Steps

What a pipeline can be made of. A pipeline is a JSON list; each entry names a step and gives the settings that differ
from the defaults:

```json
[
  {"step": "median", "settings": {"radius": 1}},
  {"step": "threshold", "settings": {"method": "otsu", "name": "Bright"}},
  {"step": "largest_components"}
]
```

Filters change the image, segmenters make segments from it, label operations repair segments. `"enabled": false` keeps a
step without running it. A segmenter's `"merge"` says what becomes of the segments before it: `replace` (the default)
drops them, `over` lays the new ones over them, `under` fills only voxels that have none.

The same list runs in the panel, in Python (`medai.segment.run(volume, pipeline)`), in the shell
(`medai segment IMAGE --pipeline p.json --out seg.nii.gz`) and inside a protocol. `medai steps NAME` explains one step.

This page is written by `Utilities/list_steps.py`. Research use only - not for diagnosis.
"""


def first_sentence(text: str) -> str:
    """Return a docstring's first paragraph as one line, without reST's double quotes."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.sub(r":(?:mod|class|func|meth|data):`~?([^`]*)`", r"`\1`", paragraph).replace("``", "`")


def describe(field: dict[str, Any]) -> str:
    """Return the kind and the limits of a field of a JSON schema."""
    parts = [field, *field.get("anyOf", [])]
    words = []
    for part in parts:
        if "enum" in part:
            words.append(", ".join(f"`{value}`" for value in part["enum"]))
        for key, text in (
            ("minimum", "from {:g}"),
            ("exclusiveMinimum", "above {:g}"),
            ("maximum", "to {:g}"),
            ("exclusiveMaximum", "below {:g}"),
        ):
            if key in part:
                words.append(text.format(part[key]))
    return " ".join(words)


def cell(text: str) -> str:
    """Escape what would end a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def default_of(field: dict[str, Any]) -> str:
    """Return a default as JSON would write it, shortened to a word where it is empty."""
    value = field.get("default")
    if value is None:
        return "none"
    return "none" if value in ("", [], {}) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def section(step: Any) -> str:
    """Return one step's heading, description and table of settings."""
    lines = [f"### `{step.name}`: {step.title}", "", first_sentence(step.__doc__ or "")]
    if getattr(step, "uses_labels", "no") == "required":
        lines.append("Works on the segments made before it.")
    fields = step.Settings.model_json_schema().get("properties", {})
    if fields:
        lines += ["", "| Setting | Default | Values | Meaning |", "| --- | --- | --- | --- |"]
        for name, field in fields.items():
            unit = f" {field['unit']}" if "unit" in field else ""
            row = (f"`{name}`", default_of(field), describe(field) + unit, field.get("description", ""))
            lines.append("| " + " | ".join(cell(item).strip() for item in row) + " |")
    return "\n".join(lines)


def page() -> str:
    """Return the whole page."""
    from medai.segment.pipeline import all_steps
    from medai.segment.postprocess import POSTPROCESS
    from medai.segment.preprocess import PREPROCESS
    from medai.segment.recipes import list_recipes

    steps = list(all_steps())
    kinds = {PREPROCESS.base: "Filters", POSTPROCESS.base: "Label operations"}
    blocks = [HEAD]
    for title in ("Filters", "Segmenters", "Label operations"):
        own = [
            s
            for s in steps
            if next((name for base, name in kinds.items() if issubclass(s, base)), "Segmenters") == title
        ]
        blocks.append(f"## {title}\n")
        for group in sorted({s.group for s in own}):
            names = ", ".join(f"[`{s.name}`](#{anchor(s)})" for s in own if s.group == group)
            blocks.append(f"- {group}: {names}")
        blocks.append("")
        blocks += [section(s) + "\n" for s in sorted(own, key=lambda s: (s.group, s.name))]
    blocks.append("## Recipes\n\nReady pipelines: `medai segment IMAGE --recipe ID --out seg.nii.gz`.\n")
    for recipe in list_recipes():
        names = ", ".join(f"`{item.step}`" for item in recipe.pipeline)
        blocks.append(f"### `{recipe.id}`: {recipe.title}\n\n{recipe.description}\n\nSteps: {names}.\n")
    return "\n".join(blocks).rstrip() + "\n"


def anchor(step: Any) -> str:
    """Return GitHub's anchor of a step's heading."""
    return re.sub(r"[^\w\- ]", "", f"{step.name}: {step.title}".lower()).replace(" ", "-")


def main() -> int:
    """Rewrite or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/steps.md differs from the code: run python Utilities/list_steps.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
