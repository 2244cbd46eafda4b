"""What a model did with an image that it is not made for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class OutsideRow:
    """One input outside the domain.

    Parameters
    ----------
    name, what : str
        The input, and what is wrong with it.
    status : {"segmented", "refused", "failed", "not made"}
        ``refused``: a stated error instead of labels; ``failed``: an unexpected one; ``not made``: the input could
        not be made from the case.
    volumes_ml : dict
        Segment name -> volume in mL of what came out.
    flags : tuple of str
        Codes of the flags of severity warning or error, sorted.
    message : str
        The error, or the flags' sentences.
    """

    name: str
    what: str
    status: Literal["segmented", "refused", "failed", "not made"]
    volumes_ml: dict[str, float]
    flags: tuple[str, ...] = ()
    message: str = ""

    @property
    def verdict(self) -> str:
        """What a reader must know: whether a mask came out, and whether anything warned of it."""
        if self.status != "segmented":
            return self.status
        came = "a mask" if any(self.volumes_ml.values()) else "no mask"
        return f"{came}, {'flagged' if self.flags else 'NOT flagged'}"

    @property
    def silent(self) -> bool:
        """True for the one bad outcome: a mask without a warning."""
        return self.verdict == "a mask, NOT flagged"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {**asdict(self), "flags": list(self.flags), "verdict": self.verdict}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> OutsideRow:
        """Rebuild a row that :meth:`to_dict` wrote."""
        values = {key: value for key, value in data.items() if key != "verdict"}
        return cls(**{**values, "flags": tuple(values["flags"])})
