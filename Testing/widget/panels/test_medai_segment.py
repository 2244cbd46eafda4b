"""MedAI Segment: its own .ui, real clicks, the real scene and the real worker process."""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import pytest

SEGMENTATION = "vtkMRMLSegmentationNode"
BALL_ML = 4 / 3 * np.pi * 12.0**3 / 1000


@pytest.fixture
def panel(load_module, phantom):
    """The panel with a phantom chosen and Otsu's threshold."""
    volume = phantom()
    _module, widget = load_module("MedAISegment")
    widget.ui.methodField.setCurrentIndex(1)
    assert widget._parameterNode.inputVolume is volume
    return widget


@pytest.fixture
def slow_panel(panel, phantom):
    """The panel with work of many seconds: a large median before the threshold."""
    panel._parameterNode.inputVolume = phantom((480, 20, 20), "Large")
    panel.ui.denoiseField.setCurrentIndex(2)
    panel.ui.radiusField.setValue(5)
    return panel


def begin(panel, press, process_events):
    """Press Apply and wait until the worker is at work."""
    press(panel, wait=False)
    assert process_events(until=lambda: "Median" in panel.ui.statusLabel.text, timeout=60)


def test_otsu_through_the_worker(panel, press, count, screenshot):
    import slicer

    status = press(panel)
    node = panel._parameterNode.segmentation
    assert node is not None
    assert count(SEGMENTATION) == 1
    segment = node.GetSegmentation().GetNthSegment(0)
    assert segment.GetName() in status
    assert "mL" in status
    volume = float(status.split(": ")[-1].removesuffix(" mL"))
    assert volume == pytest.approx(BALL_ML, rel=0.05)
    reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    assert reference is slicer.mrmlScene.GetFirstNodeByName("Phantom")
    assert panel.ui.applyButton.text == "Segment"
    assert not panel.ui.progressBar.visible
    screenshot(panel.parent, "medai-segment-otsu", (440, 560))


def test_apply_is_cancel_while_it_runs(slow_panel, press, process_events, count, screenshot):
    begin(slow_panel, press, process_events)
    assert slow_panel.ui.applyButton.text == "Cancel"
    assert not slow_panel.ui.inputsGroup.enabled
    assert not slow_panel.ui.progressBar.isHidden()
    screenshot(slow_panel.parent, "medai-segment-running", (440, 620))
    started = time.monotonic()
    slow_panel.ui.applyButton.click()
    assert process_events(until=lambda: slow_panel._run is None, timeout=10)
    assert time.monotonic() - started <= 2.5  # two seconds, and the timer's tick
    assert "Cancelled" in slow_panel.ui.statusLabel.text
    assert slow_panel.ui.applyButton.text == "Segment"
    assert slow_panel.ui.inputsGroup.enabled
    assert count(SEGMENTATION) == 0


def test_next_run_works_after_cancel(slow_panel, press, process_events, count):
    begin(slow_panel, press, process_events)
    slow_panel.ui.applyButton.click()
    assert process_events(until=lambda: slow_panel._run is None, timeout=10)
    slow_panel.ui.denoiseField.setCurrentIndex(0)
    assert "mL" in press(slow_panel)
    assert count(SEGMENTATION) == 1


def test_input_removed_in_mid_run(slow_panel, press, process_events, scene, count):
    begin(slow_panel, press, process_events)
    scene.RemoveNode(slow_panel._parameterNode.inputVolume)
    assert slow_panel._run is None
    assert "removed" in slow_panel.ui.statusLabel.text
    slow_panel.ui.denoiseField.setCurrentIndex(0)
    slow_panel.ui.inputVolumeField.setCurrentNode(scene.GetFirstNodeByName("Phantom"))
    assert "mL" in press(slow_panel)  # at once, although the abandoned job has to leave the worker first
    assert count(SEGMENTATION) == 1


def test_scene_closed_in_mid_run(slow_panel, press, process_events, scene, count):
    begin(slow_panel, press, process_events)
    scene.Clear(0)
    assert slow_panel._run is None
    assert "closed" in slow_panel.ui.statusLabel.text
    process_events(until=lambda: False, timeout=0.5)
    assert count(SEGMENTATION) == 0
    assert slow_panel._parameterNode is not None
    assert not slow_panel.ui.applyButton.enabled


def test_result_of_an_edited_input_is_discarded(panel, press, process_events, shown_errors, count):
    import slicer

    press(panel, wait=False)
    slicer.util.arrayFromVolume(panel._parameterNode.inputVolume)[0, 0, 0] += 1  # a live view: no event is sent
    assert process_events(until=lambda: panel._run is None, timeout=60)
    assert len(shown_errors()) == 1
    assert "image was changed" in shown_errors()[0]
    assert count(SEGMENTATION) == 0


def test_output_removed_in_mid_run(slow_panel, press, process_events, scene):
    slow_panel._parameterNode.segmentation = scene.AddNewNodeByClass(SEGMENTATION, "Mine")
    begin(slow_panel, press, process_events)
    scene.RemoveNode(slow_panel._parameterNode.segmentation)
    assert slow_panel._run is None
    assert "segmentation was removed" in slow_panel.ui.statusLabel.text


def test_worker_killed_in_mid_run(slow_panel, press, process_events, shown_errors, count):
    import psutil

    begin(slow_panel, press, process_events)
    psutil.Process(slow_panel.logic._runner.pid).kill()
    assert process_events(until=lambda: slow_panel._run is None, timeout=10)
    assert len(shown_errors()) == 1
    assert count(SEGMENTATION) == 0
    slow_panel.ui.denoiseField.setCurrentIndex(0)
    assert "mL" in press(slow_panel)


def test_error_is_shown_once_and_says_what_to_do(panel, press, shown_errors, count):
    import slicer

    node = panel._parameterNode.inputVolume
    slicer.util.updateVolumeFromArray(node, np.full((4, 4, 4), 7, np.int16))
    status = press(panel)
    assert len(shown_errors()) == 1
    assert "constant" in shown_errors()[0]
    assert "Traceback" not in shown_errors()[0]
    assert shown_errors()[0] in status
    assert count(SEGMENTATION) == 0
    assert panel.ui.applyButton.enabled


def test_volume_under_a_transform_is_refused(panel, press, shown_errors, scene, count):
    import vtk

    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 5.0)
    transform.SetMatrixTransformToParent(matrix)
    panel._parameterNode.inputVolume.SetAndObserveTransformNodeID(transform.GetID())
    press(panel)
    assert len(shown_errors()) == 1
    assert "transform" in shown_errors()[0]
    assert count(SEGMENTATION) == 0


def test_chosen_output_is_replaced(panel, press, scene, count):
    mine = scene.AddNewNodeByClass(SEGMENTATION, "Mine")
    mine.GetSegmentation().AddEmptySegment("old", "Old")
    panel._parameterNode.segmentation = mine
    press(panel)
    assert panel._parameterNode.segmentation is mine
    assert mine.GetName() == "Mine"
    assert count(SEGMENTATION) == 1
    assert [mine.GetSegmentation().GetNthSegment(n).GetName() for n in range(1)] == ["Foreground"]
    assert mine.GetSegmentation().GetNumberOfSegments() == 1


def test_second_run_on_one_output_is_refused(slow_panel, press, process_events, scene):
    from medai.core.errors import SceneError

    mine = scene.AddNewNodeByClass(SEGMENTATION, "Mine")
    slow_panel._parameterNode.segmentation = mine
    begin(slow_panel, press, process_events)
    other = type(slow_panel.logic)()
    with pytest.raises(SceneError, match="'Mine'"):
        other.start(scene.GetFirstNodeByName("Phantom"), mine)
    other.close()
    slow_panel.ui.applyButton.click()
    assert process_events(until=lambda: slow_panel._run is None, timeout=10)


def test_cleanup_ends_the_worker(slow_panel, press, process_events):
    import psutil

    begin(slow_panel, press, process_events)
    pid = slow_panel.logic._runner.pid
    slow_panel.cleanup()
    slow_panel.initializeParameterNode()  # the fixture unloads the module once more
    gone = not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert gone
    assert slow_panel._run is None


def test_settings_come_from_the_parameter_node(panel):
    from MedAISegmentLib.choices import Denoise, Method

    node, logic = panel._parameterNode, panel.logic
    assert logic.settingsOf(node) == {"pipeline": [{"step": "threshold", "settings": {"method": "otsu"}}]}
    node.denoise, node.sigma = Denoise.GAUSSIAN, 1.5
    node.method, node.lower, node.upper = Method.MANUAL, 10.0, 20.0
    assert logic.settingsOf(node)["pipeline"] == [
        {"step": "gaussian", "settings": {"sigma_mm": 1.5}},
        {"step": "threshold", "settings": {"method": "manual", "lower": 10.0, "upper": 20.0}},
    ]


def test_every_choice_of_the_panel_is_accepted_by_the_library(panel):
    from medai.segment.pipeline import parse_pipeline
    from MedAISegmentLib.choices import Denoise, Device, Method, Region

    node = panel._parameterNode
    node.modelId = "hippocampus"
    node.pipeline = '[{"step": "threshold"}]'
    for field, choices in (("denoise", Denoise), ("method", Method), ("device", Device)):
        for choice in choices:
            if choice is Method.RECIPE:
                continue  # in test_medai_segment_recipes.py
            setattr(node, field, choice)
            parse_pipeline(panel.logic.settingsOf(node)["pipeline"])
    node.method = Method.UNET
    for region in (Region.ATLAS, Region.IMAGE):
        node.region = region
        parse_pipeline(panel.logic.settingsOf(node)["pipeline"])


def test_box_of_a_rotated_roi_is_its_bounding_box(panel, scene):
    import vtk

    from medai.segment.pipeline import parse_pipeline
    from MedAISegmentLib.choices import Method, Region, Side

    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    roi.SetCenter(10.0, -20.0, 30.0)
    roi.SetSize(40.0, 20.0, 10.0)
    [region] = panel.logic.boxOf(roi, "left")
    assert region == {"side": "left", "centre_ras": [10.0, -20.0, 30.0], "size_mm": [40.0, 20.0, 10.0]}
    turn = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkTransform()
    matrix.RotateZ(90.0)
    turn.SetMatrixTransformToParent(matrix.GetMatrix())
    roi.SetAndObserveTransformNodeID(turn.GetID())
    [region] = panel.logic.boxOf(roi, "")
    assert region["centre_ras"] == pytest.approx([20.0, 10.0, 30.0])
    assert region["size_mm"] == pytest.approx([20.0, 40.0, 10.0])
    node = panel._parameterNode
    node.method, node.region, node.roi, node.side = Method.UNET, Region.BOX, roi, Side.RIGHT
    node.modelId = "hippocampus"
    parse_pipeline(panel.logic.settingsOf(node)["pipeline"])


def test_only_the_rows_that_count_are_shown(panel, screenshot):
    shown = lambda name: not getattr(panel.ui, f"{name}Field").isHidden()  # noqa: E731
    assert not shown("sigma")
    assert not shown("model")
    panel.ui.denoiseField.setCurrentIndex(1)
    assert shown("sigma")
    assert not shown("radius")
    panel.ui.methodField.setCurrentIndex(2)
    assert shown("lower")
    assert shown("upper")
    assert "values go from" in panel.ui.methodInfoLabel.text
    assert panel._parameterNode.upper == pytest.approx(219, abs=3)  # starts from the image's own range
    assert panel._parameterNode.lower == pytest.approx(124, abs=3)
    screenshot(panel.parent, "medai-segment-manual", (440, 600))
    panel.ui.methodField.setCurrentIndex(0)
    assert shown("model")
    assert shown("region")
    assert not shown("roi")
    panel.ui.regionField.setCurrentIndex(2)
    assert shown("roi")
    assert shown("side")
    screenshot(panel.parent, "medai-segment-box", (400, 640))


def test_apply_says_what_is_missing(panel):
    panel.ui.methodField.setCurrentIndex(2)
    panel.ui.lowerField.setValue(30.0)
    panel.ui.upperField.setValue(20.0)
    assert not panel.ui.applyButton.enabled
    assert "From" in panel.ui.applyButton.toolTip
    panel.ui.upperField.setValue(40.0)
    assert panel.ui.applyButton.enabled
    panel.ui.inputVolumeField.setCurrentNode(None)
    assert "image" in panel.ui.statusLabel.text


def test_choices_survive_leaving_the_panel(panel):
    panel.ui.denoiseField.setCurrentIndex(1)
    panel.ui.sigmaField.setValue(2.5)
    panel.parent.exit()
    panel.ui.sigmaField.setValue(1.0)  # not connected any more
    panel.parent.enter()
    assert panel._parameterNode.sigma == 2.5
    assert panel.ui.sigmaField.value == 2.5
    assert not panel.ui.sigmaField.isHidden()


def test_run_goes_on_while_another_module_is_open(panel, press, process_events, count):
    press(panel, wait=False)
    panel.parent.exit()
    assert process_events(until=lambda: panel._run is None, timeout=60)
    panel.parent.enter()
    assert count(SEGMENTATION) == 1
    assert panel.ui.segmentationField.currentNode() is panel._parameterNode.segmentation is not None
    assert "mL" in panel.ui.statusLabel.text


def test_console_call_matches_the_worker(panel, press):
    status = press(panel)
    info = panel.logic.process(panel._parameterNode.inputVolume)
    assert f"{info['volumesMl']['Foreground']:.2f} mL" in status
    assert info["segmentationNodeId"] != panel._parameterNode.segmentation.GetID()


def test_provenance_of_the_segmentation(panel, press):
    from medai.mrml import provenance_of, volume_from_node

    press(panel)
    made = provenance_of(panel._parameterNode.segmentation)
    assert made["pipeline"][0]["step"] == "threshold"
    assert made["input_sha256"] == volume_from_node(panel._parameterNode.inputVolume).digest()
    assert made["intended_use"] == "Research use only"


def test_surfaces_for_the_3d_view(panel, press):
    panel.ui.showSurfaceField.setChecked(True)
    press(panel)
    segment = panel._parameterNode.segmentation.GetSegmentation().GetNthSegment(0)
    surface = segment.GetRepresentation("Closed surface")
    assert surface is not None
    assert surface.GetNumberOfPoints() > 100


def test_label_map_is_not_taken_for_an_image(load_module, scene):
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    _module, panel = load_module("MedAISegment")
    assert panel._parameterNode.inputVolume is None


def test_output_under_a_transform_is_refused_before_the_work(panel, shown_errors, scene):
    mine = scene.AddNewNodeByClass(SEGMENTATION, "Mine")
    mine.SetAndObserveTransformNodeID(scene.AddNewNodeByClass("vtkMRMLLinearTransformNode").GetID())
    panel._parameterNode.segmentation = mine
    panel.ui.applyButton.click()
    assert panel._run is None
    assert len(shown_errors()) == 1
    assert "under a transform" in shown_errors()[0]


def test_ended_run_keeps_no_image(panel, press):
    press(panel, wait=False)
    run = panel._run
    run.abandon("")
    assert run._guard is None
    assert not run.active


@pytest.fixture
def models(host):
    """Models that are installed; skips without one or without PyTorch."""
    from medai.segment.models import ModelStore

    missing = [name for name in ("torch", "monai", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    found = ModelStore().list()
    if not found:
        pytest.skip("no model is installed")
    return found


@pytest.mark.data
def test_unet_on_a_real_crop(load_module, scene, data_dir, models, press, screenshot):
    """The hippocampus model inside a box on a real crop of a left side; the second run finds the worker warm."""
    from medai.core.io import read_volume
    from medai.mrml import provenance_of, volume_to_node

    file = sorted((data_dir / "msd_hippocampus" / "images").glob("*.nii.gz"))[0]
    node = volume_to_node(read_volume(file), scene, "Crop")
    _module, panel = load_module("MedAISegment")
    assert panel._parameterNode.modelId in [model.id for model in models]
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    pairs = list(zip(bounds[::2], bounds[1::2], strict=True))
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Left side")
    roi.SetCenter(*[(low + high) / 2 for low, high in pairs])
    roi.SetSize(*[high - low for low, high in pairs])
    panel.ui.regionField.setCurrentIndex(2)
    panel.ui.roiField.setCurrentNode(roi)
    status = press(panel)
    screenshot(panel.parent, "medai-segment-unet", (440, 700))
    volumes = [float(line.split(": ")[1].removesuffix(" mL")) for line in status.splitlines() if line.endswith(" mL")]
    assert len(volumes) == 2
    assert 1.0 < sum(volumes) < 7.0
    assert "Left" in status
    assert provenance_of(panel._parameterNode.segmentation)["model"]["id"] == panel._parameterNode.modelId
    pid = panel.logic._runner.pid
    assert "mL" in press(panel)
    assert panel.logic._runner.pid == pid
