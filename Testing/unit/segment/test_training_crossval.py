"""Cross-validation: every case is measured once, by a model that never saw it; finished folds are not done again."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

from medai.core.errors import Cancelled, InputError, OutputError
from medai.core.progress import CancelToken
from medai.segment.models import read_model
from medai.segment.training.crossval import cross_validate
from medai.segment.training.recipe import Recipe


@pytest.fixture
def pairs(tmp_path, write_case):
    for number, name in enumerate(("sub-1_a", "sub-1_b", "sub-2_a", "sub-3_a", "sub-4_a")):
        write_case(tmp_path / "data", name, number)
    return tmp_path / "data"


@pytest.fixture
def recipe(recipe_dict):
    return Recipe.parse({**recipe_dict, "optimiser": {"epochs": 1, "threads": 1, "warmup_steps": 1}, "held_back": 1})


def split_of(folder):
    return json.loads((folder / "split.json").read_text("utf-8"))


def test_folds_are_pooled_skipped_when_finished_and_followed_by_a_final_model(pairs, recipe, tmp_path):
    out = tmp_path / "out"
    first = cross_validate(recipe, pairs, out, 2, only=2)
    assert list(first["folds"]) == [2]
    assert "metrics" not in first
    stamp = (out / "fold-2" / "weights.safetensors").stat().st_mtime_ns
    found = cross_validate(recipe, pairs, out, 2, final=True)
    assert (out / "fold-2" / "weights.safetensors").stat().st_mtime_ns == stamp
    splits = [split_of(out / f"fold-{n}") for n in (1, 2)]
    held = [case for split in splits for case in split["held_back"]]
    assert sorted(held) == ["sub-1_a", "sub-1_b", "sub-2_a", "sub-3_a", "sub-4_a"]
    for split in splits:
        assert len({case.split("_")[0] for case in split["held_back"]} & {
            case.split("_")[0] for case in split["training"]
        }) == 0  # fmt: skip
    assert found["metrics"]["cases"] == 5
    stored = json.loads((out / "cross_validation.json").read_text("utf-8"))
    assert stored["research_use_only"] is True
    assert stored["pooled"] == found["metrics"]
    dice = [
        row["dice"] for fold in stored["folds"] for row in fold["rows"] if row["name"] == "Front"
    ]  # fmt: skip
    assert len(dice) == 5
    assert found["metrics"]["labels"]["Front"]["dice"]["mean"] == pytest.approx(sum(dice) / 5, abs=1e-4)
    final = read_model(out / "final").manifest
    assert split_of(out / "final")["held_back"] == []
    assert len(split_of(out / "final")["training"]) == 5
    assert "never saw it; this model was trained on all of them" in final.metrics["on"]
    assert final.metrics["labels"] == found["metrics"]["labels"]
    card = (out / "final" / "MODEL_CARD.md").read_text("utf-8")
    assert "Cross-validation" in card
    from medai.segment.training.card_folder import rewrite_card

    rewrite_card(out / "final")
    assert (out / "final" / "MODEL_CARD.md").read_text("utf-8") == card
    assert sorted(p.name for p in out.iterdir()) == ["cross_validation.json", "final", "fold-1", "fold-2"]


def test_a_stopped_cross_validation_goes_on_and_another_recipe_is_refused(pairs, recipe, tmp_path):
    token = CancelToken()

    def progress(fraction, message=""):
        if message.startswith("fold 2 of 2: epoch 1"):
            token.cancel()

    with pytest.raises(Cancelled):
        cross_validate(recipe, pairs, tmp_path / "out", 2, progress=progress, cancel=token)
    assert (tmp_path / "out" / "fold-1" / "manifest.json").is_file()
    assert (tmp_path / "out" / "fold-2.training" / "state.pt").is_file()
    other = Recipe.parse({**recipe.to_dict(), "seed": 99})
    with pytest.raises(OutputError, match="another training in 'fold-1'"):
        cross_validate(other, pairs, tmp_path / "out", 2)
    assert cross_validate(recipe, pairs, tmp_path / "out", 2)["metrics"]["cases"] == 5


def test_more_folds_than_subjects_and_a_fold_that_is_not_there_are_refused(pairs, recipe, tmp_path):
    with pytest.raises(InputError, match="4 subjects cannot be divided into 5 folds"):
        cross_validate(recipe, pairs, tmp_path / "out", 5)
    with pytest.raises(InputError, match="no fold 3 of 2"):
        cross_validate(recipe, pairs, tmp_path / "out", 2, only=3)
