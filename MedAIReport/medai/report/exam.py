"""The exam section: the grid, and the few acquisition facts that may leave the image's metadata."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from medai.core.volume import Volume

from .model import Fact
from .quantity import format_number
from .text import clean_text

_MODALITIES = {
    "CT": "CT", "MR": "MR", "PT": "PET", "US": "Ultrasound", "XC": "Photograph", "CR": "Computed radiography",
    "DX": "Digital radiography", "MG": "Mammography", "NM": "Nuclear medicine", "OT": "Other",
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
# A maker, a kernel, a body part: short, of plain characters. A person's name in DICOM has carets.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _+/.()-]{0,31}")


def _number(text: str, unit: str) -> str:
    if not _NUMBER.fullmatch(text.strip()) or not math.isfinite(float(text)):
        return ""
    return f"{float(text):.6g} {unit}"


def _word(text: str, unit: str) -> str:
    return text if _WORD.fullmatch(text) else ""


# DICOM keyword -> (label, unit, check, modalities that a missing value is stated for). Nothing else of Volume.meta
# reaches a report: metadata is where names of patients hide.
ALLOWED_META: dict[str, tuple[str, str, Callable[[str, str], str], str]] = {
    "Manufacturer": ("Manufacturer", "", _word, "*"),
    "ManufacturerModelName": ("Scanner", "", _word, "*"),
    "BodyPartExamined": ("Body part", "", _word, "*"),
    "SliceThickness": ("Slice thickness", "mm", _number, "*"),
    "ConvolutionKernel": ("Kernel", "", _word, "CT"),
    "KVP": ("Tube voltage", "kV", _number, "CT"),
    "XRayTubeCurrent": ("Tube current", "mA", _number, ""),
    "MagneticFieldStrength": ("Field strength", "T", _number, "MR"),
    "ScanningSequence": ("Sequence type", "", _word, "MR"),
    "RepetitionTime": ("Repetition time", "ms", _number, "MR"),
    "EchoTime": ("Echo time", "ms", _number, "MR"),
    "InversionTime": ("Inversion time", "ms", _number, ""),
    "FlipAngle": ("Flip angle", "degrees", _number, "MR"),
}


def exam_facts(volume: Volume) -> tuple[Fact, ...]:
    """Return what is known about the exam; facts that a reader expects and that are missing have an empty text.

    Parameters
    ----------
    volume : Volume
        Only :data:`ALLOWED_META` of its ``meta`` is read, and a value that does not look like such a value is left out.
    """
    geometry = volume.geometry
    spacing = " x ".join(f"{v:.4g}" for v in geometry.spacing)
    extent = " x ".join(format_number(n * s, "mm") for n, s in zip(geometry.size, geometry.spacing, strict=True))
    axes = f"{geometry.orientation}{', oblique' if geometry.is_oblique else ''}"
    facts = [
        Fact(label="Modality", text=_MODALITIES.get(volume.modality, _word(volume.modality, ""))),
        Fact(label="Matrix (I x J x K)", text=" x ".join(str(n) for n in geometry.size)),
        Fact(label="Voxel spacing", text=f"{spacing} mm"),
        Fact(label="Field of view", text=f"{extent} mm"),
        Fact(label="Axes grow towards", text="" if orientation_unknown(volume) else axes),
    ]
    known = _known(volume.meta)
    for key, (label, _, _, expected) in ALLOWED_META.items():
        if key in known:
            facts.append(Fact(label=label, text=known[key]))
        elif expected == "*" or (expected and expected == volume.modality):
            facts.append(Fact(label=label))
    return tuple(facts)


def orientation_unknown(volume: Volume) -> bool:
    """Return True if the file did not say which side is which."""
    return any(flag.code == "ORIENT_UNKNOWN" for flag in volume.flags)


def _known(meta: Mapping[str, str]) -> dict[str, str]:
    checked = {k: check(clean_text(str(meta[k])), unit) for k, (_, unit, check, _) in ALLOWED_META.items() if k in meta}
    return {key: text for key, text in checked.items() if text}
