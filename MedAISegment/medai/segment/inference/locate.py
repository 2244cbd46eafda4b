"""Regions for models that were trained on crops: found by the atlas, then centred on what the network finds."""

from __future__ import annotations

from typing import Any

import numpy as np

from medai.core.errors import ManifestError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from ..atlas import fit_template
from ..manifest import Manifest, RegionHint
from .prepare import FloatImage
from .regions import Box, Region

SMALLEST_FIND_ML = 0.1
"""Less foreground than this says nothing about where the structure is."""


def atlas_regions(
    volume: Volume, manifest: Manifest, info: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> list[Region]:
    """Return one region a side, placed by registering the MNI152 template to the image.

    Parameters
    ----------
    info : dict
        Gets the fit under ``atlas``.

    Raises
    ------
    ManifestError
        If the model does not say where its structure lies in the template.
    """
    hint = manifest.region
    if hint is None or not hint.mni152:
        raise ManifestError(
            f"The model {manifest.id!r} does not say where its structure lies in the atlas.",
            hint="Use regions 'image', or give the boxes.",
        )
    fit = fit_template(volume, progress=progress, cancel=cancel)
    info["atlas"] = {"matrix": fit.matrix.tolist(), "mutual_information": round(fit.mutual_information, 6)}
    return [
        place(hint, side, fit.to_image(hint.mni152[side]), mirrored=manifest.description.mirrors(side))
        for side in sorted(hint.mni152)
    ]


def place(hint: RegionHint, side: Any, centroid: tuple[float, float, float], *, mirrored: bool) -> Region:
    """Return the box in which a structure's centroid lies where it lies in the training crops.

    Parameters
    ----------
    centroid : tuple of float
        RAS mm.
    mirrored : bool
        The model was trained on the other side: the share along R is mirrored.
    """
    share = np.asarray(hint.centroid, dtype=np.float64)
    if mirrored:
        share[0] = 1 - share[0]
    r, a, s = np.asarray(centroid) + (0.5 - share) * np.asarray(hint.size_mm)
    return Region(side=side, centre_ras=(float(r), float(a), float(s)), size_mm=hint.size_mm)


def recentred(region: Region, scores: FloatImage, box: Box, manifest: Manifest) -> Region | None:
    """Return the region moved to the centroid of what was found in it, or None if too little was found."""
    hint = manifest.region
    if hint is None:
        return None
    weight = 1.0 - scores[0]
    weight = np.where(weight > 0.5, weight, 0.0)
    if weight.sum() * box.grid.voxel_volume_mm3 / 1000 < SMALLEST_FIND_ML:
        return None
    index = [float((weight.sum(axis=tuple(a for a in range(3) if a != axis)) * np.arange(n)).sum() / weight.sum())
             for axis, n in enumerate(weight.shape)]  # fmt: skip
    r, a, s = box.grid.to_ras(index[::-1])
    mirrored = manifest.description.mirrors(region.side)
    return place(hint, region.side, (float(r), float(a), float(s)), mirrored=mirrored)
