"""Training from label maps alone: images are made, for training and, from other seeds, for measuring."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.io import write_labelmap
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken
from medai.segment.training.folds import Split
from medai.segment.training.map_source import IMAGES_PER_MAP, TEST_EPOCH, MapSource
from medai.segment.training.recipe import Recipe
from medai.segment.training.samples import seed_of
from medai.segment.training.service import train_model


def quiet(fraction, message=""):
    pass


@pytest.fixture
def maps(tmp_path):
    (tmp_path / "data" / "labels").mkdir(parents=True)
    for number in range(3):
        at = np.indices((30, 32, 34)).transpose(1, 2, 3, 0) - (15 + number, 16, 17 - number)
        distance = np.linalg.norm(at, axis=-1)
        labels = np.where(distance < 6, 20, np.where(distance < 12, 10, 0)).astype(np.uint16)
        grid = Geometry.from_spacing(labels.shape, (1, 1, 1), (0, 0, 0))
        write_labelmap(LabelMap(labels, grid), tmp_path / "data" / "labels" / f"map{number}.nii.gz")
    return tmp_path / "data"


@pytest.fixture
def recipe(recipe_dict):
    channel = {"name": "MR", "normalise": [{"method": "percentile_range", "low": 0.5, "high": 99.5, "clip": True}]}
    return Recipe.parse({
        **{key: value for key, value in recipe_dict.items() if key != "region"},
        "prepare": {"spacing": [2, 2, 2], "channels": [channel]},
        "synthesis": {"tissues": [
            {"name": "shell", "values": [10], "label": 1}, {"name": "core", "values": [20], "label": 2},
        ]},
        "optimiser": {"epochs": 2, "samples_per_epoch": 4, "threads": 1, "warmup_steps": 1}, "held_back": 1,
    })  # fmt: skip


def test_a_recipe_with_synthesis_trains_from_label_maps_and_says_what_it_was_measured_on(maps, recipe, tmp_path):
    metrics = train_model(recipe, maps, tmp_path / "model")
    assert metrics["on"].startswith(f"images made from held-back label maps (1 maps, {IMAGES_PER_MAP} images each")
    assert "not real images" in metrics["on"]
    assert metrics["cases"] == IMAGES_PER_MAP
    stored = json.loads((tmp_path / "model" / "assessment.json").read_text("utf-8"))
    held = json.loads((tmp_path / "model" / "split.json").read_text("utf-8"))["held_back"]
    assert {row["subject"] for row in stored["rows"]} == set(held)
    assert len({row["case"] for row in stored["rows"]}) == IMAGES_PER_MAP
    assert metrics["on"] in (tmp_path / "model" / "MODEL_CARD.md").read_text("utf-8")


def test_a_folder_of_label_maps_alone_is_a_data_set_too(maps, recipe):
    assert [c.case for c in MapSource(recipe, maps).cases] == ["map0", "map1", "map2"]
    assert MapSource(recipe, maps / "labels").cases == MapSource(recipe, maps).cases


def test_no_test_image_has_a_seed_of_training(recipe):
    used = {seed_of(recipe.seed, epoch, n) for epoch in range(200) for n in range(50)}
    tests = {seed_of(recipe.seed, TEST_EPOCH, n) for n in range(3 * IMAGES_PER_MAP)}
    assert len(tests) == 3 * IMAGES_PER_MAP
    assert not used & tests
    assert Recipe.model_fields["optimiser"].annotation.model_fields["epochs"].metadata[1].le < TEST_EPOCH


def test_missing_maps_and_unknown_values_are_named_before_training(maps, recipe, tmp_path):
    with pytest.raises(InputError, match="holds no label maps"):
        MapSource(recipe, tmp_path)
    source = MapSource(recipe, maps)
    with pytest.raises(InputError, match="1 case: map9"):
        source.check(Split(training=("map9",)), progress=quiet, cancel=CancelToken())
    values = recipe.to_dict()
    values["synthesis"]["tissues"] = values["synthesis"]["tissues"][:1]
    narrow = Recipe.parse(values)
    with pytest.raises(InputError, match=r"map1: the label map holds values that no tissue names: \[20\]"):
        MapSource(narrow, maps).check(Split(held_back=("map1",)), progress=quiet, cancel=CancelToken())
