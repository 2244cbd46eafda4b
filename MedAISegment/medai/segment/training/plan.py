"""A recipe for a data set, decided by its fingerprint and the memory at hand; every decision with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from medai.core.errors import InputError

from ..anatomy import color_of
from ..inference.prepare import PrepareSettings
from ..manifest import Description, LabelEntry
from .fingerprint import Fingerprint
from .plan_patch import POWER, PatchPlan, Power
from .plan_values import median_size, prepare_settings, target_spacing
from .plan_words import listed
from .recipe import AugmentSettings, Recipe

FEWEST_SLICES = 4
Device = Literal["cpu", "cuda"]


class Planned(NamedTuple):
    """A recipe, and why it is as it is, in sentences."""

    recipe: Recipe
    reasons: tuple[str, ...]


def plan(
    fingerprint: Fingerprint,
    *,
    id: str,
    title: str,
    memory_mib: float = 4096,
    device: Device = "cpu",
    channels: Sequence[str] | None = None,
    spacing: tuple[float, float, float] | None = None,
    held_back: int | None = None,
    precision: Literal["float32", "bfloat16"] | None = None,
    threads: int = 2,
    seed: int = 20261122,
    licence: str = "not stated",
    source: str = "",
) -> Planned:
    """Decide spacing, values, network, patch, batch and length of a training.

    The rules are nnU-Net's (Isensee et al., Nature Methods 18, 203, 2021) where they concern the data: target spacing,
    normalisation, levels, patches; how large a network and how long a training are, depends on the device.

    Parameters
    ----------
    fingerprint : Fingerprint
    id, title : str
        Of the model.
    memory_mib : float
        What training may take, on the device.
    device : {"cpu", "cuda"}
    channels : sequence of str, optional
        Names that replace the data set's, to say what the channels are: ``CT``, ``T1``, ...
    spacing : tuple of float, optional
        mm along right, anterior, superior, instead of the one that the rule gives; a coarser one shows the network more
        of the image at a time.
    held_back : int, optional
        Subjects that training never sees; a fifth if not given.
    precision : {"float32", "bfloat16"}, optional
        bfloat16 on a GPU, float32 on a CPU if not given.
    threads : int
        CPU threads.
    seed : int
        Of the split and the training.
    licence, source : str
        For the card: under what terms the model is given away; where the data come from.

    Returns
    -------
    Planned
        ``recipe, reasons = plan(...)``.

    Raises
    ------
    InputError
        If the images are slices, or even the smallest patch does not fit the memory.
    SettingsError
        If an argument is out of range.
    """
    why: list[str] = []
    power = POWER[device]
    names = _channel_names(fingerprint, channels)
    target = target_spacing(fingerprint, spacing, why)
    size = median_size(fingerprint, target)
    if min(size) < FEWEST_SLICES:
        raise InputError(
            f"The images are {' x '.join(f'{n:g}' for n in size[::-1])} voxels (median); training needs at least "
            f"{FEWEST_SLICES} along each axis.",
            hint="Give volumes, not single slices.",
        )
    prepare = prepare_settings(fingerprint, names, target, why)
    kind = precision or ("bfloat16" if device == "cuda" else "float32")
    classes = len(fingerprint.labels) + 1
    shape = PatchPlan(size, target[::-1], len(names), classes, kind == "bfloat16", memory_mib, power)
    layout, filters, patch, batch = shape.decide(len(fingerprint.cases), why)
    training = _held_back(fingerprint, held_back, why)
    optimiser = _optimiser(training.cases, patch, batch, power, why)
    values: dict[str, Any] = {
        "id": id,
        "description": _description(fingerprint, title, prepare, licence, source),
        "labels": [
            LabelEntry(label=found.label, name=found.name, color=color_of(found.label)) for found in fingerprint.labels
        ],
        "prepare": prepare,
        "patch": patch,
        "filters": filters,
        "network": None if layout.uniform else layout.entry(filters),
        "optimiser": {**optimiser, "device": device, "precision": kind, "threads": threads},
        "augment": _augment(patch, target, why).model_copy(update={"foreground": _foreground(patch, size, why)}),
        "held_back": training.held_back,
        "seed": seed,
    }
    return Planned(Recipe.parse(values), tuple(why))


def _channel_names(found: Fingerprint, given: Sequence[str] | None) -> tuple[str, ...]:
    if given is not None and len(given) != len(found.channels):
        raise InputError(f"{len(given)} channels are named, the data set has {len(found.channels)}.")
    return tuple(given) if given is not None else found.channels


class _Sides(NamedTuple):
    cases: int
    held_back: int


def _held_back(found: Fingerprint, given: int | None, why: list[str]) -> _Sides:
    subjects = found.subjects
    count = max(1, round(subjects / 5)) if given is None else given
    if not 0 <= count < subjects:
        raise InputError(f"{count} of {subjects} subjects are to be held back; none is left to train on.")
    cases = max(1, round(len(found.cases) * (subjects - count) / subjects))
    if count:
        why.append(
            f"{count} of {subjects} subjects are held back, drawn by the seed: training never sees them, and the model "
            "card's numbers come from them."
        )
    else:
        why.append("Nobody is held back: the card's numbers will come from the training cases, and be too good.")
    return _Sides(cases, count)


def _optimiser(cases: int, patch: Sequence[int], batch: int, power: Power, why: list[str]) -> dict[str, Any]:
    fewest, most = power.samples
    samples = min(most, max(fewest, power.seen / math.prod(patch)))
    per_epoch = cases * max(1, math.ceil(100 / cases))
    epochs = max(10, round(samples / per_epoch))
    steps = epochs * math.ceil(per_epoch / batch)
    often = epochs * per_epoch / cases
    why.append(
        f"{epochs} epochs of {per_epoch} patches: each of about {cases} training cases is seen {often:.0f} times, "
        "changed at random every time."
    )
    return {
        "epochs": epochs,
        "samples_per_epoch": 0 if per_epoch == cases else per_epoch,
        "batch": batch,
        "warmup_steps": min(200, steps // 10),
    }


def _augment(patch: Sequence[int], spacing: Sequence[float], why: list[str]) -> AugmentSettings:
    ratio = max(spacing) / min(spacing)
    usual = AugmentSettings()
    shift = round(min(usual.translate, min(patch) / 8), 1)
    if ratio < 2:
        return AugmentSettings(translate=shift)
    angle = round(usual.rotate_deg / ratio, 1)
    why.append(
        f"Patches are turned by up to {angle:g} degrees, not {usual.rotate_deg:g}: a turn of voxels that are "
        f"{ratio:.2g} times as long as wide distorts what they show."
    )
    return AugmentSettings(rotate_deg=angle, translate=shift)


def _foreground(patch: Sequence[int], size: Sequence[float], why: list[str]) -> float:
    """Return the share of patches that are taken around a labelled voxel: nnU-Net's third where patches are small."""
    share = math.prod(patch) / max(1, math.prod(size))
    if share >= 0.5:
        return 0.0
    why.append(
        f"A third of the patches is taken around a labelled voxel: a patch shows {100 * share:.0f} % of the median "
        "image, and most patches anywhere would show background only."
    )
    return round(1 / 3, 4)


def _description(found: Fingerprint, title: str, prepare: PrepareSettings, licence: str, source: str) -> Description:
    modalities = {entry.modality for entry in prepare.channels}
    modality = modalities.pop() if len(modalities) == 1 else ""
    low = min(min(case.spacing) for case in found.cases)
    high = max(max(case.spacing) for case in found.cases)
    names = [label.name for label in found.labels]
    count = f"{len(found.cases)} cases of {found.subjects} subjects"
    return Description(
        title=title,
        summary=f"Outlines {listed(names)} in {modality or 'the'} images.".replace("  ", " "),
        intended_use="Research only. Not for diagnosis.",
        limits=(
            "Research use only; not validated for diagnosis, treatment decisions or any clinical use.",
            f"Made from {count} with voxels from {low:.3g} to {high:.3g} mm; other scanners, protocols, ages and "
            "diseases were not seen unless they are among these.",
        ),
        training_data=f"{source + ': ' if source else ''}{count}.",
        licence=licence,
        modality=modality,
        spacing_range_mm=(round(low * 0.99, 3), round(high * 1.01, 3)),
        volume_range_ml={
            label.name: (round(label.volume_ml[0] / 2, 4), round(label.volume_ml[2] * 2, 4))
            for label in found.labels
            if label.cases == len(found.cases) and label.subjects >= 10
        },
    )
