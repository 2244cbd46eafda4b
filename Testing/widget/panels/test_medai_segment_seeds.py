"""Points and boxes of the scene in MedAI Segment's steps, and its undo."""

from __future__ import annotations

import numpy as np
import pytest

SEGMENTATION, VOLUME = "vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode"
GROW = '[{"step": "connected_threshold", "settings": {"lower": 150.0}}]'
CROP = '[{"step": "crop"}]'
BALL_ML = 4 / 3 * np.pi * 12.0**3 / 1000


@pytest.fixture
def panel(load_module, phantom):
    """The panel with a phantom and a region growing step."""
    phantom()
    _module, widget = load_module("MedAISegment")
    widget.ui.methodField.setCurrentIndex(4)
    widget._parameterNode.pipeline = GROW
    return widget


@pytest.fixture
def points(scene):
    """`points((r, a, s), ..., labels=...)` -> a list of points."""

    def make(*positions, labels=()):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
        for number, position in enumerate(positions):
            node.AddControlPointWorld(position)
            if number < len(labels):
                node.SetNthControlPointLabel(number, labels[number])
        return node

    return make


def shifted(scene, node, by):
    """Put a node under a transform that moves it."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    for row, value in enumerate(by):
        matrix.SetElement(row, 3, value)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())


def test_points_become_seeds(panel, points, scene):
    from medai.segment.seeds import Seed
    from MedAISegmentLib.seeds import readSeeds

    node = points((1, 2, 3), (4, 5, 6), (7, 8, 9), labels=("Liver-1", "Spleen-1", "Liver-2"))
    node.SetNthControlPointVisibility(1, False)
    node.UnsetNthControlPointPosition(2)
    shifted(scene, node, (10, 0, 0))
    [seed] = readSeeds(node).values["seeds"]
    assert seed == {"ras": [11.0, 2.0, 3.0], "segment": "Liver"}
    Seed.parse(seed)


def test_seeds_row_is_shown_where_a_step_has_seeds(panel):
    assert not panel.ui.seedsField.isHidden()
    assert panel.ui.roiField.isHidden()
    panel._parameterNode.pipeline = '[{"step": "threshold"}]'
    assert panel.ui.seedsField.isHidden()
    panel._parameterNode.pipeline = CROP
    assert not panel.ui.roiField.isHidden()


def test_grow_from_points(panel, points, press):
    node = points((24, 24, 24), (26, 24, 24), (2, 2, 2), labels=("Ball-1", "Ball-2", "Corner"))
    panel.ui.seedsField.setCurrentNode(node)
    panel._parameterNode.pipeline = '[{"step": "connected_threshold", "settings": {"lower": 20.0, "upper": 300.0}}]'
    panel._parameterNode.pipeline = GROW.replace("150", "20")
    node.RemoveNthControlPoint(2)
    panel._parameterNode.pipeline = GROW
    status = press(panel)
    assert status.splitlines()[1].startswith("Ball: ")
    assert float(status.split(": ")[-1].removesuffix(" mL")) == pytest.approx(BALL_ML, rel=0.05)
    assert panel._parameterNode.pipeline == GROW  # the points stay in the scene, not in the list of steps


def test_points_moved_during_the_run_discard_the_result(panel, points, press, process_events, shown_errors, count):
    node = points((24, 24, 24), labels=("Ball-1",))
    panel.ui.seedsField.setCurrentNode(node)
    press(panel, wait=False)
    node.SetNthControlPointPositionWorld(0, (2, 2, 2))
    assert process_events(until=lambda: panel._run is None, timeout=60)
    assert len(shown_errors()) == 1
    assert "list of points was changed" in shown_errors()[0]
    assert count(SEGMENTATION) == 0


def test_points_removed_during_the_run_stop_it(panel, points, press, scene, count):
    node = points((24, 24, 24), labels=("Ball-1",))
    panel.ui.seedsField.setCurrentNode(node)
    press(panel, wait=False)
    scene.RemoveNode(node)
    assert panel._run is None
    assert "list of points was removed" in panel.ui.statusLabel.text
    assert count(SEGMENTATION) == 0


@pytest.mark.parametrize(
    ("positions", "said"),
    [((), "no visible point"), (((24, 24, 500),), "outside the image"), (((2, 2, 2),), "")],
)
def test_points_that_cannot_be_used(panel, points, process_events, shown_errors, count, positions, said):
    panel.ui.seedsField.setCurrentNode(points(*positions))
    panel.ui.applyButton.click()
    assert process_events(until=lambda: panel._run is None, timeout=60)
    if said:
        assert len(shown_errors()) == 1
        assert said in shown_errors()[0]
        assert count(SEGMENTATION) == 0
    else:  # a seed in the forbidden range gives an empty segment and a note
        assert "Note" in panel.ui.statusLabel.text or shown_errors()


def test_box_crops_the_image(panel, scene, press):
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    roi.SetCenter(24, 24, 24)
    roi.SetSize(20, 16, 12)
    panel._parameterNode.pipeline = CROP
    panel.ui.roiField.setCurrentNode(roi)
    press(panel)
    made = panel._parameterNode.outputVolume
    assert made.GetImageData().GetDimensions() == pytest.approx((20, 16, 6), abs=1)
    bounds = [0.0] * 6
    made.GetRASBounds(bounds)
    assert bounds[0] == pytest.approx(14, abs=1)


def test_grid_of_another_image(panel, scene, press, phantom):
    import slicer

    other = phantom((10, 20, 30), "Other")
    panel.ui.inputVolumeField.setCurrentNode(scene.GetFirstNodeByName("Phantom"))
    panel._parameterNode.pipeline = '[{"step": "resample_to"}]'
    assert not panel.ui.referenceField.isHidden()
    panel.ui.referenceField.setCurrentNode(other)
    press(panel)
    made = panel._parameterNode.outputVolume
    assert slicer.util.arrayFromVolume(made).shape == (10, 20, 30)
    assert panel._parameterNode.pipeline == '[{"step": "resample_to"}]'


def test_everything_from_the_console(panel, points, scene, count):
    logic, image = panel.logic, panel._parameterNode.inputVolume
    seeds = points((24, 24, 24), labels=("Ball-1",))
    settings = {"pipeline": [{"step": "connected_threshold", "settings": {"lower": 150.0}}]}
    info = logic.process(image, None, settings, seedsNode=seeds)
    assert list(info["volumesMl"]) == ["Ball"]
    start = scene.GetNodeByID(info["segmentationNodeId"])
    grown = logic.process(image, start, {"pipeline": [{"step": "dilate"}]}, startNode=start)
    assert grown["segmentationNodeId"] == info["segmentationNodeId"]
    assert grown["volumesMl"]["Ball"] > info["volumesMl"]["Ball"]
    filtered = logic.process(image, settings={"pipeline": [{"step": "median"}]})
    assert scene.GetNodeByID(filtered["volumeNodeId"]).GetName() == "Phantom filtered"
    assert "Undone" in logic.undo.undo()
    assert count(VOLUME) == 1


def test_unknown_key_from_the_console(panel, count):
    from medai.core.errors import SettingsError

    with pytest.raises(SettingsError, match=r"pipeline\[0\].settings.sgima_mm: unknown key"):
        panel.logic.process(
            panel._parameterNode.inputVolume, None, {"pipeline": [{"step": "gaussian", "settings": {"sgima_mm": 1}}]}
        )
    assert count(VOLUME) == 1


# Undo


@pytest.fixture
def once(panel, press):
    """A segmentation that a run has made."""
    panel._parameterNode.pipeline = '[{"step": "threshold", "settings": {"name": "Ball"}}]'
    press(panel)
    return panel._parameterNode.segmentation


@pytest.fixture
def twice(once):
    """The same with a colour that the user has chosen, about to be replaced."""
    once.GetSegmentation().GetNthSegment(0).SetColor(0.1, 0.2, 0.3)
    return once


def content(node):
    from medai.mrml import labels_from_segmentation

    return labels_from_segmentation(node).digest()


def test_replaced_segmentation_comes_back(panel, twice, press):
    from medai.mrml import provenance_of

    before, made = content(twice), provenance_of(twice)
    panel._parameterNode.pipeline = '[{"step": "threshold"}, {"step": "dilate"}]'
    press(panel)
    assert content(twice) != before
    assert provenance_of(twice) != made
    panel.ui.undoButton.click()
    assert content(twice) == before
    assert provenance_of(twice) == made
    segmentation = twice.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 1
    assert segmentation.GetNthSegment(0).GetName() == "Ball"
    assert segmentation.GetNthSegment(0).GetColor() == pytest.approx((0.1, 0.2, 0.3))
    assert not panel.ui.undoButton.enabled  # one step back, no more


def test_edited_result_is_not_undone(panel, twice, press, shown_errors):
    panel._parameterNode.pipeline = '[{"step": "threshold"}, {"step": "dilate"}]'
    press(panel)
    image = twice.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    image.GetPointData().GetScalars().SetTuple1(0, 1)
    image.Modified()
    kept = content(twice)
    panel.ui.undoButton.click()
    assert "edited" in shown_errors()[0]
    assert content(twice) == kept
    assert not panel.ui.undoButton.enabled


def test_showing_surfaces_is_no_edit(panel, once):
    once.CreateClosedSurfaceRepresentation()
    assert panel.logic.undo.whyNot() == ""


def test_closed_scene_ends_undo(panel, once, scene):
    assert panel.logic.undo.whyNot() == ""
    scene.Clear(0)
    assert "no result" in panel.logic.undo.whyNot()
    assert not panel.ui.undoButton.enabled


def test_removed_result_ends_undo(panel, once, scene):
    scene.RemoveNode(once)
    assert not panel.ui.undoButton.enabled
    assert "not in the scene" in panel.ui.undoButton.toolTip


def test_cancel_keeps_what_can_be_undone(panel, once, press, process_events, phantom, count):
    large = phantom((480, 20, 20), "Large")
    before = content(once)
    panel.ui.inputVolumeField.setCurrentNode(large)
    panel._parameterNode.pipeline = '[{"step": "median", "settings": {"radius": 5}}, {"step": "threshold"}]'
    press(panel, wait=False)
    assert not panel.ui.stepsGroup.enabled
    assert not panel.ui.undoButton.enabled
    panel.ui.applyButton.click()
    assert process_events(until=lambda: panel._run is None, timeout=10)
    assert content(once) == before
    assert count(SEGMENTATION) == 1
    assert panel.ui.undoButton.enabled


def test_scene_closed_during_a_run_of_own_steps(panel, press, process_events, scene, phantom, count):
    panel.ui.inputVolumeField.setCurrentNode(phantom((480, 20, 20), "Large"))
    panel._parameterNode.pipeline = '[{"step": "median", "settings": {"radius": 5}}]'
    press(panel, wait=False)
    scene.Clear(0)
    assert panel._run is None
    assert "closed" in panel.ui.statusLabel.text
    process_events(until=lambda: False, timeout=0.5)
    assert count(VOLUME) == 0
