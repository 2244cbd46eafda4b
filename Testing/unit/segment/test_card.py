"""Model cards: every number from the assessment, the same text each time, rewritten from the stored files."""

import hashlib
import json
import re

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.segment.assessment.outside_row import OutsideRow
from medai.segment.assessment.result import Assessment, metrics_of
from medai.segment.assessment.rows import Row
from medai.segment.assessment.settings import MeasureSettings
from medai.segment.assessment.text import interval_of
from medai.segment.manifest import Manifest
from medai.segment.training.card import model_card
from medai.segment.training.card_folder import rewrite_card
from medai.segment.training.recipe import Recipe

WEIGHTS = b"weights"
SHA = hashlib.sha256(WEIGHTS).hexdigest()
HISTORY = {"losses": [1.0, 0.1234], "minutes": 12.0, "software": {"torch": "2.0"}}
SPLIT = {"training": ["a", "b"], "held_back": ["c"]}


@pytest.fixture
def recipe(recipe_dict):
    return Recipe.parse(recipe_dict)


@pytest.fixture
def manifest(recipe):
    return Manifest.parse({
        "id": "tiny", "version": "1.0.0", "description": recipe.description.to_dict(), "network": {"name": "unet3d"},
        "prepare": {}, "window": [16, 16, 16], "labels": [entry.to_dict() for entry in recipe.labels],
        "weights": {"path": "w.safetensors", "bytes": len(WEIGHTS), "sha256": SHA},
        "metrics": {"labels": {}, "mean_dice": 0.0, "cases": 0, "on": "held-back cases"},
    })  # fmt: skip


@pytest.fixture
def assessment():
    def make(sha=SHA, prefix="c", chosen="held-back", seen=0, cases=8, **more):
        rng = np.random.default_rng(len(prefix) + ord(prefix[0]))
        rows = []
        for n in range(cases):
            for label, name in ((1, "Front"), (2, "Back")):
                size, error = rng.uniform(1.5, 3), rng.normal(0, 0.1)
                case = f"{prefix}{n}"
                rows.append(Row(
                    case=case, subject=case, label=label, name=name, status="ok", dice=rng.uniform(0.8, 0.95),
                    hd95_mm=rng.uniform(1, 3), assd_mm=rng.uniform(0.2, 0.6), reference_ml=size,
                    predicted_ml=size + error, volume_error_ml=error, volume_error_percent=100 * error / size,
                ))  # fmt: skip
        data = {"name": "set", "chosen": chosen, "cases": cases, "subjects": cases, "seen_in_training": seen}
        model = {"id": "tiny", "title": "Tiny", "version": "1.0.0", "weights_sha256": sha}
        return Assessment(
            model=model, data=data, settings=MeasureSettings(resamples=200), rows=tuple(rows),
            software={"torch": "2.0"}, commands=(f"medai models measure tiny --data set --out {prefix}",), **more,
        )  # fmt: skip

    return make


OUTSIDE = (
    OutsideRow(name="noise", what="noise", status="segmented", volumes_ml={"Front": 0.0, "Back": 0.0}, flags=("X",)),
    OutsideRow(name="CT", what="CT values", status="segmented", volumes_ml={"Front": 1.25, "Back": 0.0}),
    OutsideRow(name="torn", what="a given image", status="refused", volumes_ml={}, message="It is torn."),
)


def test_the_card_says_what_the_assessment_says(manifest, recipe, assessment):
    worst = {"Front": [{"case": "c3", "dice": "0.801", "picture": "worst/1-1-c3.png"}], "Back": []}
    found = assessment(outside=OUTSIDE, worst=worst)
    text = model_card(manifest, recipe, HISTORY, SPLIT, assessment=found, pictures="assessment/")
    for label in found.summary[:2]:
        assert f"| {label.name} | 8 | 0 | {interval_of(label.measures['dice'], 3)} |" in text
        r, icc = (interval_of(label.agreement[key], 3) for key in ("pearson_r", "icc_a1"))
        assert f"| {label.name} | 8 | {r} | {icc} | " in text
    assert "8 cases of 8 subjects of the data set set. The model saw none of their subjects in training." in text
    assert "![Front: case c3](assessment/worst/1-1-c3.png)" in text
    assert "![Dice and HD95 of each label](assessment/boxplot.png)" in text
    assert "| CT | CT values | Back 0.00 mL; Front 1.25 mL | none | **a mask, NOT flagged** |" in text
    assert "| torn | a given image | It is torn. | none | **refused** |" in text
    assert "A mask came out without a warning for: CT." in text
    assert "medai models measure tiny --data set --out c" in text
    assert "Research use only" in text
    assert "0.1234" in text


def test_the_same_numbers_give_the_same_card(manifest, recipe, assessment):
    one = model_card(manifest, recipe, HISTORY, SPLIT, assessment=assessment())
    again = Assessment.from_dict(json.loads(json.dumps(assessment().to_dict())))
    assert model_card(manifest, recipe, HISTORY, SPLIT, assessment=again) == one
    assert "](" not in one, "no pictures are linked where there are none"


def test_cases_that_the_model_was_trained_on_are_named_as_such(manifest, recipe, assessment):
    text = model_card(manifest, recipe, HISTORY, SPLIT, assessment=assessment(chosen="all", seen=5))
    assert "## Measured on cases: all" in text
    assert "**The model was trained on the subjects of 5 of them.**" in text


def test_without_an_assessment_the_stored_metrics_are_shown(manifest, recipe, assessment):
    metrics = metrics_of(assessment())
    text = model_card(manifest.model_copy(update={"metrics": metrics}), recipe, HISTORY, SPLIT)
    assert "## Measured on the held-back cases" in text
    assert f"| Front | 8 | {metrics['labels']['Front']['dice']['mean']:.3f} (" in text
    assert f"Mean Dice over the labels: {metrics['mean_dice']:.3f}" in text


def test_folds_alone_are_shown_pooled(manifest, recipe, assessment):
    folds = [assessment(sha=c * 64, prefix=c) for c in "de"]
    text = model_card(manifest, recipe, HISTORY, {**SPLIT, "held_back": []}, folds=folds)
    assert "| 1 | 8 |" in text
    assert "| all | 16 |" in text
    assert "The 16 cases of all folds together" in text
    assert "No case was held back" in text
    assert "## Measured on" not in text


def test_numbers_of_the_end_of_a_training_have_a_command_too(manifest, recipe, assessment):
    folds = [assessment(sha=c * 64, prefix=c).replace(commands=()) for c in "de"]
    found = assessment().replace(commands=())
    text = model_card(manifest, recipe, HISTORY, SPLIT, assessment=found, folds=folds)
    assert "medai models measure tiny --data set --cases held-back --out measured\n" in text
    assert "medai models measure fold-2 --data set --cases held-back --out measured-2\n" in text


@pytest.fixture
def folder(manifest, recipe, tmp_path):
    root = tmp_path / "tiny"
    root.mkdir()
    (root / "w.safetensors").write_bytes(WEIGHTS)
    stored = {**manifest.to_dict(), "weights": manifest.to_dict()["weights"][0]}
    files = {"manifest": stored, "recipe": recipe.to_dict(), "training": HISTORY, "split": SPLIT}
    for name, value in files.items():
        (root / f"{name}.json").write_text(json.dumps(value), "utf-8")
    return root


def stored(found, folder):
    """Write an assessment as ``medai models measure`` does, with pictures that are files at least."""
    (folder / "worst").mkdir(parents=True)
    for name in ("boxplot.png", "volumes.png", "bland_altman.png", "worst/1-1-c3.png"):
        (folder / name).write_bytes(b"picture")
    (folder / "assessment.json").write_text(json.dumps(found.to_dict()), "utf-8")
    return folder / "assessment.json"


def test_a_card_is_rewritten_and_can_be_rewritten_from_what_is_stored(folder, assessment, tmp_path):
    worst = {"Front": [{"case": "c3", "dice": "0.801", "picture": "worst/1-1-c3.png"}]}
    found = assessment(outside=OUTSIDE, worst=worst)
    file = stored(found, tmp_path / "measured")
    folds = [stored(assessment(sha=c * 64, prefix=c), tmp_path / c) for c in "de"]
    card = rewrite_card(folder, [file, *folds])
    text = card.read_text("utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (folder / link).is_file(), link
    assert "| all | 16 |" in text
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["metrics"] == metrics_of(found)
    assert isinstance(manifest["weights"], dict), "the rest of the manifest stays as it was written"
    for path in (file, *folds):
        path.unlink()
    assert rewrite_card(folder).read_text("utf-8") == text
    assert rewrite_card(folder, [folder / "assessment.json"]).read_text("utf-8") == text
    assert rewrite_card(folder, [folder / "cross_validation.json"]).read_text("utf-8") == text
    assert not list(folder.glob(".medai-*"))


def test_what_does_not_belong_to_the_model_is_refused(folder, assessment, tmp_path):
    before = sorted((p.name, p.read_bytes()) for p in folder.iterdir())
    other = stored(assessment(sha="f" * 64), tmp_path / "other")
    mine = stored(assessment(), tmp_path / "mine")
    with pytest.raises(InputError, match="of other weights"):
        rewrite_card(folder, [other])
    with pytest.raises(InputError, match="Two assessments"):
        rewrite_card(folder, [mine, mine])
    with pytest.raises(InputError, match="shares the case"):
        rewrite_card(folder, [other, stored(assessment(sha="e" * 64), tmp_path / "same")])
    assert sorted((p.name, p.read_bytes()) for p in folder.iterdir()) == before
    (folder / "recipe.json").unlink()
    with pytest.raises(InputError, match=r"has no recipe\.json"):
        rewrite_card(folder, [mine])


def test_an_assessment_names_no_file_outside_its_folder(folder, assessment, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    worst = {"Front": [{"case": "c3", "dice": "0.8", "picture": name} for name in ("../secret.png", "worst/..")]}
    rewrite_card(folder, [stored(assessment(worst=worst), tmp_path / "measured")])
    assert not [p for p in folder.rglob("*") if p.is_file() and p.read_bytes() == b"secret"]
    assert "secret" not in (folder / "MODEL_CARD.md").read_text("utf-8")


def test_the_shipped_models_card_can_be_written_again(tmp_path):
    from medai.segment.models import ModelStore

    source = ModelStore().find("hippocampus").folder
    root = tmp_path / "hippocampus"
    root.mkdir()
    for file in source.glob("*.json"):
        (root / file.name).write_bytes(file.read_bytes())
    text = rewrite_card(root).read_text("utf-8")
    metrics = json.loads((source / "manifest.json").read_text("utf-8"))["metrics"]
    for row in metrics["labels"].values():
        assert f"{row['dice']['mean']:.3f}" in text
