"""Loading a scripted module: module object, widget, logic, parameter node, self test, reload and clean-up."""

import pytest

SOURCE = """
import slicer
from slicer.ScriptedLoadableModule import *
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.util import VTKObservationMixin


@parameterNodeWrapper
class MedAITinyParameterNode:
    title: str = "hello"


class MedAITiny(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Tiny"
        parent.categories = ["MedAI"]
        parent.contributors = ["us"]
        parent.helpText = self.getDefaultModuleDocumentationLink()


class MedAITinyWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.calls = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/MedAITiny.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = MedAITinyLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneClosed)
        self.calls.append("setup")

    def enter(self):
        self.node = self.logic.getParameterNode()
        self.tag = self.node.connectGui(self.ui)
        self.calls.append("enter")

    def exit(self):
        self.node.disconnectGui(self.tag)
        self.calls.append("exit")

    def cleanup(self):
        self.removeObservers()
        self.calls.append("cleanup")

    def onSceneClosed(self, caller, event):
        self.calls.append("closed")


class MedAITinyLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return MedAITinyParameterNode(super().getParameterNode())


class MedAITinyTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.delayDisplay("Starting")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Made by the self test")
        self.assertIsNotNone(node)
"""
UI = (
    '<?xml version="1.0" encoding="UTF-8"?><ui version="4.0"><class>MedAITiny</class>'
    '<widget class="qMRMLWidget" name="MedAITiny"><layout class="QVBoxLayout" name="column"><item>'
    '<widget class="QLineEdit" name="titleField"><property name="SlicerParameterName" stdset="0">'
    "<string>title</string></property></widget></item></layout></widget><connections/></ui>"
)


@pytest.fixture
def tiny(tmp_path, host, scene):
    """The module above, loaded as Slicer's factory would."""
    if not host.installed:
        pytest.skip("a real Slicer loads modules by itself")
    from medai_host.modules import load_scripted_module, unload_scripted_module

    (tmp_path / "Resources" / "UI").mkdir(parents=True)
    (tmp_path / "Resources" / "UI" / "MedAITiny.ui").write_text(UI, encoding="utf-8")
    path = tmp_path / "MedAITiny.py"
    path.write_text(SOURCE, encoding="utf-8")
    module = load_scripted_module(path)
    yield module
    unload_scripted_module(module)


def test_the_module_describes_itself(tiny):
    import slicer

    assert slicer.modules.medaitiny is tiny
    assert slicer.util.getModule("MedAITiny") is tiny
    assert (tiny.name, tiny.title, tiny.categories) == ("MedAITiny", "Tiny", ["MedAI"])
    assert slicer.util.modulePath("MedAITiny") == tiny.path
    assert "MedAITiny" in slicer.app.moduleManager().modulesNames()


@pytest.mark.parametrize(("name", "value"), [("titel", "x"), ("title", 5), ("categories", "MedAI"), ("icon", "x.png")])
def test_a_wrong_description_is_refused(tiny, name, value):
    with pytest.raises((AttributeError, TypeError)):
        setattr(tiny, name, value)


def test_the_widget_lives_as_in_slicer(tiny, scene):
    import slicer

    panel = tiny.widgetRepresentation()
    widget = slicer.util.getModuleWidget("MedAITiny")
    assert panel.self() is widget
    assert slicer.modules.MedAITinyWidget is widget
    assert (widget.calls, panel.isEntered) == (["setup"], False)
    panel.enter()
    assert panel.isEntered is True
    widget.ui.titleField.text = "typed"
    assert widget.logic.getParameterNode().title == "typed"
    scene.Clear(0)
    panel.exit()
    from medai_host.modules import unload_scripted_module

    unload_scripted_module(tiny)
    assert widget.calls == ["setup", "enter", "closed", "exit", "cleanup"]


def test_cleanup_is_called_once_and_only_for_the_module_that_goes(tiny):
    import slicer

    tiny.widgetRepresentation()
    widget = slicer.modules.MedAITinyWidget
    manager = slicer.app.moduleManager()
    manager.moduleAboutToBeUnloaded.emit("Another")
    assert "cleanup" not in widget.calls
    manager.moduleAboutToBeUnloaded.emit("MedAITiny")
    manager.moduleAboutToBeUnloaded.emit("MedAITiny")
    assert widget.calls.count("cleanup") == 1


def test_the_parameter_node_is_one_per_scene(tiny):
    import slicer

    tiny.widgetRepresentation()
    logic = slicer.util.getModuleLogic("MedAITiny")
    node = logic.getParameterNode().parameterNode
    assert logic.getParameterNode().parameterNode is node
    assert node.GetAttribute("ModuleName") == "MedAITiny"
    assert node.GetSingletonTag() == "MedAITiny"
    assert [n.GetID() for n in logic.getAllParameterNodes()] == [node.GetID()]


def test_the_self_test_runs(tiny, scene):
    import slicer

    slicer.selfTests["MedAITiny"](msec=50)
    assert scene.GetFirstNodeByName("Made by the self test") is not None


def test_a_module_without_a_test_class_fails_its_self_test(tiny):
    import sys

    import slicer

    del sys.modules["MedAITiny"].MedAITinyTest
    with pytest.raises(AssertionError, match="MedAITinyTest"):
        slicer.selfTests["MedAITiny"]()


def test_reloading_makes_a_new_widget(tiny):
    import slicer

    panel = tiny.widgetRepresentation()
    old = slicer.modules.MedAITinyWidget
    panel.enter()
    slicer.util.reloadScriptedModule("MedAITiny")
    new = slicer.modules.MedAITinyWidget
    assert new is not old
    assert old.calls[-1] == "exit"
    assert new.calls == ["setup", "enter"]


def test_an_unknown_module_is_an_error(host):
    import slicer

    with pytest.raises(RuntimeError):
        slicer.util.getModule("NoSuchModule")


def test_the_logics_of_slicers_own_modules_work(scene, host):
    import numpy as np
    import slicer

    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Image")
    slicer.util.updateVolumeFromArray(volume, np.zeros((4, 5, 6), np.float32))
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Parts")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment_id = segmentation.GetSegmentation().AddEmptySegment("a", "a")
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[1:3, 2:4, 3:5] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment_id, volume)
    found = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume)
    assert np.array_equal(found, mask)


def test_a_module_that_is_not_here_says_so(host):
    import slicer

    if not host.installed:
        pytest.skip("says something of the stand-in itself")
    from medai_host import NotInHost

    with pytest.raises(NotInHost, match="magic"):
        slicer.modules.magic
    with pytest.raises(NotInHost, match="widgetRepresentation"):
        slicer.modules.segmentations.widgetRepresentation()
