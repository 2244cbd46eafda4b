"""import-linter's contracts hold, and each of them fails when it is broken on purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")
MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")

VIOLATIONS = [
    ("Layers", "MedAISegment/medai/core/errors.py", "import medai.report"),
    ("Layers", "MedAIFeatures/medai/features/__init__.py", "def late():\n    import medai.cli"),
    ("Layers", "MedAISegment/medai/segment/__init__.py", "from medai import features"),
    ("Only medai.mrml touches Slicer", "MedAIFeatures/medai/features/__init__.py", "def late():\n    import slicer"),
    ("Only medai.mrml touches Slicer", "MedAIReport/medai/report/__init__.py", "from vtk.util import numpy_support"),
    ("Only medai.mrml touches Slicer", "MedAIReport/medai/cli/__init__.py", "import qt"),
    ("The scene bridge never touches Qt", "MedAISegment/medai/mrml/__init__.py", "import qt"),
    ("The library does not know the scene bridge", "MedAIReport/medai/report/__init__.py", "import medai.mrml"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(folder / module) for module in MODULES)
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(repo: Path, tmp_path: Path) -> Path:
    for module in MODULES:
        shutil.copytree(
            repo / module / "medai", tmp_path / module / "medai", ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(repo / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(("contract", "path", "line"), VIOLATIONS)
def test_each_contract_can_fail(contract: str, path: str, line: str, copy: Path) -> None:
    with (copy / path).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [text for text in done.stdout.splitlines() if text.rstrip().endswith("BROKEN")]
    assert any(text.startswith(contract) for text in broken), done.stdout
