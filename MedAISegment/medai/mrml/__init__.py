"""The scene bridge: MRML nodes to values and back.

Works over the Slicer application and over pip's slicer-core alike: the scene is always an explicit argument, and no
Qt is used.  Importing this package imports ``slicer`` (about 1.5 s), so the rest of the library never does.
"""

from __future__ import annotations

from .labelmaps import labels_from_volume, labels_to_volume
from .plots import scores_to_plot
from .provenance import provenance_of, stamp
from .segment_reading import labels_from_segmentation, layers_from_segmentation, segment_ids
from .segmentations import labels_to_segmentation, layers_to_segmentation
from .session import HeadlessSession
from .surfaces import add_surfaces
from .tables import table_from_node, table_to_node
from .volumes import volume_from_node, volume_geometry, volume_to_node

__all__ = [
    "HeadlessSession",
    "add_surfaces",
    "labels_from_segmentation",
    "labels_from_volume",
    "labels_to_segmentation",
    "labels_to_volume",
    "layers_from_segmentation",
    "layers_to_segmentation",
    "provenance_of",
    "scores_to_plot",
    "segment_ids",
    "stamp",
    "table_from_node",
    "table_to_node",
    "volume_from_node",
    "volume_geometry",
    "volume_to_node",
]
