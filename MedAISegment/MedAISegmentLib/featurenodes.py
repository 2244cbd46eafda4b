"""The feature table behind a table node: kept as JSON with the node, with the digests of what was measured.

The node's cells can be edited and are rounded when a scene is saved; a report must have the numbers as measured.
"""

from __future__ import annotations

import json
from typing import Any

from slicer.i18n import tr as _

from MedAISegmentLib.logic import requireNode

FEATURES_ATTRIBUTE = "MedAI.Features"
INPUTS_ATTRIBUTE = "MedAI.FeatureInputs"


def digestsOf(inputs: dict[str, Any]) -> dict[str, str]:
    """Return what identifies the image and the labels that were measured."""
    return {name: inputs[name].digest() for name in ("volume", "labels")}


def storeFeatures(tableNode: Any, features: dict[str, Any], digests: dict[str, str]) -> None:
    """Keep what ``FeatureTable.to_dict`` gives with its table node."""
    tableNode.SetAttribute(INPUTS_ATTRIBUTE, json.dumps(digests))
    tableNode.SetAttribute(FEATURES_ATTRIBUTE, json.dumps(features, allow_nan=False))


def hasFeatures(tableNode: Any) -> bool:
    """Tell whether a table node was made by MedAI Features."""
    return tableNode is not None and bool(tableNode.GetAttribute(FEATURES_ATTRIBUTE))


def readFeatures(tableNode: Any, digests: dict[str, str] | None = None) -> Any:
    """Return the FeatureTable that a table node was made from.

    Raises
    ------
    medai.core.errors.SceneError
        If the node was not made by MedAI Features, or ``digests`` are given and others were measured.
    """
    from medai.core.errors import SceneError
    from medai.features import FeatureTable

    requireNode(tableNode, _("table"))
    if not hasFeatures(tableNode):
        raise SceneError(
            _("The table {id} was not made by MedAI Features.").format(id=tableNode.GetID()),
            hint=_("Measure the segments first."),
        )
    if digests is not None and json.loads(tableNode.GetAttribute(INPUTS_ATTRIBUTE) or "{}") != digests:
        raise SceneError(
            _("The table {id} was measured on another image or segmentation, or one of them was edited since.").format(
                id=tableNode.GetID()
            ),
            hint=_("Measure again, or choose no table."),
        )
    try:
        return FeatureTable.from_dict(json.loads(tableNode.GetAttribute(FEATURES_ATTRIBUTE)))
    except ValueError:
        raise SceneError(
            _("The features kept with the table {id} are damaged.").format(id=tableNode.GetID()),
            hint=_("Measure again."),
        ) from None
