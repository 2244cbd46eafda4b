"""``medai detect`` hands 2D recipes and detectors to the 2D part; what it needs is said when it is missing."""

import json

import pytest
from typer.testing import CliRunner

from medai.cli.app import app
from medai.cli.detect2d import is_plane_model, is_plane_recipe

RECIPE = {
    "kind": "detector2d",
    "id": "cells",
    "description": {
        "title": "Cells", "summary": "For tests.", "intended_use": "Tests.", "limits": ["None."],
        "training_data": "None.", "licence": "Apache-2.0",
    },
    "labels": [{"label": 1, "name": "Cell"}],
}  # fmt: skip


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "cells.json"
    path.write_text(json.dumps(RECIPE), "utf-8")
    return path


def test_kinds_are_told_apart(recipe, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"id": "x"}), "utf-8")
    assert is_plane_recipe(str(recipe))
    assert not is_plane_recipe(str(other))
    assert not is_plane_recipe("nodule-synthetic")
    assert not is_plane_model(str(tmp_path))
    (tmp_path / "detector.json").write_text(json.dumps({"kind": "detector2d"}), "utf-8")
    assert is_plane_model(str(tmp_path))


def test_training_without_data_says_so(recipe, tmp_path):
    found = CliRunner().invoke(app, ["detect", "train", "--recipe", str(recipe), "--out", str(tmp_path / "out")])
    assert found.exit_code == 2
    assert "needs --data" in found.output
    assert not (tmp_path / "out").exists()


def test_a_cells_detector_is_trained_used_and_measured_by_commands(recipe, tmp_path):
    torch = pytest.importorskip("torch")
    from medai.segment.detection.plane.library import missing_reason
    from medai.segment.detection.plane.synthetic import write_cells

    if missing_reason():
        pytest.skip(missing_reason())
    torch.set_num_threads(1)
    write_cells(tmp_path / "data", 6, 3)
    values = {**RECIPE, "held_back": 2, "optimiser": {"epochs": 1}}
    recipe.write_text(json.dumps(values), "utf-8")
    run = CliRunner()
    out, data = str(tmp_path / "model"), str(tmp_path / "data")
    made = run.invoke(app, ["detect", "train", "--recipe", str(recipe), "--data", data, "--out", out])
    assert made.exit_code == 0, made.output
    assert not (tmp_path / "model.training").exists()
    measured = run.invoke(
        app, ["detect", "measure", "--model", out, "--data", data, "--out", str(tmp_path / "m"), "--json"]
    )
    assert measured.exit_code == 0, measured.output
    assert json.loads(measured.output)["images"] == 2
    image = next((tmp_path / "data" / "images").iterdir())
    found = run.invoke(app, ["detect", "run", str(image), "--model", out, "--out", str(tmp_path / "f"), "--json"])
    assert found.exit_code == 0, found.output
    assert (tmp_path / "f" / "findings.json").is_file()
