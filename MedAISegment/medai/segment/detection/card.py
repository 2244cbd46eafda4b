"""A detector's MODEL_CARD.md, written from the manifest and the measured numbers; nothing in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .manifest import DetectorManifest
from .recipe import DetectorRecipe


def detector_card(manifest: DetectorManifest, recipe: DetectorRecipe, history: Mapping[str, Any]) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    manifest : DetectorManifest
        With ``metrics`` by name of the test set, as :meth:`~medai.segment.detection.measure.Measured.to_dict` gives
        them, each with ``about``: what the scans are.
    history : dict
        ``sources``, ``minutes``, ``software``, ``losses``.
    """
    d = manifest.description
    total = manifest.weights.bytes + (manifest.mask_weights.bytes if manifest.mask_weights else 0)
    lines = [
        f"# {d.title}", "", "**Research use only - not for diagnosis.**", "", d.summary, "",
        "## Intended use", "", d.intended_use, "", "## Limits", "", *[f"- {limit}" for limit in d.limits], "",
        "## Data", "", d.training_data, "", f"Licence of the weights: {d.licence}. {d.citation}".strip(), "",
    ]  # fmt: skip
    for name, values in manifest.metrics.items():
        lines += _measured(name, values)
    o, k = recipe.optimiser, recipe.mask_optimiser
    size = " x ".join(str(n) for n in manifest.window)
    lines += [
        "## Training", "",
        f"- First stage: {manifest.network.name} {manifest.network.settings.to_dict()}, windows of {size} voxels of "
        f"{manifest.prepare.spacing} mm; {o.epochs * o.steps} steps of {o.batch} windows, AdamW, averaged weights, "
        f"{o.precision}, {o.threads} CPU thread(s).",
        f"- Second stage: {manifest.mask.to_dict()}; {k.epochs * k.steps} steps of {k.batch} crops."
        if manifest.mask else "- No second stage: boxes only.",
        f"- {total:,} bytes of weights. Losses of the last epoch: {_losses(history)}.",
        f"- {history['minutes']:.0f} minutes of wall time on a busy machine.",
        f"- Scans: {history['sources']}.",
        f"- Software: {', '.join(f'{a} {b}' for a, b in sorted(history['software'].items()))}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _measured(name: str, values: Mapping[str, Any]) -> list[str]:
    froc, at = values["froc"], values["at_shown_score"]
    interval = froc["cpm_interval"]
    text = f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f}, by scan)" if interval else ""
    lines = [
        f"## Measured: {name}", "", values["about"], "",
        f"{froc['scans']} scans, {froc['findings']} nodules that count. Mean sensitivity at the seven rates of LUNA16 "
        f"(CPM): **{froc['cpm']:.3f}**{text}.", "",
        "| False positives per scan | " + " | ".join(_rate(r) for r in froc["sensitivity"]) + " |",
        "|---" * (len(froc["sensitivity"]) + 1) + "|",
        "| Sensitivity | " + " | ".join(f"{r['sensitivity']:.3f}" for r in froc["sensitivity"]) + " |", "",
        f"At the score from which findings are shown ({values['shown_score']:g}): sensitivity "
        f"{at['sensitivity']:.3f} at {at['false_positives_per_scan']:.2f} false positives per scan.", "",
        "| Diameter | Nodules | Found at that score |", "|---|---|---|",
    ]  # fmt: skip
    for row in values["by_diameter"]:
        reach = f"{row['from_mm']:g} to {row['to_mm']:g} mm" if row["to_mm"] else f"{row['from_mm']:g} mm and more"
        share = f"{row['found']} ({100 * row['found'] / row['findings']:.0f} %)" if row["findings"] else "-"
        lines.append(f"| {reach} | {row['findings']} | {share} |")
    masks = values["masks"]
    if masks["mean_dice"] is not None:
        between = f" ({masks['low']:.3f} to {masks['high']:.3f})" if masks["low"] is not None else ""
        text = f"Masks of the {masks['findings']} nodules found: mean Dice {masks['mean_dice']:.3f}{between}."
        lines += ["", text]
    return [*lines, ""]


def _rate(row: Mapping[str, Any]) -> str:
    rate = row["false_positives_per_scan"]
    return f"{rate:g}" if rate >= 1 else f"1/{1 / rate:g}"


def _losses(history: Mapping[str, Any]) -> str:
    parts = [f"{stage} {values[-1]:.3f}" for stage, values in history["losses"].items() if values]
    return ", ".join(parts)
