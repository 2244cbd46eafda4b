"""medai models measure and card: what they print and write, exit codes, Ctrl-C and going on."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("typer")

from typer.testing import CliRunner

from medai.cli.app import app
from medai.core.geometry import Geometry
from medai.core.io import write_labelmap, write_volume
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume


def medai(*words):
    return CliRunner().invoke(app, ["models", *[str(w) for w in words]])


def write_case(folder, name, seed, shape=(16, 16, 16)):
    rng = np.random.default_rng(seed)
    distance = np.linalg.norm(np.indices(shape).transpose(1, 2, 3, 0) - np.array([5, 5, 5]), axis=-1)
    mask = np.where(distance < 2, 4, np.where(distance < 4, 1, 0)).astype(np.uint8)
    grid = Geometry.from_spacing(shape)
    for part in ("images", "labels"):
        (folder / part).mkdir(exist_ok=True, parents=True)
    write_volume(Volume(rng.normal(mask, 0.3).astype(np.float32), grid), folder / "images" / f"{name}.nii.gz")
    write_labelmap(LabelMap(mask, grid), folder / "labels" / f"{name}.nii.gz")


@pytest.fixture
def model(model_folder, tmp_path):
    folder = model_folder(tmp_path / "whole")
    (folder / "split.json").write_text('{"training": ["c0"], "held_back": ["c1", "c2"]}', "utf-8")
    return folder


@pytest.fixture
def data(tmp_path):
    for number in range(3):
        write_case(tmp_path / "set", f"c{number}", number)
    return tmp_path / "set"


def test_a_model_is_measured_on_what_it_never_saw(model, data, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    done = medai("measure", model, "--data", data, "--out", out, "--outside", "generated")
    assert done.exit_code == 0, done.output
    assert "Research use only" in done.output
    assert "Whole: 2 cases (held-back)" in done.output
    assert "outside the domain: CT-like, marked: " in done.output
    names = {"cases.csv", "summary.json", "assessment.json", "summary.md", "boxplot.png", "volumes.png",
             "bland_altman.png", "worst", "masks", "finished.jsonl"}  # fmt: skip
    assert {p.name for p in out.iterdir()} == names
    found = json.loads((out / "assessment.json").read_text("utf-8"))
    assert found["data"]["seen_in_training"] == 0
    assert {row["case"] for row in found["rows"]} == {"c1", "c2"}
    assert len(found["outside"]) == 7
    assert found["commands"] == [
        "medai models measure whole --data set --out out --cases held-back --outside generated",
        "medai models card whole --assessment out/assessment.json",
    ]
    text = (out / "summary.md").read_text("utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == 3 + 4
    assert all((out / link).is_file() for link in links)
    assert str(tmp_path) not in text + (out / "assessment.json").read_text("utf-8")


def test_the_masks_give_the_same_numbers_again(model, data, tmp_path):
    out = tmp_path / "out"
    assert medai("measure", model, "--data", data, "--out", out, "--cases", "all", "--no-pictures").exit_code == 0
    words = ["evaluate", str(out / "masks"), str(data / "labels"), "--match", "labels", "--json"]
    done = CliRunner().invoke(app, words)
    theirs = {(s["case"], s["label"]): s["dice"] for s in json.loads(done.stdout)["scores"]}
    rows = json.loads((out / "assessment.json").read_text("utf-8"))["rows"]
    assert {(r["case"], r["label"]): r["dice"] for r in rows} == theirs


def test_a_failed_case_is_told_and_the_others_are_done(model, data, tmp_path):
    (data / "images" / "c2.nii.gz").write_bytes(b"no image")
    done = medai("measure", model, "--data", data, "--out", tmp_path / "out", "--no-pictures", "--json")
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert list(found["failed"]) == ["c2"]
    assert found["summary"][0]["cases"] == 2
    assert found["summary"][0]["failed"] == 1
    assert found["research_use_only"] is True


def test_what_cannot_be_measured_is_one_sentence(model, data, tmp_path):
    (data / "labels" / "c2.nii.gz").unlink()
    (data / "images" / "c2.nii.gz").unlink()
    done = medai("measure", model, "--data", data, "--out", tmp_path / "out", "--no-pictures")
    assert done.exit_code == 2
    assert "'set' lacks 1 case: c2" in done.output
    bad = medai("measure", model, "--data", data, "--out", tmp_path / "out", "--device", "toaster", "--no-pictures")
    assert bad.exit_code == 2
    assert "device" in bad.output


def test_a_model_that_training_did_not_make_has_no_card_to_write(model):
    done = medai("card", model)
    assert done.exit_code == 2
    assert "has no recipe.json" in done.output


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a child")
def test_ctrl_c_keeps_what_is_finished_and_the_next_run_goes_on(model, data, tmp_path):
    for number in range(3, 12):
        write_case(data, f"c{number}", number)
    out = tmp_path / "out"
    words = ["models", "measure", str(model), "--data", str(data), "--out", str(out), "--cases", "all", "--no-pictures"]
    child = subprocess.Popen([sys.executable, "-c", "from medai.cli.app import main; main()", *words])
    rows = out / "finished.jsonl"
    while child.poll() is None and not (rows.is_file() and rows.stat().st_size):
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 2
    kept = rows.read_bytes()
    assert 1 <= kept.count(b"\n") < 12
    assert not (out / "assessment.json").exists()
    assert medai(*words[1:]).exit_code == 0
    assert rows.read_bytes().startswith(kept)
    assert rows.read_bytes().count(b"\n") == 12
