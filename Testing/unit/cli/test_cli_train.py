"""``medai example-data``, ``medai train`` and ``medai finetune``: from nothing to a model, in one process."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("typer")

from typer.testing import CliRunner

from medai.cli.app import app
from medai.cli.trainplan import Wanted, recipe_of
from medai.cli.traintext import parse_labels
from medai.core.errors import SettingsError
from medai.core.progress import CancelToken

runner = CliRunner()


def run(*words, code=0):
    found = runner.invoke(app, [str(word) for word in words])
    assert found.exit_code == code, found.output
    return found


def quiet(fraction, message=""):
    pass


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "example"
    run("example-data", folder, "--cases", 5)
    return folder


@pytest.fixture(scope="module")
def small_recipe(example, tmp_path_factory):
    """A planned recipe, made so small that an epoch takes a moment."""
    values = json.loads(run("train", "--data", example, "--labels", "1=Body,2=Core", "--plan-only").stdout)
    values.update(patch=[16, 16, 16], filters=[4, 8, 8])
    values["optimiser"].update(epochs=2, samples_per_epoch=4, threads=1, warmup_steps=1)
    file = tmp_path_factory.mktemp("recipe") / "small.json"
    file.write_text(json.dumps(values), "utf-8")
    return file


def test_a_plan_says_why_and_its_recipe_can_be_kept(example):
    found = run(
        "train", "--data", example, "--labels", "Body,Core", "--id", "mine", "--title", "My model", "--plan-only"
    )
    recipe = json.loads(found.stdout)
    assert recipe["id"] == "mine"
    assert recipe["description"]["title"] == "My model"
    assert [entry["name"] for entry in recipe["labels"]] == ["Body", "Core"]
    assert recipe["prepare"]["spacing"] == [1, 1, 1]
    assert "held back" in found.stderr
    as_json = json.loads(run("train", "--data", example, "--labels", "Body,Core", "--plan-only", "--json").stdout)
    assert as_json["research_use_only"] is True
    assert as_json["reasons"]


def test_train_and_finetune_from_the_command_line(example, small_recipe, tmp_path):
    out = tmp_path / "model"
    shown = run("train", "--data", example, "--recipe", small_recipe, "--out", out, "--version", "1.2.0").stdout
    assert "Research use only" in shown
    assert "1 held-back cases" in shown
    assert (out / "MODEL_CARD.md").is_file()
    assert json.loads((out / "manifest.json").read_text("utf-8"))["version"] == "1.2.0"
    assert not (tmp_path / "model.training").exists()
    again = run("train", "--data", example, "--recipe", small_recipe, "--out", out, code=2)
    assert "not empty" in again.stderr
    child = json.loads(
        run("finetune", out, "--data", example, "--out", tmp_path / "child", "--epochs", 1, "--threads", 1,
            "--held-back", 1, "--labels", "1=Body,2=Else", "--json").stdout
    )  # fmt: skip
    assert any("Else" in note and "at random" in note for note in child["notes"])
    history = json.loads((tmp_path / "child" / "training.json").read_text("utf-8"))
    assert history["finetuned_from"]["version"] == "1.2.0"
    split = json.loads((tmp_path / "child" / "split.json").read_text("utf-8"))
    parents = json.loads((out / "split.json").read_text("utf-8"))
    assert split["held_back"] == parents["held_back"], "only that case was never seen"
    values = json.loads(small_recipe.read_text("utf-8"))
    other = tmp_path / "second.json"
    other.write_text(json.dumps({**values, "seed": 5}), "utf-8")
    run("train", "--data", example, "--recipe", other, "--start", out, "--out", tmp_path / "second", "--epochs", 1)
    history = json.loads((tmp_path / "second" / "training.json").read_text("utf-8"))
    assert history["finetuned_from"]["sha256"]
    split = json.loads((tmp_path / "second" / "split.json").read_text("utf-8"))
    assert split["held_back"] == parents["held_back"], "another seed would hold back a case that the first model saw"


def test_folds_from_the_command_line(example, small_recipe, tmp_path):
    common = ["train", "--data", example, "--recipe", small_recipe, "--out", tmp_path / "cv", "--epochs", 1]
    first = run(*common, "--folds", 2, "--fold", 1).stdout
    assert "1 folds are still to do" in first
    found = json.loads(run(*common, "--folds", 2, "--json").stdout)
    assert found["metrics"]["cases"] == 5
    assert (tmp_path / "cv" / "cross_validation.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x", "--fold", "1"], "belong to --folds"),
        (["--out", "x", "--folds", "2", "--work", "w"], "own work folder"),
        (["--out", "x", "--folds", "2", "--start", "hippocampus"], "--start does not go"),
        ([], "--out is missing"),
        (["--out", "x", "--recipe", "missing.json"], "missing.json"),
        (["--out", "x", "--labels", "1=A,1=B"], "--labels"),
    ],
)
def test_options_that_do_not_fit_are_refused(example, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in run("train", "--data", example, *words, code=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_labels_are_read_in_both_forms():
    assert parse_labels("Liver, Big tumour") == {1: "Liver", 2: "Big tumour"}
    assert parse_labels("3=A,1=B") == {3: "A", 1: "B"}
    for wrong in ("", "A,A", "1=", "0=A", "x=A", "1=A,B", "70000=A"):
        with pytest.raises(SettingsError, match="--labels"):
            parse_labels(wrong)


def test_a_shorter_training_warms_up_in_proportion(small_recipe, example):
    values = json.loads(small_recipe.read_text("utf-8"))
    values["optimiser"].update(epochs=100, warmup_steps=50)
    small_recipe.with_name("long.json").write_text(json.dumps(values), "utf-8")
    wanted = Wanted(recipe=str(small_recipe.with_name("long.json")), epochs=10, held_back=2, workers=3, device="cpu")
    recipe, reasons = recipe_of(wanted, example, progress=quiet, cancel=CancelToken())
    assert (recipe.optimiser.epochs, recipe.optimiser.warmup_steps) == (10, 5)
    assert (recipe.held_back, recipe.optimiser.workers, recipe.optimiser.device) == (2, 3, "cpu")
    assert reasons == []


def test_after_a_stop_the_user_is_told_where_the_checkpoint_is(tmp_path, capsys):
    from medai.cli.traintext import resumable
    from medai.core.errors import Cancelled, OutputError

    def fail(error, work=None):
        with pytest.raises(type(error)), resumable(tmp_path / "model", work):
            raise error
        return capsys.readouterr().err

    assert fail(Cancelled()) == ""
    (tmp_path / "model.training").mkdir()
    (tmp_path / "model.training" / "state.pt").write_bytes(b"1")
    assert "kept in 'model.training'. Run the same command again" in fail(Cancelled())
    assert "model.training" in fail(OutputError("The disk is full."))
    assert fail(OutputError("Another training.", code="BUSY")) == ""
    (tmp_path / "model" / "fold-2.training").mkdir(parents=True)
    (tmp_path / "model" / "fold-2.training" / "state.pt").write_bytes(b"1")
    (tmp_path / "model.training" / "state.pt").unlink()
    assert "kept in 'fold-2.training'" in fail(Cancelled())
    assert fail(Cancelled(), tmp_path / "elsewhere") == ""
