"""MODEL_CARD.md of a Mask R-CNN, written from the model and the measured numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .settings import MaskRcnnRecipe

if TYPE_CHECKING:
    from .model import MaskRcnnModel


def model_card(
    model: MaskRcnnModel, recipe: MaskRcnnRecipe, history: dict[str, Any], split: dict[str, list[str]]
) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    model : MaskRcnnModel
        With the metrics of :func:`medai.segment.detection.plane.measure.measure`, and ``on``: what they are of.
    history : dict
        ``minutes``, ``software``, ``losses``.
    split : dict
        ``training`` and ``held_back``: names of images.
    """
    d, n, t = model.description, model.network, recipe.optimiser
    lines = [
        f"# {d.title}", "", "**Research use only - not for diagnosis.**", "", d.summary, "",
        "## Intended use", "", d.intended_use, "",
        "## Limits", "", *[f"- {limit}" for limit in d.limits],
        "- It looks at single slices and at pixels, not at millimetres: an instance must be about as many pixels large "
        "as in the training images.", "",
        "## Data", "", d.training_data, "",
        f"Training images: {len(split['training'])}. Held back, never seen in training: {len(split['held_back'])}. "
        f"The split is drawn by seed {recipe.seed} and stored in `split.json`.", "",
        f"Licence of the weights: {d.licence}. {d.citation}".strip(), "",
        f"## Measured on the {model.metrics.get('on', 'images')}", "",
        *_numbers(model.metrics), "",
        "## Training", "",
        f"- Mask R-CNN of torchvision on {n.backbone} with a feature pyramid, group normalisation, random start, "
        f"{model.weights.bytes:,} bytes of weights in half precision.",
        f"- {t.epochs} epochs, batches of {t.batch} slices, AdamW, averaged weights, {history['minutes']:.0f} minutes.",
        f"- Last epoch's loss: {history['losses'][-1]:.4f}.",
        f"- Software: {', '.join(f'{k} {v}' for k, v in sorted(history['software'].items()))}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _numbers(metrics: dict[str, Any]) -> list[str]:
    if not metrics.get("instances"):
        return [f"{metrics.get('images', 0)} images, none of which holds an instance: nothing could be measured."]
    rows = [
        f"{metrics['images']} images with {metrics['instances']} instances, with the stored half-precision weights.",
        "",
        "| | AP (95% CI) | AP50 (95% CI) | AP75 |",
        "|---|---|---|---|",
    ]
    for what in ("boxes", "masks"):
        row = metrics[what]
        pairs = [f"{row[name]:.3f}{_interval(row['intervals'].get(name))}" for name in ("ap", "ap50")]
        rows.append(f"| {what} | {' | '.join(pairs)} | {row['ap75']:.3f} |")
    shown, froc = metrics["at_score"], metrics["froc"]
    rates = ", ".join(f"{p['sensitivity']:.2f} at {p['false_positives_per_scan']:g}" for p in froc["sensitivity"])
    return [
        *rows,
        "",
        "AP is COCO's, the mean over overlaps (IoU) of 0.50 to 0.95; intervals are percentiles over draws of images.",
        "",
        f"From a score of {shown['score']:g} on: sensitivity {shown['sensitivity']:.3f}, "
        f"{shown['false_positives_per_image']:.2f} false positives per image. "
        f"Sensitivity at false positives per image (FROC): {rates}; mean {froc['cpm']:.3f}"
        f"{_interval(froc['cpm_interval'])}.",
    ]


def _interval(pair: Any) -> str:
    return f" ({pair[0]:.3f} to {pair[1]:.3f})" if pair else ""
