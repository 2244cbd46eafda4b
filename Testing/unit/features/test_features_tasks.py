"""The task that a worker runs, alone and through the runner."""

from __future__ import annotations

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.jobs import InlineRunner
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, no_progress
from medai.core.table import Table
from medai.core.volume import Volume
from medai.features import FeatureTable, extract
from medai.features.tasks import extract as task


@pytest.fixture
def inputs() -> dict[str, object]:
    grid = Geometry.from_spacing((4, 5, 6))
    mask = np.zeros(grid.shape, np.uint8)
    mask[1:3, 1:4, 1:5] = 1
    return {"volume": Volume(np.arange(120.0).reshape(grid.shape), grid), "labels": LabelMap(mask, grid)}


def test_gives_the_dict_and_the_table(inputs: dict[str, object]) -> None:
    found = task(inputs, {"families": {"shape": {}}}, progress=no_progress, cancel=CancelToken())
    expected = extract(inputs["volume"], inputs["labels"], {"families": {"shape": {}}})
    assert FeatureTable.from_dict(found["features"]) == expected
    assert isinstance(found["table"], Table)
    assert found["table"] == expected.to_table()


@pytest.mark.parametrize("name", ["volume", "labels"])
def test_refuses_missing_and_wrong_inputs(inputs: dict[str, object], name: str) -> None:
    for value in (None, "image.nii"):
        with pytest.raises(InputError, match="'volume'"):
            task({**inputs, name: value}, {}, progress=no_progress, cancel=CancelToken())


def test_runs_by_its_name_in_the_inline_runner(inputs: dict[str, object]) -> None:
    job = InlineRunner().submit("medai.features.tasks:extract", inputs, {"families": {"shape": {}}})
    expected = extract(inputs["volume"], inputs["labels"], {"families": {"shape": {}}})
    assert FeatureTable.from_dict(job.result(timeout=30)["features"]) == expected
    fractions = [event.fraction for event in job.events() if event.kind == "progress"]
    assert fractions[-1] == 1.0


def test_an_error_of_the_task_is_the_error_of_the_job(inputs: dict[str, object]) -> None:
    job = InlineRunner().submit("medai.features.tasks:extract", inputs, {"families": {"texture": {}}})
    with pytest.raises(SettingsError, match="texture"):
        job.result(timeout=30)
