"""UCUM units of intensity features."""

from __future__ import annotations

ARBITRARY = "[arb'U]"
"""UCUM's arbitrary unit, for images whose values have no unit (raw MR)."""


def intensity_unit(unit: str, power: int) -> str:
    """Return a UCUM unit raised to a whole power.

    Parameters
    ----------
    unit : str
        UCUM unit of the image's values; empty means arbitrary.
    power : int
        1 or more.

    Examples
    --------
    >>> intensity_unit("[hnsf'U]", 2)
    "[hnsf'U]2"
    >>> intensity_unit("g/ml", 2)
    '(g/ml)2'
    >>> intensity_unit("", 1)
    "[arb'U]"
    """
    base = unit or ARBITRARY
    if power == 1 or base == "1":
        return base
    # An exponent binds to one symbol only, and a trailing digit would be read as one.
    single = not any(sign in base for sign in "/.{") and not base[-1].isdigit()
    return f"{base}{power}" if single else f"({base}){power}"
