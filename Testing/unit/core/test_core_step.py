"""medai.core.step."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from medai.core.errors import Cancelled, SettingsError
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.step import Step


class ScaleSettings(Settings):
    factor: float = Field(2.0, gt=0)


class Scale(Step[float, float]):
    name = "scale"
    title = "Scale"
    Settings = ScaleSettings

    def apply(self, value: float, settings: ScaleSettings, *, progress: ProgressFn, cancel: CancelToken) -> float:
        progress(0.5, "half")
        if value < 0:
            cancel.cancel()
        return value * settings.factor


def test_settings_are_checked_and_progress_ends_at_one() -> None:
    seen: list[Any] = []
    assert Scale().run(3.0, {"factor": 4}, progress=lambda f, m: seen.append((f, m))) == 12.0
    assert seen == [(0.5, "half"), (1.0, "Scale")]
    assert Scale().run(3.0) == 6.0
    assert Scale().run(3.0, ScaleSettings(factor=1)) == 3.0


def test_a_fault_names_the_step() -> None:
    with pytest.raises(SettingsError, match=r"^scale\.factor: "):
        Scale().run(3.0, {"factor": "x"})


def test_cancel_before_and_during_the_work() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        Scale().run(3.0, cancel=token)
    with pytest.raises(Cancelled):
        Scale().run(-1.0)


def test_a_step_without_work_cannot_be_made() -> None:
    class Empty(Step[int, int]):
        name = "empty"

    with pytest.raises(TypeError, match="abstract"):
        Empty()  # type: ignore[abstract]
