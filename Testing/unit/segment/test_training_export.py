"""What a model folder holds: manifests of other networks, half precision only where it changes nothing, logs."""

import csv
import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

import torch

from medai.core.errors import OutputError
from medai.segment.models import read_model
from medai.segment.models.loading import load_network
from medai.segment.networks import build_network
from medai.segment.training.export import compare_half, write_model
from medai.segment.training.loop import network_of
from medai.segment.training.recipe import Recipe
from medai.segment.training.tensorboard import COLUMNS, EpochLog, read_log

METRICS = {"labels": {}, "mean_dice": 0.0, "cases": 0}
HISTORY = {"losses": [1.0], "minutes": 0.0, "software": {}}
IMAGES = [np.random.default_rng(n).normal(size=(1, 16, 16, 16)).astype(np.float32) for n in range(2)]


def write(recipe, folder, network, **more):
    return write_model(
        network, recipe, folder, split={"training": ["a"], "held_back": []}, history=HISTORY,
        measure=lambda path: METRICS, **more,
    )  # fmt: skip


def network(recipe, seed=11):
    torch.manual_seed(seed)
    return build_network(*network_of(recipe, training=True)).eval()


@pytest.fixture
def recipe(recipe_dict):
    return Recipe.parse(recipe_dict)


def test_half_precision_is_stored_where_the_labels_stay(recipe, tmp_path):
    folder = write(recipe, tmp_path / "model", network(recipe), images=IMAGES, version="2.1.0")
    facts = json.loads((folder / "training.json").read_text("utf-8"))["half_precision"]
    assert facts["stored"] is True
    assert facts["least_dice"] >= 0.995
    assert facts["voxels"] == 2 * 16**3
    assert {value.dtype for value in _tensors(folder).values()} == {torch.float16}
    assert read_model(folder).manifest.version == "2.1.0"


def test_single_precision_is_stored_where_half_would_change_the_labels(recipe, tmp_path):
    made = network(recipe)
    with torch.no_grad():
        # Beyond what half precision can hold: everything becomes infinite.
        made.output_block.conv.conv.weight.mul_(1e6)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    assert compare_half(made, IMAGES)["least_dice"] < 0.995
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    folder = write(recipe, tmp_path / "model", made, images=IMAGES)
    assert {value.dtype for value in _tensors(folder).values()} == {torch.float32}
    assert json.loads((folder / "training.json").read_text("utf-8"))["half_precision"]["stored"] is False
    load_network(read_model(folder))


def test_another_network_and_channels_reach_the_manifest_and_can_be_loaded(recipe_dict, tmp_path):
    values = {key: value for key, value in recipe_dict.items() if key != "region"}
    channels = [{"name": "T1"}, {"name": "T2"}]
    settings = {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}
    recipe = Recipe.parse(
        {**values, "network": {"name": "segresnet", "settings": settings}, "prepare": {"channels": channels}}
    )
    made = network(recipe)
    folder = write(recipe, tmp_path / "model", made)
    manifest = read_model(folder).manifest
    assert manifest.network.name == "segresnet"
    assert manifest.inputs == 2
    assert manifest.window == recipe.patch
    loaded = load_network(read_model(folder))
    image = torch.from_numpy(np.concatenate(IMAGES))[None]
    with torch.inference_mode():
        assert torch.allclose(loaded(image), made(image), atol=0.05)


def test_heads_of_training_are_not_stored(recipe, tmp_path):
    folder = write(recipe, tmp_path / "model", network(recipe))
    assert not [name for name in _tensors(folder) if "deep_supervision" in name or "skip_layers" in name]
    assert read_model(folder).manifest.network.settings["deep_supervision"] is False


def test_a_failure_while_measuring_leaves_nothing(recipe, tmp_path):
    def fails(path):
        assert (path / "manifest.json").is_file()
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_model(
            network(recipe), recipe, tmp_path / "model", split={"training": [], "held_back": []}, history=HISTORY,
            measure=fails, staging=tmp_path / ".medai-model-x",
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_the_log_goes_on_after_a_kill_and_drops_half_a_row(tmp_path):
    log = EpochLog(tmp_path / "log.csv", None, 10)
    log.add(1, 1.5, 0.01, 2.0)
    log.add(2, 1.25, 0.005, 4.0)
    with open(tmp_path / "log.csv", "a", encoding="utf-8") as stream:
        stream.write("3,1.1")
    log = EpochLog(tmp_path / "log.csv", None, 10)
    log.add(2, 1.26, 0.005, 4.0)  # the epoch whose checkpoint was not written before the kill
    log.add(3, 1.0, 0.001, 5.0)
    log.close()
    with open(tmp_path / "log.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [row[:2] for row in rows[1:]] == [["1", "1.500000"], ["2", "1.260000"], ["3", "1.000000"]]
    assert rows[1][4] == "5.000"
    assert len(read_log(tmp_path / "log.csv")) == 3


def test_tensorboards_events_hold_the_same_numbers(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EpochLog(tmp_path / "log.csv", tmp_path / "events", 10)
    log.add(1, 1.5, 0.01, 2.0)
    log.add(2, 1.25, 0.005, 4.0)
    log.close()
    found = EventAccumulator(str(tmp_path / "events")).Reload()
    assert [event.value for event in found.Scalars("loss")] == [1.5, 1.25]
    assert [event.step for event in found.Scalars("samples per second")] == [1, 2]


def _tensors(folder):
    from safetensors.torch import load_file

    return load_file(folder / "weights.safetensors")
