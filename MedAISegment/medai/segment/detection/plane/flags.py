"""Flags that a result deserves: an image the model was not made for, instances at the border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from ...manifest import Description
from ..result import Detection


def image_flags(volume: Volume, values: npt.NDArray[np.float32], description: Description) -> list[QCFlag]:
    """Compare an image with what the model was made for.

    Parameters
    ----------
    volume : Volume
    values : array
        As the network reads them, from 0 to 1.

    Returns
    -------
    list of QCFlag
        ``MODALITY_MISMATCH`` (an error), ``INT_CONSTANT``, ``GEOM_SPACING_OUT_OF_MODEL_RANGE``.
    """
    flags: list[QCFlag] = []
    wanted = description.modality
    if wanted and volume.modality and volume.modality != wanted:
        text = f"The model is made for {wanted}, the image is {volume.modality}."
        flags.append(QCFlag("MODALITY_MISMATCH", Severity.ERROR, text, volume.modality, wanted))
    if values.size and values.min() == values.max():
        text = "As the model reads it, the image has one value everywhere: there is nothing to be found in it."
        flags.append(QCFlag("INT_CONSTANT", Severity.WARNING, text))
    low, high = description.spacing_range_mm
    inside = [mm for mm, count in zip(volume.geometry.spacing_kji, volume.geometry.shape, strict=True) if count > 1]
    for value in sorted({min(inside), max(inside)}) if inside else ():
        if not low <= value <= high:
            text = f"Pixels of {value:.3g} mm lie outside the {low:g} to {high:g} mm for which the model was tried."
            limit = low if value < low else high
            flags.append(QCFlag("GEOM_SPACING_OUT_OF_MODEL_RANGE", Severity.WARNING, text, value, limit))
    return flags


def border_flags(items: Sequence[Detection], geometry: Geometry) -> list[QCFlag]:
    """Flag instances that reach the image's border; the axis across a single slice has none."""
    axes = [axis for axis in range(3) if geometry.size[axis] > 1]
    count = sum(any(i.low[a] <= 0 or i.high[a] >= geometry.size[a] for a in axes) for i in items)
    if not count:
        return []
    text = f"{count} of the findings touch the image's border; they may reach further than the image."
    return [QCFlag("FOV_CLIPPED", Severity.WARNING, text, count, 0)]
