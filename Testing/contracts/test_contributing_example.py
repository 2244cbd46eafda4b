"""The example in CONTRIBUTING.md works as written: a copy of the checkout, its two files, its test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")
PARTS = (*MODULES, "Utilities", "pyproject.toml")
STEP = re.compile(r"^\*\*\d+\. [^\n]*Write `([^`]+)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def example(repo: Path) -> dict[str, str]:
    """The example's files: path in the repository -> text."""
    return dict(STEP.findall((repo / "CONTRIBUTING.md").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def copy(repo: Path, example: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("contributing")
    for part in PARTS:
        source = repo / part
        if source.is_dir():
            shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
        else:
            shutil.copy(source, root / part)
    (root / "Testing").mkdir()
    shutil.copy(repo / "Testing" / "conftest.py", root / "Testing")
    for path, text in example.items():
        target = root / path
        assert not target.exists(), f"{path} exists; choose another example"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return root


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(copy / module) for module in MODULES)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


def test_the_example_is_one_file_and_its_test(example: dict[str, str]) -> None:
    source, test = example
    assert re.fullmatch(r"MedAISegment/medai/segment/preprocess/[a-z_]+\.py", source)
    assert re.fullmatch(r"Testing/unit/segment/preprocess/test_[a-z_]+\.py", test)


def test_its_test_passes(copy: Path, example: dict[str, str]) -> None:
    test = list(example)[1]
    done = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", test)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b2 passed", done.stdout)


def test_its_test_can_fail(copy: Path, example: dict[str, str], tmp_path: Path) -> None:
    """Without the filter's one line of work the example's test fails."""
    broken = tmp_path / "broken"
    shutil.copytree(copy, broken)
    source, test = example
    text = (broken / source).read_text(encoding="utf-8")
    assert "np.clip(value.array, settings.low, settings.high)" in text
    (broken / source).write_text(
        text.replace("np.clip(value.array, settings.low, settings.high)", "np.asarray(value.array)"), encoding="utf-8"
    )
    assert run(broken, "-m", "pytest", "-q", "-p", "no:cacheprovider", test).returncode == 1


def test_the_registry_finds_it(copy: Path) -> None:
    done = run(copy, "-c", "from medai.segment.preprocess import PREPROCESS; print('window' in PREPROCESS.names())")
    assert done.stdout.strip() == "True", done.stderr


def test_the_lists_script_adds_it(copy: Path) -> None:
    script = str(Path("Utilities", "list_module_files.py"))
    assert run(copy, script).returncode == 0
    text = (copy / "MedAISegment" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "  medai/segment/preprocess/window.py\n" in text


def test_it_follows_the_style(copy: Path, example: dict[str, str]) -> None:
    if shutil.which("ruff", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("ruff is not installed")
    assert run(copy, "-m", "ruff", "check", *example).returncode == 0
    assert run(copy, "-m", "ruff", "format", "--check", *example).returncode == 0
