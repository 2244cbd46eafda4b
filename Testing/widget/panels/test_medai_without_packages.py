"""The panels open, and say what they miss, where none of the library's packages is installed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")
MISSING = ("torch", "monai", "safetensors", "pydantic", "SimpleITK", "scipy", "skimage", "jinja2", "PIL", "psutil")

SCRIPT = """
import json, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing!r}:
            raise ImportError(name + " is not installed in this test")

sys.meta_path.insert(0, Blocker())
sys.path[:0] = {folders!r}
import medai_host
medai_host.install()
from pathlib import Path
from medai_host.modules import load_scripted_module
import slicer
volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Image")
status, enabled = {{}}, {{}}
for folder in {modules!r}:
    path = Path(folder)
    panel = load_scripted_module(path / (path.name + ".py")).widgetRepresentation()
    panel.enter()
    status[path.name] = panel.self().ui.statusLabel.text
    enabled[path.name] = panel.self().ui.applyButton.enabled
    if path.name == "MedAISegment":
        info = panel.self().ui.methodInfoLabel.text
    panel.exit()
print("RESULT" + json.dumps(dict(
    status=status, enabled=enabled, info=info, boxes=[b.text for b in medai_host.RECORD.boxes],
    slots=[repr(e) for e in medai_host.RECORD.slot_errors])))
"""


@pytest.fixture(scope="module")
def outcome(repo):
    pytest.importorskip("slicer")
    pytest.importorskip("PySide6.QtWidgets")
    import medai_host

    if medai_host.is_real_slicer():
        pytest.skip("Slicer has imported the modules already")
    modules = [str(repo / name) for name in MODULES]
    text = SCRIPT.format(missing=MISSING, folders=[str(repo / "Testing" / "host"), *modules], modules=modules)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.split("RESULT")[1])


def test_panels_open_without_an_error(outcome):
    assert set(outcome["status"]) == set(MODULES)
    assert outcome["boxes"] == []
    assert outcome["slots"] == []


def test_segmentation_can_be_started_and_says_why_no_model_is_listed(outcome):
    assert outcome["enabled"]["MedAISegment"]
    assert "installed" in outcome["info"]


def test_the_others_say_what_is_missing_in_the_scene(outcome):
    assert "segmentation" in outcome["status"]["MedAIFeatures"]
    assert "segmentation" in outcome["status"]["MedAIReport"]
