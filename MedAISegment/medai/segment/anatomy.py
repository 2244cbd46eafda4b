"""Names of structures that MedAI knows, with their codes and colours.

A segment made under one of these names carries the code into the scene, the table and the report.  Codes are SNOMED CT
as DICOM PS3.16 uses them (CID 7150 segmentation property categories and the anatomic context groups).
"""

from __future__ import annotations

import colorsys

from medai.core.labelmap import Code, Segment

TISSUE = Code("85756007", "SCT", "Tissue")
ANATOMY = Code("123037004", "SCT", "Anatomical structure")
LEFT = Code("7771000", "SCT", "Left")
RIGHT = Code("24028007", "SCT", "Right")

Color = tuple[float, float, float]

KNOWN: dict[str, tuple[Code, Code, Color]] = {
    "Foreground": (TISSUE, TISSUE, (0.85, 0.37, 0.01)),
    "Body": (ANATOMY, Code("279495008", "SCT", "Human body"), (0.80, 0.62, 0.50)),
    "Lung": (ANATOMY, Code("39607008", "SCT", "Lung"), (0.55, 0.75, 0.90)),
    "Trachea": (ANATOMY, Code("44567001", "SCT", "Trachea"), (0.71, 0.89, 1.00)),
    "Airways": (ANATOMY, Code("89187006", "SCT", "Airway structure"), (0.20, 0.72, 0.90)),
    "Bone": (TISSUE, Code("272673000", "SCT", "Bone"), (0.95, 0.84, 0.57)),
    "Brain": (ANATOMY, Code("12738006", "SCT", "Brain"), (0.98, 0.72, 0.62)),
    "Breast": (ANATOMY, Code("76752008", "SCT", "Breast"), (0.90, 0.65, 0.70)),
    "Liver": (ANATOMY, Code("10200004", "SCT", "Liver"), (0.87, 0.51, 0.40)),
    "Spleen": (ANATOMY, Code("78961009", "SCT", "Spleen"), (0.62, 0.48, 0.44)),
    "Kidney": (ANATOMY, Code("64033007", "SCT", "Kidney"), (0.73, 0.40, 0.33)),
    "Cerebrospinal fluid": (ANATOMY, Code("65216001", "SCT", "Cerebrospinal fluid"), (0.33, 0.60, 0.85)),
    "Grey matter": (TISSUE, Code("389081007", "SCT", "Grey matter"), (0.78, 0.60, 0.55)),
    "White matter": (TISSUE, Code("389080008", "SCT", "White matter"), (0.95, 0.93, 0.80)),
    "Air": (TISSUE, Code("15158005", "SCT", "Air"), (0.35, 0.55, 0.75)),
    "Fat": (TISSUE, Code("55603005", "SCT", "Fat"), (0.95, 0.85, 0.35)),
    "Soft tissue": (TISSUE, Code("87784001", "SCT", "Soft tissue"), (0.82, 0.50, 0.45)),
    "Calcium": (TISSUE, Code("18115005", "SCT", "Pathologic calcification"), (1.00, 1.00, 0.85)),
}
"""Name -> (category, type, colour)."""


def named(label: int, name: str) -> Segment:
    """Return a segment with the codes and the colour that belong to its name.

    ``Left`` and ``Right`` before a known name become the modifier.  An unknown name is coded as tissue and gets a
    colour that depends on its label only.

    Parameters
    ----------
    label : int
        Value in the array.
    name : str
        Name for people, for example ``Left lung``.
    """
    side, _, rest = name.partition(" ")
    modifier = {"Left": LEFT, "Right": RIGHT}.get(side)
    known = KNOWN.get(name)
    if known is None and modifier is not None:
        known = KNOWN.get(rest[:1].upper() + rest[1:])
    if known is None:
        return Segment(label, name, color_of(label), TISSUE, TISSUE)
    color = known[2]
    if modifier is RIGHT:
        color = tuple(0.75 * c for c in color)  # type: ignore[assignment]
    return Segment(label, name, color, known[0], known[1], modifier)


def color_of(label: int) -> Color:
    """Return a colour for a label: hues a golden section apart, so that neighbours differ."""
    return colorsys.hsv_to_rgb((0.08 + 0.6180339887498949 * (label - 1)) % 1.0, 0.65, 0.90)
