"""How far a segment may be trusted, from what the network itself said about it; uncalibrated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medai.core.qc import QCFlag, Severity

LIMIT = 0.75
"""Below this a segment is flagged; a convention, not a probability of error."""


@dataclass(frozen=True)
class Trust:
    """The trust number of a segment.

    Parameters
    ----------
    value : float
        From 0 to 1; the geometric mean of ``terms``.
    terms : dict of str to float
        What it is made of.
    """

    value: float
    terms: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON: the number, what it is made of, and that it is not calibrated."""
        return {"value": self.value, "from": dict(self.terms), "mean": "geometric", "calibrated": False}


def trust_of(fact: Mapping[str, Any]) -> Trust | None:
    """Return how far a segment may be trusted.

    The number is ``mean_probability``, the mean over the segment's voxels (of the model's grid) of the probability that
    the network gave to their label.  If the network was run several times (mirrored, by several members, or with
    dropout) it is the square root of ``mean_probability * mean_agreement``; ``mean_agreement`` is the mean over the
    segment's voxels of the share of the runs that chose the same label as their mean, so the mean share of the segment
    that a single run finds again.

    Both are structure-wise measures as in Roy et al., NeuroImage 195, 11 (2019), doi
    10.1016/j.neuroimage.2019.03.042: a voxel-wise uncertainty averaged over the segment, and the overlap of the
    segments of several runs.  There such numbers rose with the Dice score.  How steeply depends on model and images:
    the number is not a Dice score, nor the probability that a segment is right, and networks tend to be surer than
    they should.  It says nothing about parts that the network missed.

    Parameters
    ----------
    fact : mapping
        A label's numbers (:class:`medai.segment.inference.writer.Written`).

    Returns
    -------
    Trust or None
        None if nothing was found.
    """
    if fact.get("mean_probability") is None:
        return None
    names = ("mean_probability", "mean_agreement")
    terms = {name: min(max(float(fact[name]), 0.0), 1.0) for name in names if fact.get(name) is not None}
    return Trust(math.prod(terms.values()) ** (1 / len(terms)), terms)


def with_trust(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the numbers of every label with ``trust`` added: :meth:`Trust.to_dict`, or None if nothing was found."""
    result = {}
    for name, fact in facts.items():
        trust = trust_of(fact)
        result[name] = {**fact, "trust": trust.to_dict() if trust else None}
    return result


def trust_flags(facts: Mapping[str, Mapping[str, Any]], limit: float = LIMIT) -> list[QCFlag]:
    """Return a ``LOW_CONFIDENCE`` warning for each segment whose trust number is below ``limit``."""
    flags = []
    for name, fact in facts.items():
        trust = trust_of(fact)
        if trust is None or trust.value >= limit:
            continue
        parts = ", ".join(f"{term.replace('_', ' ')} {value:.2f}" for term, value in trust.terms.items())
        flags.append(
            QCFlag(
                "LOW_CONFIDENCE",
                Severity.WARNING,
                f"{name}: the trust number is {trust.value:.2f}, below {limit:.2f} ({parts}; uncalibrated).",
                trust.value,
                limit,
                name,
            )
        )
    return flags
