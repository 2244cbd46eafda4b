"""qMRMLNodeComboBox over the real scene: what it lists, what it selects by itself, what it tells."""

import pytest

VOLUME = "vtkMRMLScalarVolumeNode"


@pytest.fixture
def selector(scene):
    """A selector of volumes; it gets the scene in the test, after its properties."""
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = [VOLUME]
    return box


def names(box):
    return [node.GetName() for node in box.nodes()]


def test_defaults_are_those_of_slicer(selector):
    assert (selector.noneEnabled, selector.addEnabled, selector.removeEnabled) == (False, True, True)
    assert (selector.renameEnabled, selector.editEnabled, selector.showHidden) == (False, False, False)
    assert (selector.showChildNodeTypes, selector.selectNodeUponCreation, selector.noneDisplay) == (True, True, "None")
    assert selector.enabled is False
    assert selector.currentNode() is None
    assert selector.currentNodeID == ""


def test_it_lists_nodes_in_scene_order_and_follows_names(scene, selector):
    first = scene.AddNewNodeByClass(VOLUME, "First")
    selector.setMRMLScene(scene)
    scene.AddNewNodeByClass(VOLUME, "Second")
    scene.AddNewNodeByClass("vtkMRMLTableNode", "Other")
    first.SetName("Renamed")
    assert names(selector) == ["Renamed", "Second"]
    assert selector.nodeCount() == 2
    assert selector.nodeFromIndex(0) is first
    assert selector.nodeFromIndex(5) is None


def test_hidden_nodes_are_listed_only_on_demand(scene, selector):
    selector.setMRMLScene(scene)
    hidden = scene.CreateNodeByClass(VOLUME)
    hidden.UnRegister(None)
    hidden.SetHideFromEditors(True)
    scene.AddNode(hidden)
    assert selector.nodeCount() == 0
    selector.showHidden = True
    assert selector.nodeCount() == 1


def test_child_classes(scene, selector):
    selector.setMRMLScene(scene)
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    scene.AddNewNodeByClass(VOLUME, "Image")
    assert names(selector) == ["Labels", "Image"]
    selector.showChildNodeTypes = False
    assert names(selector) == ["Image"]
    selector.showChildNodeTypes = True
    selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    assert names(selector) == ["Image"]


def test_attributes_filter_and_are_given_to_new_nodes(scene, selector):
    selector.setMRMLScene(scene)
    scene.AddNewNodeByClass(VOLUME, "Plain")
    selector.addAttribute(VOLUME, "Made", "here")
    assert names(selector) == []
    node = selector.addNode()
    assert node.GetAttribute("Made") == "here"
    assert names(selector) == [node.GetName()]
    selector.removeAttribute(VOLUME, "Made")
    assert selector.nodeCount() == 2


def test_the_first_node_is_selected_when_the_scene_comes_and_none_is_no_choice(scene, selector):
    node = scene.AddNewNodeByClass(VOLUME)
    scene.AddNewNodeByClass(VOLUME)
    told = []
    selector.currentNodeChanged.connect(told.append)
    selector.setMRMLScene(scene)
    assert selector.currentNode() is node
    assert told == [node]


def test_nothing_is_selected_when_the_scene_comes_and_none_is_a_choice(scene, selector):
    scene.AddNewNodeByClass(VOLUME)
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    assert selector.currentNode() is None


def test_a_box_without_extra_items_selects_the_first_node_that_appears(scene, selector):
    selector.addEnabled = selector.removeEnabled = False
    selector.setMRMLScene(scene)
    node = scene.AddNewNodeByClass(VOLUME)
    assert selector.currentNode() is node
    scene.AddNewNodeByClass(VOLUME)
    assert selector.currentNode() is node


def test_a_box_with_extra_items_selects_nothing_by_itself(scene, selector):
    selector.setMRMLScene(scene)
    scene.AddNewNodeByClass(VOLUME)
    assert selector.currentNode() is None


def test_a_wish_before_the_scene_is_kept(scene, selector):
    scene.AddNewNodeByClass(VOLUME)
    wanted = scene.AddNewNodeByClass(VOLUME)
    selector.setCurrentNodeID(wanted.GetID())
    assert selector.currentNode() is None
    selector.setMRMLScene(scene)
    assert selector.currentNode() is wanted


def test_signals_tell_each_change_once(scene, selector):
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    node = scene.AddNewNodeByClass(VOLUME)
    nodes, ids, valid = [], [], []
    selector.currentNodeChanged.connect(nodes.append)
    selector.connect("currentNodeIDChanged(QString)", ids.append)
    selector.connect("currentNodeChanged(bool)", valid.append)
    selector.setCurrentNode(node)
    selector.setCurrentNode(node)
    selector.setCurrentNode(None)
    assert nodes == [node, None]
    assert ids == [node.GetID(), ""]
    assert valid == [True, False]


def test_a_removed_node_gives_way_to_another_and_then_to_nothing(scene, selector):
    selector.setMRMLScene(scene)
    one, two = scene.AddNewNodeByClass(VOLUME), scene.AddNewNodeByClass(VOLUME)
    selector.setCurrentNode(two)
    gone = []
    selector.nodeAboutToBeRemoved.connect(lambda node: gone.append(node.GetID()))
    changes = []
    selector.currentNodeChanged.connect(changes.append)
    removed = two.GetID()
    scene.RemoveNode(two)
    assert selector.currentNode() is one
    scene.RemoveNode(one)
    assert selector.currentNode() is None
    assert gone[0] == removed
    assert changes[-1] is None


def test_closing_the_scene_empties_it(scene, selector):
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    selector.setCurrentNode(scene.AddNewNodeByClass(VOLUME))
    scene.Clear(0)
    assert selector.nodeCount() == 0
    assert selector.currentNode() is None


def test_create_and_delete_by_the_items_as_a_person_does(scene, selector, host):
    if not host.installed:
        pytest.skip("picks an item of the stand-in's inner box")
    selector.setMRMLScene(scene)
    inner = selector._host_combo
    by_user = []
    selector.nodeAddedByUserAction.connect(by_user.append)
    texts = [inner.itemText(row) for row in range(inner.count)]
    assert texts == ["", "Create new Volume", "Delete current Volume"]
    inner.setCurrentIndex(1)
    inner.activated.emit(1)
    node = selector.currentNode()
    assert by_user == [node]
    inner.activated.emit(inner.count - 1)
    assert selector.currentNode() is None
    assert scene.GetNumberOfNodesByClass(VOLUME) == 0


def test_a_new_node_is_named_by_the_base_name(scene, selector):
    selector.baseName = "Result"
    selector.setMRMLScene(scene)
    assert [selector.addNode().GetName() for _ in range(2)] == ["Result", "Result_1"]


def test_a_new_node_is_selected_unless_told_otherwise(scene, selector):
    selector.setMRMLScene(scene)
    first = selector.addNode()
    assert selector.currentNode() is first
    selector.selectNodeUponCreation = False
    selector.addNode()
    assert selector.currentNode() is first


def test_a_class_that_is_not_listed_is_not_created(scene, selector):
    selector.setMRMLScene(scene)
    assert selector.addNode("vtkMRMLTableNode") is None


@pytest.mark.parametrize("wrong", ["vtkMRMLScalarVolumeNode1", 5])
def test_set_current_node_takes_a_node(scene, selector, wrong):
    selector.setMRMLScene(scene)
    with pytest.raises((TypeError, ValueError)):
        selector.setCurrentNode(wrong)


def test_choosing_by_index(scene, selector):
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    node = scene.AddNewNodeByClass(VOLUME)
    selector.setCurrentNodeIndex(0)
    assert selector.currentNode() is node
    selector.setCurrentNodeIndex(9)
    assert selector.currentNode() is None
