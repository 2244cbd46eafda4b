"""medai.core.qc."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from medai.core.qc import QC_CODES, QCFlag, Severity


@pytest.mark.parametrize("code", sorted(QC_CODES))
def test_json_round_trip(code: str) -> None:
    flag = QCFlag(code, Severity.ERROR, "m", 2.5, "3 mm", "Left hippocampus")
    assert QCFlag.from_dict(json.loads(json.dumps(flag.to_dict()))) == flag


def test_unknown_codes_and_severities_are_programming_errors() -> None:
    with pytest.raises(ValueError, match="unknown QC code"):
        QCFlag("NOT_A_CODE", Severity.INFO, "m")
    with pytest.raises(ValueError, match="fatal"):
        QCFlag("INT_NAN", "fatal", "m")  # type: ignore[arg-type]
    assert QCFlag("INT_NAN", "warning", "m").severity is Severity.WARNING  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (None, None),
        ("x", "x"),
        (2, 2),
    ],
)
def test_what_was_measured_is_ready_for_json(given: Any, kept: Any) -> None:
    flag = QCFlag("INT_NAN", Severity.INFO, "m", given, given)
    assert (flag.measured, flag.limit) == (kept, kept)
    assert json.loads(json.dumps(flag.to_dict(), allow_nan=False))["measured"] == kept
