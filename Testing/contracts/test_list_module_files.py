"""The lists in the modules' CMakeLists.txt are up to date, and the script that writes them can be trusted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")
TEMPLATE = (
    "set(A\n  # [list: scripts]\n  old.py\n  # [end of list]\n)\nset(B\n  # [list: resources]\n  # [end of list]\n)\n"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for module in MODULES:
        folder = tmp_path / module
        (folder / "medai" / "core" / "__pycache__").mkdir(parents=True)
        (folder / "CMakeLists.txt").write_text(TEMPLATE, encoding="utf-8")
        (folder / f"{module}.py").touch()
        (folder / "medai" / "core" / "b.py").touch()
        (folder / "medai" / "core" / "__pycache__" / "b.cpython-311.pyc").touch()
        (folder / "medai" / "core" / "py.typed").touch()
        (folder / "medai" / ".hidden").touch()
    return tmp_path


def run(repo: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repo / "Utilities" / "list_module_files.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_lists_match_the_checkout(repo: Path) -> None:
    done = run(repo, "--check")
    assert done.returncode == 0, done.stderr


def test_rewrites_between_the_markers_only(repo: Path, tree: Path) -> None:
    done = run(repo, "--root", str(tree))
    assert done.returncode == 0, done.stderr
    text = (tree / "MedAISegment" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert text == (
        "set(A\n  # [list: scripts]\n  MedAISegment.py\n  medai/core/b.py\n  # [end of list]\n)\n"
        "set(B\n  # [list: resources]\n  medai/core/py.typed\n  # [end of list]\n)\n"
    )


def test_check_reports_and_changes_nothing(repo: Path, tree: Path) -> None:
    done = run(repo, "--check", "--root", str(tree))
    assert done.returncode == 1
    assert "MedAISegment" in done.stderr
    assert (tree / "MedAISegment" / "CMakeLists.txt").read_text(encoding="utf-8") == TEMPLATE


def test_writing_twice_changes_nothing(repo: Path, tree: Path) -> None:
    run(repo, "--root", str(tree))
    assert run(repo, "--check", "--root", str(tree)).returncode == 0


def test_missing_marker_is_an_error(repo: Path, tree: Path) -> None:
    (tree / "MedAIReport" / "CMakeLists.txt").write_text("set(A)\n", encoding="utf-8")
    done = run(repo, "--root", str(tree))
    assert done.returncode == 2
    assert "markers" in done.stderr


def test_name_that_cmake_would_misread_is_an_error(repo: Path, tree: Path) -> None:
    (tree / "MedAIReport" / "medai" / "two words.txt").touch()
    done = run(repo, "--root", str(tree))
    assert done.returncode == 2
    assert "two words.txt" in done.stderr
