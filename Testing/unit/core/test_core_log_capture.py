"""medai.core.log_capture."""

from __future__ import annotations

import logging

import pytest

from medai.core.log_capture import MAX_TEXT, LogCapture


def test_only_our_loggers_from_info_up_while_entered() -> None:
    seen: list[tuple[str, str]] = []
    ours, other = logging.getLogger("medai.features"), logging.getLogger("pydicom")
    with LogCapture(lambda level, text: seen.append((level, text))):
        ours.info("one %d", 1)
        ours.debug("hidden")
        other.warning("SECRET^JOHN")
        ours.warning("x" * 20_000)
    ours.info("later")
    assert seen == [("info", "one 1"), ("warning", "x" * MAX_TEXT)]


def test_the_loggers_are_left_as_they_were() -> None:
    logger = logging.getLogger("medai")
    before = (logger.level, list(logger.handlers))
    with LogCapture(lambda level, text: None), LogCapture(lambda level, text: None):
        assert logger.level == logging.INFO
    assert (logger.level, logger.handlers) == before


def test_a_record_that_cannot_be_formatted_does_not_stop_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("medai"), "propagate", False)  # pytest's own handler would raise
    seen: list[str] = []
    with LogCapture(lambda level, text: seen.append(text)):
        logging.getLogger("medai").error("%d", "no number")
        logging.getLogger("medai").error("after")
    assert seen == ["after"]
