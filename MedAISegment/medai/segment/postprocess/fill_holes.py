"""Segments without holes."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn
from medai.segment.components import label_components
from medai.segment.slabs import for_slabs

from ._masks import GrowSettings, Mask, MaskPost, Part, Within, flat_axis, within_field


class FillHolesSettings(GrowSettings):
    """Which holes."""

    within: Within = within_field()
    maximum_mm3: float | None = Field(
        None,
        gt=0,
        le=1e9,
        title="Largest hole",
        description="Holes of a larger volume stay (in a plane: area times slice thickness); none fills all of them.",
        json_schema_extra={"unit": "mm3"},
    )


class FillHoles(MaskPost):
    """Fills what a segment encloses: voxels from which no path leads to the image's border without crossing it.

    A path goes from face to face (in a plane from edge to edge), as in ``scipy.ndimage.binary_fill_holes``.  Another
    segment inside a hole is part of the hole and stays, unless ``overwrite`` is set.  Along an axis with one voxel the
    image has no border, so that a single slice is filled in its plane.
    """

    name = "fill_holes"
    title = "Fill holes"
    group = "Shape"
    requires = ("scipy",)
    weight = 2.0
    Settings = FillHolesSettings

    def change(self, part: Part, settings: FillHolesSettings, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the filled mask."""
        flat = flat_axis(part.geometry, settings.within)
        thin = tuple(axis for axis, size in enumerate(part.geometry.shape) if size == 1)
        limit = np.inf if settings.maximum_mm3 is None else settings.maximum_mm3 * (1 + 1e-9) / part.voxel_mm3
        if flat is None:
            labels, sizes = label_components(~part.mask, 6, progress=progress, cancel=cancel)
            fill = sizes <= limit
            fill[_border_labels(labels, thin)] = False
            return part.mask | fill[labels]
        planes = np.moveaxis(part.mask, flat, 0)
        result = np.empty(part.mask.shape, dtype=np.bool_)
        filled = np.moveaxis(result, flat, 0)
        edges = tuple(n for n, axis in enumerate(a for a in range(3) if a != flat) if axis in thin)

        def fill_planes(start: int, stop: int) -> None:
            filled[start:stop] = _fill_planes(planes[start:stop], limit, edges)

        slab = max(1, (1 << 21) // max(1, planes[0].size))
        for_slabs(len(planes), fill_planes, slab=slab, progress=progress, cancel=cancel, message=self.title)
        return result


def _border_labels(labels: np.ndarray, thin: tuple[int, ...]) -> np.ndarray:
    """Return 0 and the components that reach the box's faces, except across the axes ``thin``."""
    faces = [labels.take(end, axis=axis).reshape(-1) for axis in range(3) if axis not in thin for end in (0, -1)]
    return np.unique(np.concatenate([*faces, np.zeros(1, dtype=labels.dtype)]))


def _fill_planes(planes: Mask, limit: float, thin: tuple[int, ...]) -> Mask:
    """Fill each plane of an array (planes, rows, columns) alone."""
    from scipy.ndimage import label

    across = np.zeros((3, 3, 3), dtype=np.bool_)
    across[1, 1, :] = across[1, :, 1] = True
    labels, count = label(~planes, across)
    fill = np.bincount(labels.reshape(-1), minlength=count + 1) <= limit
    edges = [labels.take(end, axis=axis + 1).reshape(-1) for axis in (0, 1) if axis not in thin for end in (0, -1)]
    fill[np.unique(np.concatenate([*edges, np.zeros(1, dtype=labels.dtype)]))] = False
    return np.asarray(planes | fill[labels])
