"""The wheel holds all three portions and the models, and works where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")


@pytest.fixture(scope="module")
def wheel(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(repo), "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def target(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def python(target: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code with the wheel in front and the checkout off the path."""
    start = f"import pathlib, sys\nsys.path = [p for p in sys.path if pathlib.Path(p).name not in {MODULES!r}]\n"
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", start + code]
    return subprocess.run(command, cwd=target.parent, env=environment, capture_output=True, text=True, check=False)


def test_holds_exactly_the_library_and_the_models(wheel: Path, tracked: list[str]) -> None:
    expected = set()
    for path in tracked:
        module, _, inside = path.partition("/")
        if module in MODULES and inside.startswith("medai/"):
            expected.add(inside)
        elif path.startswith(
            ("MedAISegment/Resources/MedAISegmentModels/", "MedAISegment/Resources/MedAISegmentDetectors/")
        ):
            expected.add("medai/_resources/" + inside.removeprefix("Resources/"))
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found - expected == set(), "in the wheel, but not in git"
    assert expected - found == set(), "in git, but not in the wheel"


def test_carries_the_licence_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
        (entry,) = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
        assert "medai = medai.cli.app:main" in archive.read(entry).decode("utf-8")


def test_every_portion_is_imported_from_the_wheel(target: Path) -> None:
    packages = ["core", "segment", "features", "report", "cohort", "cli"]
    code = (
        "import importlib\nfor n in "
        + repr(packages)
        + ":\n    print(importlib.import_module('medai.' + n).__file__)\n"
    )
    done = python(target, code)
    assert done.returncode == 0, done.stderr
    files = done.stdout.splitlines()
    assert len(files) == len(packages)
    assert all(Path(file).is_relative_to(target) for file in files)


def test_models_are_found_without_the_checkout(target: Path) -> None:
    code = (
        "from medai.segment.models import ModelStore\n"
        "for m in ModelStore().list():\n    print(m.id, m.folder, (m.folder / 'manifest.json').is_file())\n"
    )
    done = python(target, code)
    assert done.returncode == 0, done.stderr
    models = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert "hippocampus" in models
    folder, has_manifest = models["hippocampus"]
    assert Path(folder).is_relative_to(target)
    assert has_manifest == "True"


def test_command_line_starts_from_the_wheel(target: Path) -> None:
    done = python(target, "from medai.cli.app import main\nsys.argv = ['medai', '--help']\nmain()\n")
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
