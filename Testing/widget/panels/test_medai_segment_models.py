"""Models in the panel of MedAI Segment: list, card, adding, removing, how the network runs, and its maps."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

UNET, OTSU = 0, 1


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """The user's folder of models, here and in the worker."""
    folder = tmp_path / "models"
    monkeypatch.setenv("MEDAI_MODELS", str(folder))
    return folder


@pytest.fixture
def shipped(host) -> Path:
    """The folder of a model that comes with MedAI."""
    store = pytest.importorskip("medai.segment.models").ModelStore()
    found = [model.folder for model in store.list() if not store.is_own(model)]
    if not found:
        pytest.skip("no model comes with this checkout")
    return found[0]


@pytest.fixture
def another(shipped, tmp_path):
    """`another(id, **description)` -> a copy of the shipped model under another id, with other words about it."""

    def make(name: str, into: Path | None = None, **about) -> Path:
        folder = (into or tmp_path / "elsewhere") / name
        shutil.copytree(shipped, folder)
        file = folder / "manifest.json"
        manifest = json.loads(file.read_text(encoding="utf-8"))
        region = about.pop("region", manifest.get("region"))
        manifest |= {"id": name, "region": region, "description": {**manifest["description"], **about}}
        if region is None:
            for part in ("region", "domain"):  # the limits are those of the region
                manifest.pop(part, None)
        file.write_text(json.dumps(manifest), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def network(host):
    """Skips without the packages that run a model."""
    missing = [name for name in ("torch", "monai", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture
def asked(host):
    """Questions are asked, not answered with no as in Slicer's testing mode; the answers are put in here."""
    host.record.testing = False
    yield host.record.box_answers
    host.record.testing = True


@pytest.fixture
def panel(load_module, phantom, root):
    phantom()
    _module, widget = load_module("MedAISegment")
    widget.ui.methodField.setCurrentIndex(UNET)
    return widget


def opened(load_module, phantom):
    phantom()
    _module, widget = load_module("MedAISegment")
    widget.ui.methodField.setCurrentIndex(UNET)
    return widget


def listed(panel) -> list[str]:
    box = panel.ui.modelField
    return [box.itemData(n) for n in range(box.count)]


def finish(panel, process_events) -> str:
    assert process_events(until=lambda: panel._run is None, timeout=60), "the run did not end"
    return panel.ui.statusLabel.text


def test_the_card_says_what_the_model_is(panel, shipped, screenshot):
    import qt

    from medai.segment.models import read_model

    about = read_model(shipped).manifest.description
    assert listed(panel) == [shipped.name]
    tip = panel.ui.modelField.itemData(0, qt.Qt.ToolTipRole)
    assert about.licence in tip
    assert "comes with MedAI" in tip
    assert panel.ui.modelCard.isHidden()
    panel.ui.modelCardButton.click()
    assert not panel.ui.modelCard.isHidden()
    text = panel.ui.modelCard.plainText
    for part in (about.intended_use, about.limits[0], about.training_data, about.licence, about.citation):
        assert " ".join(part.split()) in " ".join(text.split())
    assert panel.ui.modelCard.readOnly
    panel.ui.methodField.setCurrentIndex(OTSU)
    assert panel.ui.modelCard.isHidden()
    assert panel.ui.modelButtons.isHidden()


def test_a_manifest_cannot_put_markup_into_the_panel(load_module, phantom, root, another):
    import qt

    evil = "<script>alert(1)</script><img src='x'>"
    another("evil", root, title=evil, summary=evil, intended_use=evil, licence=evil, limits=[evil])
    panel = opened(load_module, phantom)
    panel._parameterNode.modelId = "evil"
    panel.ui.modelCardButton.click()
    assert panel.ui.modelCard.plainText.count("<script>alert(1)</script>") == 5
    index = listed(panel).index("evil")
    tip = panel.ui.modelField.itemData(index, qt.Qt.ToolTipRole)
    assert "<script" not in tip
    assert "<img" not in tip


def test_models_that_cannot_be_used_are_grey_with_the_reason(load_module, phantom, root, another):
    import qt

    (another("broken", root) / "manifest.json").write_text('{"id": "broken"}', encoding="utf-8")
    folder = another("strange", root)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": "unheard_of"}), encoding="utf-8")
    panel = opened(load_module, phantom)
    box = panel.ui.modelField
    for name, reason in (("broken", "description"), ("strange", "unheard_of")):
        index = listed(panel).index(name)
        assert not box.model().item(index).isEnabled()
        tip = box.itemData(index, qt.Qt.ToolTipRole)
        assert "Cannot be used" in tip
        assert reason in tip
    assert panel._parameterNode.modelId not in ("broken", "strange")
    panel._parameterNode.modelId = "broken"
    assert panel.models.entry("broken") is None


def test_region_follows_the_model(load_module, phantom, root, another, shipped):
    from MedAISegmentLib.choices import Region

    another("whole", root, title="Whole image", region=None)
    panel = opened(load_module, phantom)
    node, box = panel._parameterNode, panel.ui.regionField
    assert node.modelId == shipped.name
    assert node.region is Region.ATLAS
    panel.ui.modelField.setCurrentIndex(listed(panel).index("whole"))
    assert node.modelId == "whole"
    assert node.region is Region.IMAGE
    assert not box.model().item(0).isEnabled()
    node.region = Region.ATLAS
    assert node.region is Region.IMAGE
    node.region = Region.BOX
    assert panel.ui.sideField.isHidden()
    panel.ui.modelField.setCurrentIndex(listed(panel).index(shipped.name))
    assert node.region is Region.ATLAS
    assert box.model().item(0).isEnabled()


def test_choices_of_the_network_become_settings(panel):
    from medai.segment.pipeline import parse_pipeline
    from MedAISegmentLib.choices import Backend, Mirror, Precision, Region, Uncertainty

    node = panel._parameterNode
    node.region = Region.IMAGE
    settings = panel.logic.settingsOf(node)["pipeline"][0]["settings"]
    assert not {"backend", "precision", "mirror", "uncertainty", "samples"} & set(settings)
    for field, choices in (
        ("backend", Backend), ("precision", Precision), ("mirror", Mirror), ("uncertainty", Uncertainty)
    ):  # fmt: skip
        for choice in choices:
            setattr(node, field, choice)
            parse_pipeline(panel.logic.settingsOf(node)["pipeline"])
    panel.ui.mirrorField.setCurrentIndex(1)
    panel.ui.precisionField.setCurrentIndex(1)
    panel.ui.samplesField.setValue(5)
    settings = panel.logic.settingsOf(node)["pipeline"][0]["settings"]
    assert settings["mirror"] is True
    assert settings["precision"] == "f32"
    assert settings["uncertainty"] == "dropout"
    assert settings["samples"] == 5
    assert not panel.ui.samplesField.isHidden()
    panel.ui.uncertaintyField.setCurrentIndex(0)
    assert panel.ui.samplesField.isHidden()


def test_adding_and_removing_a_folder(panel, root, another, process_events, host, asked):
    import qt

    folder = another("mine", title="My model", licence="MIT")
    host.record.file_answers.append(str(folder))
    panel.models.onAddFolder()
    assert panel.ui.applyButton.text == "Cancel"
    status = finish(panel, process_events)
    assert "My model was added" in status
    assert "MIT" in status
    assert panel._parameterNode.modelId == "mine"
    assert (root / "mine" / "manifest.json").is_file()
    asked.append(qt.QMessageBox.No)
    panel.models.remove(panel.models.entry("mine"))
    assert panel._run is None
    assert (root / "mine").is_dir()
    asked.append(qt.QMessageBox.Yes)
    panel.models.remove(panel.models.entry("mine"))
    assert "removed" in finish(panel, process_events)
    assert not (root / "mine").exists()
    assert "mine" not in listed(panel)
    assert panel._parameterNode.modelId in listed(panel)


def test_a_zip_is_added_from_the_file_dialog(panel, root, another, process_events, host, tmp_path):
    folder = another("zipped", title="Zipped", licence="MIT")
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", folder.parent, folder.name)
    host.record.file_answers.append(archive)
    panel.models.onAddFile()
    assert "Zipped was added" in finish(panel, process_events)
    assert "*.zip" in host.record.file_dialogs[-1].filter
    assert "zipped" in listed(panel)


@pytest.mark.parametrize("agree", [True, False])
def test_a_licence_that_limits_the_use_must_be_accepted(panel, root, another, process_events, host, asked, agree):
    import qt

    folder = another("limited", title="Limited", licence="CC-BY-NC-4.0")
    host.record.file_answers.append(str(folder))
    asked.append(qt.QMessageBox.Yes if agree else qt.QMessageBox.No)
    panel.models.onAddFolder()
    status = finish(panel, process_events)
    [box] = host.record.boxes
    assert box.kind == "question"
    assert "CC-BY-NC-4.0" in box.text
    assert "accept" in box.text
    assert ("limited" in listed(panel)) is agree
    assert (root / "limited").is_dir() is agree
    assert ("was added" in status) is agree


def test_nothing_is_asked_when_the_file_dialog_is_cancelled(panel):
    panel.models.onAddFolder()
    panel.models.onAddFile()
    assert panel._run is None


def test_a_folder_that_is_no_model_is_refused(panel, root, process_events, host, shown_errors, tmp_path):
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "beach.txt").write_text("sand", encoding="utf-8")
    host.record.file_answers.append(str(folder))
    panel.models.onAddFolder()
    status = finish(panel, process_events)
    assert len(shown_errors()) == 1
    assert "no model" in shown_errors()[0]
    assert "Failed" in status
    assert str(tmp_path) not in status
    assert not [path for path in root.glob("*") if path.is_dir() and not path.name.startswith(".")]


def test_free_memory_in_the_worker(panel, process_events):
    panel.ui.freeMemoryButton.click()
    assert "No network was loaded" in finish(panel, process_events)


@pytest.mark.usefixtures("network")
def test_a_run_says_what_ran_and_gives_maps(load_module, phantom, root, another, press, process_events, scene, count):
    """A model without a region over a whole small image: facts, maps in the scene, trust, undo, memory."""
    import slicer

    from MedAISegmentLib.choices import Uncertainty

    another("whole", root, title="Whole image", region=None, modality="")
    panel = opened(load_module, phantom)
    panel.ui.modelField.setCurrentIndex(listed(panel).index("whole"))
    press(panel)
    assert count("vtkMRMLScalarVolumeNode") == 1
    panel._parameterNode.uncertainty = Uncertainty.ENTROPY
    panel._parameterNode.segmentation = None
    status = press(panel)
    assert "Network: " in status
    assert "windows" in status
    assert "mL" in status
    assert status.count("Trust in ") == 2
    assert "Maps: Phantom entropy" in status
    node = slicer.mrmlScene.GetFirstNodeByName("Phantom entropy")
    values = slicer.util.arrayFromVolume(node)
    assert values.shape == slicer.util.arrayFromVolume(panel._parameterNode.inputVolume).shape
    assert values.min() >= 0
    assert np.isfinite(values).all()
    assert node.GetDisplayNode().GetColorNode() is not None
    panel.ui.undoButton.click()
    assert slicer.mrmlScene.GetFirstNodeByName("Phantom entropy") is None
    assert count("vtkMRMLSegmentationNode") == 1
    panel.ui.freeMemoryButton.click()
    assert "given back" in finish(panel, process_events)


def test_of_many_segments_the_least_sure_are_named(host):
    from MedAISegmentLib.runfacts import runLines

    trust = {f"Rib {n}": {"value": n / 100} for n in range(1, 25)} | {"Not found": {"value": None}}
    facts = {"backend": "torch", "device": "cpu", "precision": "bf16", "fallback": "No kernel."}
    lines = runLines({"inference": facts, "trust": trust})
    assert lines[0] == "Network: PyTorch, CPU, half precision (bf16)."
    assert lines[1] == "Fallback: No kernel."
    assert lines[2].startswith("Trust in Rib 1: 0.01")
    assert lines[-1] == "and 16 more, all higher"
    assert runLines({"pipeline": []}) == []


@pytest.mark.usefixtures("network")
def test_maps_after_cleaning(load_module, phantom, root, another, press):
    from MedAISegmentLib.choices import Denoise, Uncertainty

    another("whole", root, title="Whole image", region=None, modality="")
    panel = opened(load_module, phantom)
    panel.ui.modelField.setCurrentIndex(listed(panel).index("whole"))
    node = panel._parameterNode
    node.denoise, node.uncertainty = Denoise.MEDIAN, Uncertainty.ENTROPY
    assert "Maps: " in press(panel)
    from medai.mrml import provenance_of

    steps = [step["step"] for step in provenance_of(node.segmentation)["pipeline"]]
    assert steps == ["median", "unet"]


@pytest.mark.usefixtures("network")
def test_surfaces_come_with_the_segments(load_module, phantom, root, press):
    panel = opened(load_module, phantom)
    panel.ui.methodField.setCurrentIndex(OTSU)
    panel._parameterNode.showSurface = True
    press(panel)
    segmentation = panel._parameterNode.segmentation.GetSegmentation()
    surface = segmentation.GetNthSegment(0).GetRepresentation("Closed surface")
    assert surface.GetNumberOfPolys() > 100
    assert surface.GetPointData().GetArray("Normals") is not None


def test_ticks_pass_on_one_message_each(panel, process_events):
    """Twenty lines a second from the library are at most one change of the status line in a tick of the timer."""
    from medai.core.job import Job
    from MedAISegmentLib.runs import InputGuard, SceneRun

    job, told = Job("medai.core.selftest:echo"), []
    import slicer

    run = SceneRun(
        [lambda _before: job], InputGuard(slicer.mrmlScene), lambda _result: {},
        onProgress=lambda share, text: told.append((share, text)),
    )  # fmt: skip
    for number in range(50):
        job.report_progress(number / 100, f"window {number}")
    assert process_events(until=lambda: told, timeout=5)
    assert told == [(0.49, "window 49")]
    run.abandon("")


def test_sha_of_the_fixture_is_that_of_its_manifest(another):
    """The copies above are whole models: their weights are those that the manifest names."""
    folder = another("whole")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    weights = manifest["weights"] if isinstance(manifest["weights"], list) else [manifest["weights"]]
    for entry in weights:
        assert hashlib.sha256((folder / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]
