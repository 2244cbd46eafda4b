"""A number with its unit and the one text that every rendering shows for it."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from .text import Text

NOT_AVAILABLE = "not available"
UNDEFINED = "undefined"

# UCUM code -> (text for people, factor, rule). A rule is ("fixed", decimals) or ("significant", digits).
# Both are what a reader of the number can use: 0.1 mm, 0.1 HU, three digits of a volume.
_UNITS: dict[str, tuple[str, float, tuple[str, int]]] = {
    "mm": ("mm", 1.0, ("fixed", 1)),
    "mm2": ("mm²", 1.0, ("significant", 3)),
    "mm3": ("mL", 1e-3, ("significant", 3)),
    "mL": ("mL", 1.0, ("fixed", 2)),
    "ml": ("mL", 1.0, ("significant", 3)),
    "[hnsf'U]": ("HU", 1.0, ("fixed", 1)),
    "%": ("%", 1.0, ("fixed", 1)),
    "[ppth]": ("‰", 1.0, ("fixed", 2)),
    "s": ("s", 1.0, ("significant", 3)),
    "/mm": ("1/mm", 1.0, ("significant", 4)),
    "mm-1": ("1/mm", 1.0, ("significant", 4)),
    "bit": ("bit", 1.0, ("significant", 4)),
    "g/ml": ("g/mL", 1.0, ("significant", 3)),
    "g/mL": ("g/mL", 1.0, ("significant", 3)),
    "[arb'U]": ("a.u.", 1.0, ("significant", 4)),
    "1": ("", 1.0, ("significant", 4)),
    "": ("", 1.0, ("significant", 4)),
}
_SUPERSCRIPTS = {"2": "²", "3": "³", "4": "⁴"}


def format_number(value: float, unit: str = "") -> str:
    """Return a finite number as every rendering shows it, without its unit; ``.`` is the decimal point always.

    Parameters
    ----------
    value : float
        In ``unit``.
    unit : str
        UCUM code; mm3 is shown in mL.
    """
    _, factor, (rule, digits) = _UNITS.get(unit, _UNITS[""])
    scaled = value * factor
    if rule == "fixed" and (abs(scaled) >= 1 or scaled == 0):
        text = f"{scaled:.{digits}f}"
    else:
        text = _significant(scaled, digits if rule == "significant" else digits + 1)
    return text.lstrip("-") if float(text) == 0 else text


def _significant(value: float, digits: int) -> str:
    """Round to significant digits, but never away from whole numbers: 1043 stays 1043."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    magnitude = math.floor(math.log10(abs(rounded)))
    if magnitude < -4 or magnitude > 7:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(digits - 1 - magnitude, 0)}f}"


def unit_text(unit: str) -> str:
    """Return a UCUM code as people read it: ``HU`` for ``[hnsf'U]``, nothing for ``1``; an unknown code as it is.

    A power of a known code, ``[hnsf'U]2`` or ``(g/ml)2``, gets its digit as a superscript.
    """
    if unit in _UNITS:
        return _UNITS[unit][0]
    base = unit[:-1].removeprefix("(").removesuffix(")")
    if unit[-1:] in _SUPERSCRIPTS and base in _UNITS:
        name = _UNITS[base][0]
        return (f"({name})" if "/" in name else name) + _SUPERSCRIPTS[unit[-1]]
    return unit


def format_quantity(value: float | None, unit: str = "") -> str:
    """Return number and unit as every rendering shows them; ``undefined`` for None.

    This is the only place where a number of a report becomes text.
    """
    if value is None:
        return UNDEFINED
    return f"{format_number(value, unit)} {unit_text(unit)}".strip()


class Quantity(BaseModel):
    """A number, its UCUM unit and its text.

    Parameters
    ----------
    value : float or None
        Full precision, in ``unit``; None if undefined.
    unit : str
        UCUM.
    text : str
        What renderings show; derived, and checked when a report is read.
    reason : str
        Why the value is undefined.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    value: float | None
    unit: Text = ""
    text: Text
    reason: Text = ""

    @classmethod
    def of(cls, value: float | None, unit: str = "", reason: str = "") -> Quantity:
        """Build from a number; NaN, infinity and None give an undefined quantity."""
        number = None if value is None or not math.isfinite(value) else float(value)
        why = reason if number is None else ""
        return cls(value=number, unit=unit, text=format_quantity(number, unit), reason=why)

    @model_validator(mode="after")
    def _text_is_the_number(self) -> Quantity:
        expected: Any = format_quantity(self.value, self.unit)
        if self.text != expected:
            raise ValueError(f"the text {self.text!r} does not say the number, which is {expected!r}")
        return self
