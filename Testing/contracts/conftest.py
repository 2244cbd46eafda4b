"""Fixtures of the contract tests: what git holds, and the library's sources."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

import pytest

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")


@pytest.fixture(scope="session")
def tracked(repo: Path) -> list[str]:
    """POSIX paths of the files in git; tests that need them are skipped outside a clone."""
    command = ["git", "-c", "safe.directory=*", "-C", str(repo), "ls-files", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git clone")
    return sorted(path for path in done.stdout.decode("utf-8").split("\0") if path)


@pytest.fixture(scope="session")
def installed_with_pip() -> str:
    """The distribution's name; tests that read its metadata are skipped where the checkout is only on the path."""
    try:
        return metadata.distribution("medai-extension").metadata["Name"]
    except metadata.PackageNotFoundError:
        pytest.skip("not installed with pip")


@pytest.fixture(scope="session")
def library_files(repo: Path) -> list[Path]:
    """Every source file of ``medai.*``."""
    return sorted(path for module in MODULES for path in (repo / module / "medai").rglob("*.py"))


@pytest.fixture(scope="session")
def module_files(repo: Path) -> list[Path]:
    """The three files that Slicer loads."""
    return [repo / module / f"{module}.py" for module in MODULES]
