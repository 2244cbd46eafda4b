"""What importing the bridge loads, and what it says where Slicer is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("slicer")

import slicer


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(hasattr(slicer, "app"), reason="the application has Qt and more loaded already")
def test_no_qt_and_no_heavy_packages():
    heavy = ["qt", "ctk", "PySide6", "torch", "monai", "SimpleITK", "skimage", "pandas"]
    assert run(f"import sys, medai.mrml; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_the_rest_of_the_library_does_not_import_it():
    packages = "medai.core.io, medai.segment, medai.features, medai.report"
    scene = ["slicer", "vtk", "medai.mrml"]
    assert run(f"import sys, {packages}; print([m for m in {scene} if m in sys.modules])") == "[]"


@pytest.mark.parametrize(
    ("stand_in", "sentence"), [("None", "needs 3D Slicer"), ("type(sys)('slicer')", "is not 3D Slicer")]
)
def test_a_missing_or_wrong_slicer_is_named(stand_in, sentence):
    out = run(
        f"import sys; sys.modules['slicer'] = {stand_in}\n"
        "from medai.core.errors import DependencyError\n"
        "try:\n    import medai.mrml\nexcept DependencyError as error:\n    print(error)"
    )
    assert sentence in out
    assert "slicer-core" in out
