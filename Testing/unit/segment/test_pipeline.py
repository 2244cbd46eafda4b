"""Pipelines: order, settings with their path, what is recorded."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, GeometryError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment import apply_filters, run
from medai.segment.pipeline import parse_pipeline
from medai.segment.postprocess import POSTPROCESS
from medai.segment.seeding import place_seeds
from medai.segment.seeds import Seed
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
        {
            "step": "threshold",
            "settings": {
                "inside": "",
                "method": "otsu",
                "lower": None,
                "upper": None,
                "side": "brighter",
                "name": "Foreground",
            },
        },
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
        ([{"step": "threshold", "merge": "beside"}], r"pipeline\[0\].merge"),
        ([{"step": "magic"}], r"pipeline\[0\].step: There is no step called 'magic'"),
        ([{"step": "median", "settings": {"radius": -1}}, {"step": "threshold"}], r"pipeline\[0\].settings.radius"),
        ([{"step": "threshold", "settings": {"uper": 1}}], r"pipeline\[0\].settings.uper: unknown key"),
        ([{"name": "threshold"}], r"pipeline\[0\].name: unknown key"),
        ("threshold", "^pipeline: "),
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


def test_filters_alone_give_an_image(image):
    found = apply_filters(image, [{"step": "median"}, {"step": "gaussian", "settings": {"sigma_mm": 0.5}}])
    assert found.geometry == image.geometry
    assert found.array[:3].std() < image.array[:3].std() / 2


def test_a_disabled_step_is_recorded_and_does_not_run(image):
    steps = [{"step": "median", "enabled": False}, {"step": "threshold"}]
    labels = run(image, steps)
    assert labels.counts()[1] == 125
    assert labels.meta["pipeline"][0] == {"step": "median", "settings": {"radius": 1}, "enabled": False}
    assert [s["step"] for s in labels.meta["seconds"]] == ["threshold"]
    assert run(image, list(labels.meta["pipeline"])).digest() == labels.digest()


def test_segmenters_one_after_the_other(image):
    low = {"step": "threshold", "settings": {"method": "manual", "upper": 50.0, "name": "Dark"}}
    high = {"step": "threshold", "settings": {"method": "manual", "lower": 50.0, "name": "Bright"}, "merge": "under"}
    labels = run(image, [low, high])
    assert [s.name for s in labels.segments] == ["Dark", "Bright"]
    assert labels.counts() == {1: image.array.size - 125, 2: 125}
    assert run(image, [low, {**high, "merge": "replace"}]).counts() == {1: 125}


def test_labels_to_start_from_must_fit(image):
    with pytest.raises(SettingsError, match="no step gives segments"):
        run(image, [{"step": "median"}])
    start = run(image, [{"step": "threshold"}])
    assert run(image, [{"step": "median"}], labels=start).digest() == start.digest()
    other = image.replace(geometry=Geometry.from_spacing(image.array.shape, (2.0, 1.0, 1.0)))
    with pytest.raises(GeometryError):
        run(other, [{"step": "median"}], labels=start)


def test_a_step_on_segments_needs_segments_before_it():
    name = next(iter(sorted(POSTPROCESS.names())))
    with pytest.raises(SettingsError, match=rf"pipeline\[0\].step: '{name}' works on segments"):
        parse_pipeline([{"step": name}, {"step": "threshold"}])
    assert parse_pipeline([{"step": name}], has_labels=True).steps[0].step == name


def test_seeds_go_into_the_steps_that_take_them():
    seed = Seed(ras=(1.0, 2.0, 3.0), segment="A")
    with pytest.raises(SettingsError, match="no step grows from seeds"):
        place_seeds(STEPS, [seed])
    assert place_seeds(STEPS, []) == parse_pipeline(STEPS)
    grow = {"step": "connected_threshold", "settings": {"lower": 50.0}}
    grown = place_seeds([grow], [seed])
    assert grown.steps[0].settings["seeds"] == [seed.to_dict()]
    own = Seed(ras=(4.0, 5.0, 6.0), segment="B")
    grow["settings"] = {"lower": 50.0, "seeds": [own.to_dict()]}
    kept = place_seeds([grow], [seed])
    assert kept.steps[0].settings["seeds"] == [own.to_dict()]


def test_labels_that_no_step_changes_come_back_as_they_were(image, rng):
    start = LabelMap((rng.random(image.array.shape) < 0.3).astype(np.uint8), image.geometry, (Segment(1, "A"),))
    coarse = {"step": "resample", "settings": {"isotropic_mm": 2.5}}
    assert run(image, [coarse, {"step": "crop", "settings": {"size_mm": [5.0, 5.0, 5.0]}}], labels=start).digest() == (
        start.digest()
    )
    found = run(image, [{"step": "threshold"}, coarse])
    assert found.digest() == run(image, [{"step": "threshold"}]).digest()


def test_labels_are_carried_once_for_each_grid(image, rng, monkeypatch):
    from medai.segment import pipeline

    carried = []
    real = pipeline.resample_labels

    def counted(labels, target, **more):
        carried.append(target.shape)
        return real(labels, target, **more)

    monkeypatch.setattr(pipeline, "resample_labels", counted)
    start = LabelMap((rng.random(image.array.shape) < 0.3).astype(np.uint8), image.geometry, (Segment(1, "A"),))
    coarse = {"step": "resample", "settings": {"isotropic_mm": 2.5}}
    run(image, [coarse, {"step": "mean"}, {"step": "median"}, {"step": "largest_components"}], labels=start)
    assert len(carried) == 2  # to the coarse grid, and back
