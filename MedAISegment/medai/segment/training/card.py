"""MODEL_CARD.md, written from the manifest and the measured numbers; nothing in it is typed by hand."""

from __future__ import annotations

from typing import Any

from ..manifest import Manifest
from .recipe import Recipe


def model_card(manifest: Manifest, recipe: Recipe, history: dict[str, Any], split: dict[str, list[str]]) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    manifest : Manifest
        With ``metrics`` as :func:`medai.segment.training.service.measure` gives them.
    history : dict
        ``minutes``, ``software``, ``losses``.
    split : dict
        ``training`` and ``held_back`` case names.
    """
    d = manifest.description
    lines = [
        f"# {d.title}",
        "",
        "**Research use only - not for diagnosis.**",
        "",
        d.summary,
        "",
        "## Intended use",
        "",
        d.intended_use,
        "",
        "## Limits",
        "",
        *[f"- {limit}" for limit in d.limits],
        "",
        "## Data",
        "",
        d.training_data,
        "",
        f"Training cases: {len(split['training'])}. Held back, never seen in training: {len(split['held_back'])}. "
        f"The split is by subject, drawn by seed {recipe.seed}, and stored in `split.json`.",
        "",
        f"Licence of the weights: {d.licence}. {d.citation}".strip(),
        "",
        "## Measured on the held-back cases",
        "",
        "Each case is segmented as a whole with the stored half-precision weights, no region given, "
        "largest component kept, and compared on its own grid.",
        "",
        "| Label | Cases | Dice, mean (SD) | Dice, minimum | HD95 in mm, mean (SD) | Volume error in %, mean (SD) |",
        "|---|---|---|---|---|---|",
    ]
    for entry in manifest.labels:
        row = manifest.metrics["labels"].get(entry.name)
        if row is None:
            continue
        dice, hd, error = row["dice"], row["hd95_mm"], row["volume_error_percent"]
        lines.append(
            f"| {entry.name} | {row['cases']} | {_pair(dice, 3)} | {_one(dice['minimum'], 3)} | "
            f"{_pair(hd, 2)} | {_pair(error, 1)} |"
        )
    mean = manifest.metrics["mean_dice"]
    lines += [
        "",
        f"Mean Dice over the labels: {mean:.3f}. Undefined numbers (an empty mask) are left out of a mean; "
        "the columns' definitions are in `medai.segment.evaluate`.",
        "",
        "## Training",
        "",
        f"- Network: {manifest.network.name} {manifest.network.settings}, "
        f"{sum(w.bytes for w in manifest.weights):,} bytes of weights.",
        f"- {recipe.optimiser.epochs} epochs, batches of {recipe.optimiser.batch} patches of "
        f"{recipe.patch} voxels (K, J, I), Dice + cross-entropy, AdamW, averaged weights, "
        f"{recipe.optimiser.precision}, {recipe.optimiser.threads} CPU threads, {history['minutes']:.0f} minutes.",
        f"- Last epoch's loss: {history['losses'][-1]:.4f}.",
        f"- Software: {', '.join(f'{k} {v}' for k, v in sorted(history['software'].items()))}.",
        "",
        "Repeat it with `medai train --data FOLDER --recipe recipe.json --out NEW_FOLDER`: the same recipe, data, "
        "versions and kind of machine give the same weights.",
        "",
    ]
    return "\n".join(lines)


def _one(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _pair(spread: dict[str, Any], digits: int) -> str:
    return f"{_one(spread['mean'], digits)} ({_one(spread['sd'], digits)})"
