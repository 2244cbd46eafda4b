"""Segments and surfaces of 117 labels: ours beside Slicer's own ways.

``MEDAI_BENCH_FULL=1`` takes 512 x 512 x 300 voxels; otherwise 256 x 256 x 150.
"""

from __future__ import annotations

import os

import numpy as np

FULL = os.environ.get("MEDAI_BENCH_FULL") == "1"
SHAPE = (300, 512, 512) if FULL else (150, 256, 256)
LABELS = 117


def phantom(shape=SHAPE, count=LABELS):
    """Ellipsoids that touch: about a third of the voxels belong to one of them."""
    random = np.random.default_rng(3)
    result = np.zeros(shape, np.uint8)
    size = np.array(shape) / 5
    for label in range(1, count + 1):
        centre = (np.array(np.unravel_index(label - 1, (5, 5, 5))) + 0.5 + random.uniform(-0.1, 0.1, 3)) * size
        radius = size * random.uniform(0.3, 0.6, 3)
        low = np.maximum(np.floor(centre - radius), 0).astype(int)
        high = np.minimum(np.ceil(centre + radius) + 1, shape).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        axes = np.ogrid[box]
        inside = sum(((x - c) / r) ** 2 for x, c, r in zip(axes, centre, radius, strict=True)) < 1
        result[box][inside] = label
    return result


def values():
    """Return the label map and the image that it belongs to."""
    from medai.core.geometry import Geometry
    from medai.core.labelmap import LabelMap
    from medai.core.volume import Volume

    array = phantom()
    geometry = Geometry.from_spacing(array.shape, (0.8, 0.8, 1.5), (0.0, 0.0, 0.0), np.eye(3))
    return LabelMap(array, geometry), Volume(array.astype(np.int16), geometry)


def opened():
    """Return an open session; it lives as long as the process."""
    from medai.mrml import HeadlessSession

    session = HeadlessSession()
    session.__enter__()
    return session


def segments():
    """A result into the scene: names, geometry, reference volume, provenance."""
    import slicer

    from medai.mrml import labels_to_segmentation, labels_to_volume, volume_to_node

    session = opened()
    labels, volume = values()
    reference = volume_to_node(volume, session.scene)
    source = labels_to_volume(labels, session.scene)
    digest = volume.digest()

    def ours():
        labels_to_segmentation(labels, session.scene, reference=reference, provenance={"input_sha256": digest})

    def ours_digests_all():
        labels_to_segmentation(labels, session.scene, reference=reference)

    def slicers():
        node = session.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
        slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(source, node)

    return {"ours": ours, "ours, image's digest too": ours_digests_all, "ImportLabelmap...": slicers}


def surfaces():
    """Closed surfaces of all segments."""
    from medai.mrml import add_surfaces, labels_to_segmentation
    from medai.mrml._slicer import register_converters

    register_converters()
    session = opened()
    node = labels_to_segmentation(values()[0], session.scene)

    def slicers():
        node.RemoveClosedSurfaceRepresentation()
        node.CreateClosedSurfaceRepresentation()

    return {"ours": lambda: {"surfaces": add_surfaces(node)}, "CreateClosedSurface...": slicers}


CASES = {"117 segments into the scene": segments, "117 surfaces": surfaces}
