"""medai.core.interpreter."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import medai
from medai.core.errors import DependencyError
from medai.core.interpreter import child_environment, find_python

NAMES = "python python3 python3.12 python.exe pythonw.exe PythonSlicer PythonSlicer.exe python-real pypy3"


@pytest.mark.parametrize("name", NAMES.split())
def test_an_interpreter_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sys, "executable", f"/opt/x/bin/{name}")
    assert find_python() == f"/opt/x/bin/{name}"


def executable(file: Path) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.skipif(os.name != "posix", reason="executables without a suffix")
@pytest.mark.parametrize("application", ["bin/SlicerApp-real", "Slicer", "MacOS/Slicer", "bin/CustomApp-real"])
def test_inside_an_application_the_one_beside_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, application: str
) -> None:
    expected = executable(tmp_path / "bin" / "PythonSlicer")
    executable(tmp_path / "bin" / "python3")
    executable(tmp_path / application)
    monkeypatch.setattr(sys, "executable", str(tmp_path / application))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nowhere" / "a" / "b"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert find_python() == expected


@pytest.mark.skipif(os.name != "posix", reason="executables without a suffix")
def test_an_application_without_a_name_looks_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = executable(tmp_path / "somewhere" / "PythonSlicer")
    executable(tmp_path / "somewhere" / "python3")  # of the system, not of the application
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "lib" / "Python"))
    monkeypatch.setenv("PATH", str(tmp_path / "somewhere"))
    assert find_python() == expected
    nearer = executable(tmp_path / "bin" / "PythonSlicer")  # beside Slicer's lib/Python
    assert find_python() == nearer


def test_an_embedded_python_without_an_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "CustomApp"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "lib" / "Python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyError, match="No Python interpreter") as caught:
        find_python()
    assert str(tmp_path) not in str(caught.value)


def test_the_child_gets_every_portion_of_the_namespace_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/kept/a", "", "/kept/b"]))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    found = child_environment(tmp_path)
    folders = found["PYTHONPATH"].split(os.pathsep)
    portions = [str(Path(portion).parent) for portion in medai.__path__]
    assert folders[: len(portions)] == portions
    assert folders[-2:] == ["/kept/a", "/kept/b"]
    assert "" not in folders
    assert "PYTHONHASHSEED" not in found
    assert found["TMPDIR"] == found["TEMP"] == found["TMP"] == str(tmp_path)
    assert os.environ.get("TMPDIR") != str(tmp_path)
