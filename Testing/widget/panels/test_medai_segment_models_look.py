"""The panel of MedAI Segment with a model, at the widths of Slicer's module panel: nothing is cut or overlaps."""

from __future__ import annotations

import importlib.util

import pytest

UNET = 0


@pytest.fixture
def panel(load_module, phantom, tmp_path, monkeypatch):
    pytest.importorskip("medai.segment.models")
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "models"))
    phantom(name="T1 image")
    _module, widget = load_module("MedAISegment")
    widget.ui.methodField.setCurrentIndex(UNET)
    if not widget._parameterNode.modelId:
        pytest.skip("no model comes with this checkout")
    return widget


def faults(panel, width):
    """What ends beyond the panel, has less room than its text needs, or lies over something else."""
    import qt

    found, boxes = [], []
    kinds = (qt.QLabel, qt.QPushButton, qt.QToolButton, qt.QCheckBox, qt.QComboBox, qt.QSpinBox, qt.QTextBrowser)
    for kind in kinds:
        for widget in panel.parent.findChildren(kind):
            name = widget.objectName
            if not widget.isVisible() or not name or name.startswith("qt_") or name == "ExpandButton":
                continue
            corner = widget.mapTo(panel.parent, qt.QPoint(0, 0))
            box = qt.QRect(corner.x(), corner.y(), widget.width, widget.height)
            if box.right() >= width:
                found.append(f"{name} ends at {box.right()} px")
            text = getattr(widget, "text", "")
            plain = kind is qt.QLabel and not widget.wordWrap
            if text and (plain or kind in (qt.QPushButton, qt.QToolButton, qt.QCheckBox)):
                needed = widget.fontMetrics().horizontalAdvance(text)
                if needed > widget.width:
                    found.append(f"{text!r} needs {needed} px and has {widget.width}")
            if kind is qt.QLabel and widget.wordWrap and text and widget.height < widget.heightForWidth(widget.width):
                found.append(f"{name} needs {widget.heightForWidth(widget.width)} px of height, has {widget.height}")
            found += [f"{name} lies over {other}" for other, taken in boxes if taken.intersects(box)]
            boxes.append((name, box))
    return found


@pytest.mark.parametrize("width", [340, 440])
def test_model_and_card(panel, screenshot, width):
    screenshot(panel.parent, f"medai-segment-model-{width}", (width, 700))
    assert faults(panel, width) == []
    panel.ui.modelCardButton.click()
    panel.ui.advancedGroup.collapsed = False
    panel.ui.uncertaintyField.setCurrentIndex(3)
    screenshot(panel.parent, f"medai-segment-model-card-{width}", (width, 1060))
    assert panel.parent.width <= width
    assert faults(panel, width) == []


@pytest.mark.parametrize("width", [340, 440])
def test_running_done_and_failed(panel, screenshot, press, process_events, shown_errors, width):
    missing = [name for name in ("torch", "monai", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    from MedAISegmentLib.choices import Region, Uncertainty

    panel._parameterNode.region = Region.IMAGE
    panel._parameterNode.uncertainty = Uncertainty.ENTROPY
    press(panel, wait=False)
    assert process_events(until=lambda: "oading" in panel.ui.statusLabel.text, timeout=60)
    screenshot(panel.parent, f"medai-segment-model-running-{width}", (width, 700))
    assert faults(panel, width) == []
    assert process_events(until=lambda: panel._run is None, timeout=120)
    assert "Network: " in panel.ui.statusLabel.text
    screenshot(panel.parent, f"medai-segment-model-done-{width}", (width, 960))
    assert faults(panel, width) == []
    panel._parameterNode.modelId = "hippocampus"
    panel.ui.deviceField.setCurrentIndex(3)  # Apple's GPU
    press(panel)
    assert len(shown_errors()) == 1
    assert "Failed" in panel.ui.statusLabel.text
    screenshot(panel.parent, f"medai-segment-model-failed-{width}", (width, 760))
    assert faults(panel, width) == []
