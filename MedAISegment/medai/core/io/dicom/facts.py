"""Facts about an acquisition that a report needs: an allow-list, so that nothing about a patient can slip in."""

from __future__ import annotations

from typing import Any

from .values import text

FACT_KEYWORDS = (
    "Manufacturer", "ManufacturerModelName", "BodyPartExamined", "PatientPosition", "SliceThickness",
    "SpacingBetweenSlices", "KVP", "ConvolutionKernel", "XRayTubeCurrent", "Exposure", "ReconstructionDiameter",
    "GantryDetectorTilt", "SpiralPitchFactor", "MagneticFieldStrength", "ScanningSequence", "SequenceVariant",
    "MRAcquisitionType", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "EchoTrainLength",
    "PixelBandwidth", "ContrastBolusAgent", "Units", "DecayCorrection", "CorrectedImage", "ReconstructionMethod",
    "AttenuationCorrectionMethod", "ScatterCorrectionMethod", "PhotometricInterpretation", "PixelPaddingValue",
    "ImageType",
)  # fmt: skip
"""DICOM keywords copied into ``Volume.meta`` under the same names."""


def facts_of(dataset: Any, name: str) -> dict[str, str]:
    """Return the facts that are present, as short printable text."""
    found = {keyword: text(dataset, keyword, name) for keyword in FACT_KEYWORDS}
    return {keyword: value for keyword, value in found.items() if value}
