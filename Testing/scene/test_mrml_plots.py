"""medai.mrml.plots: scores as a chart, kept by saving."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("slicer")

import slicer

from medai.core.errors import InputError, SceneError
from medai.core.table import Column, Table
from medai.mrml import scores_to_plot, table_to_node
from medai.segment.evaluate import Evaluation, Score

SEGMENTS = ("Liver", "Left kidney")


def evaluation(cases: int) -> Evaluation:
    scores = []
    for number in range(cases):
        for label, name in enumerate(SEGMENTS, start=1):
            dice = 0.95 - label / 10 - number / 50
            scores.append(
                Score(case=f"c{number}", label=label, name=name, predicted_name=name, status="scored",
                      matched_by="names", key=name, dice=dice, hd95_mm=2.0 + number, reference_ml=1.0, predicted_ml=1.0)
            )  # fmt: skip
    return Evaluation(tuple(scores))


def series_of(chart):
    return [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]


def facts(chart):
    return [
        (node.GetPlotType(), node.GetLabelColumnName(), node.GetYColumnName(), node.GetTableNode().GetName())
        for node in series_of(chart)
    ]


BAR, MARK = slicer.vtkMRMLPlotSeriesNode.PlotTypeBar, slicer.vtkMRMLPlotSeriesNode.PlotTypeScatterBar


def test_a_bar_for_each_segment_with_its_range_and_interval(scene):
    node = table_to_node(evaluation(6).metric_table("dice"), scene)
    chart = scores_to_plot(node, scene, title="Dice")
    assert facts(chart) == [
        (BAR, "segment", "mean", "Evaluation dice"),
        (MARK, "segment", "minimum", "Evaluation dice"),
        (MARK, "segment", "ci_low", "Evaluation dice"),
        (MARK, "segment", "ci_high", "Evaluation dice"),
        (MARK, "segment", "maximum", "Evaluation dice"),
    ]
    assert (chart.GetTitle(), chart.GetYAxisTitle()) == ("Dice", "mean")
    assert not chart.GetYAxisRangeAuto()
    assert tuple(chart.GetYAxisRange()) == (0.0, 1.0)


def test_marks_with_gaps_and_marks_that_say_nothing_new_are_left_out(scene):
    few = table_to_node(evaluation(3).metric_table("hd95_mm"), scene)
    chart = scores_to_plot(few, scene)
    assert [fact[2] for fact in facts(chart)] == ["mean", "minimum", "maximum"]
    assert chart.GetYAxisTitle() == "mean (mm)"
    assert tuple(chart.GetYAxisRange()) == pytest.approx((0.0, 4.0 * 1.05))
    one = table_to_node(evaluation(1).metric_table("dice"), scene)
    assert [fact[2] for fact in facts(scores_to_plot(one, scene))] == ["mean"]


def test_negative_heights_stay_on_the_axis(scene):
    table = Table("errors", (Column("segment", ("a", "b")), Column("mean", (-4.0, -2.0), "%")))
    assert tuple(scores_to_plot(table_to_node(table, scene), scene).GetYAxisRange()) == pytest.approx((-4.2, 0.0))


def test_survives_saving(session, tmp_path):
    node = table_to_node(evaluation(6).metric_table("dice"), session.scene)
    chart = scores_to_plot(node, session.scene, name="Dice of organs")
    before = facts(chart), tuple(chart.GetYAxisRange()), chart.GetTitle()
    session.save(tmp_path / "a.mrb")
    session.load(tmp_path / "a.mrb")
    again = session.scene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert again.GetName() == "Dice of organs"
    assert (facts(again), tuple(again.GetYAxisRange()), again.GetTitle()) == before
    shown = series_of(again)[0].GetTableNode().GetTable()
    assert [shown.GetColumnByName("segment").GetValue(n) for n in range(3)] == [*SEGMENTS, "(mean of segments)"]


def test_what_cannot_be_drawn_is_refused_and_adds_nothing(scene):
    gaps = Table("gaps", (Column("segment", ("a", "b")), Column("mean", (1.0, math.nan)), Column("text", ("x", "y"))))
    node = table_to_node(gaps, scene)
    count = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match=r"'mean'.*gaps"):
        scores_to_plot(node, scene)
    with pytest.raises(InputError, match="'text'"):
        scores_to_plot(node, scene, bar="text")
    with pytest.raises(InputError, match="no column 'organ'"):
        scores_to_plot(node, scene, labels="organ")
    with pytest.raises(SceneError, match="table is needed"):
        scores_to_plot(None, scene)
    with pytest.raises(SceneError, match="MRML scene is needed"):
        scores_to_plot(node, None)
    assert scene.GetNumberOfNodes() == count
    scene.RemoveNode(node)
    with pytest.raises(SceneError, match="not in the scene"):
        scores_to_plot(node, scene)


def test_names_that_scenes_cannot_hold_are_cleaned(scene):
    table = Table("x", (Column("segment", ("a",)), Column("mean", (0.5,), "1")))
    chart = scores_to_plot(table_to_node(table, scene), scene, title="two\nlines", name="a\tb")
    assert (chart.GetTitle(), chart.GetName()) == ("two lines", "a b")
