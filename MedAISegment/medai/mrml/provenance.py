"""Where a node's content comes from, kept with the node as the JSON attribute ``MedAI.Provenance``.

It survives saving and loading the scene.  Never put patient data there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ..core.errors import SceneError
from ..core.version import VERSION
from ._slicer import slicer
from .attributes import PREFIX, get_json, get_text, set_text, to_json

ATTRIBUTE = PREFIX + "Provenance"


def stamp(node: Any, provenance: Mapping[str, Any]) -> None:
    """Add facts to a node's provenance; a fact of the same key is replaced.

    Parameters
    ----------
    node : vtkMRMLNode
    provenance : mapping
        JSON values with text keys.

    Raises
    ------
    SceneError
        If ``node`` is not a node, or a value has no JSON form; the node is unchanged then.
    """
    set_text(_node(node), "Provenance", to_json({**provenance_of(node), **provenance}))


def provenance_of(node: Any) -> dict[str, Any]:
    """Return a node's provenance, empty if MedAI did not make it.

    Raises
    ------
    SceneError
        If the attribute was damaged.
    """
    value = get_json(_node(node), "Provenance")
    if value is None and not get_text(node, "Provenance"):
        return {}
    if not isinstance(value, dict):
        raise SceneError(f"The provenance of the node {node.GetID()} cannot be read.", hint="Make the node again.")
    return value


def facts_of(
    content_sha256: str, provenance: Mapping[str, Any] | None = None, input_sha256: str = ""
) -> dict[str, Any]:
    """Return the provenance of a node that is about to be made, checked before anything is changed.

    Parameters
    ----------
    content_sha256 : str
        Digest of the value that the node is made from; a different digest later means it was edited.
    provenance : mapping, optional
        The caller's facts; they win over the standard ones.
    input_sha256 : str, optional
        Digest of the image that the value was computed from.

    Raises
    ------
    SceneError
        If a fact has no JSON form.
    """
    facts: dict[str, Any] = {
        "made_by": f"MedAI {VERSION}",
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "content_sha256": content_sha256,
        "intended_use": "Research use only",
    }
    if input_sha256:
        facts["input_sha256"] = input_sha256
    facts.update(provenance or {})
    to_json(facts)
    return facts


def _node(node: Any) -> Any:
    if not isinstance(node, slicer.vtkMRMLNode):
        raise SceneError(f"An MRML node is needed, given {type(node).__name__}.")
    return node
