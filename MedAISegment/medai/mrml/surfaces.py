"""Closed surfaces of a segmentation's segments, made together and placed where Slicer looks for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import SceneError, SettingsError
from ..core.progress import CancelToken, ProgressFn, no_progress
from ._slicer import BINARY_LABELMAP, CLOSED_SURFACE, slicer, vtk
from .arrays import from_matrix, to_matrix
from .nodes import one_modification, require_node
from .surface_nets import cut, label_net

_SMOOTHING = "Smoothing factor"
_DEFAULT_SMOOTHING = 0.5


def add_surfaces(
    node: Any,
    *,
    smoothing: float | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> int:
    """Give every segment its closed surface, so that Slicer shows it and does not compute its own.

    All segments that share an image are done in one pass (:mod:`medai.mrml.surface_nets`), which Slicer's
    ``CreateClosedSurfaceRepresentation`` repeats for each segment.  Surfaces that are already there are replaced; an
    empty segment gets an empty one.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        Its source representation is the binary label map; segments may overlap.
    smoothing : float, optional
        0 (steps of the voxels) to 1; the node's conversion parameter "Smoothing factor" if not given (Slicer's default
        is 0.5).  The surfaces are those of the segments, in RAS mm, normals outwards, also for a left-handed grid.
    progress : callable, optional
        ``progress(fraction, message)``.
    cancel : CancelToken, optional
        Looked at between the steps; one step takes about a second for an image of 512 x 512 x 300.

    Returns
    -------
    int
        Number of segments that have a surface which is not empty.

    Raises
    ------
    SceneError
        If the segmentation holds no voxels.
    SettingsError
        If ``smoothing`` is outside 0 to 1.
    Cancelled
        If it was cancelled; no surface was placed then.
    """
    require_node(node, "vtkMRMLSegmentationNode", "segmentation")
    segmentation = node.GetSegmentation()
    surfaces = surfaces_of(segmentation, smoothing=smoothing, progress=progress, cancel=cancel)
    with one_modification(node):
        place(segmentation, surfaces)
    progress(1.0, "surfaces")
    return sum(surface.GetNumberOfPolys() > 0 for surface in surfaces.values())


def place(segmentation: Any, surfaces: dict[str, Any]) -> None:
    """Make poly data, by segment ID, the closed-surface representation of their segments."""
    for name, surface in surfaces.items():
        segmentation.GetSegment(name).AddRepresentation(CLOSED_SURFACE, surface)
    segmentation.InvokeEvent(slicer.vtkSegmentation.ContainedRepresentationNamesModified)


def surfaces_of(
    segmentation: Any,
    *,
    smoothing: float | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Return the surface of every segment of a ``vtkSegmentation`` by ID; see :func:`add_surfaces`."""
    factor = _given(segmentation) if smoothing is None else float(smoothing)
    if not 0.0 <= factor <= 1.0:
        raise SettingsError(f"smoothing must lie from 0 to 1, given {factor:g}.")
    token = cancel or CancelToken()
    groups = _images(segmentation)
    surfaces: dict[str, Any] = {}
    for number, (image, members) in enumerate(groups):
        progress(number / len(groups), "surfaces")
        values = sorted({value for _name, value in members})
        matrix = to_matrix(np.eye(4))
        image.GetImageToWorldMatrix(matrix)
        net = label_net(image, values, from_matrix(matrix), smoothing=factor, cancel=token)
        made = dict(cut(net, values, token))
        for name, value in members:
            surfaces[name] = vtk.vtkPolyData()  # one each: two segments may have the same label value
            surfaces[name].ShallowCopy(made[value])
    return surfaces


def _images(segmentation: Any) -> list[tuple[Any, list[tuple[str, int]]]]:
    """Return each label map image with the IDs and label values of the segments that share it."""
    groups: list[tuple[Any, list[tuple[str, int]]]] = []
    for number in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(number)
        image = segment.GetRepresentation(BINARY_LABELMAP)
        if image is None:
            raise SceneError(
                f"The segment {segment.GetName()!r} holds no voxels to make a surface of.",
                hint="Create its binary labelmap representation in Slicer first.",
            )
        entry = (segmentation.GetNthSegmentID(number), int(segment.GetLabelValue()))
        home = next((members for known, members in groups if known is image), None)
        if home is None:
            groups.append((image, [entry]))
        else:
            home.append(entry)
    return groups


def _given(segmentation: Any) -> float:
    text = segmentation.GetConversionParameter(_SMOOTHING)
    try:
        return float(text)
    except (TypeError, ValueError):
        return _DEFAULT_SMOOTHING
