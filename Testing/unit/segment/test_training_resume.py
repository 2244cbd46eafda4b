"""A training that is stopped, killed or out of disk goes on, and ends with the weights of one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

from medai.core.errors import Cancelled, InputError, OutputError
from medai.core.progress import CancelToken
from medai.segment.training.folds import split_subjects
from medai.segment.training.recipe import Recipe
from medai.segment.training.service import train_model
from medai.segment.training.sources import open_source
from medai.segment.training.work import Work, default_work, opened

EPOCHS = 5
SCRIPT = """
import json, sys
from medai.segment.training.recipe import Recipe
from medai.segment.training.service import train_model
if len(sys.argv) > 4:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
recipe = Recipe.parse(json.load(open(sys.argv[1], encoding="utf-8")))
try:
    train_model(recipe, sys.argv[2], sys.argv[3])
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def pairs(tmp_path, write_case):
    for number in range(3):
        write_case(tmp_path / "data", f"case{number}", number)
    return tmp_path / "data"


@pytest.fixture
def recipe(recipe_dict):
    o = {"epochs": EPOCHS, "batch": 1, "threads": 1, "warmup_steps": 2, "ema": 0.9}
    return Recipe.parse({**recipe_dict, "optimiser": o, "held_back": 1})


@pytest.fixture
def whole(pairs, recipe, tmp_path):
    """The weights of a training that nothing disturbed."""
    train_model(recipe, pairs, tmp_path / "whole")
    return (tmp_path / "whole" / "weights.safetensors").read_bytes()


@pytest.fixture
def command(pairs, recipe, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT, "utf-8")
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_dict()), "utf-8")
    return [sys.executable, "script.py", "recipe.json", str(pairs), str(tmp_path / "out")]


def stop_after(epoch):
    token = CancelToken()

    def progress(fraction, message=""):
        if message.startswith(f"epoch {epoch} "):
            token.cancel()

    return {"progress": progress, "cancel": token}


def rows(work):
    return (work / "log.csv").read_text("utf-8").splitlines() if (work / "log.csv").is_file() else []


def test_after_kill_9_the_same_command_ends_with_the_same_bytes(whole, command, tmp_path):
    work = tmp_path / "out.training"
    process = subprocess.Popen(command, cwd=tmp_path)
    deadline = time.monotonic() + 300
    while len(rows(work)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    assert process.wait() != 0, "it was done before it could be killed"
    assert (work / "state.pt").is_file()
    assert not (tmp_path / "out").exists()
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == whole
    assert not work.exists()
    assert not list(tmp_path.glob(".medai-*"))
    history = json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))
    assert len(history["losses"]) == EPOCHS


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as a full disk does")
def test_a_full_disk_keeps_the_last_good_checkpoint(whole, command, pairs, recipe, tmp_path):
    with pytest.raises(Cancelled):
        train_model(recipe, pairs, tmp_path / "out", **stop_after(2))
    state = tmp_path / "out.training" / "state.pt"
    before = state.read_bytes()
    done = subprocess.run([*command, str(len(before) // 2)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("OutputError: ")
    assert state.read_bytes() == before
    assert not list(state.parent.glob(".medai-*"))
    train_model(recipe, pairs, tmp_path / "out")
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == whole


def test_stopping_keeps_the_checkpoint_and_going_on_gives_the_same(whole, pairs, recipe, tmp_path):
    told = []
    with pytest.raises(Cancelled):
        train_model(recipe, pairs, tmp_path / "out", **stop_after(3), tell=told.append)
    assert told == []
    assert len(rows(tmp_path / "out.training")) == 4
    train_model(recipe, pairs, tmp_path / "out", tell=told.append)
    assert any("Going on" in text for text in told)
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == whole
    assert not (tmp_path / "out.training").exists()


def test_stopping_before_the_first_epoch_leaves_nothing(pairs, recipe, tmp_path):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        train_model(recipe, pairs, tmp_path / "out", cancel=token)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_another_recipe_or_split_in_the_same_work_folder_is_refused(pairs, recipe, tmp_path):
    with pytest.raises(Cancelled):
        train_model(recipe, pairs, tmp_path / "out", **stop_after(1))
    other = Recipe.parse({**recipe.to_dict(), "seed": 4})
    with pytest.raises(InputError, match=r"another recipe; different: seed\."):
        train_model(other, pairs, tmp_path / "out")
    split = split_subjects(open_source(recipe, pairs).cases, 1, 12345)
    assert split.held_back != split_subjects(open_source(recipe, pairs).cases, 1, recipe.seed).held_back
    with pytest.raises(InputError, match="another split"):
        train_model(recipe, pairs, tmp_path / "out", split=split)
    # A text for people is no other training.
    texts = {**recipe.to_dict(), "description": {**recipe.description.to_dict(), "title": "Another title"}}
    train_model(Recipe.parse(texts), pairs, tmp_path / "out")
    assert "Another title" in (tmp_path / "out" / "MODEL_CARD.md").read_text("utf-8")


def test_two_trainings_do_not_share_a_work_folder(pairs, recipe, tmp_path):
    split = split_subjects(open_source(recipe, pairs).cases, 1, recipe.seed)
    with (
        opened(tmp_path / "work", recipe, split),
        pytest.raises(OutputError, match="Another training uses the work folder 'work'") as caught,
    ):
        train_model(recipe, pairs, tmp_path / "out", work=tmp_path / "work")
    assert caught.value.code == "BUSY"


def test_a_folder_with_other_things_is_no_work_folder(pairs, recipe, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.txt").write_text("keep", "utf-8")
    with pytest.raises(OutputError, match=r"holds something else: 'mine.txt'"):
        train_model(recipe, pairs, tmp_path / "out", work=tmp_path / "work")
    assert (tmp_path / "work" / "mine.txt").read_text("utf-8") == "keep"


def test_a_kill_between_the_last_two_steps_costs_nothing(pairs, recipe, tmp_path):
    work = default_work(tmp_path / "out")
    with pytest.raises(Cancelled):
        train_model(recipe, pairs, tmp_path / "out", **stop_after(EPOCHS))
    shutil.copytree(work, tmp_path / "copy")
    metrics = train_model(recipe, pairs, tmp_path / "out")
    (tmp_path / "copy").rename(work)
    assert Work(work).started
    assert train_model(recipe, pairs, tmp_path / "out") == metrics
    assert not work.exists()
