"""medai.core.provenance."""

from __future__ import annotations

import getpass
import json
import platform
import re
import socket
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from medai.core import provenance
from medai.core.provenance import software_provenance
from medai.core.version import VERSION


def test_it_is_json_and_names_the_versions() -> None:
    found = software_provenance()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["medai"] == VERSION
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"] == np.__version__
    assert found["cpu"]["name"]
    assert found["ram_gib"] > 0.1
    assert found["devices"][0]["kind"] == "cpu"


def test_no_user_host_or_path() -> None:
    text = json.dumps(software_provenance())
    assert not re.search(r'"[^"]*(/|\\\\)[^"]*"', text)
    words = set(re.findall(r"[\w.-]+", text))
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words


def test_nothing_heavy_is_loaded() -> None:
    code = "import sys; from medai.core.provenance import *; software_provenance(); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_the_version_is_that_of_the_package(repo: Path) -> None:
    text = (repo / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{VERSION}"\n' in text


HASH = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "MedAISegment" / "medai" / "core").mkdir(parents=True)
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return tmp_path


def test_the_commit_of_a_branch(checkout: Path) -> None:
    assert provenance._commit(checkout) is None  # nothing committed yet
    (checkout / ".git" / "packed-refs").write_text(f"# pack-refs\n{HASH} refs/heads/main\n^{HASH[::-1]}\n")
    assert provenance._commit(checkout) == HASH
    (checkout / ".git" / "refs" / "heads" / "main").write_text(HASH[::-1] + "\n")
    assert provenance._commit(checkout) == HASH[::-1]


def test_the_commit_of_a_detached_head_and_of_a_worktree(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".git" / "HEAD").write_text(HASH + "\n")
    assert provenance._commit(checkout) == HASH
    (checkout / ".git").rename(checkout / "main.git")
    inner = checkout / "main.git" / "worktrees" / "w"
    inner.mkdir(parents=True)
    (checkout / ".git").write_text("gitdir: main.git/worktrees/w\n")
    (inner / "HEAD").write_text("ref: refs/heads/topic\n")
    (inner / "commondir").write_text("../..\n")
    (checkout / "main.git" / "refs" / "heads" / "topic").write_text(HASH[::-1])
    assert provenance._commit(checkout) == HASH[::-1]


@pytest.mark.parametrize("head", ["", "ref: ", "ref: ../../secret", "not a hash", "\0"])
def test_a_broken_checkout_has_no_commit(checkout: Path, head: str) -> None:
    (checkout / ".git" / "HEAD").write_text(head)
    assert provenance._commit(checkout) is None


def test_another_projects_checkout_is_not_ours(checkout: Path) -> None:
    (checkout / ".git" / "HEAD").write_text(HASH)
    (checkout / "MedAISegment").rename(checkout / "Other")
    assert provenance._commit(checkout) is None


def test_the_commit_is_that_of_git(repo: Path) -> None:
    try:
        git = subprocess.run(["git", "-C", str(repo), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a checkout, or no git here")
    assert software_provenance()["commit"] == git.stdout.strip()


def test_graphics_cards_from_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, model in enumerate(["NVIDIA A100-SXM4-40GB", "Tesla T4"]):
        folder = tmp_path / f"0000:0{number}:00.0"
        folder.mkdir()
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 42\nGPU UUID: \t GPU-SECRET\n")
    monkeypatch.setattr(provenance, "_NVIDIA", tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    provenance._nvidia_devices.cache_clear()
    try:
        found = software_provenance()["devices"]
    finally:
        provenance._nvidia_devices.cache_clear()
    assert [d["name"] for d in found if d["kind"] == "cuda"] == ["NVIDIA A100-SXM4-40GB", "Tesla T4"]
    assert "SECRET" not in str(found)


def test_graphics_cards_from_the_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 80GB HBM3, 81559'\necho 'error'\n")
    tool.chmod(0o755)
    monkeypatch.setattr(provenance, "_NVIDIA", tmp_path / "missing")
    monkeypatch.setattr(provenance.shutil, "which", lambda name: str(tool))
    provenance._nvidia_devices.cache_clear()
    try:
        assert provenance._nvidia_devices() == [{"kind": "cuda", "name": "NVIDIA H100, 80GB HBM3", "memory_gib": 79.6}]
    finally:
        provenance._nvidia_devices.cache_clear()


def test_graphics_cards_from_torch_when_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    card = types.SimpleNamespace(name="NVIDIA H100", total_memory=80 * 2**30)
    cuda = types.SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 1, get_device_properties=lambda index: card
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    assert {"kind": "cuda", "name": "NVIDIA H100", "memory_gib": 80.0} in software_provenance()["devices"]
