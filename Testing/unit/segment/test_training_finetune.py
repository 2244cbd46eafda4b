"""Fine-tuning: outputs follow the labels' names, parents that cannot be tuned are refused, seen cases stay seen."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

import torch

from medai.core.errors import InputError, ModelError
from medai.segment.models import read_model
from medai.segment.training.dataset import CaseFiles, open_dataset
from medai.segment.training.finetune import finetune_recipe, unseen_split
from medai.segment.training.service import train_model
from medai.segment.training.start import require_tunable, start_from


@pytest.fixture
def parent(tiny_model):
    return read_model(tiny_model)


@pytest.fixture
def stored(tiny_model):
    from safetensors.torch import load_file

    return {name: value.float() for name, value in load_file(tiny_model / "weights.safetensors").items()}


@pytest.fixture
def pairs(tmp_path, write_case):
    for number in range(4):
        write_case(tmp_path / "data", f"new{number}", number)
    return tmp_path / "data"


OUTPUT = "output_block.conv.conv.weight"


def test_outputs_follow_the_names_of_the_labels(parent, stored):
    recipe = finetune_recipe(parent, labels={1: "Back", 5: "Else"}, cases=5)
    start = start_from(parent, recipe)
    row = start.weights[OUTPUT]
    assert torch.equal(row[0], stored[OUTPUT][0])
    assert torch.equal(row[1], stored[OUTPUT][2])
    assert not any(torch.equal(row[2], other) for other in stored[OUTPUT])
    assert any("start" in note and "Else" in note for note in start.notes)
    assert any("no longer there: Front" in note for note in start.notes)
    for name, value in stored.items():
        if not name.startswith("output_block"):
            assert torch.equal(start.weights[name], value), name
    again = start_from(parent, recipe)
    assert all(torch.equal(value, again.weights[name]) for name, value in start.weights.items())


def test_the_parents_texts_licence_and_limits_go_with_the_child(parent):
    recipe = finetune_recipe(parent, data="mine", cases=7)
    assert recipe.description.licence == parent.manifest.description.licence
    assert set(parent.manifest.description.limits) < set(recipe.description.limits)
    assert parent.manifest.weights_sha256[:12] in recipe.description.training_data
    assert "7 cases of the data set mine" in recipe.description.training_data
    assert recipe.optimiser.learning_rate == pytest.approx(2e-4)
    assert recipe.held_back == 1
    assert recipe.id == "tiny-finetuned"
    bare = finetune_recipe(parent, labels={1: "Else"}, cases=7)
    assert bare.description.volume_range_ml == {}


def test_a_model_without_a_recipe_is_described_by_its_manifest(tiny_model, parent, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "bare")
    (tmp_path / "bare" / "recipe.json").unlink()
    recipe = finetune_recipe(read_model(tmp_path / "bare"), cases=5)
    assert recipe.filters == finetune_recipe(parent, cases=5).filters
    assert recipe.patch == parent.manifest.window
    start_from(read_model(tmp_path / "bare"), recipe)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "onnx"}, "an ONNX file"),
        ({"format": "torchscript"}, "a TorchScript archive"),
        ({"format": "nnunet"}, "of the format 'nnunet'"),
        ({"network": {"name": "unknown_net", "settings": {}}}, "does not build its network 'unknown_net'"),
        ({"inference": {"activation": "sigmoid"}}, "not one class each"),
    ],
)
def test_what_cannot_be_tuned_is_refused_with_the_reason(parent, change, reason):
    from dataclasses import replace

    from medai.segment.manifest import Manifest

    other = replace(parent, manifest=Manifest.parse({**parent.manifest.to_dict(), **change}))
    with pytest.raises(ModelError, match="cannot be fine-tuned") as caught:
        require_tunable(other)
    assert reason in caught.value.message


def test_another_network_is_refused(parent):
    recipe = finetune_recipe(parent, cases=5).model_copy(update={"filters": (4, 8, 16)})
    with pytest.raises(ModelError, match="the networks differ"):
        start_from(parent, recipe)


def test_cases_that_the_parent_was_trained_on_are_never_held_back(tiny_model, tmp_path):
    folder = tmp_path / "parent"
    shutil.copytree(tiny_model, folder)
    seen = [f"c{n}" for n in range(6)]
    (folder / "split.json").write_text(json.dumps({"training": seen, "held_back": ["c6"]}), "utf-8")
    parent = read_model(folder)
    cases = [CaseFiles(f"c{n}", f"c{n}", ()) for n in range(9)]
    for seed in range(5):
        split = unseen_split(parent, cases, 2, seed)
        assert len(split.held_back) == 2
        assert not set(split.held_back) & set(seen)
        assert sorted(split.training + split.held_back) == sorted(c.case for c in cases)
    assert unseen_split(parent, cases, 3, 0).held_back == ("c6", "c7", "c8")
    with pytest.raises(InputError, match="trained on all but 3"):
        unseen_split(parent, cases, 4, 0)


def test_a_fine_tuned_model_says_where_it_comes_from(parent, pairs, tmp_path):
    found = open_dataset(pairs)
    recipe = finetune_recipe(parent, data="data", cases=len(found.cases), epochs=2, threads=1)
    start = start_from(parent, recipe)
    train_model(recipe, pairs, tmp_path / "child", start=start)
    history = json.loads((tmp_path / "child" / "training.json").read_text("utf-8"))
    assert history["finetuned_from"]["id"] == "tiny"
    assert history["finetuned_from"]["sha256"] == parent.manifest.weights_sha256
    card = (tmp_path / "child" / "MODEL_CARD.md").read_text("utf-8")
    assert "Fine-tuned from tiny 1.0.0" in card
    assert "Research use only" in card


def test_a_frozen_encoder_stays_and_the_rest_moves(parent, stored, pairs, tmp_path):
    recipe = finetune_recipe(parent, cases=4, epochs=2, rate=0.01, threads=1)
    start = start_from(parent, recipe, freeze_encoder=True)
    train_model(recipe, pairs, tmp_path / "child", start=start)
    from safetensors.torch import load_file

    after = load_file(tmp_path / "child" / "weights.safetensors")
    for name, value in after.items():
        same = np.array_equal(value.float().numpy(), stored[name].numpy())
        assert same == (name in start.frozen), name
    assert len(start.frozen) > 3
