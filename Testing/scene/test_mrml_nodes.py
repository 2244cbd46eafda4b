"""medai.mrml.nodes and segment_objects: nothing half-made stays behind."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer")

import slicer

from medai.core.errors import SceneError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.mrml import labels_from_segmentation, labels_to_segmentation, volume_to_node
from medai.mrml.nodes import added, nodes_of, one_modification, to_world
from medai.mrml.segment_objects import build, refill

GRID = Geometry.from_spacing((2, 3, 4))


def listing(scene):
    return [scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())]


@pytest.mark.parametrize("fault", [ZeroDivisionError, KeyboardInterrupt])
def test_a_fault_takes_the_node_and_its_display_away_again(scene, fault):
    before = listing(scene)
    node = slicer.vtkMRMLScalarVolumeNode()
    within = []

    def fail_half_way():
        with added(scene, node):
            node.CreateDefaultDisplayNodes()
            within.extend(listing(scene))
            raise fault

    with pytest.raises(fault):
        fail_half_way()
    assert len(within) == len(before) + 2
    assert listing(scene) == before


def test_a_node_that_another_part_removed_at_once_is_an_error(scene, volume, capfd):
    tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, lambda caller, event: remove(scene))
    try:
        with pytest.raises(SceneError, match="removed"):
            volume_to_node(volume, scene)
    finally:
        scene.RemoveObserver(tag)
    assert "scene is invalid" in capfd.readouterr().err  # Slicer's own complaint
    assert nodes_of(scene, "vtkMRMLVolumeNode") == []


def remove(scene):
    for node in nodes_of(scene, "vtkMRMLVolumeNode"):
        scene.RemoveNode(node)


def test_nothing_is_added_to_a_scene_that_is_being_closed(scene, volume):
    seen = []

    def late(caller, event):
        try:
            volume_to_node(volume, scene)
        except SceneError as error:
            seen.append(str(error))

    tag = scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, late)
    scene.Clear(0)
    scene.RemoveObserver(tag)
    assert "being closed" in seen[0]
    assert nodes_of(scene, "vtkMRMLVolumeNode") == []


def test_a_refused_segment_brings_the_old_content_back(scene, capfd):
    array = np.zeros(GRID.shape, np.uint8)
    array[0], array[1] = 1, 2
    old = LabelMap(array, GRID, (Segment(1, "a", (1, 0, 0)), Segment(2, "b", (0, 1, 0))))
    node = labels_to_segmentation(old, scene)
    new = build((LabelMap(np.full(GRID.shape, 2, np.uint8), GRID, (Segment(2, "c"), Segment(7, "d"))),))
    with pytest.raises(SceneError, match="refused the segment bad"), one_modification(node):
        refill(node.GetSegmentation(), [*new, ("bad", None)])
    assert "Invalid segment" in capfd.readouterr().err  # Slicer's own complaint
    back = labels_from_segmentation(node)
    assert back.segments == old.segments
    assert back.digest() == old.digest()
    assert node.GetSegmentation().GetNumberOfLayers() == 1


def test_the_transform_choice_is_checked(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    with pytest.raises(ValueError, match="'error' or 'harden'"):
        to_world(node, "ignore")
