"""Shape of a segment: the morphological features of the IBSI reference manual (family HCUG)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from medai.core.errors import GeometryError
from medai.core.progress import CancelToken
from medai.core.settings import Settings
from medai.core.volume import Volume
from medai.features.mesh import Surface, largest_distance, outer_vertices, surface
from medai.features.roi import Roi

from ._base import Family, Undefined, feature

NEGLIGIBLE = 1e-12
"""A principal variance below this share of the largest one is rounding noise of a flat region."""


@dataclass(frozen=True, eq=False)
class Body:
    """What the shape features share: the region, its surface, and its principal variances."""

    roi: Roi
    surface: Surface
    cancel: CancelToken

    @cached_property
    def centre(self) -> npt.NDArray[np.float64]:
        """Mean position of the voxel centres in mm from the box's first voxel, axes K, J, I."""
        return self._moments[0]

    @cached_property
    def variances(self) -> tuple[float, float, float]:
        """Principal variances of the voxel centres in mm2, largest first.

        The covariance is divided by N - 1: only so are IBSI's reference values of the digital phantom reproduced.
        """
        if self.roi.voxels < 2:
            raise Undefined("one voxel has no axes")
        values = np.linalg.eigvalsh(self._moments[1])[::-1]
        major, minor, least = (float(v) if v > NEGLIGIBLE * values[0] else 0.0 for v in values)
        return major, minor, least

    @cached_property
    def _moments(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and covariance of the voxel centres from the three projections of the mask: exact whole-number sums."""
        mask = self.roi.mask.view(np.uint8)
        seen = {axis: np.add.reduce(mask, axis=axis, dtype=np.int64) for axis in range(3)}
        offsets = [np.arange(n) - (n - 1) / 2 for n in mask.shape]
        lines = [seen[2].sum(axis=1), seen[0].sum(axis=1), seen[0].sum(axis=0)]
        count = self.roi.voxels
        mean = np.array([line @ offset for line, offset in zip(lines, offsets, strict=True)]) / count
        second = np.diag([line @ (offset - m) ** 2 for line, offset, m in zip(lines, offsets, mean, strict=True)])
        for a, b in ((0, 1), (0, 2), (1, 2)):
            plane = seen[3 - a - b]
            second[a, b] = second[b, a] = (offsets[a] - mean[a]) @ plane @ (offsets[b] - mean[b])
        spacing = np.asarray(self.roi.geometry.spacing_kji)
        first = mean + [(n - 1) / 2 for n in mask.shape]
        return first * spacing, second / max(1, count - 1) * np.outer(spacing, spacing)

    def weighted_centre(self) -> npt.NDArray[np.float64]:
        """Intensity-weighted mean position in mm from the box's first voxel, axes K, J, I, over the intensity mask."""
        keep, shape = self.roi.intensity_mask, self.roi.mask.shape
        if not keep.any():
            raise Undefined("no voxel of the segment lies inside the intensity limits")
        sums = np.zeros(3)
        total = 0.0
        for k in range(shape[0]):
            self.cancel.check()
            plane = np.where(keep[k], self.roi.array[k], 0).astype(np.float64)
            rows, columns = plane.sum(axis=1), plane.sum(axis=0)
            total += rows.sum()
            sums += (k * rows.sum(), rows @ np.arange(shape[1]), columns @ np.arange(shape[2]))
        if total == 0:
            raise Undefined("the intensities sum to zero")
        return np.asarray(sums / total * self.roi.geometry.spacing_kji)


class Shape(Family[Settings, Body]):
    """Volume, surface, compactness and principal axes of a segment.

    Formulas and codes: IBSI reference manual, chapter "Morphological features" (Zwanenburg et al., arXiv:1612.07003;
    Radiology 2020;295:328).  V is the volume and A the area of the marching cubes mesh at level 0.5, with background
    around the segment so that the mesh is closed; lengths are in mm.  The values do not depend on the image's
    orientation or handedness.  The grid's axes must be at right angles.
    """

    name = "shape"
    title = "Shape"
    requires = ("scipy", "skimage")

    def check(self, volume: Volume) -> None:
        """Refuse a sheared grid: a mesh in index space would have wrong areas and lengths.

        Raises
        ------
        GeometryError
            If two axes are not at right angles.
        """
        if volume.geometry.is_sheared:
            raise GeometryError(
                f"Shape features need a grid with right angles; two axes differ from one by a cosine of "
                f"{volume.geometry.max_shear:.3g}.",
                hint="Resample the image and the segmentation to a rectangular grid, or leave out the family 'shape'.",
            )

    def measure(self, roi: Roi, settings: Settings, *, cancel: CancelToken) -> Body:
        """Mesh the region's surface."""
        return Body(roi, surface(roi.mask, roi.geometry.spacing_kji, cancel=cancel), cancel)

    @feature("Volume (mesh)", ibsi="RNU0", unit="mm3")
    def mesh_volume(self, body: Body) -> float:
        """Volume V enclosed by the mesh: ``|sum_k a_k . (b_k x c_k) / 6|`` over the triangles."""
        return body.surface.volume

    @feature("Volume (voxel counting)", ibsi="YEKZ", unit="mm3")
    def voxel_volume(self, body: Body) -> float:
        """Volume of one voxel times their number."""
        return body.roi.voxels * math.prod(body.roi.geometry.spacing)

    @feature("Surface area", ibsi="C0JK", unit="mm2")
    def surface_area(self, body: Body) -> float:
        """Area A of the mesh: ``sum_k |ab_k x ac_k| / 2`` over the triangles."""
        return body.surface.area

    @feature("Surface to volume ratio", ibsi="2PR5", unit="mm-1")
    def surface_to_volume_ratio(self, body: Body) -> float:
        """Area over volume, ``A / V``; smaller for larger bodies of one shape."""
        return body.surface.area / body.surface.volume

    @feature("Compactness 1", ibsi="SKGS")
    def compactness_1(self, body: Body) -> float:
        """``V / (pi^(1/2) A^(3/2))``; 1 / (6 pi) for a ball."""
        return body.surface.volume / math.sqrt(math.pi * body.surface.area**3)

    @feature("Compactness 2", ibsi="BQWJ")
    def compactness_2(self, body: Body) -> float:
        """``36 pi V^2 / A^3``; 1 for a ball."""
        return 36 * math.pi * body.surface.volume**2 / body.surface.area**3

    @feature("Spherical disproportion", ibsi="KRCK")
    def spherical_disproportion(self, body: Body) -> float:
        """Area over that of the ball of equal volume, ``A / (36 pi V^2)^(1/3)``."""
        return body.surface.area / _ball_area(body)

    @feature("Sphericity", ibsi="QCFX")
    def sphericity(self, body: Body) -> float:
        """``(36 pi V^2)^(1/3) / A``; 1 for a ball, smaller for everything else."""
        return _ball_area(body) / body.surface.area

    @feature("Asphericity", ibsi="25C7")
    def asphericity(self, body: Body) -> float:
        """``(A^3 / (36 pi V^2))^(1/3) - 1``; 0 for a ball."""
        return body.surface.area / _ball_area(body) - 1

    @feature("Centre of mass shift", ibsi="KLMA", unit="mm")
    def centre_of_mass_shift(self, body: Body) -> float:
        """Distance between the segment's centre and its intensity-weighted centre.

        ``|| mean(x) - sum(I x) / sum(I) ||``, the second over the intensity mask.  Intensities below zero (HU) count
        with their sign, as IBSI does, so the shift can exceed the segment's size.
        """
        return float(np.linalg.norm(body.centre - body.weighted_centre()))

    @feature("Maximum 3D diameter", ibsi="L0JK", unit="mm")
    def maximum_3d_diameter(self, body: Body) -> float:
        """Largest distance between two vertices of the mesh."""
        points = outer_vertices(body.roi.mask) * body.roi.geometry.spacing_kji
        return largest_distance(points, cancel=body.cancel)

    @feature("Major axis length", ibsi="TDIC", unit="mm")
    def major_axis_length(self, body: Body) -> float:
        """``4 sqrt(l1)`` with l1 the largest principal variance of the voxel centres (divided by N - 1)."""
        return 4 * math.sqrt(body.variances[0])

    @feature("Minor axis length", ibsi="P9VJ", unit="mm")
    def minor_axis_length(self, body: Body) -> float:
        """``4 sqrt(l2)`` with l2 the second principal variance of the voxel centres."""
        return 4 * math.sqrt(body.variances[1])

    @feature("Least axis length", ibsi="7J51", unit="mm")
    def least_axis_length(self, body: Body) -> float:
        """``4 sqrt(l3)`` with l3 the smallest principal variance of the voxel centres; 0 for one slice."""
        return 4 * math.sqrt(body.variances[2])

    @feature("Elongation", ibsi="Q3CK")
    def elongation(self, body: Body) -> float:
        """``sqrt(l2 / l1)``; 1 for a ball, towards 0 for a needle."""
        return math.sqrt(body.variances[1] / body.variances[0])

    @feature("Flatness", ibsi="N17B")
    def flatness(self, body: Body) -> float:
        """``sqrt(l3 / l1)``; 1 for a ball, towards 0 for a sheet."""
        return math.sqrt(body.variances[2] / body.variances[0])


def _ball_area(body: Body) -> float:
    """Area of the ball of the mesh's volume, mm2."""
    return float((36 * math.pi * body.surface.volume**2) ** (1 / 3))
