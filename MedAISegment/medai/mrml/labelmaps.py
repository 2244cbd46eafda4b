"""Label maps to Slicer's label map volume nodes and back, with names and colours in a colour table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.labelmap import LabelMap, Segment
from ..core.volume import Volume
from ._slicer import slicer
from .arrays import to_image, to_matrix
from .attributes import get_json, set_affine, set_flags, set_json
from .nodes import TransformChoice, added, free_name, require_node, require_scene
from .provenance import facts_of, stamp
from .texts import storable_line
from .volumes import keep_orientation, volume_from_node


def labels_to_volume(
    labels: LabelMap, scene: Any, name: str | None = None, *, provenance: Mapping[str, Any] | None = None
) -> Any:
    """Put a label map into a scene as a label map volume with its own colour table.

    Prefer :func:`medai.mrml.labels_to_segmentation`; some Slicer modules take only label map volumes.

    Returns
    -------
    vtkMRMLLabelMapVolumeNode

    Raises
    ------
    SceneError
        If the scene cannot be used; nothing was added then.
    """
    require_scene(scene)
    facts = facts_of(labels.digest(), provenance)
    node, colors = slicer.vtkMRMLLabelMapVolumeNode(), slicer.vtkMRMLColorTableNode()
    node.SetName(free_name(scene, name, "Labels"))
    colors.SetName(f"{node.GetName()} colours")
    _fill_colors(colors, labels)
    node.SetIJKToRASMatrix(to_matrix(labels.geometry.ijk_to_ras))
    node.SetAndObserveImageData(to_image(labels.array))
    set_affine(node, labels.geometry)
    set_flags(node, labels.flags)
    set_json(node, "Meta", dict(labels.meta))
    set_json(node, "Segments", [segment.to_dict() for segment in labels.segments])
    for item in (node, colors):
        stamp(item, facts)
    with added(scene, colors, node):
        keep_orientation(node)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    return node


def labels_from_volume(node: Any, *, transform: TransformChoice = "error") -> LabelMap:
    """Return a label map volume's content, with the names and colours of its colour table.

    Parameters
    ----------
    node : vtkMRMLLabelMapVolumeNode
    transform : {"error", "harden"}
        As :func:`medai.mrml.volume_from_node`.

    Raises
    ------
    InputError
        If a value is not a whole number from 0 to 65535.
    SceneError
        If the node is not a label map volume, is empty, or under a transform.
    """
    require_node(node, "vtkMRMLLabelMapVolumeNode", "label map volume")
    volume: Volume = volume_from_node(node, transform=transform)
    plain = LabelMap(volume.array, volume.geometry, flags=volume.flags, meta=volume.meta)
    written = {item["label"]: Segment.from_dict(item) for item in get_json(node, "Segments") or ()}
    colors = node.GetDisplayNode().GetColorNode() if node.GetDisplayNode() is not None else None
    segments = list(written.values())
    taken = {segment.name for segment in segments}
    for segment in plain.segments:
        if segment.label not in written:
            segments.append(_named(segment, colors, taken))
            taken.add(segments[-1].name)
    return plain.replace(segments=tuple(segments))


def _fill_colors(colors: Any, labels: LabelMap) -> None:
    colors.SetTypeToUser()
    colors.SetHideFromEditors(True)
    colors.SetNumberOfColors(max((s.label for s in labels.segments), default=0) + 1)
    colors.SetColor(0, "Background", 0.0, 0.0, 0.0, 0.0)
    for segment in labels.segments:
        colors.SetColor(segment.label, storable_line(segment.name), *segment.color, 1.0)


def _named(segment: Segment, colors: Any, taken: set[str]) -> Segment:
    if colors is None or segment.label >= colors.GetNumberOfColors():
        return segment
    rgba = [0.0, 0.0, 0.0, 0.0]
    colors.GetColor(segment.label, rgba)
    name = colors.GetColorName(segment.label) or segment.name
    name = segment.name if name in taken else name
    return Segment(segment.label, name, (rgba[0], rgba[1], rgba[2]))
