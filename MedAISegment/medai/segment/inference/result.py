"""What a model gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medai.core.labelmap import LabelMap
from medai.core.volume import Volume


@dataclass(frozen=True)
class Result:
    """What a model gave.

    Parameters
    ----------
    labels : LabelMap
        On the image's grid; ``meta`` holds the facts.
    maps : dict of str to Volume
        ``entropy``, ``agreement``, ``mutual_information`` on the image's grid, if asked for.
    facts : dict
        JSON-ready: model, device, backend, precision, windows, seconds, fallbacks, trust.
    """

    labels: LabelMap
    maps: dict[str, Volume]
    facts: dict[str, Any]
