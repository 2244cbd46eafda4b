"""Packages are asked for at the click, in ranges, and never in place of Slicer's own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

FILES = ("MedAISegmentRequirements.txt", "MedAISegmentRequirementsDeep.txt", "MedAISegmentRequirementsAtlas.txt")


@pytest.fixture
def dependencies(host):
    return pytest.importorskip("MedAISegmentLib.dependencies")


def lines_of(file: Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def fake_torch_extension(monkeypatch, answer):
    """Put a PyTorchUtils in place that records how it was called; returns the record."""
    calls = []

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None):
            calls.append((askConfirmation, torchVersionRequirement))
            return answer

    module = ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    return calls


@pytest.fixture
def no_torch(monkeypatch):
    """PyTorch cannot be found."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else found(name, *a))


def test_nothing_is_asked_for_before_the_click(load_module, host):
    load_module("MedAISegment")
    assert host.record.packages == []


def test_click_asks_for_what_the_method_needs(load_module, phantom, press, host):
    phantom()
    _module, panel = load_module("MedAISegment")
    panel.ui.methodField.setCurrentIndex(1)
    press(panel)
    [request] = host.record.packages
    assert request.function == "pip_ensure"
    assert request.options["requester"] == "MedAI"
    assert request.options["prompt_install"] is True
    assert "torch" not in " ".join(request.requirements)
    assert any(text.startswith("pydantic") for text in request.requirements)


def test_requirements_are_those_of_the_project(repo, dependencies):
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    everything = project["dependencies"] + [
        line for lines in project["optional-dependencies"].values() for line in lines
    ]
    ranges = {Requirement(line).name: Requirement(line).specifier for line in everything}
    checked = 0
    for name in FILES:
        for line in lines_of(repo / "MedAISegment" / "Resources" / name):
            requirement = Requirement(line)
            assert requirement.specifier == ranges[requirement.name], line
            assert "==" not in line
            checked += 1
    assert checked >= 8
    assert Requirement(f"torch{dependencies.TORCH_RANGE}").specifier == ranges["torch"]


def test_constraints_hold_what_slicer_has(repo, dependencies):
    lines = lines_of(repo / "MedAISegment" / "Resources" / "MedAISegmentConstraints.txt")
    assert {Requirement(line).name for line in lines} >= {"numpy", "SimpleITK", "pydicom", "vtk", "slicer"}
    held = dependencies.pinned(["numpy>=2,<3  # a comment", "", "# only a comment", "medai-no-such-package<0"])
    assert held == [f"numpy=={importlib.metadata.version('numpy')}", "medai-no-such-package<0"]


def test_pip_gets_the_held_versions(dependencies, monkeypatch):
    import slicer.packaging

    seen = []

    def pip_ensure(requirements, constraints=None, requester=None):
        seen.append(Path(constraints).read_text(encoding="utf-8"))

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    dependencies.ensure()
    [text] = seen
    assert f"numpy=={importlib.metadata.version('numpy')}" in text.splitlines()
    assert "slicer<0" in text.splitlines()


def test_declining_starts_nothing_and_shows_no_error(load_module, phantom, press, monkeypatch, shown_errors, count):
    import slicer.packaging

    def pip_ensure(*_args, **_options):
        raise RuntimeError("User declined package installation")

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    phantom()
    _module, panel = load_module("MedAISegment")
    panel.ui.methodField.setCurrentIndex(1)
    status = press(panel)
    assert "Nothing was installed" in status
    assert shown_errors() == []
    assert count("vtkMRMLSegmentationNode") == 0


def test_failed_installation_is_told_once(load_module, phantom, press, monkeypatch, shown_errors):
    import subprocess

    import slicer.packaging

    def pip_ensure(*_args, **_options):
        raise subprocess.CalledProcessError(1, "pip install")

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    phantom()
    _module, panel = load_module("MedAISegment")
    panel.ui.methodField.setCurrentIndex(1)
    press(panel)
    assert len(shown_errors()) == 1
    assert "could not be installed" in shown_errors()[0]


def test_package_that_is_still_missing_is_named(dependencies, monkeypatch, tmp_path):
    from medai.core.errors import DependencyError

    file = tmp_path / "requirements.txt"
    file.write_text("# none\nmedai-no-such-package>=1,<2\n", encoding="utf-8")
    monkeypatch.setattr(dependencies, "REQUIREMENTS", file)
    with pytest.raises(DependencyError, match="medai-no-such-package"):
        dependencies.ensure()


def test_missing_torch_extension_is_explained(dependencies, no_torch):
    from medai.core.errors import DependencyError

    with pytest.raises(DependencyError, match="PyTorch extension") as error:
        dependencies.ensure(deep=True)
    assert "Extensions Manager" in error.value.hint


def test_torch_is_installed_by_its_extension_after_asking(dependencies, no_torch, monkeypatch):
    calls = fake_torch_extension(monkeypatch, answer=ModuleType("torch"))
    dependencies.ensure(deep=True)
    assert calls == [(True, dependencies.TORCH_RANGE)]


def test_declining_torch_is_no_error(dependencies, no_torch, monkeypatch):
    fake_torch_extension(monkeypatch, answer=None)
    with pytest.raises(dependencies.Declined):
        dependencies.ensure(deep=True)


def test_torch_that_is_here_is_left_alone(dependencies, monkeypatch):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    calls = fake_torch_extension(monkeypatch, answer=None)
    dependencies.ensure(deep=True, atlas=True)
    assert calls == []
