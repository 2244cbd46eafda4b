"""Hounsfield units: limits of tissues in CT, and whether an image is in HU at all."""

from __future__ import annotations

from typing import NamedTuple

from medai.core.errors import InputError
from medai.core.progress import CancelToken
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from .histogram import value_range

HU = "[hnsf'U]"
"""UCUM code of the Hounsfield unit."""

NO_AIR_HU = -200.0
"""An image that nobody calls HU must hold values as low as this: every whole CT slice shows air around the patient."""


class Limits(NamedTuple):
    """Range of a tissue in HU, both ends included; None for no limit."""

    lower: float | None
    upper: float | None
    segment: str
    """Name of the segment, known to :mod:`medai.segment.anatomy`."""
    source: str


TISSUES: dict[str, Limits] = {
    "air": Limits(None, -951.0, "Air", "below -950 HU: Gevenois et al., Am J Respir Crit Care Med 154, 187 (1996)"),
    "lung": Limits(
        -950.0,
        -500.0,
        "Lung",
        "aerated lung denser than emphysema: Gattinoni et al., Am J Respir Crit Care Med 164, 1701 (2001)",
    ),
    "fat": Limits(-190.0, -30.0, "Fat", "Kvist et al., Am J Clin Nutr 48, 1351 (1988)"),
    "soft_tissue": Limits(
        -29.0, 150.0, "Soft tissue", "range of muscle: Mitsiopoulos et al., J Appl Physiol 85, 115 (1998)"
    ),
    "bone": Limits(226.0, None, "Bone", "usual lower limit of bone in models made from CT"),
    "calcium": Limits(130.0, None, "Calcium", "Agatston et al., J Am Coll Cardiol 15, 827 (1990)"),
}
"""Tissue -> limits.  Calcium and bone overlap: calcium is meant inside soft tissue or vessels, in images without
contrast agent."""


def hu_flags(volume: Volume, cancel: CancelToken | None = None) -> tuple[QCFlag, ...]:
    """Return the flag ``INT_RANGE_NOT_HU`` if an image is not in Hounsfield units as far as can be told.

    An image counts as not in HU if its reader said so, its unit is another one, its modality is not CT and its unit is
    not HU, or its smallest value is too high: above -200 for an image without a unit, 0 or more for one that is called
    HU (a cut-out of soft tissue has negative noise; raw values of 0 to 4095 have none).

    Parameters
    ----------
    volume : Volume
        Scalar or not; the smallest finite value of all components counts.
    cancel : CancelToken, optional
        Polled while the smallest value is looked for (a fraction of a second for 512^3).

    Returns
    -------
    tuple of QCFlag
        Empty if the image may be in HU.
    """
    given = tuple(flag for flag in volume.flags if flag.code == "INT_RANGE_NOT_HU")
    if given:
        return given
    if volume.unit not in ("", HU):
        return (_flag(f"The image's values are in {volume.unit}, not in Hounsfield units.", volume.unit, HU),)
    if volume.modality not in ("", "CT") and volume.unit != HU:
        message = f"The image's modality is {volume.modality}, not CT: its values are not Hounsfield units."
        return (_flag(message, volume.modality, "CT"),)
    try:
        lowest = float(value_range(volume.array, None, cancel)[0])
    except InputError:
        return (_flag("The image holds no finite value: there are no Hounsfield units.", None, None),)
    called_hu = volume.unit == HU
    if lowest >= 0.0 if called_hu else lowest > NO_AIR_HU:
        limit = 0.0 if called_hu else NO_AIR_HU
        message = f"The image's smallest value is {lowest:.6g}: its values may not be Hounsfield units (air is -1000)."
        return (_flag(message, lowest, limit),)
    return ()


def _flag(message: str, measured: float | str | None, limit: float | str | None) -> QCFlag:
    return QCFlag("INT_RANGE_NOT_HU", Severity.WARNING, message, measured, limit)
