"""Which found boxes lie on which true ones."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from .result import Detections, FloatArray


def matches(
    found: Detections, truth: Detections, rule: Literal["centre", "iou"], iou: float = 0.1
) -> npt.NDArray[np.bool_]:
    """Return a table, shape (found, truth), of what lies on what.

    Parameters
    ----------
    found, truth : Detections
        For ``iou`` on the same grid; for ``centre`` in the same space.
    rule : {"centre", "iou"}
        centre: the found centre lies closer to the true one than half the true diameter (LUNA16).  iou: the boxes'
        intersection over union is at least ``iou``.  Classes must agree for both.

    Raises
    ------
    GeometryError
        If boxes of different grids are to be compared.
    """
    same = np.array([[a.label == b.label for b in truth.items] for a in found.items], dtype=bool)
    if not same.size:
        return np.zeros((len(found), len(truth)), dtype=bool)
    if rule == "iou":
        truth.geometry.require_same(found.geometry, "findings'")
        return np.asarray(same & (box_iou(found.boxes(), truth.boxes()) >= iou))
    apart = np.linalg.norm(found.centres_ras()[:, None] - truth.centres_ras()[None], axis=2)
    radii = np.array([item.diameter_mm / 2 for item in truth.items])
    return np.asarray(same & (apart < radii))


def box_iou(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the intersection over union of boxes (N, 6) and (M, 6) along the same axes, shape (N, M)."""
    low = np.maximum(one[:, None, :3], other[None, :, :3])
    high = np.minimum(one[:, None, 3:], other[None, :, 3:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    first = np.prod(one[:, 3:] - one[:, :3], axis=1)
    second = np.prod(other[:, 3:] - other[:, :3], axis=1)
    return np.asarray(shared / (first[:, None] + second[None] - shared))
