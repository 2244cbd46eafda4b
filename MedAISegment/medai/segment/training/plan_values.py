"""Where a plan puts the voxels, and what it does to their values: nnU-Net's rules.

Source: Isensee et al., Nature Methods 18, 203 (2021), and nnU-Net's ``ExperimentPlanner``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..formats._nnunet_labels import modality_of
from ..inference.prepare import ChannelEntry, Normalise, PrepareSettings
from .fingerprint import Fingerprint
from .plan_words import times

ANISOTROPY = 3.0
"""Ratio of spacing, and of sizes, above which the coarsest axis is treated apart."""
MASKED = 0.75
"""With a smaller share of the image in the box around what is not 0, only that is looked at."""
SMALLEST_SD = 1e-8


def target_spacing(found: Fingerprint, given: Sequence[float] | None, why: list[str]) -> tuple[float, float, float]:
    """Return the spacing of the model's grid along I, J, K (RAS), and say why.

    Parameters
    ----------
    given : sequence of float, optional
        What the user wants instead.
    """
    if given is not None:
        i, j, k = (float(mm) for mm in given)
        why.append(f"The spacing is the one asked for: {times((i, j, k))} mm (right, anterior, superior).")
        return i, j, k
    median, voxels = list(found.spacing.median), found.voxels.median
    coarse = max(range(3), key=lambda axis: median[axis])
    others = [axis for axis in range(3) if axis != coarse]
    finest = max(median[axis] for axis in others)
    text = "The spacing is the median of the cases"
    few = voxels[coarse] * ANISOTROPY < min(voxels[axis] for axis in others)
    if median[coarse] > ANISOTROPY * finest and few:
        text = (
            f"Slices are {median[coarse]:.3g} mm apart in the median, more than {ANISOTROPY:g} times the spacing "
            "within them, so the 10th percentile is taken there, which loses no slices of the finer cases; else the "
            "median"
        )
        median[coarse] = max(found.spacing.p10[coarse], finest)
    i, j, k = (round(mm, 3) if mm >= 0.01 else mm for mm in median)
    why.append(f"{text}: {times((i, j, k))} mm (right, anterior, superior).")
    return i, j, k


def median_size(found: Fingerprint, spacing: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the median size along K, J, I at the target spacing."""
    sizes = [
        [
            max(1, round(n * old / new))
            for n, old, new in zip(case.shape, case.spacing[::-1], spacing[::-1], strict=True)
        ]
        for case in found.cases
    ]
    k, j, i = (float(n) for n in np.median(sizes, axis=0))
    return k, j, i


def prepare_settings(
    found: Fingerprint, names: Sequence[str], spacing: tuple[float, float, float], why: list[str]
) -> PrepareSettings:
    """Return crop and normalisation of each channel on the model's grid, and say why.

    Parameters
    ----------
    names : sequence of str
        Of the channels; a name such as CT or T1 says what a channel is, otherwise the fingerprint's guess holds.
    """
    masked = found.kept < MASKED
    over: Literal["image", "filled"] = "filled" if masked else "image"
    entries = []
    for number, name in enumerate(names):
        modality = modality_of(name) or found.modalities[number]
        inside = found.inside[number]
        chain: tuple[Normalise, ...]
        if modality == "CT":
            chain = (
                Normalise(method="clip", low=inside.percentile_00_5, high=inside.percentile_99_5),
                Normalise(method="shift_scale", mean=inside.mean, sd=max(inside.sd, SMALLEST_SD)),
            )
            why.append(
                f"Channel {name!r} is CT, whose numbers mean the same in every image: clipped to "
                f"{inside.percentile_00_5:.4g} to {inside.percentile_99_5:.4g} (0.5th and 99.5th percentile inside the "
                f"labels), less {inside.mean:.4g}, divided by {inside.sd:.4g}."
            )
        else:
            chain = (
                Normalise(method="clip_percentiles", low=0.5, high=99.5, over=over),
                Normalise(method="zscore", over=over),
            )
            where = "what is not 0" if masked else "the image"
            what = f"is {modality}" if modality else "has no known unit (name it CT if it is)"
            why.append(
                f"Channel {name!r} {what}: clipped to the 0.5th and 99.5th percentile of each image, then mean 0 and "
                f"SD 1 over {where}."
            )
        entries.append(ChannelEntry(name=name[:64], modality=modality, normalise=chain))
    if masked:
        why.append(
            f"The images are 0 around what they show ({100 * found.kept:.0f} % of them remain in the median): they are "
            "cropped to the rest."
        )
    return PrepareSettings(
        spacing=spacing,
        crop="nonzero" if masked else "none",
        normalise_first=masked,
        channels=tuple(entries),
    )
