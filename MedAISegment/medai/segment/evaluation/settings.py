"""What an evaluation can be asked to do differently."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medai.core.settings import Settings

Match = Literal["auto", "names", "codes", "labels"]


class EvaluateSettings(Settings):
    """How segments find each other, what distances are measured between, and how intervals are made."""

    match: Match = Field(
        "auto",
        title="Match segments by",
        description="names (letter case, spaces, hyphens and underscores do not count), codes (type and modifier), or "
        "label values; auto takes names if both label maps name all their segments, else label values.",
    )
    tolerance_mm: float = Field(
        1.0,
        ge=0.0,
        le=1000.0,
        title="Tolerance of the surface Dice",
        description="Surface parts this close to the other surface count as agreeing.",
        json_schema_extra={"unit": "mm"},
    )
    surface: Literal["voxels", "surfels"] = Field(
        "voxels",
        title="Distances between",
        description="Where HD, HD95 and ASSD are measured: between the centres of border voxels (as MONAI does), or "
        "between surface elements weighted by their area (as DeepMind's surface-distance does).",
    )
    resample: bool = Field(
        False,
        title="Resample",
        description="Bring a prediction on another grid to the reference's by nearest neighbour instead of refusing; "
        "what lies outside the reference's grid is lost.",
    )
    interval: Literal["percentile", "bca"] = Field(
        "bca",
        title="Bootstrap interval",
        description="Percentile, or bias-corrected and accelerated (BCa).",
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1.0, title="Confidence", description="Confidence level of the intervals."
    )
    resamples: int = Field(
        2000, ge=100, le=100_000, title="Resamples", description="How often the cases are drawn anew for an interval."
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, title="Seed", description="Seed of the random draws.")
