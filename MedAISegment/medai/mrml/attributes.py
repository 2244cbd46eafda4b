"""Node attributes that MedAI writes: names start with ``MedAI.``, values are text or strict JSON.

A scene file keeps an attribute's text in an XML attribute, which has no form for many characters; JSON is written in
pure ASCII, so it survives whatever it holds.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..core.errors import GeometryError, SceneError
from ..core.geometry import Geometry
from ..core.qc import QCFlag
from .arrays import from_matrix
from .texts import storable_line

PREFIX = "MedAI."
_SAME_AFFINE_MM = 1e-6


def set_text(node: Any, key: str, value: str) -> None:
    """Set the attribute ``MedAI.<key>``; an empty value removes it."""
    if value:
        node.SetAttribute(PREFIX + key, storable_line(value))
    else:
        node.RemoveAttribute(PREFIX + key)


def get_text(node: Any, key: str) -> str:
    """Return the attribute ``MedAI.<key>``, or an empty text."""
    return node.GetAttribute(PREFIX + key) or ""


def to_json(value: Any) -> str:
    """Return strict JSON (no NaN) in one line of ASCII.

    Raises
    ------
    SceneError
        If the value holds something that JSON has no form for.
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise SceneError(
            "A node attribute must hold plain JSON values, and this one does not.",
            hint="Use text, finite numbers, true/false, None, lists and dicts with text keys.",
        ) from error


def set_json(node: Any, key: str, value: Any) -> None:
    """Set ``MedAI.<key>`` to a value's JSON; an empty value removes the attribute."""
    set_text(node, key, to_json(value) if value else "")


def get_json(node: Any, key: str) -> Any:
    """Return the value of a JSON attribute, or ``None`` if it is missing or was damaged by hand."""
    try:
        return json.loads(get_text(node, key) or "null")
    except ValueError:
        return None


def set_affine(node: Any, geometry: Geometry) -> None:
    """Remember the exact affine.

    MRML keeps spacing and directions apart, and files keep them as text; both change the last bits, and with them the
    digest that ties a result to its input.
    """
    set_json(node, "IJKToRAS", geometry.ijk_to_ras.tolist())


def exact_geometry(node: Any, geometry: Geometry) -> Geometry:
    """Return the remembered affine's grid if the node still has it up to rounding (1e-6 mm), else ``geometry``."""
    try:
        remembered = Geometry(geometry.shape, np.asarray(get_json(node, "IJKToRAS"), dtype=np.float64))
    except (GeometryError, TypeError, ValueError):
        return geometry
    return remembered if remembered.same_as(geometry, _SAME_AFFINE_MM) else geometry


def set_flags(node: Any, flags: tuple[QCFlag, ...]) -> None:
    """Keep quality flags with the node, so that a doubtful image stays doubtful after a trip through the scene."""
    set_json(node, "QC", [flag.to_dict() for flag in flags])


def get_flags(node: Any) -> tuple[QCFlag, ...]:
    """Return the node's quality flags.

    Raises
    ------
    SceneError
        If they cannot be read: ignoring them could hide an error.
    """
    try:
        return tuple(QCFlag.from_dict(item) for item in json.loads(get_text(node, "QC") or "[]"))
    except (TypeError, ValueError) as error:
        raise SceneError(
            f"The quality flags of the node {node.GetID() or node.GetClassName()} cannot be read.",
            hint="Load the image again.",
        ) from error


def get_meta(node: Any) -> dict[str, Any]:
    """Return the facts kept with an image or its labels, empty if there are none."""
    meta = get_json(node, "Meta")
    return meta if isinstance(meta, dict) else {}


def image_geometry(image: Any, matrix: Any) -> Geometry:
    """Return a VTK image's grid; ``matrix`` places index (0, 0, 0), and the extent may start elsewhere."""
    i, j, k = image.GetDimensions()
    first = image.GetExtent()[::2]
    grid = Geometry((k, j, i), from_matrix(matrix))
    return grid.crop((first[2], first[1], first[0]), grid.shape) if any(first) else grid
