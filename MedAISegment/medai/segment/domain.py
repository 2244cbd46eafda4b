"""What a model's results must look like if the image is of the kind that it knows: limits that its manifest states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from medai.core.qc import QCFlag, Severity
from medai.core.settings import Settings

Measure = Literal["volume_ml", "probability", "border_cm2", "repeat_dice"]
UNITS: dict[str, str] = {"volume_ml": "mL", "probability": "", "border_cm2": "cm2", "repeat_dice": ""}


class DomainLimit(Settings):
    """One number that is measured in every result, and what it may be.

    The limits belong to the model, not to the code: they are chosen from what the model gives on images of its kind
    and on images of other kinds, and the model card says which.
    """

    measure: Measure = Field(
        description=(
            "volume_ml: volume of the labels together. probability: mean over their voxels of the probability that the "
            "network gave to the label. border_cm2: area in which they meet the border of the image (or, with regions, "
            "of the box). repeat_dice: Dice of the labels with those of a second run in a shifted box (models with a "
            "region only)."
        )
    )
    labels: tuple[str, ...] = Field((), max_length=256, description="Names of labels taken together; all if empty.")
    low: float | None = Field(None, description="Lowest value of an image inside the domain.")
    high: float | None = Field(None, description="Highest value of an image inside the domain.")
    code: Literal["DOMAIN_OOD", "FOV_ORGAN_ABSENT"] = Field("DOMAIN_OOD", description="Flag outside the limits.")
    severity: Literal["warning", "error"] = Field("error", description="error: the result is not to be measured.")
    meaning: str = Field(min_length=1, max_length=120, description="What is measured, such as 'intracranial volume'.")

    @model_validator(mode="after")
    def _has_a_limit(self) -> DomainLimit:
        if self.low is None and self.high is None:
            raise ValueError("a limit needs low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        return self

    def flag(self, value: float | None, affects: str = "image") -> QCFlag | None:
        """Return the flag that a measured value deserves; None for a value inside the limits, or without a value."""
        if value is None:
            return None
        unit = f" {UNITS[self.measure]}".rstrip()
        for limit, outside, word in (
            (self.low, self.low is not None and value < self.low, "below"),
            (self.high, self.high is not None and value > self.high, "above"),
        ):
            if outside:
                where = "" if affects == "image" else f"{affects.capitalize()}: "
                what = f"{where}{self.meaning}" if where else self.meaning[0].upper() + self.meaning[1:]
                why = (
                    "the structure is not, or not whole, in the image"
                    if self._absent
                    else "unlike what the model knows"
                )
                text = f"{what} is {value:.3g}{unit}, {word} {limit:g}{unit}: {why}."
                return QCFlag(self.code, Severity(self.severity), text, value, limit, affects)
        return None

    @property
    def _absent(self) -> bool:
        return self.code == "FOV_ORGAN_ABSENT"


def judge(
    limits: Sequence[DomainLimit], measured: Sequence[float | None], affects: str = "image"
) -> tuple[list[dict[str, Any]], list[QCFlag]]:
    """Compare measured values with a model's limits.

    Parameters
    ----------
    limits : sequence of DomainLimit
    measured : sequence of float or None
        One value a limit; None where it could not be measured.
    affects : str
        What the flags concern.

    Returns
    -------
    facts : list of dict
        Every limit with its measured value, JSON-ready.
    flags : list of QCFlag
    """
    facts, flags = [], []
    for limit, value in zip(limits, measured, strict=True):
        facts.append({**limit.to_dict(), "value": None if value is None else round(float(value), 6)})
        flag = limit.flag(value, affects)
        if flag is not None:
            flags.append(flag)
    return facts, flags


def weighted_probability(labels: Mapping[str, Mapping[str, Any]], names: Sequence[str], weight: str) -> float | None:
    """Return the mean class probability over the voxels of several labels; None if none of them was found.

    Parameters
    ----------
    labels : mapping
        Per label its numbers: ``mean_probability`` and its size.
    names : sequence of str
        Labels that count; all if empty.
    weight : str
        Key of the size: ``voxels`` or ``volume_ml``.
    """
    chosen = [fact for name, fact in labels.items() if not names or name in names]
    pairs = [(f[weight], f["mean_probability"]) for f in chosen if f.get("mean_probability") is not None]
    total = sum(size for size, _ in pairs)
    return sum(size * value for size, value in pairs) / total if total else None
