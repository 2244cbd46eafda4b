"""Real images and expert labels through a scene and back."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer")

import slicer

from medai.core.io import read_labelmap, read_volume
from medai.core.labelmap import Code, Segment
from medai.mrml import labels_from_segmentation, labels_to_segmentation, volume_from_node, volume_to_node
from medai.mrml.arrays import from_image

pytestmark = pytest.mark.data
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
HIPPOCAMPUS = (
    Segment(1, "Anterior", (0.9, 0.5, 0.2), ANATOMY, Code("10003005", "99MEDAI", "Hippocampus, anterior part")),
    Segment(2, "Posterior", (0.2, 0.5, 0.9), ANATOMY, Code("10003006", "99MEDAI", "Hippocampus, posterior part")),
)


def test_brain_t1(session, data_dir, tmp_path):
    volume = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    node = volume_to_node(volume, session.scene, "T1")
    digest = volume_from_node(node).digest()
    assert np.array_equal(volume_from_node(node).array, volume.array)
    assert volume_from_node(node).geometry == volume.geometry
    display = node.GetDisplayNode()
    finite = volume.array[np.isfinite(volume.array)]
    assert finite.min() <= display.GetWindowLevelMin() < display.GetWindowLevelMax() <= finite.max()
    session.save(tmp_path / "t1.mrb")
    session.load(tmp_path / "t1.mrb")
    back = volume_from_node(session.scene.GetFirstNodeByName("T1"))
    assert back.digest() == digest
    assert back.geometry == volume.geometry


def test_hippocampus_pair(session, data_dir, tmp_path):
    folder = data_dir / "msd_hippocampus"
    image_path = sorted((folder / "images").glob("*.nii.gz"))[0]
    label_path = folder / "labels" / image_path.name
    volume, labels = read_volume(image_path), read_labelmap(label_path, segments=HIPPOCAMPUS)
    scene = session.scene
    image = volume_to_node(volume, scene, "image")
    node = labels_to_segmentation(labels, scene, "labels", reference=image)
    out = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.ExportAllSegmentsToLabelmapNode(node, out, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY)
    assert np.array_equal(from_image(out.GetImageData()), labels.array)
    scene.RemoveNode(out)
    session.save(tmp_path / "h.mrb")
    session.load(tmp_path / "h.mrb")
    image, node = scene.GetFirstNodeByName("image"), scene.GetFirstNodeByName("labels")
    back = labels_from_segmentation(node, image)
    assert back.digest() == labels.digest()
    assert [s.type for s in back.segments] == [s.type for s in labels.segments]
    assert back.volumes_ml() == pytest.approx(labels.volumes_ml())
    assert np.array_equal(volume_from_node(image).array, volume.array)
    voxel = np.argwhere(labels.array == 1)[0]
    assert np.allclose(back.geometry.to_ras(voxel[::-1]), labels.geometry.to_ras(voxel[::-1]), atol=1e-9)
