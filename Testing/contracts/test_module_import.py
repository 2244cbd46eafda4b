"""Slicer imports every module file at start-up: that must need nothing that Slicer does not have.

How long it takes is measured by Testing/performance/bench_release.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="needs slicer-core or Slicer")
pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6-Essentials or Slicer")

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")
# What Slicer's Python does not have, or what is too slow to load at start-up.
NOT_AT_START = {
    "torch", "monai", "safetensors", "pydantic", "SimpleITK", "scipy", "skimage", "jinja2", "PIL", "psutil", "typer",
    "rich", "nilearn", "pydicom",
}  # fmt: skip
PROBE = """
import importlib, json, sys
sys.path[:0] = {paths!r}
import slicer
import medai_host
medai_host.install()
blocked = {blocked!r}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError("not installed in this test: " + name)
for name in [n for n in sys.modules if n.split(".")[0] in blocked]:
    del sys.modules[name]
sys.meta_path.insert(0, Blocker())
for name in blocked:
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    raise SystemExit("not blocked: " + name)
before = set(sys.modules)
for module in {modules!r}:
    importlib.import_module(module)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def probe(repo: Path, modules: tuple[str, ...], blocked: set[str]) -> set[str]:
    """Return the top-level names of what importing the modules loads on top of ``import slicer``."""
    paths = [str(repo / "Testing" / "host"), *(str(repo / name) for name in MODULES)]
    code = PROBE.format(paths=paths, blocked=blocked, modules=modules)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_imports_with_none_of_our_packages_installed(repo: Path) -> None:
    loaded = probe(repo, MODULES, NOT_AT_START)
    assert set(MODULES) <= loaded
    assert loaded & NOT_AT_START == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_alone_loads_nothing_heavy_even_if_it_is_installed(module: str, repo: Path) -> None:
    loaded = probe(repo, (module,), set())
    assert module in loaded
    assert loaded & NOT_AT_START == set()
