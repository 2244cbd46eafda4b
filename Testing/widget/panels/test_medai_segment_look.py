"""Own steps, recipes and preview of MedAI Segment at the widths of Slicer's module panel, light and dark."""

from __future__ import annotations

import json

import numpy as np
import pytest

RECIPE, OWN_STEPS = 3, 4
DARK = {
    "Window": "#353535", "WindowText": "#ffffff", "Base": "#232323", "AlternateBase": "#353535", "Text": "#ffffff",
    "Button": "#353535", "ButtonText": "#ffffff", "Highlight": "#2a82da", "HighlightedText": "#000000",
}  # fmt: skip
STEPS = [
    {"step": "median"},
    {"step": "threshold", "settings": {"method": "manual", "name": "x" * 70}},
    {"step": "fill_holes"},
    {"step": "largest_components"},
]


@pytest.fixture(params=["light", "dark"])
def palette(request, host):
    """The application in Slicer's light or dark colours."""
    import qt
    import slicer

    before = slicer.app.palette()
    if request.param == "dark":
        colours = qt.QPalette()
        for role, colour in DARK.items():
            colours.setColor(getattr(qt.QPalette, role), qt.QColor(colour))
        slicer.app.setPalette(colours)
    yield request.param
    slicer.app.setPalette(before)


@pytest.fixture
def image(phantom):
    """Two discs in noise, 160 x 160 x 24."""
    import slicer

    node = phantom((24, 160, 160), "Image")
    array = slicer.util.arrayFromVolume(node)
    _k, j, i = np.ogrid[:24, :160, :160]
    noise = np.random.default_rng(0).normal(0, 30, array.shape)
    array[...] = (
        50 + 150 * ((i - 60) ** 2 + (j - 80) ** 2 < 1600) + 100 * ((i - 120) ** 2 + (j - 60) ** 2 < 400) + noise
    )
    slicer.util.arrayFromVolumeModified(node)
    return node


def cut(panel, width):
    """What ends beyond the panel, or has less room than its text needs."""
    import qt

    found = []
    for kind in (qt.QLabel, qt.QPushButton, qt.QToolButton, qt.QCheckBox, qt.QComboBox, qt.QSpinBox, qt.QDoubleSpinBox):
        for widget in panel.parent.findChildren(kind):
            if not widget.isVisible():
                continue
            right = widget.mapTo(panel.parent, qt.QPoint(widget.width, 0)).x()
            if right > width:
                found.append(f"{kind.__name__} {widget.objectName} ends at {right} px")
            text = getattr(widget, "text", "")
            plain = kind is qt.QLabel and not widget.wordWrap
            if (plain or kind in (qt.QPushButton, qt.QCheckBox)) and text:
                needed = widget.fontMetrics().horizontalAdvance(text)
                if needed > widget.width:
                    found.append(f"{text!r} needs {needed} px and has {widget.width}")
            wraps = kind is qt.QLabel and widget.wordWrap and text and "<" not in text
            if wraps and widget.height < widget.heightForWidth(widget.width):
                found.append(f"{text!r} needs {widget.heightForWidth(widget.width)} px of height, has {widget.height}")
    return found


@pytest.mark.parametrize("width", [400, 500])
def test_own_steps_with_a_complaint_and_a_preview(load_module, image, palette, screenshot, process_events, width):
    import qt

    _module, panel = load_module("MedAISegment")
    panel.ui.methodField.setCurrentIndex(OWN_STEPS)
    panel._parameterNode.pipeline = json.dumps(STEPS)
    panel.ui.stepsList.setCurrentRow(1)
    screenshot(panel.parent, f"medai-segment-steps-{palette}-{width}", (width, 1200))
    assert panel.parent.width <= width
    assert cut(panel, width) == []
    assert "64" in panel.editor.form.problemAt("name")
    complaint = panel.editor.form._problems["name"]
    style = qt.QColor(complaint.styleSheet.split(":")[1].strip(" ;")).lightness()
    assert abs(style - complaint.palette.color(qt.QPalette.Window).lightness()) > 80
    panel._parameterNode.pipeline = json.dumps([STEPS[0], {"step": "threshold"}, *STEPS[2:]])
    panel.ui.stepsList.setCurrentRow(3)
    panel.ui.previewGroup.collapsed = False
    panel.parent.show()
    assert process_events(until=lambda: panel.preview.shown is not None, timeout=60), panel.ui.previewNote.text
    screenshot(panel.parent, f"medai-segment-preview-{palette}-{width}", (width, 1130))
    assert panel.parent.width <= width
    assert cut(panel, width) == []
    assert panel.ui.previewBefore.pixmap.width() <= panel.ui.previewBefore.width
    assert panel.ui.previewHistogram.pixmap.width() <= panel.ui.previewHistogram.width


@pytest.mark.parametrize("width", [400, 500])
def test_forms_of_all_steps_fit(load_module, image, screenshot, process_events, width):
    import qt

    from medai.segment.pipeline import all_steps

    _module, panel = load_module("MedAISegment")
    panel.ui.methodField.setCurrentIndex(OWN_STEPS)
    panel.parent.resize(qt.QSize(width, 1200))
    panel.parent.show()
    for step in all_steps():
        panel._parameterNode.pipeline = json.dumps([{"step": step.name}])
        process_events()
        assert panel.parent.width <= width, step.name
        assert cut(panel, width) == [], step.name
        fields = panel.editor.form.fields
        assert set(step.Settings.model_fields) <= set(fields)
        assert [key for key, field in fields.items() if not field.widget.toolTip and not field.field.optional] == []


def test_recipe_fits(load_module, image, screenshot):
    _module, panel = load_module("MedAISegment")
    panel.ui.methodField.setCurrentIndex(RECIPE)
    screenshot(panel.parent, "medai-segment-recipe", (400, 700))
    assert cut(panel, 400) == []
