"""What every panel owes its user: tool tips, no cut text at 400 px, the statement of use."""

from __future__ import annotations

import pytest

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")
CONTROLS = (
    "QComboBox",
    "QSpinBox",
    "QDoubleSpinBox",
    "QCheckBox",
    "QPushButton",
    "QToolButton",
    "QLineEdit",
    "QListWidget",
)
WIDTHS = (400, 500)


def named(panel):
    """Every widget of the .ui file by its name."""
    parts = vars(panel.ui).items()
    return {name: widget for name, widget in parts if hasattr(widget, "toolTip") and not name.startswith("qt_")}


@pytest.mark.parametrize("name", MODULES)
def test_every_control_has_a_tool_tip(load_module, name):
    _module, panel = load_module(name)
    controls = {
        key: widget
        for key, widget in named(panel).items()
        if key.endswith(("Field", "Button", "View", "Bar")) or widget.className() in CONTROLS
    }
    assert len(controls) >= 8
    assert [key for key, widget in controls.items() if not widget.toolTip] == []


@pytest.mark.parametrize("name", MODULES)
def test_every_label_of_a_row_has_its_field(load_module, name):
    _module, panel = load_module(name)
    labels = [key.removesuffix("Label") for key in named(panel) if key.endswith("Label")]
    alone = {"research", "status", "methodInfo"}
    assert [key for key in labels if key not in alone and not hasattr(panel.ui, f"{key}Field")] == []


@pytest.mark.parametrize("name", MODULES)
def test_the_use_is_stated(load_module, name):
    _module, panel = load_module(name)
    assert panel.ui.researchLabel.text == "Research use only - not for diagnosis"
    assert not panel.ui.researchLabel.isHidden()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", MODULES)
def test_fits_a_narrow_panel(load_module, process_events, screenshot, name, width):
    import qt

    _module, panel = load_module(name)
    if hasattr(panel.ui, "advancedGroup"):
        panel.ui.advancedGroup.collapsed = False
    screenshot(panel.parent, f"{name}-{width}", (width, 760))
    assert panel.parent.width <= width, "the panel is wider than Slicer's module panel"
    cut = []
    for key, widget in named(panel).items():
        if not widget.isVisible():
            continue
        right = widget.mapTo(panel.parent, qt.QPoint(widget.width, 0)).x()
        if right > width:
            cut.append(f"{key} ends at {right} px")
        wraps = widget.className() == "QLabel" and widget.wordWrap
        if widget.className() in ("QLabel", "QPushButton", "QCheckBox") and not wraps:
            needed = widget.fontMetrics().horizontalAdvance(widget.text)
            if needed > widget.width:
                cut.append(f"{key} needs {needed} px and has {widget.width}")
    assert cut == []
