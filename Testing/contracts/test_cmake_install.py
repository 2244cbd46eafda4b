"""What Slicer would install is what git holds: every script and resource, no test, nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")
SCRIPTED = Path("lib", "Slicer-5.12", "qt-scripted-modules")
WITHOUT_CHECKOUT = f"""
import pathlib, sys
sys.path = [entry for entry in sys.path if pathlib.Path(entry).name not in {MODULES!r}]
"""

pytestmark = [
    pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed"),
    pytest.mark.skipif(not (shutil.which("cc") and shutil.which("c++")), reason="project() needs a C and C++ compiler"),
]


def configure(source: Path, build: Path, *options: str) -> subprocess.CompletedProcess[str]:
    fake = Path(__file__).parent / "fake_slicer"
    command = ["cmake", "-S", str(source), "-B", str(build), f"-DSlicer_DIR={fake}", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def build(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cmake") / "build"
    done = configure(repo, folder, "-DBUILD_TESTING=ON")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("installed")
    subprocess.run(["cmake", "--install", str(build), "--prefix", str(prefix)], check=True, capture_output=True)
    return prefix


def test_installs_exactly_the_module_files_in_git(installed: Path, tracked: list[str]) -> None:
    expected = {
        str(SCRIPTED.joinpath(*Path(path).parts[1:]))
        for path in tracked
        if path.startswith(tuple(f"{module}/" for module in MODULES)) and not path.endswith("/CMakeLists.txt")
    }
    found = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert found - expected == set(), "installed, but not in git"
    assert expected - found == set(), "in git, but not installed"


def test_no_test_is_installed(installed: Path) -> None:
    names = [path.name for path in installed.rglob("*.py")]
    assert names, "nothing was installed"
    assert [name for name in names if name.startswith(("test_", "conftest"))] == []
    assert [path for path in installed.rglob("*") if path.name in {"Testing", "host"}] == []


def test_installed_bytes_are_the_checkout_s(installed: Path, repo: Path) -> None:
    for module in MODULES:
        script = installed / SCRIPTED / f"{module}.py"
        assert script.read_bytes() == (repo / module / f"{module}.py").read_bytes()


def test_every_module_registers_its_tests(build: Path) -> None:
    listed = subprocess.run(["ctest", "-N"], cwd=build, capture_output=True, text=True, check=True).stdout
    for module in MODULES:
        assert f"py_{module}\n" in listed
        assert f"py_nomainwindow_qSlicer{module}ModuleGenericTest" in listed


def test_every_slicer_test_is_registered(build: Path, repo: Path) -> None:
    listed = subprocess.run(["ctest", "-N"], cwd=build, capture_output=True, text=True, check=True).stdout
    for script in (repo / "Testing" / "Python").glob("*.py"):
        assert f"py_{script.stem}\n" in listed


def test_configures_without_tests(repo: Path, tmp_path: Path) -> None:
    done = configure(repo, tmp_path / "build", "-DBUILD_TESTING=OFF")
    assert done.returncode == 0, done.stderr


def test_a_listed_file_that_is_missing_ends_the_configuration(repo: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for module in MODULES:
        shutil.copytree(repo / module, copy / module, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repo / "CMakeLists.txt", copy)
    (copy / "MedAISegment" / "medai" / "core" / "errors.py").unlink()
    done = configure(copy, tmp_path / "build", "-DBUILD_TESTING=OFF")
    assert done.returncode != 0
    assert "medai/core/errors.py" in done.stderr


def test_the_installed_library_works_alone(installed: Path, tmp_path: Path) -> None:
    """Slicer's installed layout: one folder, no checkout, no package metadata."""
    code = (
        "import medai.core.geometry, medai.segment, medai.features, medai.report, medai.cohort\n"
        "from medai.segment.models import ModelStore\n"
        "print(medai.core.geometry.__file__)\n"
        "print(','.join(model.id for model in ModelStore().list()))\n"
    )
    folder = installed / SCRIPTED
    script = tmp_path / "probe.py"
    script.write_text(WITHOUT_CHECKOUT + code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    where, models = done.stdout.splitlines()
    assert Path(where).is_relative_to(folder)
    assert "hippocampus" in models.split(",")
