"""Pipelines: order, settings with their path, what is recorded."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, SettingsError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment import run
from medai.segment.pipeline import parse_pipeline
from medai.segment.tasks import segment

STEPS = [{"step": "median", "settings": {"radius": 1}}, {"step": "threshold"}]


@pytest.fixture
def image(rng):
    array = rng.normal(0, 5, size=(12, 14, 16))
    array[4:9, 4:9, 4:9] += 100
    return Volume(array.astype(np.float32), Geometry.from_spacing(array.shape))


def test_steps_run_in_order_and_are_recorded_complete(image):
    seen = []
    labels = run(image, STEPS, progress=lambda fraction, message="": seen.append(fraction))
    # A median of 3 x 3 x 3 takes the eight corners and twelve edges of three voxels off a cube of five.
    assert labels.counts()[1] == 125 - 8 - 12 * 3
    assert labels.meta["pipeline"] == [
        {"step": "median", "settings": {"radius": 1}},
        {"step": "threshold", "settings": {"method": "otsu", "lower": None, "upper": None, "name": "Foreground"}},
    ]
    assert [s["step"] for s in labels.meta["seconds"]] == ["median", "threshold"]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_the_image_is_not_changed(image):
    before = image.digest()
    run(image, STEPS)
    assert image.digest() == before


def test_a_recorded_pipeline_gives_the_same_labels(image):
    labels = run(image, STEPS)
    assert run(image, list(labels.meta["pipeline"])).digest() == labels.digest()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "pipeline"),
        ([{"step": "median"}], "pipeline: no step gives segments"),
        ([{"step": "threshold", "enabled": False}], "pipeline: no step gives segments"),
        ([{"step": "median", "merge": "over"}, {"step": "threshold"}], r"pipeline\[0\].merge: only a segmenter"),
        ([{"step": "threshold", "merge": "beside"}], r"steps\[0\].merge"),
        ([{"step": "magic"}], r"pipeline\[0\].step: There is no step called 'magic'"),
        ([{"step": "median", "settings": {"radius": -1}}, {"step": "threshold"}], r"pipeline\[0\].settings.radius"),
        ([{"step": "threshold", "settings": {"uper": 1}}], r"pipeline\[0\].settings.uper: unknown key"),
        ([{"name": "threshold"}], r"steps\[0\].name: unknown key"),
        ("threshold", "steps"),
    ],
)
def test_what_does_not_fit_is_named_by_its_path(steps, message):
    with pytest.raises(SettingsError, match=message):
        parse_pipeline(steps)


def test_the_task_returns_labels_and_facts(image):
    token = CancelToken()
    result = segment({"volume": image}, {"pipeline": STEPS}, progress=lambda f, m="": None, cancel=token)
    assert result["labels"].counts()[1] > 0
    assert result["info"]["pipeline"][0]["step"] == "median"


def test_a_cancelled_token_stops_before_the_first_step(image):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        run(image, STEPS, cancel=token)
