"""torchvision is optional: missing, broken in several ways, or there."""

import sys

import pytest

from medai.core.errors import DependencyError
from medai.segment.detection.plane.library import fitting_release, missing_reason, torchvision_library

torch = pytest.importorskip("torch")


@pytest.fixture
def replaced(monkeypatch, tmp_path):
    """Return a function that puts a package of the given source in torchvision's place."""

    def put(source):
        for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
            monkeypatch.delitem(sys.modules, name)
        package = tmp_path / "torchvision"
        for folder in ("", "models", "models/detection"):
            (package / folder).mkdir(exist_ok=True)
            (package / folder / "__init__.py").write_text("")
        (package / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))

    yield put
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]


def test_a_build_for_another_torch_is_explained(replaced):
    replaced("raise RuntimeError('operator torchvision::nms does not exist')")
    with pytest.raises(DependencyError, match=r"does not work.*torchvision::nms does not exist") as caught:
        torchvision_library()
    assert f"torchvision {fitting_release(torch.__version__)}" in caught.value.hint
    assert "PyTorch Utils" in caught.value.hint
    assert "does not work" in missing_reason()


def test_a_missing_part_of_it_is_no_missing_torchvision(replaced):
    replaced("import a_package_that_nobody_has")
    with pytest.raises(DependencyError, match=r"does not work.*a_package_that_nobody_has"):
        torchvision_library()


def test_a_package_without_its_operators_is_found_out_before_training(replaced):
    replaced("class ops:\n    @staticmethod\n    def nms(*_):\n        raise RuntimeError('no compiled ops')")
    with pytest.raises(DependencyError, match="no compiled ops"):
        torchvision_library()


def test_a_package_that_is_not_there(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("torchvision.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)

    class Hidden:
        def find_spec(self, name, path=None, target=None):
            if name == "torchvision":
                raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")

    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])
    with pytest.raises(DependencyError, match="needs the package torchvision, which is not installed"):
        torchvision_library()


def test_training_and_detecting_say_so_before_they_read_anything(replaced, tmp_path):
    from medai.segment.detection.plane.service import train

    replaced("raise OSError('libcudart.so: cannot open shared object file')")
    description = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "x")
    recipe = {"id": "c", "description": {**description, "limits": ["x"]}, "labels": [{"label": 1, "name": "Cell"}]}
    with pytest.raises(DependencyError, match="libcudart"):
        train(recipe, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_which_release_fits():
    assert [fitting_release(v) for v in ("2.6.0", "2.14.1+cu130", "2.13.0+cpu", "1.13.1", "nightly")] == [
        "0.21",
        "0.29",
        "0.28",
        "",
        "",
    ]
