"""Where each frame of a DICOM file lies and how its stored values become real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medai.core.errors import InputError, UnsupportedInput
from medai.core.geometry import SHEAR_TOLERANCE, FloatArray
from medai.core.io.scaling import check_scaling

from .header import Header
from .values import decimal, decimals, text, value_of

AXIS_TOLERANCE = 1e-2
"""Largest error of the length of, or the cosine between, the two vectors of ImageOrientationPatient."""


@dataclass(frozen=True, eq=False)
class Plane:
    """One frame.

    Parameters
    ----------
    header : Header
        Its file.
    frame : int
        Index in the file, from 0.
    position : array, shape (3,), or None
        LPS mm of the centre of the first pixel.
    axes : array, shape (3, 2), or None
        Unit vectors, LPS, along which the column index (I) and the row index (J) grow.
    spacing : tuple of float, or None
        mm along I and J.
    slope, intercept : float
        Real value = slope x stored + intercept.
    scaled : bool
        True if the file states a slope and an intercept.
    rescale_type : str
        Unit of the real values as recorded, for example ``HU``; often empty.
    """

    header: Header
    frame: int
    position: FloatArray | None
    axes: FloatArray | None
    spacing: tuple[float, float] | None
    slope: float
    intercept: float
    scaled: bool
    rescale_type: str


def planes_of(header: Header) -> list[Plane]:
    """Return the frames of one file, in stored order.

    Raises
    ------
    InputError
        If a position, orientation, spacing or rescale value is missing in part, or impossible.
    UnsupportedInput
        If values are mapped by a table.
    """
    data, name = header.dataset, header.name
    if value_of(data, "ModalityLUTSequence", name) is not None:
        raise UnsupportedInput(f"{name!r} maps its values by a table (Modality LUT), which is not read.")
    groups = value_of(data, "PerFrameFunctionalGroupsSequence", name)
    if groups is None:
        # without functional groups only the first frame's position could be known
        return [_plane(header, frame, [data], placed=header.frames == 1) for frame in range(header.frames)]
    if len(groups) != header.frames:
        raise InputError(f"{name!r} describes {len(groups)} frames but says it has {header.frames}.")
    shared = value_of(data, "SharedFunctionalGroupsSequence", name)
    common = [shared[0]] if shared else []
    return [_plane(header, n, [group, *common]) for n, group in enumerate(groups)]


_MACROS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
}


def _holder(header: Header, sources: list[Any], keyword: str) -> Any:
    """Return the dataset that holds ``keyword``: the file itself, or a macro of its functional groups."""
    if sources[0] is header.dataset:
        return header.dataset
    for source in sources:
        items = value_of(source, _MACROS[keyword], header.name)
        if items:
            return items[0]
    return header.dataset


def _plane(header: Header, frame: int, sources: list[Any], *, placed: bool = True) -> Plane:
    name = header.name

    def many(keyword: str, count: int) -> list[float] | None:
        return decimals(_holder(header, sources, keyword), keyword, count, name)

    slope = decimal(_holder(header, sources, "RescaleSlope"), "RescaleSlope", name)
    intercept = decimal(_holder(header, sources, "RescaleIntercept"), "RescaleIntercept", name)
    if (slope is None) != (intercept is None):
        raise InputError(
            f"{name!r} states only one of Rescale Slope and Rescale Intercept; both are needed.",
            hint="The header is damaged; export the image again.",
        )
    check_scaling(1.0 if slope is None else slope, intercept or 0.0, name)
    position, orientation = many("ImagePositionPatient", 3), many("ImageOrientationPatient", 6)
    if position is None or orientation is None or not placed:
        position = orientation = None
    return Plane(
        header=header,
        frame=frame,
        position=None if position is None else np.asarray(position),
        axes=None if orientation is None else _axes(orientation, name),
        spacing=_spacing(many("PixelSpacing", 2), name),
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        scaled=slope is not None,
        rescale_type=text(_holder(header, sources, "RescaleType"), "RescaleType", name),
    )


def _spacing(values: list[float] | None, name: str) -> tuple[float, float] | None:
    if values is None:
        return None
    down, across = values  # DICOM: distance between rows first
    if min(down, across) <= 0:
        raise InputError(
            f"The Pixel Spacing of {name!r} is {down:g} x {across:g} mm; both must be greater than 0.",
            hint="Repair the header.",
            code="SPACING",
        )
    return across, down


def _axes(values: list[float], name: str) -> FloatArray:
    axes = np.asarray(values, dtype=np.float64).reshape(2, 3).T
    lengths = np.linalg.norm(axes, axis=0)
    cosine = float(axes[:, 0] @ axes[:, 1])
    if np.abs(lengths - 1).max() > AXIS_TOLERANCE or abs(cosine) > AXIS_TOLERANCE:
        raise InputError(
            f"The Image Orientation of {name!r} is not two unit vectors at a right angle.",
            hint="The header is damaged; export the image again.",
        )
    axes = axes / lengths
    if abs(cosine) <= SHEAR_TOLERANCE:
        # rounded decimals: made exactly rectangular the way ITK does, so that masks made by other programs fit
        normal = np.cross(axes[:, 0], axes[:, 1])
        axes[:, 0] = np.cross(axes[:, 1], normal / np.linalg.norm(normal))
    return np.asarray(axes)
