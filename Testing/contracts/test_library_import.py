"""Importing the library is cheap: heavy packages come at the call that needs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "monai", "skimage", "pydicom", "nilearn", "slicer", "vtk", "qt", "PySide6", "matplotlib")
PACKAGES = ("core", "core.io", "core.jobs", "segment", "segment.models", "features", "report", "cli.app")


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in ``sys.modules`` after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_probe_itself() -> None:
    assert "json" in loaded_by("import json")
    assert "torch" not in loaded_by("import json")


@pytest.mark.parametrize("package", PACKAGES)
def test_import_loads_nothing_heavy(package: str) -> None:
    assert loaded_by(f"import medai.{package}") & set(HEAVY) == set()


@pytest.mark.parametrize("package", ["core", "core.io", "core.jobs"])
def test_core_needs_no_simpleitk_to_be_imported(package: str) -> None:
    assert loaded_by(f"import medai.{package}") & {"SimpleITK", "scipy", "PIL", "jinja2", "typer"} == set()
