"""Two segmentations of a scene compared from the console."""

from __future__ import annotations

import math

import numpy as np
import pytest

TABLE, CHART = "vtkMRMLTableNode", "vtkMRMLPlotChartNode"


@pytest.fixture
def evaluate(load_module):
    load_module("MedAISegment")
    from MedAISegmentLib.evaluationnodes import evaluateSegmentations

    return evaluateSegmentations


@pytest.fixture
def shifted(two_boxes, scene):
    """The boxes' segmentation with the large box moved one slice up, the small box gone and their labels swapped."""
    from medai.mrml import labels_from_segmentation, labels_to_segmentation

    labels = labels_from_segmentation(two_boxes[1], two_boxes[0])
    array = np.roll(np.where(labels.array == 1, 2, 0).astype(np.uint8), 1, axis=0)
    segments = tuple(s.relabelled(3 - s.label) for s in labels.segments)
    moved = labels.replace(array=array, segments=segments)
    return labels_to_segmentation(moved, scene, "Moved", reference=two_boxes[0])


def values(node, name):
    from medai.mrml import table_from_node

    return table_from_node(node).column(name).values


def test_a_table_and_a_chart(evaluate, two_boxes, shifted, scene, count):
    volume, reference = two_boxes
    table, chart = evaluate(shifted, reference, volume)
    assert values(table, "segment") == ("Large box", "Small box")
    assert values(table, "status") == ("scored", "prediction_empty")
    assert values(table, "dice") == (pytest.approx(5 / 6), 0.0)
    assert values(table, "hd_mm")[0] == pytest.approx(2.0)
    assert math.isnan(values(table, "hd_mm")[1])
    assert values(table, "matched_by") == ("names", "names")
    assert (count(TABLE), count(CHART)) == (2, 1)
    series = chart.GetNthPlotSeriesNode(0)
    assert values(series.GetTableNode(), "segment")[:2] == ("Large box", "Small box")
    assert values(series.GetTableNode(), series.GetYColumnName())[0] == pytest.approx(5 / 6)


def test_no_dice_gives_no_chart(evaluate, two_boxes, scene, count):
    from medai.mrml import labels_from_segmentation, labels_to_segmentation

    volume, segmentation = two_boxes
    labels = labels_from_segmentation(segmentation, volume)
    empty = [
        labels_to_segmentation(labels.replace(array=np.zeros_like(labels.array)), scene, name, reference=volume)
        for name in ("a", "b")
    ]
    table, chart = evaluate(*empty, volume)
    assert chart is None
    assert values(table, "reason") == ("both are empty", "both are empty")
    assert (count(TABLE), count(CHART)) == (1, 0)


def test_what_cannot_be_compared_is_refused_and_adds_nothing(evaluate, two_boxes, shifted, count):
    from medai.core.errors import SceneError, SettingsError

    volume, reference = two_boxes
    with pytest.raises(SceneError, match="same node"):
        evaluate(reference, reference, volume)
    with pytest.raises(SceneError, match="No segmentation"):
        evaluate(None, reference, volume)
    with pytest.raises(SceneError, match="No image"):
        evaluate(shifted, reference, None)
    with pytest.raises(SettingsError, match="match"):
        evaluate(shifted, reference, volume, {"match": "colour"})
    assert (count(TABLE), count(CHART)) == (0, 0)


def test_another_grid_is_refused_or_resampled(evaluate, two_boxes, scene, count):
    from medai.core.errors import GeometryError
    from medai.core.geometry import Geometry
    from medai.mrml import labels_from_segmentation, labels_to_segmentation

    volume, reference = two_boxes
    labels = labels_from_segmentation(reference, volume)
    moved = Geometry.from_spacing(labels.array.shape, labels.geometry.spacing, (-20.3, -20.0, 5.0))
    other = labels_to_segmentation(labels.replace(geometry=moved), scene, "Moved grid")
    with pytest.raises(GeometryError, match=r"-20\.3"):
        evaluate(other, reference, volume)
    assert (count(TABLE), count(CHART)) == (0, 0)
    table, _chart = evaluate(other, reference, volume, {"resample": True})
    assert values(table, "dice") == (1.0, 1.0)
