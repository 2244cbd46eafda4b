"""Label maps to segmentation nodes: names, colours, DICOM codes, reference geometry, one shared image per layer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import InputError, SceneError
from ..core.labelmap import LabelMap
from ._slicer import slicer
from .attributes import set_affine, set_flags, set_text, to_json
from .nodes import (
    added,
    free_name,
    label_of,
    one_modification,
    require_scene,
    require_target,
)
from .provenance import facts_of, stamp
from .segment_objects import Entry, build, fill, refill, set_reference_geometry
from .segment_reading import segment_ids
from .texts import storable_line
from .volumes import volume_from_node, volume_geometry


def labels_to_segmentation(
    labels: LabelMap,
    scene: Any,
    name: str | None = None,
    reference: Any = None,
    node: Any = None,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> Any:
    """Put a label map into a scene as a segmentation.

    Parameters
    ----------
    labels : LabelMap
        Every segment is kept, empty ones too.  Segment IDs are ``Segment_<label>``; names are kept as they are.
    scene : vtkMRMLScene
    name : str, optional
        The node's name; "Segmentation", or a free name made from it, if not given.
    reference : vtkMRMLVolumeNode, optional
        The volume that the labels belong to: its grid (in world RAS) must be the labels' grid.  It becomes the
        segmentation's reference volume, which Slicer's DICOM SEG export needs.  Without it the labels' own grid
        becomes the reference geometry.
    node : vtkMRMLSegmentationNode, optional
        An existing node of the scene whose content is replaced in one modification.  Segments of the same name keep
        their IDs and display settings.
    provenance : mapping, optional
        Facts to add to the node's provenance, JSON values.  ``input_sha256`` is the reference volume's digest unless
        given.

    Returns
    -------
    vtkMRMLSegmentationNode

    Raises
    ------
    GeometryError
        If the reference volume's grid is another one.
    SceneError, InputError
        If the scene, a node or a code cannot be used.  Nothing was added or changed then.
    """
    return layers_to_segmentation((labels,), scene, name, reference, node, provenance=provenance)


def layers_to_segmentation(
    layers: Sequence[LabelMap],
    scene: Any,
    name: str | None = None,
    reference: Any = None,
    node: Any = None,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> Any:
    """Put segments that may overlap into a scene: like :func:`labels_to_segmentation`, with one label map per layer.

    Parameters
    ----------
    layers : sequence of LabelMap
        At least one; all on one grid; names and labels distinct over all layers.
    """
    require_scene(scene)
    if not layers:
        raise InputError("A segmentation needs at least one layer.", hint="Pass a label map; it may be empty.")
    geometry = layers[0].geometry
    digests = [layer.digest() for layer in layers]
    digest = digests[0] if len(layers) == 1 else hashlib.sha256("".join(digests).encode("ascii")).hexdigest()
    seen = ""
    if reference is not None:
        require_target(reference, "vtkMRMLVolumeNode", "reference volume", scene)
        volume_geometry(reference, transform="harden").require_same(geometry, "segmentation")
        if "input_sha256" not in (provenance or {}):
            seen = volume_from_node(reference, transform="harden").digest()
    facts = facts_of(digest, provenance, seen)
    meta = to_json({key: value for layer in layers for key, value in layer.meta.items()})
    if node is not None:
        require_target(node, "vtkMRMLSegmentationNode", "segmentation", scene)
        if node.GetParentTransformNode() is not None:
            raise SceneError(
                f"The output segmentation {label_of(node)} is under a transform.",
                hint="Remove the transform from it first.",
            )
        entries = build(layers, segment_ids(node))
        with one_modification(node):
            refill(node.GetSegmentation(), entries)
            if name is not None:
                node.SetName(storable_line(name))
            _finish(node, layers, reference, facts, meta)
        _place_beside(node, reference)
        return node
    created = _new_node(build(layers))
    created.SetName(free_name(scene, name, "Segmentation"))
    with added(scene, created):
        _finish(created, layers, reference, facts, meta)
        created.CreateDefaultDisplayNodes()
    _place_beside(created, reference)
    return created


def _new_node(entries: Sequence[Entry]) -> Any:
    node = slicer.vtkMRMLSegmentationNode()
    segmentation = slicer.vtkSegmentation()
    fill(segmentation, entries)
    node.SetAndObserveSegmentation(segmentation)
    return node


def _finish(node: Any, layers: Sequence[LabelMap], reference: Any, facts: Mapping[str, Any], meta: str) -> None:
    role = node.GetReferenceImageGeometryReferenceRole()
    if reference is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    else:
        node.RemoveNodeReferenceIDs(role)
        set_reference_geometry(node.GetSegmentation(), layers[0].geometry)
    set_affine(node, layers[0].geometry)
    set_flags(node, tuple(dict.fromkeys(flag for layer in layers for flag in layer.flags)))
    set_text(node, "Meta", meta if meta != "{}" else "")
    stamp(node, facts)


def _place_beside(node: Any, reference: Any) -> None:
    """Move the segmentation beside its reference volume in the subject hierarchy, where DICOM export looks for it."""
    scene = node.GetScene()
    if reference is None or scene.GetNumberOfNodesByClass("vtkMRMLSubjectHierarchyNode") == 0:
        return
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    nowhere = hierarchy.GetInvalidItemID()
    mine, theirs = hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(reference)
    if mine != nowhere and theirs != nowhere:
        hierarchy.SetItemParent(mine, hierarchy.GetItemParent(theirs))
