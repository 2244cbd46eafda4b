"""slicer.util.loadUI and childWidgetVariables work unmodified on .ui files, and no mistake in one stays silent."""

import pytest

pytestmark = pytest.mark.usefixtures("host")

CASES = {
    "qMRMLWidget": [],
    "qMRMLNodeComboBox": [
        (
            "nodeTypes",
            "<stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist>",
            ("vtkMRMLScalarVolumeNode",),
        ),
        ("noneEnabled", "<bool>true</bool>", True),
        ("addEnabled", "<bool>false</bool>", False),
        ("removeEnabled", "<bool>false</bool>", False),
        ("renameEnabled", "<bool>true</bool>", True),
        ("editEnabled", "<bool>true</bool>", True),
        ("showHidden", "<bool>true</bool>", True),
        ("showChildNodeTypes", "<bool>false</bool>", False),
        ("selectNodeUponCreation", "<bool>false</bool>", False),
        ("noneDisplay", "<string>New one</string>", "New one"),
    ],
    "qMRMLTableView": [("transposed", "<bool>true</bool>", True), ("firstRowLocked", "<bool>true</bool>", True)],
    "qMRMLSegmentSelectorWidget": [
        ("noneEnabled", "<bool>true</bool>", True),
        ("segmentationNodeSelectorVisible", "<bool>false</bool>", False),
    ],
    "qMRMLSegmentsTableView": [
        ("headerVisible", "<bool>false</bool>", False),
        ("opacityColumnVisible", "<bool>false</bool>", False),
        ("visibilityColumnVisible", "<bool>false</bool>", False),
        ("colorColumnVisible", "<bool>false</bool>", False),
        ("statusColumnVisible", "<bool>true</bool>", True),
        ("readOnly", "<bool>true</bool>", True),
        ("filterBarVisible", "<bool>true</bool>", True),
        ("selectionMode", "<number>1</number>", 1),
    ],
    "ctkCollapsibleButton": [
        ("text", "<string>Advanced</string>", "Advanced"),
        ("collapsed", "<bool>true</bool>", True),
    ],
    "ctkCollapsibleGroupBox": [("title", "<string>More</string>", "More"), ("collapsed", "<bool>true</bool>", True)],
    "ctkSliderWidget": [
        ("minimum", "<double>-5.5</double>", -5.5),
        ("maximum", "<double>7.25</double>", 7.25),
        ("singleStep", "<double>0.25</double>", 0.25),
        ("decimals", "<number>3</number>", 3),
        ("value", "<double>2.125</double>", 2.125),
        ("suffix", "<string> mm</string>", " mm"),
        ("tracking", "<bool>false</bool>", False),
    ],
    "ctkDoubleSpinBox": [("value", "<double>1.5</double>", 1.5), ("invertedControls", "<bool>true</bool>", True)],
    "ctkComboBox": [("defaultText", "<string>Choose</string>", "Choose")],
    "ctkPathLineEdit": [
        ("currentPath", "<string>somewhere</string>", "somewhere"),
        ("label", "<string>A folder</string>", "A folder"),
        ("showHistoryButton", "<bool>false</bool>", False),
    ],
    "QCheckBox": [("checked", "<bool>true</bool>", True)],
    "QComboBox": [("editable", "<bool>true</bool>", True)],
    "QDoubleSpinBox": [("value", "<double>3.5</double>", 3.5)],
    "QLabel": [("wordWrap", "<bool>true</bool>", True)],
    "QLineEdit": [("placeholderText", "<string>name</string>", "name")],
    "QListWidget": [],
    "QPlainTextEdit": [("readOnly", "<bool>true</bool>", True)],
    "QProgressBar": [("maximum", "<number>7</number>", 7)],
    "QPushButton": [("checkable", "<bool>true</bool>", True)],
    "QSlider": [("maximum", "<number>40</number>", 40)],
    "QSpinBox": [("value", "<number>9</number>", 9)],
    "QTabWidget": [],
    "QTableWidget": [],
    "QTextBrowser": [],
    "QToolButton": [("text", "<string>...</string>", "...")],
}


def ui_text(inner, connections=""):
    """A .ui file with one qMRMLWidget and what is given inside its layout."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ui version="4.0"><class>Panel</class>'
        '<widget class="qMRMLWidget" name="Panel"><layout class="QVBoxLayout" name="column">'
        f"{inner}</layout></widget><connections>{connections}</connections></ui>"
    )


def widget_text(class_name, properties="", name="field", inside=""):
    return f'<item><widget class="{class_name}" name="{name}">{properties}{inside}</widget></item>'


def connection(sender, signal, receiver, slot):
    return (
        f"<connection><sender>{sender}</sender><signal>{signal}</signal><receiver>{receiver}</receiver>"
        f"<slot>{slot}</slot></connection>"
    )


@pytest.fixture
def load(tmp_path):
    """Write a .ui file, load it with Slicer's own functions, and give the widget and its children by name."""
    import slicer

    def from_text(text):
        path = tmp_path / "panel.ui"
        path.write_text(text, encoding="utf-8")
        widget = slicer.util.loadUI(str(path))
        return widget, slicer.util.childWidgetVariables(widget)

    return from_text


@pytest.fixture
def not_in_host(host):
    if not host.installed:
        pytest.skip("says something of the stand-in itself")
    from medai_host import NotInHost

    return NotInHost


@pytest.mark.parametrize("class_name", sorted(CASES))
def test_every_widget_loads_with_its_properties(class_name, load):
    properties = "".join(f'<property name="{name}">{xml}</property>' for name, xml, _ in CASES[class_name])
    dynamic = '<property name="SlicerParameterName" stdset="0"><string>thing</string></property>'
    _, ui = load(ui_text(widget_text(class_name, properties + dynamic)))
    assert ui.field.className() == class_name
    assert ui.field.property("SlicerParameterName") == "thing"
    for name, _, expected in CASES[class_name]:
        found = getattr(ui.field, name)
        assert (tuple(found) if isinstance(expected, tuple) else found) == expected, name


def test_the_stand_ins_tested_are_all_there_are(host):
    if not host.installed:
        pytest.skip("says something of the stand-in itself")
    from medai_host.uiloader import STAND_INS

    assert set(STAND_INS) == {name for name in CASES if not name.startswith("Q")}


def test_the_class_is_exactly_that_of_the_module_qt(load):
    import ctk
    import qt
    import slicer

    _, ui = load(
        ui_text(
            widget_text("QCheckBox", name="check")
            + widget_text("ctkSliderWidget", name="slider")
            + widget_text("qMRMLNodeComboBox", name="nodes")
        )
    )
    assert type(ui.check) is qt.QCheckBox
    assert type(ui.slider) is ctk.ctkSliderWidget
    assert type(ui.nodes) is slicer.qMRMLNodeComboBox


def test_a_missing_file_and_broken_xml_are_runtime_errors(load, tmp_path):
    import slicer

    with pytest.raises(RuntimeError):
        slicer.util.loadUI(str(tmp_path / "none.ui"))
    with pytest.raises(RuntimeError):
        load("<ui><widget>")


def test_an_unknown_class_is_refused(load, not_in_host):
    with pytest.raises(not_in_host, match="qMRMLMagicWidget"):
        load(ui_text(widget_text("qMRMLMagicWidget")))


@pytest.mark.parametrize("class_name", ["QPushButton", "ctkSliderWidget", "qMRMLNodeComboBox", "ctkCollapsibleButton"])
def test_an_unknown_property_is_refused(class_name, load, not_in_host):
    with pytest.raises(not_in_host, match="magic"):
        load(ui_text(widget_text(class_name, '<property name="magic"><bool>true</bool></property>')))


def test_the_scene_reaches_connected_widgets_only(load, scene):
    scene_to = connection("Panel", "mrmlSceneChanged(vtkMRMLScene*)", "one", "setMRMLScene(vtkMRMLScene*)")
    widget, ui = load(
        ui_text(widget_text("qMRMLNodeComboBox", name="one") + widget_text("qMRMLNodeComboBox", name="two"), scene_to)
    )
    assert ui.one.enabled is False
    widget.setMRMLScene(scene)
    assert ui.one.mrmlScene() is scene
    assert ui.one.enabled is True
    assert ui.two.mrmlScene() is None
    assert ui.two.enabled is False


def test_a_node_travels_through_a_connection(load, scene):
    connections = connection(
        "Panel", "mrmlSceneChanged(vtkMRMLScene*)", "nodes", "setMRMLScene(vtkMRMLScene*)"
    ) + connection("nodes", "currentNodeChanged(vtkMRMLNode*)", "sheet", "setMRMLTableNode(vtkMRMLNode*)")
    kinds = (
        '<property name="nodeTypes"><stringlist><string>vtkMRMLTableNode</string></stringlist></property>'
        '<property name="addEnabled"><bool>false</bool></property>'
        '<property name="removeEnabled"><bool>false</bool></property>'
    )
    widget, ui = load(
        ui_text(
            widget_text("qMRMLNodeComboBox", kinds, "nodes") + widget_text("qMRMLTableView", name="sheet"), connections
        )
    )
    widget.setMRMLScene(scene)
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "Values")
    assert ui.nodes.currentNode() is table
    assert ui.sheet.mrmlTableNode() is table


def test_a_connection_of_plain_qt_works(load):
    _, ui = load(
        ui_text(
            widget_text("QCheckBox", name="check") + widget_text("QLabel", name="label"),
            connection("check", "toggled(bool)", "label", "setDisabled(bool)"),
        )
    )
    ui.check.checked = True
    assert ui.label.enabled is False


@pytest.mark.parametrize(
    ("sender", "signal", "receiver", "slot"),
    [
        ("check", "toggledd(bool)", "label", "setEnabled(bool)"),
        ("check", "toggled(bool)", "label", "setMagic(bool)"),
        ("check", "toggled(bool)", "nobody", "setEnabled(bool)"),
        ("Panel", "mrmlSceneMagic(vtkMRMLScene*)", "nodes", "setMRMLScene(vtkMRMLScene*)"),
        ("Panel", "mrmlSceneChanged(vtkMRMLScene*)", "nodes", "setMagic(vtkMRMLScene*)"),
        ("Panel", "mrmlSceneChanged(vtkMRMLScene*)", "label", "setMRMLScene(vtkMRMLScene*)"),
    ],
)
def test_a_wrong_connection_is_refused(sender, signal, receiver, slot, load, not_in_host):
    fields = (
        widget_text("QCheckBox", name="check")
        + widget_text("QLabel", name="label")
        + widget_text("qMRMLNodeComboBox", name="nodes")
    )
    with pytest.raises(not_in_host):
        load(ui_text(fields, connection(sender, signal, receiver, slot)))


def test_a_collapsible_button_hides_and_shows_what_it_holds(load, process_events):
    inside = (
        '<layout class="QFormLayout" name="form"><item row="0" column="0"><widget class="QLabel" name="a"/></item>'
        '<item row="0" column="1"><widget class="QLabel" name="b"><property name="visible"><bool>false</bool>'
        "</property></widget></item></layout>"
    )
    collapsed = '<property name="collapsed"><bool>true</bool></property>'
    widget, ui = load(ui_text(widget_text("ctkCollapsibleButton", collapsed, "fold", inside)))
    seen = []
    ui.fold.contentsCollapsed.connect(seen.append)
    widget.show()
    process_events()
    assert ui.a.visible is False
    ui.fold.collapsed = False
    assert ui.a.visible is True
    assert ui.b.visible is False
    ui.fold.setCollapsed(True)
    assert (ui.a.visible, ui.fold.checked, seen) == (False, False, [False, True])


def test_a_slider_keeps_its_number_in_its_range(load):
    _, ui = load(ui_text(widget_text("ctkSliderWidget", name="slider")))
    seen = []
    ui.slider.valueChanged.connect(seen.append)
    ui.slider.setRange(-10, 10)
    ui.slider.value = 25
    ui.slider.connect("valueChanged(double)", seen.append)
    ui.slider.value = 2.5
    assert seen == [10.0, 2.5, 2.5]
    assert ui.slider.value == 2.5


def test_a_path_line_asks_for_a_folder_or_a_file(load, host):
    if not host.installed:
        pytest.skip("a real file dialog would wait for a person")
    import ctk

    _, ui = load(ui_text(widget_text("ctkPathLineEdit", name="path")))
    seen = []
    ui.path.currentPathChanged.connect(seen.append)
    ui.path.filters = ctk.ctkPathLineEdit.Dirs
    host.record.file_answers.append("/some/folder")
    ui.path.browse()
    assert ui.path.currentPath == "/some/folder"
    assert seen == ["/some/folder"]
    ui.path.filters = ctk.ctkPathLineEdit.Files | ctk.ctkPathLineEdit.Writable
    ui.path.browse()
    assert [d.method for d in host.record.file_dialogs] == ["getExistingDirectory", "getSaveFileName"]
    assert ui.path.currentPath == "/some/folder"


def test_a_combo_box_of_ctk_finds_items_by_their_data():
    import ctk

    box = ctk.ctkComboBox()
    box.addItem("One", "1")
    box.addItem("Two", "2")
    box.currentUserDataAsString = "2"
    assert (box.currentText, box.currentUserDataAsString) == ("Two", "2")
