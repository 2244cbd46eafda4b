"""medai.core.progress."""

from __future__ import annotations

import math

import pytest

from medai.core.errors import Cancelled
from medai.core.progress import CancelToken, sub_progress


def test_a_token_raises_once_cancelled() -> None:
    token = CancelToken()
    token.check()
    assert not token.cancelled
    token.cancel()
    token.cancel()
    assert token.cancelled
    with pytest.raises(Cancelled):
        token.check()


def test_a_part_maps_onto_its_share() -> None:
    seen: list[tuple[float, str]] = []
    part = sub_progress(lambda f, m: seen.append((f, m)), 0.25, 0.75)
    for fraction in (0.0, 0.5, 1.0, -3.0, 7.0):
        part(fraction, "x")
    assert seen == [(0.25, "x"), (0.5, "x"), (0.75, "x"), (0.25, "x"), (0.75, "x")]


@pytest.mark.parametrize("fraction", [math.nan, math.inf, -math.inf])
def test_progress_that_is_no_number_is_swallowed(fraction: float) -> None:
    seen: list[float] = []
    sub_progress(lambda f, m: seen.append(f), 0, 1)(fraction)
    assert seen == []


@pytest.mark.parametrize(("start", "stop"), [(-0.1, 1), (0, 1.1), (0.6, 0.5)])
def test_an_impossible_share_is_a_programming_error(start: float, stop: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= start"):
        sub_progress(lambda f, m: None, start, stop)
