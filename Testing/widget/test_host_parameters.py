"""The parameter node wrapper: typed attributes, limits, and the binding to widgets in both directions."""

import enum
import operator
import pathlib
from typing import Annotated, Optional

import pytest

VOLUME = "vtkMRMLScalarVolumeNode"


class Mode(enum.Enum):
    FAST = "fast"
    GOOD = "good"

    def label(self):
        return self.value.title()


@pytest.fixture
def make(scene):
    """A wrapper class with one parameter of each kind, and a wrapped node of the scene."""
    import slicer
    from slicer.parameterNodeWrapper import (
        Choice,
        Default,
        Maximum,
        Minimum,
        WithinRange,
        parameterNodeWrapper,
        parameterPack,
    )

    @parameterPack
    class Box:
        width: Annotated[float, WithinRange(0, 100)] = 10.0
        label: str = "box"

    @parameterNodeWrapper
    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode
        segmentation: slicer.vtkMRMLSegmentationNode
        sigma: Annotated[float, WithinRange(0.1, 10.0), Default(1.5)]
        count: Annotated[int, Minimum(1), Maximum(9)] = 3
        shape: Annotated[str, Choice(["round", "square"])] = "round"
        flag: bool = True
        title: str = "hello"
        folder: pathlib.Path
        mode: Mode = Mode.GOOD
        numbers: list[int]
        pair: tuple[int, str]
        table: dict[str, float]
        maybe: Optional[int]  # noqa: UP045 - Slicer's wrapper does not know `int | None`
        box: Box

    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    wrapper = Parameters(node)
    wrapper_class = Parameters
    return wrapper_class, wrapper, Box


@pytest.fixture
def bound(make, scene):
    """The wrapped node and a window of widgets bound to it."""
    import ctk
    import qt
    import slicer

    _, node, _ = make
    window = qt.QWidget()
    column = qt.QVBoxLayout(window)
    fields = {
        "volume": slicer.qMRMLNodeComboBox(),
        "sigma": ctk.ctkSliderWidget(),
        "count": qt.QSpinBox(),
        "shape": qt.QComboBox(),
        "flag": qt.QCheckBox(),
        "title": qt.QLineEdit(),
        "folder": ctk.ctkPathLineEdit(),
        "mode": qt.QComboBox(),
        "box.width": qt.QDoubleSpinBox(),
        "box.label": qt.QTextEdit(),
    }
    fields["volume"].noneEnabled = True
    fields["volume"].setMRMLScene(scene)
    for name, widget in fields.items():
        widget.setProperty("SlicerParameterName", name)
        column.addWidget(widget)
    tag = node.connectGui(window)
    return node, fields, tag, window


def test_defaults(make):
    _, node, box = make
    assert (node.volume, node.segmentation) == (None, None)
    assert (node.sigma, node.count, node.shape, node.flag, node.title) == (1.5, 3, "round", True, "hello")
    assert (node.folder, node.mode, node.maybe) == (pathlib.Path(), Mode.GOOD, None)
    assert (list(node.numbers), node.pair, dict(node.table)) == ([], (0, ""), {})
    assert node.box == box(10.0, "box")


def test_values_go_into_the_node_and_come_back(make, scene):
    wrapper_class, node, box = make
    volume = scene.AddNewNodeByClass(VOLUME)
    node.volume, node.sigma, node.count, node.mode = volume, 2.5, 7, Mode.FAST
    node.numbers, node.pair, node.table, node.maybe = [1, 2], (4, "x"), {"a": 1.0}, 5
    node.folder, node.box = pathlib.Path("somewhere"), box(width=3.0, label="b")
    again = wrapper_class(node.parameterNode)
    assert again.volume is volume
    assert (again.sigma, again.count, again.mode) == (2.5, 7, Mode.FAST)
    assert (list(again.numbers), again.pair, dict(again.table), again.maybe) == ([1, 2], (4, "x"), {"a": 1.0}, 5)
    assert (again.folder, again.box) == (pathlib.Path("somewhere"), box(3.0, "b"))


def test_the_node_holds_plain_texts_and_references(make, scene):
    _, node, _ = make
    node.volume = scene.AddNewNodeByClass(VOLUME)
    node.numbers = [8]
    inner = node.parameterNode
    assert inner.GetNodeReferenceID("volume") == node.volume.GetID()
    found = [inner.GetParameter(name) for name in ("flag", "mode", "numbers_len", "numbers_0", "box.width")]
    assert found == ["True", "GOOD", "1", "8", "10.0"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sigma", 0.0),
        ("sigma", "1"),
        ("sigma", None),
        ("count", 0),
        ("count", 10),
        ("count", 2.5),
        ("shape", "flat"),
        ("flag", 1),
        ("title", None),
        ("folder", "a text"),
        ("mode", "FAST"),
        ("numbers", ["x"]),
        ("pair", (1,)),
        ("maybe", "x"),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_changes(make, name, value):
    _, node, _ = make
    before = getattr(node, name)
    with pytest.raises((TypeError, ValueError)):
        setattr(node, name, value)
    assert getattr(node, name) == before


def test_a_node_of_another_class_is_refused(make, scene):
    _, node, _ = make
    with pytest.raises(TypeError):
        node.volume = scene.AddNewNodeByClass("vtkMRMLTableNode")


def test_a_wrong_part_of_a_pack_is_refused(make):
    _, node, _ = make
    with pytest.raises(ValueError, match="100"):
        node.box.width = 500.0
    with pytest.raises(AttributeError):
        node.box.invented = 1
    assert node.box.width == 10.0


def test_a_default_outside_the_limits_is_refused(scene):
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Wrong:
        size: Annotated[float, WithinRange(1, 2)]

    with pytest.raises(ValueError, match="1"):
        Wrong(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def test_a_type_that_slicer_cannot_store_is_refused(scene):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    for hint in (set, int | None, object):
        with pytest.raises(Exception, match="type"):
            parameterNodeWrapper(type("Wrong", (), {"__annotations__": {"thing": hint}}))


def test_a_reserved_name_is_refused(scene):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    with pytest.raises(ValueError, match="getValue"):
        parameterNodeWrapper(type("Wrong", (), {"__annotations__": {"getValue": int}}))


def test_lists_and_packs_write_themselves(make):
    wrapper_class, node, _ = make
    node.numbers.append(4)
    node.numbers += [5]
    node.numbers[0] = 6
    node.table["k"] = 2.0
    node.box.width = 20.0
    again = wrapper_class(node.parameterNode)
    assert (list(again.numbers), dict(again.table), again.box.width) == ([6, 5], {"k": 2.0}, 20.0)
    with pytest.raises(NotImplementedError):
        operator.add(node.numbers, [1])


def test_get_and_set_by_name(make):
    _, node, _ = make
    node.setValue("box.width", 5.0)
    node.setValue("title", "x")
    assert (node.getValue("box.width"), node.getValue("title"), node.default("title").value) == (5.0, "x", "hello")
    for wrong in ("nothing", "box.nothing", "title.part"):
        with pytest.raises(ValueError, match=r"nothing|part"):
            node.getValue(wrong)


def test_the_widgets_show_the_node_when_they_are_bound(bound):
    _, fields, _, _ = bound
    assert (fields["sigma"].value, fields["sigma"].minimum, fields["sigma"].maximum) == (1.5, 0.1, 10.0)
    assert (fields["count"].value, fields["count"].minimum, fields["count"].maximum) == (3, 1, 9)
    assert [fields["shape"].itemText(i) for i in range(fields["shape"].count)] == ["round", "square"]
    assert [fields["mode"].itemText(i) for i in range(fields["mode"].count)] == ["Fast", "Good"]
    assert (fields["shape"].currentText, fields["mode"].currentText) == ("round", "Good")
    assert (fields["flag"].checked, fields["title"].text, fields["box.width"].value) == (True, "hello", 10.0)
    assert fields["box.label"].toPlainText() == "box"
    assert tuple(fields["volume"].nodeTypes) == (VOLUME,)
    assert fields["volume"].currentNode() is None


def test_what_a_person_changes_reaches_the_node(bound, scene):
    node, fields, _, _ = bound
    volume = scene.AddNewNodeByClass(VOLUME)
    fields["volume"].setCurrentNode(volume)
    fields["sigma"].value = 2.5
    fields["count"].value = 5
    fields["shape"].setCurrentText("square")
    fields["flag"].click()
    fields["title"].text = "typed"
    fields["folder"].setCurrentPath("a/folder")
    fields["mode"].setCurrentText("Fast")
    fields["box.width"].value = 7.5
    fields["box.label"].setPlainText("lines")
    assert node.volume is volume
    assert (node.sigma, node.count, node.shape, node.flag, node.title) == (2.5, 5, "square", False, "typed")
    assert (node.folder, node.mode) == (pathlib.Path("a/folder"), Mode.FAST)
    assert (node.box.width, node.box.label) == (7.5, "lines")


def test_what_a_script_changes_reaches_the_widgets(bound, scene):
    node, fields, _, _ = bound
    volume = scene.AddNewNodeByClass(VOLUME)
    node.volume, node.sigma, node.count, node.shape, node.flag = volume, 3.25, 8, "square", False
    node.title, node.folder, node.mode, node.box.width = "written", pathlib.Path("b"), Mode.FAST, 12.5
    assert fields["volume"].currentNode() is volume
    assert (fields["sigma"].value, fields["count"].value, fields["shape"].currentText) == (3.25, 8, "square")
    assert (fields["flag"].checked, fields["title"].text, fields["folder"].currentPath) == (False, "written", "b")
    assert (fields["mode"].currentText, fields["box.width"].value) == ("Fast", 12.5)


def test_another_wrapper_of_the_same_node_reaches_the_widgets(bound, make):
    wrapper_class, _, _ = make
    node, fields, _, _ = bound
    wrapper_class(node.parameterNode).title = "from elsewhere"
    assert node.title == "from elsewhere"
    assert fields["title"].text == "from elsewhere"


def test_unbound_widgets_are_left_alone(bound):
    node, fields, tag, _ = bound
    node.disconnectGui(tag)
    fields["title"].text = "typed"
    assert node.title == "hello"
    node.title = "written"
    assert fields["title"].text == "typed"


def test_a_removed_node_leaves_the_parameter_and_the_widget(bound, scene):
    node, fields, _, _ = bound
    volume = scene.AddNewNodeByClass(VOLUME)
    node.volume = volume
    scene.RemoveNode(volume)
    assert fields["volume"].currentNode() is None
    assert node.volume is None


def test_a_closed_scene_brings_the_defaults_back(scene, host):
    from slicer.parameterNodeWrapper import parameterNodeWrapper
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    @parameterNodeWrapper
    class Parameters:
        count: int = 3

    class ThingLogic(ScriptedLoadableModuleLogic):
        def getParameterNode(self):
            return Parameters(super().getParameterNode())

    logic = ThingLogic()
    node = logic.getParameterNode()
    node.count = 7
    scene.Clear(0)
    assert logic.getParameterNode().count == 3


def test_a_saved_scene_brings_the_values_back(make, scene, tmp_path):
    wrapper_class, node, _ = make
    node.title, node.numbers = "kept", [1, 2]
    node.parameterNode.SetName("Saved")
    path = str(tmp_path / "scene.mrml")
    scene.SetURL(path)
    assert scene.Commit(path)
    scene.Clear(0)
    scene.SetURL(path)
    assert scene.Connect()
    again = wrapper_class(scene.GetFirstNodeByName("Saved"))
    assert (again.title, list(again.numbers)) == ("kept", [1, 2])


def test_more_widgets_can_show_a_parameter(make):
    import ctk
    import qt

    _, node, _ = make
    label, spin, shapes, modes = qt.QLabel(), ctk.ctkDoubleSpinBox(), ctk.ctkComboBox(), ctk.ctkComboBox()
    flag = qt.QPushButton()
    tags = [
        node.connectParametersToGui(m) for m in ({"title": label, "sigma": spin}, {"shape": shapes}, {"mode": modes})
    ]
    node.connectParametersToGui({"flag": flag})
    assert tags == [0, 1, 2]
    assert (label.text, spin.value, shapes.currentText, modes.currentText) == ("hello", 1.5, "round", "Good")
    assert (flag.checkable, flag.checked) == (True, True)
    spin.value = 2.5
    modes.setCurrentText("Fast")
    node.title = "new"
    assert (node.sigma, node.mode, label.text) == (2.5, Mode.FAST, "new")


def test_a_slider_needs_both_limits(make, scene):
    import ctk
    import qt
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    @parameterNodeWrapper
    class Open:
        size: float
        count: int

    node = Open(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    for name, widget in (("size", ctk.ctkSliderWidget()), ("count", qt.QSlider())):
        with pytest.raises(RuntimeError):
            node.connectParametersToGui({name: widget})
    spin = qt.QDoubleSpinBox()
    node.connectParametersToGui({"size": spin})
    spin.value = -1e6
    assert node.size == -1e6


def test_a_name_without_a_parameter_is_refused(make):
    import qt

    _, node, _ = make
    window = qt.QWidget()
    field = qt.QLineEdit(window)
    field.setProperty("SlicerParameterName", "titel")
    with pytest.raises(ValueError, match="titel"):
        node.connectGui(window)


@pytest.mark.parametrize(
    ("widget", "parameter"),
    [
        ("QSpinBox", "sigma"),
        ("QPlainTextEdit", "title"),
        ("QLabel", "count"),
        ("QDoubleSpinBox", "count"),
        ("QLineEdit", "folder"),
        ("QComboBox", "title"),
    ],
)
def test_a_widget_that_cannot_show_the_type_is_refused(make, widget, parameter):
    import qt

    _, node, _ = make
    with pytest.raises(RuntimeError):
        node.connectParametersToGui({parameter: getattr(qt, widget)()})
