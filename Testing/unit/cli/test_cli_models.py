"""medai models: what it prints, exit codes, and that Ctrl-C leaves nothing."""

import hashlib
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time

import pytest

typer = pytest.importorskip("typer")
typer_testing = pytest.importorskip("typer.testing")

from medai.cli.app import app  # noqa: E402
from medai.segment.models import ModelStore  # noqa: E402


def medai(*words):
    return typer_testing.CliRunner().invoke(app, ["models", *[str(w) for w in words]])


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path):
    place = tmp_path / "models"
    monkeypatch.setenv("MEDAI_MODELS", str(place))
    return place


@pytest.fixture
def folder(tmp_path):
    """The shipped manifest with other bytes as weights: these commands load no network."""
    value = json.loads((ModelStore().find("hippocampus").folder / "manifest.json").read_text("utf-8"))
    weights = b"weights" * 1000
    entry = {"path": "w.safetensors", "bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    value.update(id="mine", weights=entry)
    value["description"]["title"] = "Mine \x1b[31m{{7*7}}"
    new = tmp_path / "given"
    new.mkdir()
    (new / "w.safetensors").write_bytes(weights)
    (new / "manifest.json").write_text(json.dumps(value), "utf-8")
    return new


def test_a_model_is_installed_shown_checked_and_removed(folder, root):
    result = medai("install", folder)
    assert result.exit_code == 0, result.output
    assert "Research use only" in result.stdout
    assert "Installed mine 1.0.0" in result.stdout
    assert "\x1b" not in result.stdout, "a control character in a title must not reach the terminal"
    listed = medai("list")
    assert "mine" in listed.stdout
    assert "hippocampus" in listed.stdout
    assert "yours" in listed.stdout
    shown = medai("show", "mine")
    assert hashlib.sha256(b"weights" * 1000).hexdigest() in shown.stdout
    assert "from           folder given" in shown.stdout
    assert "Hippocampus anterior" in shown.stdout
    assert medai("verify", "mine").exit_code == 0
    (root / "mine" / "w.safetensors").write_bytes(b"x")
    checked = medai("verify")
    assert checked.exit_code == 2
    assert "mine: not as it should be" in checked.stdout
    assert "hippocampus: as it should be" in checked.stdout
    removed = medai("remove", "mine")
    assert removed.exit_code == 0
    assert not (root / "mine").exists()


def test_everything_is_json_too(folder, root):
    installed = json.loads(medai("install", folder, "--id", "other", "--json").stdout)
    assert installed["research_use_only"] is True
    assert installed["model"]["id"] == "other"
    assert installed["model"]["origin"]["kind"] == "folder"
    found = json.loads(medai("list", "--json").stdout)
    assert [(m["id"], m["own"]) for m in found["models"]] == [("hippocampus", False), ("other", True)]
    assert json.loads(medai("show", "other", "--json").stdout)["model"]["structures"][0]["label"] == 1
    assert json.loads(medai("verify", "--json").stdout)["problems"] == {"hippocampus": [], "other": []}
    assert json.loads(medai("search", "hippocampus", "--json").stdout)["models"][1]["id"] == "other"
    assert json.loads(medai("remove", "other", "--json").stdout) == {"removed": "other"}
    error = medai("remove", "other", "--json")
    assert error.exit_code == 2
    assert json.loads(error.stdout)["error"]["code"] == "MODEL"


def test_the_catalogue_is_searched_and_shown():
    result = medai("catalogue", "prostate")
    assert "monai-prostate-mri-anatomy" in result.stdout
    assert "ts-ribs" not in result.stdout
    assert "ts-ribs" in medai("catalogue").stdout
    shown = medai("show", "ts-organs")
    assert shown.exit_code == 0
    assert "only the secure connection vouches for it" in shown.stdout
    assert "Apache-2.0" in shown.stdout
    cannot = medai("show", "monai-pancreas-ct-dints-segmentation")
    assert "CANNOT RUN" in cannot.stdout
    assert "nothing found" in medai("catalogue", "no such words").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "nope"], "no model called 'nope'"),
        (["install", "nope"], "nothing to install called 'nope'"),
        (["install", "http://models.example/x.zip"], "by http"),
        (["install", "monai-vista3d"], "cannot run"),
        (["install", "{tmp}"], "no model that MedAI knows"),
        (["remove", "hippocampus"], "comes with MedAI"),
        (["remove", "../given"], "You have no model"),
        (["verify", "nope"], "no model called"),
        (["install", "{tmp}/given", "--id", "Bad/Id"], "cannot be a model's id"),
    ],
)
def test_every_mistake_is_one_sentence_and_exit_code_2(words, message, tmp_path, root):
    (tmp_path / "given").mkdir()
    result = medai(*[word.format(tmp=tmp_path) for word in words])
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert str(tmp_path) not in result.stderr
    assert not root.exists()


def test_a_licence_and_trust_are_asked_for_and_shown(folder, root):
    file = folder / "manifest.json"
    value = json.loads(file.read_text("utf-8"))
    value["description"]["licence"] = "CC-BY-NC-4.0"
    file.write_text(json.dumps(value), "utf-8")
    refused = medai("install", folder)
    assert refused.exit_code == 2
    assert "--accept-licence" in refused.stderr
    (folder / "w.safetensors").write_bytes(b"others")
    refused = medai("install", folder, "--accept-licence")
    assert refused.exit_code == 2
    assert "its manifest says" in refused.stderr
    assert not root.exists()
    installed = medai("install", folder, "--accept-licence", "--trust")
    assert installed.exit_code == 0, installed.output
    assert "trusted on 2" in installed.stdout
    shown = medai("show", "mine").stdout
    assert "accepted       CC-BY-NC-4.0 on 2" in shown
    assert "w.safetensors, which is not as its manifest says" in shown


class Silent(socketserver.BaseRequestHandler):
    """Promises a file and sends a little of it, then nothing."""

    def handle(self):
        self.request.recv(4096)
        head = b'HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: 1000000\r\nETag: "a"\r\n\r\n'
        self.request.sendall(head + b"x" * 1000)
        self.server.asked.set()
        self.server.over.wait(60)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process on Windows")
def test_ctrl_c_while_a_server_hangs_leaves_nothing(root):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        server.daemon_threads, server.asked, server.over = True, threading.Event(), threading.Event()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/model.zip"
        code = "from medai.cli.app import main; main()"
        child = subprocess.Popen(
            [sys.executable, "-c", code, "models", "install", address],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy(),
        )  # fmt: skip
        assert server.asked.wait(60)
        while not list(root.glob(".downloads/*.part")):
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=30)  # the server stays silent for 60 s
        server.over.set()
        server.shutdown()
    assert child.returncode == 2
    assert told.strip() == "medai: Stopped."
    assert not root.exists()
