"""Training: pairs, split, repeatability, what it leaves behind; on generated balls."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

from medai.core.errors import GeometryError, InputError, OutputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.io import write_labelmap, write_volume
from medai.core.labelmap import LabelMap
from medai.core.new_folder import require_new_folder
from medai.core.volume import Volume
from medai.segment.models import ModelStore
from medai.segment.training.cases import find_pairs, load_case, split
from medai.segment.training.loop import rate
from medai.segment.training.recipe import Recipe
from medai.segment.training.service import train_model


def write_pair(folder, name, seed, spacing=(1.0, 1.0, 1.0), label_spacing=None):
    """A bright ball (label 1) with a dark core (label 2) in noise."""
    rng = np.random.default_rng(seed)
    shape = (18, 20, 22)
    centre = np.array([9, 10, 11]) + rng.uniform(-2, 2, 3)
    distance = np.linalg.norm(np.indices(shape).transpose(1, 2, 3, 0) - centre, axis=-1)
    labels = np.where(distance < 3, 2, np.where(distance < 6, 1, 0)).astype(np.uint8)
    image = rng.normal(0, 0.3, shape) + np.choose(labels, (0, 2, -2))
    for part, value in (("images", image.astype(np.float32)), ("labels", labels)):
        (folder / part).mkdir(exist_ok=True, parents=True)
        used = label_spacing if part == "labels" and label_spacing else spacing
        grid = Geometry.from_spacing(shape, used, (5, -3, 2))
        path = folder / part / f"{name}.nii.gz"
        write_labelmap(LabelMap(value, grid), path) if part == "labels" else write_volume(Volume(value, grid), path)


@pytest.fixture
def pairs(tmp_path):
    for number in range(4):
        write_pair(tmp_path / "data", f"case{number}", number)
    return tmp_path / "data"


@pytest.fixture
def recipe(recipe_dict):
    more = {"epochs": 25, "batch": 1, "threads": 1, "warmup_steps": 5, "learning_rate": 0.01, "ema": 0.9}
    return Recipe.parse({**recipe_dict, "optimiser": more, "held_back": 1, "filters": [8, 8, 8]})


def test_training_learns_is_repeatable_and_leaves_a_complete_folder(pairs, recipe, tmp_path):
    metrics = train_model(recipe, pairs, tmp_path / "first")
    train_model(recipe, pairs, tmp_path / "second")
    first, second = (tmp_path / n / "weights.safetensors" for n in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert metrics["cases"] == 1
    assert metrics["on"] == "held-back cases"
    assert metrics["mean_dice"] > 0.6
    model = ModelStore([tmp_path]).find(str(tmp_path / "first"))
    assert model.manifest.metrics["mean_dice"] == metrics["mean_dice"]
    history = json.loads((tmp_path / "first" / "training.json").read_text("utf-8"))
    assert len(history["losses"]) == 25
    assert np.mean(history["losses"][-5:]) < 0.6 * history["losses"][0]
    lists = json.loads((tmp_path / "first" / "split.json").read_text("utf-8"))
    assert sorted(lists["training"] + lists["held_back"]) == ["case0", "case1", "case2", "case3"]
    card = (tmp_path / "first" / "MODEL_CARD.md").read_text("utf-8")
    assert f"{metrics['mean_dice']:.3f}" in card
    assert "Research use only" in card
    assert not list(tmp_path.glob(".medai-*"))


def test_a_folder_with_something_in_it_is_not_overwritten(pairs, recipe, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep", "utf-8")
    with pytest.raises(OutputError, match="not empty"):
        train_model(recipe, pairs, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text("utf-8") == "keep"


def test_pairs_must_be_complete(pairs):
    (pairs / "labels" / "case2.nii.gz").unlink()
    with pytest.raises(InputError, match="case2"):
        find_pairs(pairs)
    with pytest.raises(InputError, match="no folders"):
        find_pairs(pairs / "images")


def test_grids_and_labels_must_fit(pairs, recipe):
    write_pair(pairs, "case9", 9, label_spacing=(1.5, 1, 1))
    with pytest.raises(GeometryError, match="case9"):
        load_case(find_pairs(pairs)[-1], recipe)
    narrow = Recipe.parse({**recipe.to_dict(), "labels": [{"label": 1, "name": "Front"}]})
    with pytest.raises(InputError, match=r"does not name: \[2\]"):
        load_case(find_pairs(pairs)[0], narrow)


def test_a_case_is_brought_to_the_models_spacing(pairs, recipe):
    write_pair(pairs, "case9", 9, spacing=(2.0, 1.0, 1.0))
    case = load_case(find_pairs(pairs)[-1], recipe)
    assert case.image.shape == (1, 18, 20, 44)
    assert set(np.unique(case.classes)) == {0, 1, 2}


def test_the_split_is_fixed_by_the_seed_and_leaves_no_case_out():
    names = [f"c{i}" for i in range(50)]
    train, held = split(names, 10, 1)
    assert len(held) == 10
    assert sorted(train + held) == sorted(names)
    assert split(names[::-1], 10, 1) == (train, held)
    assert split(names, 10, 2) != (train, held)
    with pytest.raises(InputError, match="none is left"):
        split(names, 50, 1)


def test_the_rate_warms_up_and_falls_to_zero():
    assert rate(0, 100, 10) == pytest.approx(0.1)
    assert rate(10, 100, 10) == 1
    assert rate(99, 100, 10) < 0.001


def test_a_patch_that_the_network_cannot_halve_is_refused(recipe_dict):
    with pytest.raises(SettingsError, match="multiple of 4"):
        Recipe.parse({**recipe_dict, "patch": [18, 16, 16]})


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which not even root may write")
def test_a_place_where_nothing_may_be_written_is_refused_before_training():
    with pytest.raises(OutputError, match="Cannot write 'model'"):
        require_new_folder("/proc/nowhere/model")
