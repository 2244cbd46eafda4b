"""MODEL_CARD.md, written from the manifest and the measured numbers; nothing in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..assessment.result import Assessment
from ..manifest import Manifest
from .card_measured import cross_validation_section, measured_section, outside_section, repeat_section
from .recipe import Recipe


def model_card(
    manifest: Manifest,
    recipe: Recipe,
    history: Mapping[str, Any],
    split: Mapping[str, Any],
    *,
    assessment: Assessment | None = None,
    folds: Sequence[Assessment] = (),
    pictures: str | None = None,
) -> str:
    """Return the card as Markdown; the same arguments give the same text.

    Parameters
    ----------
    manifest : Manifest
        With ``metrics`` as :func:`medai.segment.training.service.measure` gives them, which the card shows if there is
        no assessment.
    recipe : Recipe
        Of the training.
    history : dict
        ``minutes``, ``software``, ``losses``; and ``device`` if known.
    split : dict
        ``training`` and ``held_back`` case names; and ``seed`` if known.
    assessment : Assessment, optional
        The model measured; see :func:`medai.segment.assessment.measure.measure_model`.
    folds : sequence of Assessment
        Of a cross-validation, in the folds' order; two at least, or none.
    pictures : str, optional
        Folder of the assessment's pictures, relative to the card and ending in ``/``; no pictures are linked if not
        given.

    Raises
    ------
    InputError
        If the folds are no cross-validation.
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
        _split_text(recipe, split),
        "",
        f"Licence of the weights: {d.licence}. {d.citation}".strip(),
        "",
        *_numbers(manifest, assessment, folds, pictures),
        *cross_validation_section(folds, pooled=assessment is None),
        *(outside_section(assessment) if assessment else []),
        *_training_section(manifest, recipe, history),
        *repeat_section(assessment, folds),
    ]
    return "\n".join(lines)


def _numbers(
    manifest: Manifest, assessment: Assessment | None, folds: Sequence[Assessment], pictures: str | None
) -> list[str]:
    if assessment is not None:
        return measured_section(assessment, pictures)
    return [] if folds else _stored_section(manifest)


def _split_text(recipe: Recipe, split: Mapping[str, Any]) -> str:
    counts = f"Training cases: {len(split['training'])}. "
    if not split["held_back"]:
        return counts + "No case was held back; both lists are stored in `split.json`."
    return (
        f"{counts}Held back, never seen in training: {len(split['held_back'])}. "
        f"The split is by subject, {_drawn(recipe, split)}, and stored in `split.json`."
    )


def _drawn(recipe: Recipe, split: Mapping[str, Any]) -> str:
    # Splits of older models do not say it: the recipe's seed drew them.
    seed = split.get("seed", recipe.seed)
    return "chosen by hand" if seed is None else f"drawn by seed {seed}"


def _stored_section(manifest: Manifest) -> list[str]:
    """Return what the manifest's own metrics say; for models that have no assessment."""
    on = manifest.metrics.get("on", "held-back cases")
    lines = [
        f"## Measured on the {on}",
        "",
        "Each case is segmented as a whole with the stored half-precision weights, no region given, "
        f"{'largest component kept, ' if manifest.region else ''}and compared on its own grid.",
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
    return [
        *lines,
        "",
        f"Mean Dice over the labels: {mean:.3f}. Undefined numbers (an empty mask) are left out of a mean; "
        "the columns' definitions are in `medai.segment.evaluate`.",
        "",
    ]


def _training_section(manifest: Manifest, recipe: Recipe, history: Mapping[str, Any]) -> list[str]:
    o = recipe.optimiser
    rule = {"adamw": "AdamW", "sgd": "SGD with Nesterov momentum"}[o.kind]
    fall = {"cosine": "half a cosine", "poly": "(1 - progress) ** 0.9"}[o.schedule]
    each = f"{o.samples_per_epoch} samples" if o.samples_per_epoch else "each case once"
    facts = [
        f"Network: {manifest.network.name} {manifest.network.settings}, "
        f"{sum(w.bytes for w in manifest.weights):,} bytes of weights.",
        f"{o.epochs} epochs of {each}, batches of {o.batch} patches of {recipe.patch} voxels (K, J, I); Dice + "
        f"cross-entropy{', deep supervision' if o.deep_supervision else ''}; {rule}, rate {o.learning_rate:g} after "
        f"{o.warmup_steps} steps of warm-up, then {fall} to zero"
        f"{f'; averaged weights, decay {o.ema:g}' if o.ema else ''}; {o.precision}.",
    ]
    if recipe.synthesis is not None:
        facts.append("Every image was made from a label map with random contrast; no real image was read in training.")
    cost = [f"{history['minutes']:.0f} minutes"] if "minutes" in history else []
    if isinstance(history.get("device"), str):
        cost.append(f"on {history['device']}")
    facts.append(f"{', '.join([*cost, f'{o.threads} CPU threads'])}; seed {recipe.seed}.")
    if history.get("finetuned_from"):
        facts.append(f"Started from the weights of another model: {_plain(history['finetuned_from'])}.")
    if history.get("half_precision"):
        facts.append(_half(history["half_precision"]))
    if history.get("losses"):
        facts.append(f"Last epoch's loss: {history['losses'][-1]:.4f}.")
    if history.get("software"):
        facts.append(f"Software: {', '.join(f'{k} {v}' for k, v in sorted(history['software'].items()))}.")
    return [
        "## Training",
        "",
        *[f"- {fact}" for fact in facts],
        "",
        "Repeat it with `medai train --data FOLDER --recipe recipe.json --out NEW_FOLDER`: the same recipe, data, "
        "versions and kind of machine give the same weights.",
        "",
    ]


def _half(facts: Mapping[str, Any]) -> str:
    if not facts["stored"]:
        return "The weights are stored in single precision: half precision changed too many labels."
    return (
        f"The weights are stored in half precision. That changed the label of {facts['changed_voxels']:,} of "
        f"{facts['voxels']:,} voxels of {facts['images']} training samples; the least Dice of a label is "
        f"{facts['least_dice']:.4f}."
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in sorted(value.items()))
    return str(value)


def _one(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _pair(spread: dict[str, Any], digits: int) -> str:
    return f"{_one(spread['mean'], digits)} ({_one(spread['sd'], digits)})"
