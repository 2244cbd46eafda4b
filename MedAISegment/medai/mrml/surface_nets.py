"""Surfaces of all labels of one image by a single pass of VTK's surface nets, cut apart label by label.

Surface nets put a vertex into every cell of eight voxels in which labels meet, so neighbours share their border
exactly: no gap and no overlap.  A windowed-sinc filter smooths the whole net at once, as Slicer smooths its surfaces;
unlike the relaxation built into surface nets it keeps the enclosed volume (a ball of radius 4 loses 0.1 %, not 24 %).

W. Schroeder, S. Tsalikis, M. Halle, S. Frisken: A High-Performance SurfaceNets Discrete Isocontouring Algorithm.
arXiv:2401.14906, 2024.
G. Taubin, T. Zhang, G. Golub: Optimal Surface Smoothing as Filter Design. ECCV 1996.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.geometry import FloatArray
from ..core.progress import CancelToken
from ._slicer import vtk
from .arrays import from_image, to_image

STRAY = 0.5
"""A vertex stays within this many voxels, along each axis, of the corner where the labels meet."""
_ITERATIONS = 20

Points = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Net:
    """The borders between all labels of an image.

    Parameters
    ----------
    points : numpy array of float32, shape (N, 3)
        Vertices, world RAS in mm.
    faces : numpy array of int64, shape (F, 4)
        Corners of quadrilaterals, split along the diagonal from the first to the third.
    sides : numpy array of integers, shape (F, 2)
        The label that a face's normal points away from, and the one that it points to.
    """

    points: Points
    faces: Faces
    sides: npt.NDArray[Any]


def label_net(
    image: Any, labels: Sequence[int], ijk_to_world: FloatArray, *, smoothing: float, cancel: CancelToken
) -> Net:
    """Return the borders of some labels of an image.

    Parameters
    ----------
    image : vtkImageData
        Whole numbers; any extent.  What lies outside it counts as background, so every border is closed.
    labels : sequence of int
        Other values count as background.
    ijk_to_world : numpy array, shape (4, 4)
        From the image's indices (its extent's, not its array's) to RAS in mm; may be left-handed.
    smoothing : float
        0 to 1, with Slicer's meaning: the filter's pass band is ``10 ** (-4 * smoothing)``; 0 keeps the steps.
    """
    empty = min(image.GetDimensions()) < 1 or image.GetPointData().GetScalars() is None
    voxels = np.zeros((1, 1, 1), np.uint8) if empty else from_image(image)
    box = _box(voxels)
    if box is None or not labels:
        return Net(np.zeros((0, 3), np.float32), np.zeros((0, 4), np.int64), np.zeros((0, 2), np.uint8))
    padded = to_image(np.pad(voxels[box], 1))
    cancel.check()
    with _threads():
        nets = vtk.vtkSurfaceNets3D()
        nets.SetInputData(padded)
        for number, label in enumerate(labels):
            nets.SetLabel(number, label)
        nets.SetOutputMeshTypeToQuads()
        nets.SmoothingOff()
        nets.Update()
        cancel.check()
        mesh = nets.GetOutput()
        corners = _array(mesh.GetPoints().GetData()) if mesh.GetNumberOfPoints() else np.zeros((0, 3), np.float32)
        points = corners
        if smoothing > 0 and len(corners):
            points = np.clip(_smoothed(mesh, smoothing), corners - STRAY, corners + STRAY)
    cancel.check()
    faces = _array(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 4).astype(np.int64, copy=False)
    sides = _array(mesh.GetCellData().GetArray("BoundaryLabels")) if len(faces) else np.zeros((0, 2), np.uint8)
    extent = image.GetExtent()
    first = np.array([extent[0] + box[2].start - 1, extent[2] + box[1].start - 1, extent[4] + box[0].start - 1])
    turn, shift = ijk_to_world[:3, :3], ijk_to_world[:3, 3] + ijk_to_world[:3, :3] @ first
    world = (points.astype(np.float64) @ turn.T + shift).astype(np.float32)
    if np.linalg.det(turn) < 0:
        faces = faces[:, ::-1]
    return Net(world, faces, sides)


def cut(net: Net, labels: Sequence[int], cancel: CancelToken) -> Iterator[tuple[int, Any]]:
    """Yield each label with its closed surface: a ``vtkPolyData`` of triangles, normals outwards, empty if it has none.

    The points carry unit normals called ``Normals``, as Slicer's own surfaces do.
    """
    orders = [np.argsort(side, kind="stable") for side in net.sides.T]
    ordered = [side[order] for side, order in zip(net.sides.T, orders, strict=True)]
    scratch = np.empty(len(net.points), dtype=np.int64)
    for label in labels:
        cancel.check()
        found = [order[_run(values, label)] for order, values in zip(orders, ordered, strict=True)]
        # Of a face that points into the label, the order of the corners is turned round.
        quads = np.concatenate([net.faces[found[0]], net.faces[found[1]][:, [2, 1, 0, 3]]])
        yield label, _surface(net.points, quads, scratch)


def _surface(points: Points, quads: Faces, scratch: Faces) -> Any:
    surface = vtk.vtkPolyData()
    if not len(quads):
        return surface
    corners = quads.reshape(-1)
    places = np.arange(len(corners))
    scratch[corners] = places
    used = corners[scratch[corners] == places]  # each vertex once
    scratch[used] = np.arange(len(used))
    triangles = scratch[quads][:, [0, 1, 2, 0, 2, 3]].reshape(-1)
    from vtk.util import numpy_support

    vertices, cells = vtk.vtkPoints(), vtk.vtkCellArray()
    vertices.SetData(numpy_support.numpy_to_vtk(points[used], deep=True))
    cells.SetData(3, numpy_support.numpy_to_vtkIdTypeArray(triangles, deep=True))
    surface.SetPoints(vertices)
    surface.SetPolys(cells)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()


def _run(values: npt.NDArray[Any], label: int) -> slice:
    """Return where ``label`` stands in sorted values."""
    wanted = np.asarray(label, dtype=values.dtype)  # another type would have numpy convert all values first
    return slice(int(values.searchsorted(wanted, "left")), int(values.searchsorted(wanted, "right")))


def _smoothed(mesh: Any, smoothing: float) -> Points:
    smoother = vtk.vtkWindowedSincPolyDataFilter()
    smoother.SetInputData(mesh)
    smoother.SetNumberOfIterations(_ITERATIONS)
    smoother.SetPassBand(10.0 ** (-4.0 * smoothing))
    smoother.BoundarySmoothingOff()
    smoother.FeatureEdgeSmoothingOff()
    smoother.NonManifoldSmoothingOn()
    smoother.NormalizeCoordinatesOn()
    smoother.Update()
    return _array(smoother.GetOutput().GetPoints().GetData())


def _box(voxels: npt.NDArray[Any]) -> tuple[slice, slice, slice] | None:
    """Return the smallest box of voxels, along K, J, I, that holds every value that is not 0."""
    planes = np.array([plane.any() for plane in voxels])
    if not planes.any():
        return None
    rows, columns = np.zeros(voxels.shape[1], dtype=bool), np.zeros(voxels.shape[2], dtype=bool)
    for plane in voxels[planes]:
        rows |= plane.any(axis=1)
        columns |= plane.any(axis=0)
    limits = [np.flatnonzero(line)[[0, -1]] for line in (planes, rows, columns)]
    k, j, i = (slice(int(low), int(high) + 1) for low, high in limits)
    return k, j, i


@contextmanager
def _threads() -> Iterator[None]:
    """Let VTK use all cores where it was built to use one by default, as pip's slicer-core is."""
    before = vtk.vtkSMPTools.GetBackend()
    if before == "Sequential":
        vtk.vtkSMPTools.SetBackend("STDThread")
    try:
        yield
    finally:
        if before == "Sequential":
            vtk.vtkSMPTools.SetBackend(before)


def _array(data: Any) -> npt.NDArray[Any]:
    """Return a view of a ``vtkDataArray``, shape (tuples,) or (tuples, components)."""
    from vtk.util import numpy_support

    flat = np.frombuffer(data, dtype=numpy_support.get_numpy_array_type(data.GetDataType()))
    return flat if data.GetNumberOfComponents() == 1 else flat.reshape(-1, data.GetNumberOfComponents())
