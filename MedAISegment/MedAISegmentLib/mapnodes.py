"""Maps of how sure a network is, as volume nodes that nothing shows until somebody asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import slicer
from slicer.i18n import tr as _

COLOURS = "vtkMRMLColorTableNodeIron"
"""One of Slicer's own colour tables: dark where the value is low, bright where it is high."""


def addMaps(maps: Mapping[str, Any], volumeNode: Any, facts: Mapping[str, Any]) -> list[Any]:
    """Put maps (values on the image's grid, by name) into the scene and return their nodes."""
    from medai.mrml import volume_to_node

    titles = {
        "entropy": _("entropy"),
        "agreement": _("agreement"),
        "mutual_information": _("mutual information"),
    }
    scene, nodes = slicer.mrmlScene, []
    for name, volume in maps.items():
        title = scene.GenerateUniqueName(f"{volumeNode.GetName()} {titles.get(name, name)}")
        node = volume_to_node(volume, scene, title, provenance={**facts, "map": name})
        node.GetDisplayNode().SetAndObserveColorNodeID(COLOURS)
        nodes.append(node)
    return nodes
