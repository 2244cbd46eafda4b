"""The views of tables and segments over real nodes, and pictures of widgets."""

import numpy as np
import pytest


@pytest.fixture
def table(scene):
    import vtk

    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "Volumes")
    names, values, counts = vtk.vtkStringArray(), vtk.vtkDoubleArray(), vtk.vtkIntArray()
    for array, name, cells in (
        (names, "segment", ["left", "right"]),
        (values, "mL", [1.5, 2.25]),
        (counts, "n", [3, 4]),
    ):
        array.SetName(name)
        for cell in cells:
            array.InsertNextValue(cell)
        node.AddColumn(array)
    return node


@pytest.fixture
def segmentation(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Parts")
    for name, colour in (("Left", (1.0, 0.0, 0.0)), ("Right", (0.0, 1.0, 0.0)), ("Rest", (0.0, 0.0, 1.0))):
        node.GetSegmentation().AddEmptySegment(name.lower(), name, colour)
    return node


def texts(view):
    model = view.model()
    return [[model.index(r, c).data() for c in range(model.columnCount())] for r in range(model.rowCount())]


def test_a_table_node_is_shown_and_followed(scene, table):
    import qt
    import slicer

    view = slicer.qMRMLTableView()
    view.setMRMLScene(scene)
    view.setMRMLTableNode(table)
    assert view.mrmlTableNode() is table
    model = view.model()
    assert [model.headerData(c, qt.Qt.Horizontal) for c in range(3)] == ["segment", "mL", "n"]
    assert texts(view) == [["left", "1.5", "3"], ["right", "2.25", "4"]]
    table.GetTable().SetValueByName(0, "mL", 9.0)
    table.Modified()
    assert texts(view)[0][1] == "9"


def test_a_table_can_be_turned(scene, table):
    import slicer

    view = slicer.qMRMLTableView()
    view.setMRMLScene(scene)
    view.setMRMLTableNode(table)
    view.transposed = True
    assert texts(view) == [["left", "right"], ["1.5", "2.25"], ["3", "4"]]


def test_a_removed_table_leaves_an_empty_view(scene, table):
    import slicer

    view = slicer.qMRMLTableView()
    view.setMRMLScene(scene)
    view.setMRMLTableNode(table)
    scene.RemoveNode(table)
    assert view.mrmlTableNode() is None
    assert view.model().rowCount() == 0
    view.setMRMLTableNode(None)


def test_the_segment_selector_follows_node_and_segments(scene, segmentation):
    import slicer

    selector = slicer.qMRMLSegmentSelectorWidget()
    seen = []
    selector.currentSegmentChanged.connect(seen.append)
    selector.setMRMLScene(scene)
    selector.setCurrentNode(segmentation)
    assert selector.currentNodeID() == segmentation.GetID()
    assert selector.currentSegmentID() == "left"
    selector.setCurrentSegmentID("right")
    segmentation.GetSegmentation().RemoveSegment("right")
    assert selector.currentSegmentID() == "left"
    assert seen == ["left", "right", "left"]
    scene.RemoveNode(segmentation)
    assert selector.currentSegmentID() == ""


def test_the_segments_table_lists_and_selects(scene, segmentation):
    import slicer

    view = slicer.qMRMLSegmentsTableView()
    view.setMRMLScene(scene)
    view.setSegmentationNode(segmentation)
    seen = []
    view.selectionChanged.connect(lambda *_: seen.append(tuple(view.selectedSegmentIDs())))
    assert tuple(view.displayedSegmentIDs()) == ("left", "right", "rest")
    view.setSelectedSegmentIDs(["right", "rest"])
    assert tuple(view.selectedSegmentIDs()) == ("right", "rest")
    segmentation.GetSegmentation().GetSegment("rest").SetName("Other")
    assert tuple(view.selectedSegmentIDs()) == ("right", "rest")
    view.setHideSegments(["left"])
    assert (view.segmentCount, view.rowForSegmentID("left"), view.rowForSegmentID("right")) == (2, -1, 0)
    view.clearSelection()
    assert seen[-1] == ()
    view.setSegmentationNode(None)
    assert view.segmentCount == 0


def test_a_picture_of_a_widget_shows_it(screenshot, scene, segmentation, table):
    import ctk
    import qt
    import slicer

    window = qt.QWidget()
    column = qt.QVBoxLayout(window)
    fold = ctk.ctkCollapsibleButton("Inputs")
    form = qt.QFormLayout(fold)
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLSegmentationNode"]
    selector.setMRMLScene(scene)
    form.addRow("Segmentation:", selector)
    form.addRow("Sigma:", ctk.ctkSliderWidget())
    form.addRow("Folder:", ctk.ctkPathLineEdit())
    segments = slicer.qMRMLSegmentsTableView()
    segments.setSegmentationNode(segmentation)
    sheet = slicer.qMRMLTableView()
    sheet.setMRMLTableNode(table)
    for widget in (fold, segments, sheet, qt.QPushButton("Apply")):
        column.addWidget(widget)
    path = screenshot(window, "host_widgets", size=(480, 640))
    picture = qt.QImage(str(path))
    pixels = np.array([[picture.pixel(x, y) & 0xFFFFFF for x in range(0, 480, 2)] for y in range(0, 640, 2)])
    assert (picture.width(), picture.height()) == (480, 640)
    assert len(np.unique(pixels)) > 20
    assert {0xFF0000, 0x00FF00, 0x0000FF} <= set(np.unique(pixels))


def test_an_empty_picture_would_be_noticed(screenshot, host):
    import qt

    path = screenshot(qt.QWidget(), "host_empty", size=(40, 40))
    picture = qt.QImage(str(path))
    assert len({picture.pixel(x, y) for x in range(40) for y in range(40)}) == 1
