"""Segments without holes."""

from __future__ import annotations

import dataclasses

import numpy as np
from pydantic import Field

from medai.core.progress import CancelToken, ProgressFn
from medai.segment.components import looked_up
from medai.segment.slabs import for_slabs

from ._components import Components
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
            found = Components(dataclasses.replace(part, mask=~part.mask), 6, progress=progress, cancel=cancel)
            fill = found.sizes <= limit
            for axis in range(3):
                if axis not in thin:
                    fill[found.at_end(axis, 0)] = fill[found.at_end(axis, 1)] = False
            return part.mask | found.mask(fill)
        planes = np.moveaxis(part.mask, flat, 0)
        result = np.empty(part.mask.shape, dtype=np.bool_)
        filled = np.moveaxis(result, flat, 0)
        edges = tuple(n for n, axis in enumerate(a for a in range(3) if a != flat) if axis in thin)

        def fill_planes(start: int, stop: int) -> None:
            filled[start:stop] = _fill_planes(planes[start:stop], limit, edges)

        slab = max(1, (1 << 21) // max(1, planes[0].size))
        for_slabs(len(planes), fill_planes, slab=slab, progress=progress, cancel=cancel, message=self.title)
        return result


def _fill_planes(planes: Mask, limit: float, thin: tuple[int, ...]) -> Mask:
    """Fill each plane of an array (planes, rows, columns) alone."""
    from scipy.ndimage import label

    across = np.zeros((3, 3, 3), dtype=np.bool_)
    across[1, 1, :] = across[1, :, 1] = True
    labels, count = label(~planes, across)
    fill = np.bincount(labels.reshape(-1), minlength=count + 1) <= limit
    edges = [labels.take(end, axis=axis + 1).reshape(-1) for axis in (0, 1) if axis not in thin for end in (0, -1)]
    fill[np.unique(np.concatenate([*edges, np.zeros(1, dtype=labels.dtype)]))] = False
    return np.asarray(planes | looked_up(fill, labels))
