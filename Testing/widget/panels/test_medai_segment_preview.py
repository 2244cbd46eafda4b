"""The live preview of MedAI Segment: the shown slice before and after, in the worker."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest


@pytest.fixture
def panel(load_module, phantom):
    """The panel with a phantom, two own steps and an open preview."""
    phantom()
    _module, widget = load_module("MedAISegment")
    widget.ui.methodField.setCurrentIndex(4)
    widget._parameterNode.pipeline = json.dumps([{"step": "clip"}, {"step": "threshold"}])
    widget.ui.previewGroup.collapsed = False
    return widget


@pytest.fixture
def settled(panel, process_events):
    """`settled()` waits for the preview and returns it; None where there is none."""

    def wait():
        assert process_events(until=lambda: not panel.preview.busy, timeout=60)
        return panel.preview.shown

    return wait


@pytest.fixture
def red(scene):
    """A slice view's node, as the application has it."""
    import slicer

    node = slicer.vtkMRMLSliceNode()
    node.SetName("Red")
    node.SetLayoutName("Red")
    node.SetOrientationToAxial()
    node.JumpSlice(0, 0, 24)
    return scene.AddNode(node)


def test_slice_before_and_after(panel, settled):
    found = settled()
    [segment] = found["segments"]
    assert segment["name"] == "Foreground"
    assert segment["voxels"] == pytest.approx(np.pi * 12**2, rel=0.05)
    assert found["before"].shape == (48, 48, 3)
    assert not np.array_equal(found["before"], found["after"])
    assert not panel.ui.previewBefore.pixmap.isNull()
    assert not panel.ui.previewAfter.pixmap.isNull()
    assert not panel.ui.previewHistogram.pixmap.isNull()
    assert "this slice alone" in panel.ui.previewNote.text
    assert "may differ" in panel.ui.previewNote.text


def test_picture_in_the_label_is_the_picture(panel, settled):
    import qt

    found = settled()
    shown = panel.ui.previewBefore.pixmap.toImage()
    assert shown.width() == shown.height()
    middle = shown.pixelColor(qt.QPoint(shown.width() // 2, shown.height() // 2))
    corner = shown.pixelColor(qt.QPoint(2, 2))
    assert middle.lightness() > 2 * corner.lightness()
    assert found["before"][24, 24, 0] > 2 * found["before"][1, 1, 0]


def test_steps_up_to_the_chosen_one(panel, settled):
    settled()
    panel.ui.stepsList.setCurrentRow(0)
    assert settled()["segments"] == []
    panel.ui.stepsList.setCurrentRow(1)
    assert len(settled()["segments"]) == 1


def test_follows_the_settings_and_the_view(panel, settled, process_events):
    first = settled()
    panel.editor.form.fields["method"].widget.setCurrentIndex(1)
    panel.editor.form.fields["lower"]._tick.setChecked(True)
    panel.editor.form.fields["lower"]._box.setValue(1000.0)
    process_events()
    assert settled() is not first
    panel.ui.stepsList.setCurrentRow(1)
    assert panel.preview.shown["segments"][0]["voxels"] == 0
    panel.ui.previewViewField.setCurrentIndex(1)
    assert settled()["before"].shape == (24, 48, 3)
    assert panel.preview.shown["pixel_mm"] == [2.0, 1.0] or panel.preview.shown["pixel_mm"] == (2.0, 1.0)


def test_follows_the_slice_view(panel, settled, red):
    panel._parameterNode.pipeline = json.dumps(
        [{"step": "threshold", "settings": {"method": "manual", "lower": 150.0}}]
    )
    middle = settled()["segments"][0]["voxels"]
    red.JumpSlice(0, 0, 34)
    edge = settled()["segments"][0]["voxels"]
    assert 0 < edge < middle
    red.JumpSlice(0, 0, 1000)  # beyond the image: its last slice
    assert settled()["segments"][0]["voxels"] == 0


def test_many_changes_give_the_last(panel, settled):
    settled()
    panel._parameterNode.pipeline = json.dumps([{"step": "gaussian"}])
    settled()
    box = panel.editor.form.fields["sigma_mm"].widget
    for value in (1.5, 2.0, 2.5, 3.0):
        box.setValue(value)
        panel.preview._timer.stop()
        panel.preview._start()
    settled()
    expected = panel.preview.shown["after"]
    panel.preview.ask()
    assert np.array_equal(settled()["after"], expected)
    assert "Sigma 3.0" in panel.ui.stepsList.item(0).text()


def test_folded_preview_asks_nobody(panel, settled):
    settled()
    panel.ui.previewGroup.collapsed = True
    before = panel.preview.shown
    panel.editor.form.fields["name"].widget.setText("Other")
    assert not panel.preview.busy
    assert panel.preview.shown is before
    panel.ui.previewGroup.collapsed = False
    assert settled()["segments"][0]["name"] == "Other"


def test_what_cannot_be_shown_is_said_without_a_dialog(panel, settled, shown_errors):
    settled()
    panel._parameterNode.pipeline = json.dumps([{"step": "gaussian", "settings": {"sigma_mm": 90.0}}])
    assert settled() is None
    assert "too wide" in panel.ui.previewNote.text
    panel._parameterNode.pipeline = json.dumps([{"step": "gaussian", "settings": {"sigma_mm": 900.0}}])
    settled()
    assert "sigma_mm" in panel.ui.previewNote.text
    panel._parameterNode.pipeline = "[]"
    settled()
    assert "Add a step" in panel.ui.previewNote.text
    panel.ui.inputVolumeField.setCurrentNode(None)
    settled()
    assert "Choose an image" in panel.ui.previewNote.text
    assert shown_errors() == []


def test_no_preview_while_a_run_is_going_on_and_one_after_it(panel, settled, press, process_events, phantom):
    settled()
    panel.ui.inputVolumeField.setCurrentNode(phantom((480, 20, 20), "Large"))
    panel._parameterNode.pipeline = json.dumps([{"step": "median", "settings": {"radius": 5}}, {"step": "threshold"}])
    press(panel, wait=False)
    panel.preview.ask()
    assert process_events(until=lambda: not panel.preview.busy, timeout=20)
    assert "run is going on" in panel.ui.previewNote.text
    panel.ui.applyButton.click()
    assert process_events(until=lambda: panel._run is None, timeout=10)
    panel.ui.inputVolumeField.setCurrentNode(None)
    assert process_events(until=lambda: not panel.preview.busy, timeout=60)


def test_run_does_not_wait_for_a_preview(panel, press, process_events):
    panel.preview._start()
    assert panel.preview.busy
    started = time.monotonic()
    assert "mL" in press(panel)
    assert time.monotonic() - started < 30
    assert process_events(until=lambda: panel.preview.shown is not None, timeout=60)  # and comes back by itself


def test_closed_scene_ends_the_preview(panel, settled, scene):
    settled()
    panel.editor.form.fields["name"].widget.setText("Other")
    scene.Clear(0)
    assert settled() is None or panel.ui.previewNote.text


def test_leaving_the_panel_ends_the_preview(panel, settled):
    settled()
    panel.editor.form.fields["name"].widget.setText("Other")
    panel.parent.exit()
    assert not panel.preview.busy
    panel.parent.enter()
    assert settled()["segments"][0]["name"] == "Other"


def test_simple_methods_have_a_preview_too(panel, settled):
    settled()
    panel.ui.methodField.setCurrentIndex(1)
    assert settled()["segments"][0]["name"] == "Foreground"
    panel.ui.methodField.setCurrentIndex(0)
    assert panel.ui.previewGroup.isHidden()
