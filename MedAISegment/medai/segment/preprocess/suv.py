"""Standardised uptake values of PET images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from medai.core.errors import InputError
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag, Severity
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..slabs import for_slabs
from ._base import Filter
from ._suv import NORMALISERS, Body, Kind, fact, missing

SLAB_VOXELS = 1 << 21
MOST_HALF_LIVES = 10.0
_OF_UNIT = {"Bq/mL": "BQML", "g/mL": "GML", **{n.unit: "GML" for n in NORMALISERS.values()}}
_SCALED = {"GML", "CM2ML"}


class SuvSettings(Settings):
    """Which SUV, and facts that go before those of the DICOM header."""

    kind: Kind = Field(
        "bw", title="Normalised by",
        description="Body weight; lean body mass (Janmahasatian, or James); ideal body weight; body surface.",
    )  # fmt: skip
    weight_kg: float | None = Field(
        None, ge=0.3, le=500, title="Body weight", description="Empty: the header's PatientWeight.",
        json_schema_extra={"unit": "kg"},
    )  # fmt: skip
    height_cm: float | None = Field(
        None, ge=25, le=260, title="Height", description="Empty: the header's PatientSize.",
        json_schema_extra={"unit": "cm"},
    )  # fmt: skip
    sex: Literal["header", "male", "female"] = Field(
        "header", title="Sex", description="For lean body mass and ideal weight: the header's PatientSex, or given."
    )
    dose_mbq: float | None = Field(
        None, ge=0.01, le=100000, title="Injected activity", description="Empty: the header's RadionuclideTotalDose.",
        json_schema_extra={"unit": "MBq"},
    )  # fmt: skip
    half_life_min: float | None = Field(
        None, ge=0.5, le=200000, title="Half-life",
        description="Empty: the header's RadionuclideHalfLife (fluorine-18: 109.77).",
        json_schema_extra={"unit": "min"},
    )  # fmt: skip
    delay_min: float | None = Field(
        None, ge=0, le=200000, title="Injection to scan",
        description="Minutes from injection to the time the values are corrected to; empty: from the header's times.",
        json_schema_extra={"unit": "min"},
    )  # fmt: skip
    decay_correction: Literal["header", "START", "ADMIN", "NONE"] = Field(
        "header", title="Decay correction",
        description="To the scan's start, to the injection (ADMIN), none; or as the header's DecayCorrection says.",
    )  # fmt: skip
    units: Literal["header", "BQML", "GML"] = Field(
        "header", title="Image values",
        description="Bq/ml, or SUV by body weight already (g/ml); or as the header's Units says.",
    )  # fmt: skip


class Suv(Filter):
    """Activity concentration over injected activity per body size.

    SUV = value (Bq/ml) x size / (dose x 2^(-delay / half-life)), after QIBA's vendor-neutral pseudo-code (FDG-PET/CT
    technical committee, "happy path"), and beyond it: decay correction ``ADMIN`` (the dose is not decayed) and ``NONE``
    (decayed to when the slices were measured); Philips' ``CNTS`` with the maker's private factors; images that are SUV
    already (``GML``, ``CM2ML``) are turned from one kind of body size to another.  Sizes: body weight; lean body mass
    (Janmahasatian 2005, or James 1976); ideal body weight (Sugawara 1999); body surface (Du Bois 1916, in cm2).

    Facts come from the DICOM header by way of the reader (``Volume.meta``); settings go before them, and an image
    without a header (NIfTI) needs them.  Nothing is guessed: what is missing or implausible is named.  The result is
    float32 (float64 stays float64) in DICOM's UCUM unit, for example ``g/ml{SUVbw}``.  An image of another modality
    is flagged ``MODALITY_MISMATCH``.
    """

    name = "suv"
    title = "Standardised uptake value (PET)"
    group = "Normalise"
    Settings = SuvSettings

    def apply(self, value: Volume, settings: SuvSettings, *, progress: ProgressFn, cancel: CancelToken) -> Volume:
        """Convert a scalar volume.

        Raises
        ------
        InputError
            Naming the DICOM attribute that is missing or implausible.
        UnsupportedInput
            For an image with several components.
        """
        value.require_scalar("SUV")
        factor = suv_factor(value, settings)
        dtype = np.float64 if value.array.dtype == np.float64 else np.float32
        result = np.empty(value.array.shape, dtype=dtype)

        def part(start: int, stop: int) -> None:
            np.multiply(value.array[start:stop], dtype(factor), out=result[start:stop], casting="unsafe")

        slab = max(1, SLAB_VOXELS // max(1, value.array[0].size))
        for_slabs(len(result), part, slab=slab, progress=sub_progress(progress, 0.0, 0.99), cancel=cancel)
        chosen = NORMALISERS[settings.kind]
        meta = {
            **value.meta, "SUVFactor": f"{factor:.9g}", "SUVType": chosen.suv_type,
            "Units": "CM2ML" if settings.kind == "bsa" else "GML",
        }  # fmt: skip
        done = value.replace(array=result, unit=chosen.unit, meta=meta)
        if value.modality in ("", "PT", "NM"):
            return done
        message = f"SUV was computed of an image of modality {value.modality}, not PET."
        return done.with_flags(
            QCFlag("MODALITY_MISMATCH", Severity.WARNING, message, measured=value.modality, limit="PT")
        )


def suv_factor(volume: Volume, settings: SuvSettings) -> float:
    """Return the factor from the image's values to SUV.

    Raises
    ------
    InputError
        Naming the DICOM attribute that is missing or implausible.
    """
    meta = volume.meta
    chosen = NORMALISERS[settings.kind]
    units = settings.units if settings.units != "header" else meta.get("Units", "") or _OF_UNIT.get(volume.unit, "")
    corrected = meta.get("CorrectedImage", "").upper().split("\\")
    if corrected != [""] and "ATTN" not in corrected:
        raise InputError(
            "The DICOM attribute CorrectedImage does not name ATTN: without attenuation correction there is no SUV.",
            hint="Choose the attenuation-corrected series.",
        )
    scale = 1.0
    if units == "CNTS" and "PhilipsSUVScale" in meta:
        units, scale = "GML", float(meta["PhilipsSUVScale"])
        before = "BW"
    elif units == "CNTS" and "PhilipsActivityScale" in meta:
        units, scale, before = "BQML", float(meta["PhilipsActivityScale"]), ""
    elif units == "CNTS":
        raise InputError(
            "The DICOM attribute Units is CNTS, and the header has none of Philips' factors (7053,xx00), (7053,xx09).",
            hint="Export the series in Bq/ml.",
        )
    else:
        before = "BW" if settings.units == "GML" else meta.get("SUVType", "BSA" if units == "CM2ML" else "BW")
    if units in _SCALED:
        return scale * _between(before, chosen.suv_type, meta, settings)
    if units != "BQML":
        given = f"is {units[:16]!r}" if units else "is missing"
        raise InputError(
            f"The DICOM attribute Units {given}; SUV needs values in Bq/ml (BQML).",
            hint="Give suv.units if the image is in Bq/ml.",
        )
    dose = 1e6 * fact(
        {"RadionuclideTotalDose": _mega(meta)}, "RadionuclideTotalDose", settings.dose_mbq, 0.1, 1e5, "MBq",
        "SUV needs the injected activity", "dose_mbq",
    )  # fmt: skip
    return scale * chosen.size(_body(meta, settings)) / (dose * _left(meta, settings, corrected))


def _mega(meta: Mapping[str, str]) -> str:
    try:
        return f"{float(meta['RadionuclideTotalDose']) / 1e6:.9g}"
    except (KeyError, ValueError):
        return ""


def _body(meta: Mapping[str, str], settings: SuvSettings) -> Body:
    weight = fact(meta, "PatientWeight", settings.weight_kg, 0.3, 500, "kg", "SUV needs the body weight", "weight_kg")
    height = settings.height_cm
    if height is None and "PatientSize" in meta and settings.kind != "bw":
        height = 100 * fact(meta, "PatientSize", None, 0.25, 2.6, "m", "", "height_cm")
    sex = meta.get("PatientSex", "") if settings.sex == "header" else settings.sex[0].upper()
    return Body(weight, height, sex)


def _between(before: str, after: str, meta: Mapping[str, str], settings: SuvSettings) -> float:
    """Return the factor from one kind of SUV to another."""
    if before == after:
        return 1.0
    known = {n.suv_type: n for n in NORMALISERS.values()}
    if before not in known:
        raise InputError(
            f"The image is SUV of the kind {before!r} (DICOM attribute SUVType), which cannot be converted.",
            hint="Use the series in Bq/ml.",
        )
    body = _body(meta, settings)
    return known[after].size(body) / known[before].size(body)


def _left(meta: Mapping[str, str], settings: SuvSettings, corrected: list[str]) -> float:
    """Return the share of the injected activity that was left at the time for which the image's values stand."""
    way = settings.decay_correction
    if way == "header":
        way = meta.get("DecayCorrection", "")  # type: ignore[assignment]
        if way not in ("START", "ADMIN", "NONE"):
            raise missing("DecayCorrection", "SUV needs to know the decay correction", "decay_correction")
        if corrected != [""] and ("DECY" in corrected) == (way == "NONE"):
            raise InputError(
                f"The DICOM attributes contradict each other: DecayCorrection is {way}, CorrectedImage "
                f"{'names' if way == 'NONE' else 'does not name'} DECY.",
                hint="Give suv.decay_correction.",
            )
    if way == "ADMIN":
        return 1.0
    given = None if settings.half_life_min is None else settings.half_life_min * 60
    why = "SUV needs the half-life"
    half_life = fact(meta, "RadionuclideHalfLife", given, 30, 1.2e7, "s", why, "half_life_min")
    delay = settings.delay_min
    if delay is None:
        recorded = meta.get("DecayCorrection", "START") == "NONE"
        if recorded != (way == "NONE") or "DecaySeconds" not in meta:
            times = "RadiopharmaceuticalStartDateTime (or StartTime) with SeriesTime or AcquisitionTime"
            raise missing(times, f"SUV needs the time from injection to scan{_why(meta)}", "delay_min")
        seconds = float(meta["DecaySeconds"])
        if not 0 <= seconds <= MOST_HALF_LIVES * half_life:
            raise InputError(
                f"The scan lies {seconds / 60:.4g} min after the injection by the DICOM attributes "
                f"RadiopharmaceuticalStartTime and {meta.get('DecayReference', 'SeriesTime')}, which is implausible "
                f"for a half-life of {half_life / 60:.4g} min.",
                hint="Give the minutes as suv.delay_min.",
            )
        delay = seconds / 60
    halvings = 60 * delay / half_life
    if halvings > MOST_HALF_LIVES:
        raise InputError(
            f"The scan lies {delay:.4g} min after the injection, which is implausible for a half-life of "
            f"{half_life / 60:.4g} min.",
            hint="Check suv.delay_min and suv.half_life_min.",
        )
    return float(2.0**-halvings)


def _why(meta: Mapping[str, str]) -> str:
    reason = meta.get("DecayReference", "")
    return f" ({reason})" if reason.startswith("slices") else ""
