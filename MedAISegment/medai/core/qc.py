"""Machine-readable quality flags: a run goes on, and the reader is told what is doubtful."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Severity(str, Enum):
    """How much a flag matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


QC_CODES = frozenset({
    "GEOM_NONUNIFORM_SLICES", "GEOM_MISSING_SLICE", "GEOM_SHEAR_TILT", "GEOM_ANISOTROPY",
    "GEOM_SPACING_OUT_OF_MODEL_RANGE", "FOV_CLIPPED", "FOV_ORGAN_ABSENT", "INT_RANGE_NOT_HU", "INT_CONSTANT",
    "INT_NAN", "INT_SATURATED", "ORIENT_UNKNOWN", "SIDES_IMPLAUSIBLE", "MODALITY_MISMATCH", "BODYPART_MISMATCH",
    "DOMAIN_OOD", "MASK_EMPTY", "MASK_TINY", "MASK_MANY_COMPONENTS", "VOL_IMPLAUSIBLE", "LOW_CONFIDENCE",
    "LOSSY_COMPRESSED", "BURNED_IN", "FEATURE_UNDEFINED", "PARTIAL_RUN", "DEVICE_FALLBACK",
})  # fmt: skip


@dataclass(frozen=True)
class QCFlag:
    """One quality flag.

    Parameters
    ----------
    code : str
        One of :data:`QC_CODES`.
    severity : Severity
        ERROR means: do not quantify unless the user allows it.
    message : str
        One sentence for people; no patient data.
    measured, limit : float or str, optional
        What was found and what was allowed, in the unit that the message names.  NaN and infinity become text,
        because JSON has no such numbers.
    affects : str
        What the flag concerns: ``image``, a segment's name, a feature's name.
    """

    code: str
    severity: Severity
    message: str
    measured: float | str | None = None
    limit: float | str | None = None
    affects: str = "image"

    def __post_init__(self) -> None:
        if self.code not in QC_CODES:
            raise ValueError(f"unknown QC code {self.code!r}")
        object.__setattr__(self, "severity", Severity(self.severity))
        for field in ("measured", "limit"):
            object.__setattr__(self, field, _json_ready(getattr(self, field)))

    def to_dict(self) -> dict[str, Any]:
        """Return the flag as JSON-ready values."""
        return {**asdict(self), "severity": self.severity.value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> QCFlag:
        """Rebuild a flag that :meth:`to_dict` wrote."""
        return cls(**data)


def _json_ready(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    plain = value.item() if hasattr(value, "item") else value
    return plain if math.isfinite(plain) else str(float(plain))
