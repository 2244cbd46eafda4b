"""A table of scores as a chart: bars with marks, as plot series and chart nodes over a table node."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core.errors import InputError, SceneError
from ..core.table import Column, Table
from ._slicer import slicer
from .nodes import added, free_name, require_node, require_scene
from .tables import table_from_node
from .texts import storable_line

MARKS = ("minimum", "ci_low", "ci_high", "maximum")
_BAR_COLOR = (0.33, 0.60, 0.85)
_MARK_COLOR = (0.15, 0.15, 0.15)
_HEADROOM = 1.05


def scores_to_plot(
    table_node: Any,
    scene: Any,
    *,
    labels: str = "segment",
    bar: str = "mean",
    marks: Sequence[str] = MARKS,
    title: str = "",
    y_title: str = "",
    name: str | None = None,
) -> Any:
    """Show a table of scores as a bar for each row, with marks on it.

    Parameters
    ----------
    table_node : vtkMRMLTableNode
        One row a bar; for example :meth:`medai.segment.evaluate.Evaluation.metric_table` put into the scene.  The
        chart follows it when it is edited.
    scene : vtkMRMLScene
        The table's scene.
    labels, bar : str
        Columns of the bars' names and heights.
    marks : sequence of str
        Columns shown as marks above each bar.  One that the table lacks, that has a gap, or that is the same as ``bar``
        in every row is left out.
    title, y_title : str
        The table's name, and the bars' column with its unit, if not given.
    name : str, optional
        The chart's name; a free name made from the table's if not given.

    Returns
    -------
    vtkMRMLPlotChartNode
        Its vertical axis holds 0 and all marks; 0 to 1 for pure numbers in that range.

    Raises
    ------
    InputError
        If a column is missing, ``bar`` is not a column of numbers or has a gap, or there are no rows.
    SceneError
        If the scene or node cannot be used.  Nothing was added then.
    """
    require_scene(scene)
    require_node(table_node, "vtkMRMLTableNode", "table")
    if table_node.GetScene() is not scene:
        raise SceneError("The table is not in the scene.", hint="Add it to the scene first.")
    table = table_from_node(table_node)
    table.column(labels)
    heights = _complete(table, bar)
    if heights is None:
        raise InputError(
            f"The column {bar!r} of the table {table.name!r} has no rows, gaps, or no numbers, so it cannot be drawn.",
            hint="Leave rows without a number out.",
        )
    drawn = {key: values for key in marks if (values := _complete(table, key)) is not None and values != heights}
    series = [_series(scene, table_node, labels, bar, is_bar=True)]
    series += [_series(scene, table_node, labels, key, is_bar=False) for key in drawn]
    unit = table.column(bar).unit
    chart = slicer.vtkMRMLPlotChartNode()
    chart.SetName(free_name(scene, name, f"{table.name} chart"))
    chart.SetTitle(storable_line(title or table.name))
    chart.SetXAxisTitle("")
    chart.SetYAxisTitle(storable_line(y_title or (f"{bar} ({unit})" if unit not in ("", "1") else bar)))
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(*_range([v for values in (heights, *drawn.values()) for v in values], unit))
    with added(scene, *series):
        for node in series:
            node.SetAndObserveTableNodeID(table_node.GetID())
            chart.AddAndObservePlotSeriesNodeID(node.GetID())
        with added(scene, chart):
            pass
    return chart


def _complete(table: Table, name: str) -> list[float] | None:
    """Return a column's numbers, or None if it is missing, is text, or has no rows, gaps or infinite values."""
    column: Column | None = next((c for c in table.columns if c.name == name), None)
    if column is None or column.kind not in ("float", "int") or not column.values:
        return None
    values = [float(v) for v in column.values]  # type: ignore[arg-type]
    return values if all(map(math.isfinite, values)) else None


def _series(scene: Any, table_node: Any, labels: str, key: str, *, is_bar: bool) -> Any:
    node = slicer.vtkMRMLPlotSeriesNode()
    node.SetName(free_name(scene, None, f"{table_node.GetName() or 'Table'} {key}"))
    node.SetPlotType(node.PlotTypeBar if is_bar else node.PlotTypeScatterBar)
    node.SetLabelColumnName(labels)
    node.SetYColumnName(key)
    node.SetColor(*(_BAR_COLOR if is_bar else _MARK_COLOR))
    if not is_bar:
        node.SetLineStyle(node.LineStyleNone)
        node.SetMarkerStyle(node.MarkerStyleCross if key.startswith("ci_") else node.MarkerStyleCircle)
    return node


def _range(values: Sequence[float], unit: str) -> tuple[float, float]:
    low, high = min(0.0, *values), max(0.0, *values)
    if unit == "1" and low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    if low == high:
        return 0.0, 1.0
    return low * _HEADROOM, high * _HEADROOM
