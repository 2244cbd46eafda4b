"""Two segmentations of a scene compared, as a table and a chart; for the console:

from MedAISegmentLib.evaluationnodes import evaluateSegmentations
tableNode, chartNode = evaluateSegmentations(predictedNode, referenceNode, volumeNode)
slicer.modules.plots.logic().ShowChartInLayout(chartNode)
"""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from MedAISegmentLib.logic import readLabels, requireNode


def evaluateSegmentations(
    predictedNode: Any, referenceNode: Any, volumeNode: Any, settings: dict[str, Any] | None = None
) -> tuple[Any, Any]:
    """Compare two segmentation nodes on a volume's grid.

    Parameters
    ----------
    predictedNode, referenceNode : vtkMRMLSegmentationNode
        Never changed.  Segments are matched by name, if all of both have one.
    volumeNode : vtkMRMLVolumeNode
        The image that both belong to; its grid is the one compared on.
    settings : dict, optional
        See :class:`medai.segment.evaluate.EvaluateSettings`; ``{"resample": True}`` takes segmentations on other grids.

    Returns
    -------
    tableNode : vtkMRMLTableNode
        One row a segment, all measures.
    chartNode : vtkMRMLPlotChartNode or None
        Dice of each segment, over a second table node; None if no segment has a Dice.

    Raises
    ------
    medai.core.errors.MedAIError
        If a node is missing, the grids differ, segments overlap or cannot be matched.  Nothing was added then.
    """
    from medai.core.errors import SceneError
    from medai.mrml import scores_to_plot, table_to_node
    from medai.segment.evaluate import EvaluateSettings, Evaluation, compare

    chosen = EvaluateSettings.parse(settings, where="evaluate")
    requireNode(volumeNode, _("image"))
    if predictedNode is referenceNode:
        raise SceneError(
            _("The segmentation and its reference are the same node."), hint=_("Choose two different ones.")
        )
    predicted, reference = (readLabels(node, volumeNode, chosen.resample) for node in (predictedNode, referenceNode))
    result = Evaluation(tuple(compare(predicted, reference, chosen)), {}, chosen)
    scene = slicer.mrmlScene
    facts = {"evaluated": {"predicted_sha256": predicted.digest(), "reference_sha256": reference.digest()}}
    facts["evaluated"]["settings"] = chosen.to_dict()
    tableNode = table_to_node(result.to_table(_("Evaluation")), scene, provenance=facts)
    plotted = result.metric_table("dice", _("Dice"))
    if not plotted.rows:
        return tableNode, None
    added = [tableNode]
    try:
        added.append(table_to_node(plotted, scene))
        chartNode = scores_to_plot(added[1], scene, title=_("Dice"), y_title=_("Dice"))
    except BaseException:
        for node in added:
            scene.RemoveNode(node)
        raise
    return tableNode, chartNode
