"""From slice positions to one affine: gaps, uneven steps and gantry tilt are found, not assumed away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medai.core.errors import InputError
from medai.core.geometry import FloatArray
from medai.core.io.gate import SHEAR_LIMIT_DEG
from medai.core.qc import QCFlag, Severity

from .planes import Plane

SAME_POSITION_MM = 1e-3
"""Two slices nearer than this lie at one position."""
UNEVEN_SHARE = 0.02
"""A slice may lie this share of a step away from its place on the fitted line before it is flagged."""
UNEVEN_ERROR = 0.1
"""From this share on the flag is an error."""
UNEVEN_MM = 0.02
"""Deviations below this are rounding of the header's decimals."""
GAP_TOLERANCE = 0.1
"""A distance counts as n steps if it is within this share of a step of n."""
TILT_DEG = SHEAR_LIMIT_DEG


@dataclass(frozen=True, eq=False)
class Placement:
    """Sorted slices on one grid.

    Parameters
    ----------
    planes : tuple of Plane
        In the order of K.
    ijk_to_lps : array, shape (4, 4)
        Affine, mm, LPS.
    flags : tuple of QCFlag
        What is wrong with the slice positions.
    """

    planes: tuple[Plane, ...]
    ijk_to_lps: FloatArray
    flags: tuple[QCFlag, ...]


def along_normal(planes: Sequence[Plane]) -> FloatArray:
    """Return each plane's distance along the first plane's normal in mm, shape (n,)."""
    axes = planes[0].axes
    assert axes is not None
    normal = np.cross(axes[:, 0], axes[:, 1])
    return np.asarray([float(np.dot(p.position, normal)) for p in planes])  # type: ignore[arg-type]


def place(planes: Sequence[Plane], name: str) -> Placement:
    """Sort slices along their normal and fit the best affine through their true positions.

    With a gap, K steps by the distance of neighbouring slices, so that all slices before the gap are right; with
    uneven steps the least-squares line through all positions is taken; with gantry tilt the K axis is the true,
    sheared one.

    Raises
    ------
    InputError
        If slices lie at one position, or their pixel spacings differ.
    """
    axes, spacing = planes[0].axes, planes[0].spacing
    assert axes is not None
    if spacing is None:
        raise InputError(f"The images of {name!r} have positions but no Pixel Spacing.", hint="The header is damaged.")
    if any(p.spacing is None or max(abs(p.spacing[n] / spacing[n] - 1) for n in (0, 1)) > 1e-3 for p in planes):
        raise InputError(
            f"The pixel spacing changes within the series {name!r}.", hint="The series cannot be one grid."
        )
    distances = along_normal(planes)
    order = np.argsort(distances, kind="stable")
    ordered = tuple(planes[n] for n in order)
    steps = np.diff(distances[order])
    if len(steps) and steps.min() < SAME_POSITION_MM:
        raise InputError(
            f"Several images of {name!r} lie at the same position and no attribute tells them apart.",
            hint="Remove repeated files from the folder.",
            code="DUPLICATE_SLICES",
        )
    positions = np.array([p.position for p in ordered], dtype=np.float64)
    normal = np.cross(axes[:, 0], axes[:, 1])
    if len(ordered) == 1:
        origin, step = positions[0], normal * _thickness(ordered[0])
        flags: tuple[QCFlag, ...] = ()
    else:
        origin, step, flags = _fit(positions, steps, normal)
    matrix = np.eye(4)
    matrix[:3, 0] = axes[:, 0] * spacing[0]
    matrix[:3, 1] = axes[:, 1] * spacing[1]
    matrix[:3, 2] = step
    matrix[:3, 3] = origin
    return Placement(ordered, matrix, flags)


def _thickness(plane: Plane) -> float:
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        found = plane.header.decimals(keyword, 1)
        if found is not None and found[0] > 0:
            return found[0]
    return 1.0


def _fit(
    positions: FloatArray, steps: FloatArray, normal: FloatArray
) -> tuple[FloatArray, FloatArray, tuple[QCFlag, ...]]:
    count = len(positions)
    flags: list[QCFlag] = []
    base = float(np.median(steps[np.rint(steps / steps.min()) == 1]))
    multiples = np.rint(steps / base)
    whole = bool((np.abs(steps / base - multiples) <= GAP_TOLERANCE).all()) and int(multiples.sum()) <= 20 * count
    index = np.arange(count, dtype=np.float64)
    missing = int(multiples.sum()) - len(steps) if whole else 0
    if missing:
        # on the grid without gaps the fit sees every slice at its true place
        index = np.concatenate([[0.0], np.cumsum(multiples)])
        first = int(np.argmax(multiples > 1))
        flags.append(
            QCFlag(
                "GEOM_MISSING_SLICE",
                Severity.ERROR,
                f"{missing} slice{'s are' if missing > 1 else ' is'} missing; a gap of {steps[first]:.3g} mm lies "
                f"behind slice {first + 1} of {count}, other steps are {base:.3g} mm. Positions behind it are wrong.",
                measured=round(float(steps.max()), 4),
                limit=round(base, 4),
            )
        )
    # the ends give the grid that ITK, Slicer and their masks use; with uneven steps they would not be the best one
    origin, step = positions[0], (positions[-1] - positions[0]) / index[-1]
    if _residual(positions, index, origin, step) > UNEVEN_MM:
        centred = index - index.mean()
        step = centred @ positions / (centred @ centred)
        origin = positions.mean(axis=0) - step * index.mean()
    residual = _residual(positions, index, origin, step)
    length = float(np.linalg.norm(step))
    if residual > max(UNEVEN_MM, UNEVEN_SHARE * length):
        flags.append(
            QCFlag(
                "GEOM_NONUNIFORM_SLICES",
                Severity.ERROR if residual > UNEVEN_ERROR * length else Severity.WARNING,
                f"The slices are not evenly spaced: steps from {steps.min():.4g} to {steps.max():.4g} mm; "
                f"a slice lies up to {residual:.3g} mm away from its place on the even grid.",
                measured=round(residual, 4),
                limit=round(max(UNEVEN_MM, UNEVEN_SHARE * length), 4),
            )
        )
    tilt = math.degrees(math.acos(min(1.0, abs(float(step @ normal)) / length)))
    if tilt > TILT_DEG:
        flags.append(
            QCFlag(
                "GEOM_SHEAR_TILT",
                Severity.WARNING,
                f"The slices are stacked {tilt:.2f} degrees away from their normal (gantry tilt); the true, sheared "
                "affine is kept. Resample the image before radiomics.",
                measured=round(tilt, 4),
                limit=TILT_DEG,
            )
        )
    elif residual <= UNEVEN_MM and np.linalg.norm(step - normal * length) * index[-1] <= UNEVEN_MM:
        step = normal * length  # rounding of the header's decimals only
    return origin, step, tuple(flags)


def _residual(positions: FloatArray, index: FloatArray, origin: FloatArray, step: FloatArray) -> float:
    """Return the largest distance in mm of a slice from its place on the line."""
    return float(np.linalg.norm(positions - (origin + index[:, None] * step), axis=1).max())
