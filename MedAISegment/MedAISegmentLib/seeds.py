"""Points, boxes and grids of the scene as settings of the library's steps."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _


class Placed:
    """Settings read from a node, and a fingerprint that says whether they are still the same."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def digest(self) -> str:
        """Return the same text for the same values."""
        from medai.core.settings import digest_json

        return digest_json(self.values)


def readSeeds(node: Any) -> Placed:
    """Return a point list's defined, visible points as the setting ``seeds``.

    Positions are in world RAS mm, parent transforms included.  A point's label without a number at its end is the name
    of the segment: "Liver-1" and "Liver-2" grow one segment "Liver".

    Raises
    ------
    medai.core.errors.SceneError
        If there is no such point.
    """
    from medai.core.errors import SceneError
    from medai.segment.seeding import segment_of_label
    from MedAISegmentLib.logic import requireNode

    requireNode(node, _("list of points"))
    seeds = []
    for number in range(node.GetNumberOfControlPoints()):
        defined = node.GetNthControlPointPositionStatus(number) == slicer.vtkMRMLMarkupsNode.PositionDefined
        if not defined or not node.GetNthControlPointVisibility(number):
            continue
        position = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(number, position)
        seeds.append({"ras": position, "segment": segment_of_label(node.GetNthControlPointLabel(number) or "")})
    if not seeds:
        raise SceneError(
            _("The list of points has no visible point."), hint=_("Place at least one point inside each structure.")
        )
    return Placed({"seeds": seeds})


def readBox(node: Any) -> Placed:
    """Return a Markups ROI's bounding box in world RAS mm, with the names of the library's settings."""
    from MedAISegmentLib.logic import requireNode

    requireNode(node, _("box"))
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    pairs = list(zip(bounds[::2], bounds[1::2], strict=True))
    centre = [(low + high) / 2 for low, high in pairs]
    return Placed({"centre_ras": centre, "size_mm": [high - low for low, high in pairs]})


def readGrid(node: Any) -> Placed:
    """Return a volume node's grid as the setting ``grid``; its voxels do not count."""
    from medai.mrml import volume_geometry
    from MedAISegmentLib.logic import requireNode

    requireNode(node, _("reference image"))
    geometry = volume_geometry(node)
    return Placed({"grid": {"shape": list(geometry.shape), "ijk_to_ras": geometry.ijk_to_ras.tolist()}})
