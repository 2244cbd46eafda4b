"""Findings as Markups ROIs, and the files that the command line writes for Slicer."""

import itertools

import numpy as np
import pytest
import slicer

from medai.core.errors import SceneError
from medai.core.geometry import Geometry
from medai.mrml.detections import detections_to_rois, finding_of
from medai.segment.detection.markups import write_markups
from medai.segment.detection.result import Detection, Detections


def findings(grid):
    return Detections(
        (
            Detection.of(grid, (1, 2, 0.5), (4, 5, 3), 0.8, name="Nodule"),
            Detection.of(grid, (0, 0, 1), (2, 1.5, 2), 0.9, name="Nodule"),
        ),
        grid,
    )


def corners(item, grid):
    points = itertools.product(*zip(item.low, item.high, strict=True))
    return grid.to_ras(np.array(list(points)) - 0.5)


def box_corners(node):
    matrix = node.GetObjectToWorldMatrix()
    half = np.asarray(node.GetSize()) / 2
    points = []
    for signs in itertools.product((-1, 1), repeat=3):
        x, y, z = half * np.array(signs)
        points.append(matrix.MultiplyPoint((x, y, z, 1))[:3])
    return np.array(points)


def same_points(a, b):
    return all(np.linalg.norm(b - point, axis=1).min() < 1e-4 for point in a)


def test_each_finding_becomes_a_box_in_its_place(scene, oblique):
    found = findings(oblique)
    nodes = detections_to_rois(found, scene)
    assert len(nodes) == 2
    for node, item in zip(nodes, found.items, strict=True):
        assert same_points(corners(item, oblique), box_corners(node))
        assert finding_of(node) == item
        assert f"{item.score:.3f}" in node.GetDescription()
        assert node.GetLocked()
    assert nodes[0].GetAttribute("MedAI.Score") == "0.9"


def test_only_the_best_are_added(scene):
    grid = Geometry.from_spacing((8, 8, 8))
    found = findings(grid)
    (node,) = detections_to_rois(found, scene, most=1)
    assert finding_of(node) == found.items[0]
    assert detections_to_rois(Detections((), grid), scene) == []


def test_something_else_than_a_scene_is_refused(oblique):
    with pytest.raises(SceneError):
        detections_to_rois(findings(oblique), object())


def test_slicer_reads_the_written_files_as_the_same_boxes(scene, oblique, tmp_path):
    found = findings(oblique)
    files = write_markups(found, tmp_path)
    assert [file.name for file in files] == ["finding_001.mrk.json", "finding_002.mrk.json"]
    for file, item in zip(files, found.items, strict=True):
        node = scene.AddNode(slicer.vtkMRMLMarkupsROINode())
        storage = slicer.vtkMRMLMarkupsROIJsonStorageNode()
        scene.AddNode(storage)
        storage.SetFileName(str(file))
        assert storage.ReadData(node)
        assert same_points(corners(item, oblique), box_corners(node))
        assert f"score {item.score:.3f}" in node.GetNthControlPointDescription(0)
