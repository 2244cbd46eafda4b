"""The box around a patient in a CT: what lies outside is air, and a network need not look at it.

Everything is decided on a thinned image of some million voxels, in a few hundredths of a second.  The box must never
cut the body: whatever is doubtful makes it larger.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.geometry import Geometry

from .source import copied

STEP_MM = 4.0
"""Distance of the voxels looked at; smaller if the image is smaller than 64 such steps."""
TISSUE_HU = -300.0
"""More than this is skin, fat, muscle, bone, contrast agent; less is air, lung, a table's foam, clothes."""
AIR_HU = -800.0
"""Less than this is air or lung: a CT without any has no outside."""
PADDING_HU = -1100.0
"""Some scanners write a value below this outside their round field of view, others the lowest that they measure."""
PADDING_SHARE = 0.005
"""A value of fewer voxels is noise."""
LUNG_HU = (-960.0, -600.0)
LUNG_SHARE = 0.01
"""A side is not cut if the body leaves the field of view and more than this share of the lines that would be cut ends
in what looks like lung."""
MARGIN_MM = 6.0
"""Added to each side: what a nose, a finger or a fold of skin may stand out between the voxels looked at."""
SMALLEST_PART = 8
"""Parts of fewer thinned voxels, after opening, are noise."""
SMALLEST_BODY = 0.005
"""A body that fills a smaller share of the image is in doubt."""
Bounds = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Mask = npt.NDArray[np.bool_]


def body_box(array: npt.NDArray[Any], grid: Geometry, modality: str = "CT") -> Bounds | None:
    """Return where the patient lies in a CT.

    Parameters
    ----------
    array : array, shape (K, J, I)
        HU, of any type and memory layout.
    grid : Geometry
        Its grid; tells which axis runs along the patient.
    modality : str
        DICOM modality; empty if unknown.

    Returns
    -------
    tuple of (start, stop) along K, J, I, or None
        None if there is nothing to cut or if it is in doubt: no CT, no air, no body.

    Notes
    -----
    Tissue is opened by a cube of three thinned voxels, which removes a table's thin shells and noise and detaches the
    table from the body, and is then grown back inside the tissue by as much.  All parts that are left count, so arms
    beside the body do.  If the body reaches the border of the field of view within a slice, lungs may be open to it:
    then a side stays whole if voxels like lung lie at that border.
    """
    from scipy import ndimage

    if modality not in ("", "CT"):
        return None
    steps = [_step(n, s) for n, s in zip(grid.shape, grid.spacing_kji, strict=True)]
    thin = copied(array[:: steps[0], :: steps[1], :: steps[2]])
    if not np.isfinite(thin).all() or np.count_nonzero(thin < AIR_HU) < 0.01 * thin.size:
        return None
    tissue = thin > TISSUE_HU
    body = _opened(tissue, ndimage)
    if np.count_nonzero(body) < SMALLEST_BODY * body.size:
        return None
    along = next(2 - column for column, (axis, _) in enumerate(grid.axis_map) if axis == 2)
    bounds = []
    for axis in range(3):
        used = np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != axis)))
        margin = int(np.ceil(MARGIN_MM / grid.spacing_kji[axis])) + steps[axis]
        low, high = int(used[0]) * steps[axis] - margin, int(used[-1]) * steps[axis] + margin + 1
        bounds.append([max(0, low), min(grid.shape[axis], high)])
    padding = _padding(thin, along)
    if _leaves_view(body, padding, along, ndimage):
        _keep_open_lungs(bounds, grid.shape, thin, padding, steps, along, ndimage)
    if all(low == 0 and high == n for (low, high), n in zip(bounds, grid.shape, strict=True)):
        return None
    k, j, i = ((low, high) for low, high in bounds)
    return k, j, i


def _step(size: int, spacing: float) -> int:
    return max(1, int(min(STEP_MM, size * spacing / 64) / spacing))


def _opened(tissue: Mask, ndimage: Any) -> Mask:
    """Tissue without thin things; what is left is grown back, so that the body's thin ends stay."""
    # An axis with fewer voxels than the cube is left alone.
    cube = np.ones([3 if n >= 3 else 1 for n in tissue.shape], dtype=bool)
    core = ndimage.binary_erosion(tissue, cube, border_value=1)
    labels, count = ndimage.label(core)
    sizes = np.bincount(labels.reshape(-1), minlength=count + 1)
    keep = sizes >= SMALLEST_PART
    keep[0] = False
    core = keep[labels]
    return np.asarray(ndimage.binary_dilation(core, cube, iterations=2, mask=tissue))


def _padding(thin: npt.NDArray[Any], along: int) -> Mask:
    """Where the scanner wrote no measured value: one very low value, or the one that all four corners share."""
    lowest = thin.min()
    result = np.asarray(thin == lowest)
    if lowest > PADDING_HU or np.count_nonzero(result) < PADDING_SHARE * thin.size:
        result[:] = False  # noise
    planes = np.moveaxis(thin, along, 0)
    corners = planes[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    if corners.min() == corners.max():
        result = result | (thin == corners.flat[0])
    return result


def _leaves_view(body: Mask, padding: Mask, along: int, ndimage: Any) -> bool:
    """Tell whether the body touches the border of the slices or of the round field of view."""
    planes = np.moveaxis(body, along, 0)
    if planes[:, [0, -1]].any() or planes[:, :, [0, -1]].any():
        return True
    touching = ndimage.binary_dilation(padding, np.ones((3, 3, 3), dtype=bool)) & body
    return bool(touching.any())


def _keep_open_lungs(
    bounds: list[list[int]],
    shape: tuple[int, int, int],
    thin: npt.NDArray[Any],
    padding: Mask,
    steps: list[int],
    along: int,
    ndimage: Any,
) -> None:
    """Move bounds out to the image's border where lung would be cut.

    What would be cut at a side lies beyond all tissue, so no chest wall closes a lung there: it reaches the border of
    the field of view.  Below a table's foam there is air again.  Noise is averaged over 27 voxels first.
    """
    measured = ~padding
    weight = ndimage.uniform_filter(measured.astype(np.float32), 3)
    total = ndimage.uniform_filter(np.where(measured, np.maximum(thin, -1024.0), 0.0).astype(np.float32), 3)
    smooth = total / np.maximum(weight, np.float32(1 / 27))
    lung = (smooth > LUNG_HU[0]) & (smooth < LUNG_HU[1]) & measured
    for axis in range(3):
        if axis == along:
            continue
        low, high = bounds[axis][0] // steps[axis], -(-bounds[axis][1] // steps[axis])
        lines, seen = np.moveaxis(lung, axis, 0), np.moveaxis(measured, axis, 0)
        if _open(lines, seen, low):
            bounds[axis][0] = 0
        if _open(lines[::-1], seen[::-1], len(lines) - high):
            bounds[axis][1] = shape[axis]


def _open(lung: Mask, measured: Mask, cut: int) -> bool:
    """Tell whether lung lies at the outer end of lines along axis 0, among those that end in the first ``cut``."""
    if cut <= 0:
        return False
    first = measured[:cut].argmax(axis=0)
    ends = np.take_along_axis(measured, first[None], axis=0)[0]
    found = np.take_along_axis(lung, first[None], axis=0)[0] & ends
    return bool(np.count_nonzero(found) > LUNG_SHARE * np.count_nonzero(ends))
