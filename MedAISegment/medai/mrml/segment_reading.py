"""Segmentation nodes to label maps: one grid, unique names and labels, overlaps found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import SceneError, UnsupportedInput
from ..core.geometry import Geometry
from ..core.labelmap import MAX_LABEL, LabelMap, Segment
from ..core.qc import QCFlag, Severity
from ._slicer import BINARY_LABELMAP, REFERENCE_GEOMETRY, register_converters, slicer
from .arrays import from_image, to_matrix
from .attributes import exact_geometry, get_flags, get_meta, image_geometry
from .grids import counts_outside, place
from .nodes import TransformChoice, label_of, require_node, to_world
from .segment_objects import color_of, set_reference_geometry
from .terminology import get_tag, parse
from .volumes import volume_geometry

_ANY_EXTENT = slicer.vtkSegmentation.EXTENT_UNION_OF_SEGMENTS


@dataclass
class _Item:
    """One segment of a node: its ID, what it becomes, and the value that marks it in its image."""

    id: str
    segment: Segment
    value: int
    vtk: Any


@dataclass
class _Layer:
    """Labels on the target grid, and the segments that they belong to."""

    array: npt.NDArray[np.uint16]
    segments: list[Segment] = field(default_factory=list)


def segment_ids(node: Any) -> dict[str, str]:
    """Return the map from the segment names that reading ``node`` gives to Slicer's segment IDs, in the node's order.

    Slicer allows repeated names; a LabelMap does not.  The second "Tumour" is read as "Tumour (2)", and this map says
    which segment that is.
    """
    require_node(node, "vtkMRMLSegmentationNode", "segmentation")
    return {item.segment.name: item.id for item in _items(node.GetSegmentation())}


def labels_from_segmentation(
    node: Any, reference: Any = None, *, transform: TransformChoice = "error", resample: bool = False
) -> LabelMap:
    """Return a segmentation's content as one label map.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        Never changed.  Surfaces are converted on a copy.
    reference : vtkMRMLVolumeNode or Geometry, optional
        The grid of the result, world RAS mm; the segmentation's reference geometry if not given.
    transform : {"error", "harden"}
        What to do about a transform on the segmentation or the reference: refuse, or apply it to the grids.
    resample : bool
        Take the nearest voxel where the segmentation has other voxel centres than ``reference``.

    Returns
    -------
    LabelMap
        Segments in the node's order, empty ones included.  Label values are the node's if they are distinct, else
        1, 2, 3, ...  Repeated names get a number (see :func:`segment_ids`).  Voxels outside the grid are left out and
        flagged ``FOV_CLIPPED``.

    Raises
    ------
    UnsupportedInput
        If two segments overlap; both are named.  :func:`layers_from_segmentation` reads those.
    GeometryError
        If the grids differ and ``resample`` is false.
    SceneError
        If the node cannot be read.
    """
    layers = layers_from_segmentation(node, reference, transform=transform, resample=resample)
    if len(layers) > 1:
        first, second, count = _overlap(layers)
        raise UnsupportedInput(
            f"The segments {first!r} and {second!r} overlap in {count} voxels; a label map has one label per voxel.",
            hint="Remove the overlap in Slicer's segment editor, or read the layers one by one.",
        )
    return layers[0]


def layers_from_segmentation(
    node: Any, reference: Any = None, *, transform: TransformChoice = "error", resample: bool = False
) -> tuple[LabelMap, ...]:
    """Return a segmentation's content as the label maps that hold it without overlap: one where nothing overlaps.

    Names and labels are distinct over all of them.  Everything else as :func:`labels_from_segmentation`.
    """
    require_node(node, "vtkMRMLSegmentationNode", "segmentation")
    world = to_world(node, transform)
    segmentation = node.GetSegmentation()
    items = _items(segmentation)
    target = _target(node, reference, transform, world)
    if items and not segmentation.ContainsRepresentation(BINARY_LABELMAP):
        items = _items(_voxelised(node, target, world))
    layers: list[_Layer] = []
    flags = list(get_flags(node))
    for image, members in _by_image(items):
        array, counts = _mapped(image, members, node, world, target, resample)
        flags.extend(_clipped(item.segment, counts[item.value]) for item in members if counts.get(item.value))
        home = next((layer for layer in layers if not ((layer.array > 0) & (array > 0)).any()), None)
        if home is None:
            layers.append(_Layer(array, [item.segment for item in members]))
        else:
            np.maximum(home.array, array, out=home.array)
            home.segments.extend(item.segment for item in members)
    if not layers:
        layers.append(_Layer(np.zeros(target.shape, np.uint16)))
    order = {item.segment.label: number for number, item in enumerate(items)}
    meta = get_meta(node)
    return tuple(
        LabelMap(layer.array, target, tuple(sorted(layer.segments, key=lambda s: order[s.label])), tuple(flags), meta)
        for layer in layers
    )


def _items(segmentation: Any) -> list[_Item]:
    count = segmentation.GetNumberOfSegments()
    if count > MAX_LABEL:
        raise UnsupportedInput(f"The segmentation has {count} segments; at most {MAX_LABEL} can be read.")
    sources = [segmentation.GetNthSegment(n) for n in range(count)]
    values = [int(source.GetLabelValue()) for source in sources]
    keep = len(set(values)) == count and all(1 <= v <= MAX_LABEL for v in values)
    names: set[str] = set()
    items = []
    for number, source in enumerate(sources):
        name = _free_name(source.GetName() or "", names)
        names.add(name)
        category, kind, modifier = parse(get_tag(source))
        segment = Segment(values[number] if keep else number + 1, name, color_of(source), category, kind, modifier)
        items.append(_Item(segmentation.GetNthSegmentID(number), segment, values[number], source))
    return items


def _by_image(items: list[_Item]) -> list[tuple[Any, list[_Item]]]:
    groups: list[tuple[Any, list[_Item]]] = []
    for item in items:
        image = item.vtk.GetRepresentation(BINARY_LABELMAP)
        for known, members in groups:
            if known is image:
                members.append(item)
                break
        else:
            groups.append((image, [item]))
    return groups


def _mapped(
    image: Any, members: list[_Item], node: Any, world: npt.NDArray[np.float64], target: Geometry, resample: bool
) -> tuple[npt.NDArray[np.uint16], dict[int, int]]:
    """Return one image's segments as labels on ``target``, and the voxels of each value that lie outside it."""
    if image is None or min(image.GetDimensions()) < 1 or image.GetPointData().GetScalars() is None:
        return np.zeros(target.shape, np.uint16), {}
    matrix = to_matrix(np.eye(4))
    image.GetImageToWorldMatrix(matrix)
    own = exact_geometry(node, image_geometry(image, matrix))
    geometry = Geometry(own.shape, world @ own.ijk_to_ras)
    top = max(1, *(item.value for item in members))
    table = np.zeros(top + 2, dtype=np.uint16)
    for item in members:
        if item.value > 0:
            table[item.value] = item.segment.label
    source = from_image(image)
    array = np.empty(source.shape, dtype=np.uint16)
    for k, voxels in enumerate(source):
        # Values that belong to no segment fall on the table's first and last entry, which are 0.
        array[k] = table[np.clip(voxels, 0, top + 1).astype(np.intp)]
    outside = counts_outside(array, geometry, target)
    lost = {item.value: outside[item.segment.label] for item in members if item.segment.label in outside}
    return place(array, geometry, target, resample), lost


def _target(node: Any, reference: Any, transform: TransformChoice, world: npt.NDArray[np.float64]) -> Geometry:
    if isinstance(reference, Geometry):
        return reference
    if reference is not None:
        return volume_geometry(reference, transform=transform)
    segmentation = node.GetSegmentation()
    text = segmentation.GetConversionParameter(REFERENCE_GEOMETRY)
    if not text and segmentation.ContainsRepresentation(BINARY_LABELMAP):
        text = segmentation.DetermineCommonLabelmapGeometry(_ANY_EXTENT, None)
    image = slicer.vtkOrientedImageData()
    read = bool(text) and slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False)
    if not read or min(image.GetDimensions()) < 1:
        raise SceneError(
            f"The segmentation {label_of(node)} has no voxels and no reference geometry, so its grid is unknown.",
            hint="Choose the image that it belongs to.",
        )
    matrix = to_matrix(np.eye(4))
    image.GetImageToWorldMatrix(matrix)
    own = exact_geometry(node, image_geometry(image, matrix))
    return Geometry(own.shape, world @ own.ijk_to_ras)


def _voxelised(node: Any, target: Geometry, world: npt.NDArray[np.float64]) -> Any:
    """Return a copy of a surface segmentation with voxels on ``target``."""
    register_converters()
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(node.GetSegmentation())
    set_reference_geometry(copy, Geometry(target.shape, np.linalg.inv(world) @ target.ijk_to_ras))
    if not copy.CreateRepresentation(BINARY_LABELMAP, True):
        raise SceneError(
            f"The segmentation {label_of(node)} holds no voxels, and Slicer cannot convert what it holds.",
            hint="Create its binary labelmap representation in Slicer first.",
        )
    return copy


def _overlap(layers: tuple[LabelMap, ...]) -> tuple[str, str, int]:
    first, second = layers[0], layers[1]
    both = (first.array > 0) & (second.array > 0)
    k, j, i = (int(n[0]) for n in np.nonzero(both))
    names = [next(s.name for s in layer.segments if s.label == int(layer.array[k, j, i])) for layer in (first, second)]
    pair = (first.array == first.array[k, j, i]) & (second.array == second.array[k, j, i])
    return names[0], names[1], int(pair.sum())


def _clipped(segment: Segment, count: int) -> QCFlag:
    return QCFlag(
        "FOV_CLIPPED",
        Severity.WARNING,
        f"{count} voxels of this segment lie outside the image and were left out.",
        measured=float(count),
        limit=0.0,
        affects=segment.name,
    )


def _free_name(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted} ({number})".lstrip(), number + 1
    return name
