"""Table nodes to Table values and back: typed columns, units, descriptions, exact after saving.

Slicer saves a table as text with six significant digits, and its reader drops cells and columns after a double quote
or a line end (and, in its default tab-separated form, after an empty first cell: so we ask for .csv).  So the node
shows text without those signs, and what the file would lose travels along in the attribute ``MedAI.Table``.  On
reading, a cell takes its exact value only while the node still shows that value: an edit in Slicer always wins.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import InputError, SceneError
from ..core.table import Cell, Column, Table
from ._slicer import slicer, vtk
from .attributes import get_json, set_json, to_json
from .nodes import added, free_name, one_modification, require_node, require_scene, require_target
from .provenance import facts_of, stamp
from .texts import storable_line

_INT32 = 2**31
_INT64 = 2**63


def table_to_node(
    table: Table,
    scene: Any,
    node: Any = None,
    *,
    name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Any:
    """Put a table into a scene.

    Parameters
    ----------
    table : Table
        ``float`` columns become double, ``int`` int or long long, ``bool`` bit, ``str`` string columns.  NaN and empty
        cells survive; units and descriptions become the node's column properties.
    scene : vtkMRMLScene
    node : vtkMRMLTableNode, optional
        An existing node of the scene whose content is replaced in one modification.
    name : str, optional
        The node's name; a free name made from ``table.name`` if not given.
    provenance : mapping, optional
        Facts to add to the node's provenance, JSON values.

    Returns
    -------
    vtkMRMLTableNode

    Raises
    ------
    InputError
        If a whole number needs more than 64 bits.
    SceneError
        If the scene or node cannot be used.  Nothing was added or changed then.
    """
    require_scene(scene)
    columns, shown = vtk.vtkTable(), _shown_names(table)
    for column, label in zip(table.columns, shown, strict=True):
        columns.AddColumn(_to_vtk(column, label))
    exact = [_lost(column, label) for column, label in zip(table.columns, shown, strict=True)]
    facts = facts_of(_digest(table), provenance)
    if node is not None:
        require_target(node, "vtkMRMLTableNode", "table", scene)
        if node.GetLocked():
            raise SceneError("The output table is locked.", hint="Unlock it in Slicer, or choose another one.")
        with one_modification(node):
            node.RemoveAllColumns()
            _fill(node, table, columns, exact, facts)
            if name is not None:
                node.SetName(storable_line(name))
        _save_as_csv(node)
        return node
    created = slicer.vtkMRMLTableNode()
    created.SetName(free_name(scene, name, table.name or "Table"))
    _fill(created, table, columns, exact, facts)
    with added(scene, created):
        _save_as_csv(created)
    return created


def table_from_node(node: Any) -> Table:
    """Return a copy of a table node's content.

    Parameters
    ----------
    node : vtkMRMLTableNode
        Of any origin.

    Returns
    -------
    Table
        Numbers as ``float``, whole numbers as ``int``, bit columns as ``bool``, anything else as text.

    Raises
    ------
    SceneError
        If ``node`` is not a table node.
    InputError
        If two columns have the same name.
    """
    require_node(node, "vtkMRMLTableNode", "table")
    source = node.GetTable()
    count = source.GetNumberOfColumns() if source is not None else 0
    kept = get_json(node, "Table")
    exact = kept.get("columns") if isinstance(kept, dict) else None
    columns = []
    for number in range(count):
        lost = exact[number] if isinstance(exact, list) and number < len(exact) else None
        columns.append(_from_vtk(node, source.GetColumn(number), lost if isinstance(lost, dict) else {}))
    return Table(node.GetName() or "", tuple(columns))


def _fill(node: Any, table: Table, columns: Any, exact: list[dict[str, Any]], facts: Mapping[str, Any]) -> None:
    node.SetAndObserveSchema(None)
    node.SetAndObserveTable(columns)
    for number, column in enumerate(table.columns):
        label = columns.GetColumn(number).GetName()
        node.SetColumnUnitLabel(label, _plain(column.unit))
        node.SetColumnDescription(label, _plain(column.description))
    set_json(node, "Table", {"columns": exact} if any(exact) else None)
    stamp(node, facts)


def _save_as_csv(node: Any) -> None:
    node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    if storage is not None and not storage.GetFileName():
        storage.SetDefaultWriteFileExtension("csv")


def _to_vtk(column: Column, label: str) -> Any:
    kind, values = column.kind, column.values
    array: Any
    if kind == "float":
        array = vtk.vtkDoubleArray()
        cells: Sequence[Any] = [float(v) for v in values]  # type: ignore[arg-type]
    elif kind == "bool":
        array = vtk.vtkBitArray()
        cells = [int(v) for v in values]  # type: ignore[arg-type]
    elif kind == "int":
        largest = max(abs(int(v)) for v in values)  # type: ignore[arg-type]
        if largest >= _INT64:
            raise InputError(f"The column {column.name!r} holds a whole number of more than 64 bits.")
        array = vtk.vtkIntArray() if largest < _INT32 else vtk.vtkLongLongArray()
        cells = values
    else:
        array = vtk.vtkStringArray()
        cells = [_shown_text(v) for v in values]
    array.SetName(label)
    array.SetNumberOfValues(len(cells))
    for row, value in enumerate(cells):
        array.SetValue(row, value)
    return array


def _from_vtk(node: Any, array: Any, lost: dict[str, Any]) -> Column:
    label = array.GetName() or ""
    raw = [array.GetVariantValue(row) for row in range(array.GetNumberOfTuples())]
    cells: list[Cell]
    if array.IsA("vtkBitArray"):
        cells = [bool(v.ToInt()) for v in raw]
    elif not array.IsA("vtkDataArray"):
        cells = list(_exact_texts([v.ToString() for v in raw], lost.get("values")))
    elif array.IsA("vtkFloatArray") or array.IsA("vtkDoubleArray"):
        cells = list(_exact_numbers([float(v.ToDouble()) for v in raw], lost.get("values")))
    else:
        cells = [int(v.ToLongLong()) for v in raw]
    return Column(
        _exact_text(label, lost.get("name")),
        tuple(cells),
        _exact_text(node.GetColumnUnitLabel(label) or "", lost.get("unit")),
        _exact_text(node.GetColumnDescription(label) or "", lost.get("description")),
    )


def _lost(column: Column, label: str) -> dict[str, Any]:
    """Return what the saved text of a column cannot carry: pairs of shown and exact text, and exact cells."""
    lost: dict[str, Any] = {}
    for key, text, shown in (
        ("name", column.name, label),
        ("unit", column.unit, _plain(column.unit)),
        ("description", column.description, _plain(column.description)),
    ):
        if text != shown:
            lost[key] = [shown, text]
    if column.kind == "str":
        if any(_shown_text(v) != v for v in column.values):
            lost["values"] = list(column.values)
    elif column.kind == "float":
        numbers = [float(v) for v in column.values]  # type: ignore[arg-type]
        if any(math.isfinite(v) and float(_shown_number(v)) != v for v in numbers):
            lost["values"] = [v if math.isfinite(v) else None for v in numbers]
    return lost


def _exact_texts(shown: list[str], exact: Any) -> list[str | None]:
    if not isinstance(exact, list) or len(exact) != len(shown):
        return list(shown)
    pairs = zip(shown, exact, strict=True)
    return [e if (e is None or isinstance(e, str)) and _shown_text(e) == s else s for s, e in pairs]


def _exact_numbers(shown: list[float], exact: Any) -> list[float]:
    if not isinstance(exact, list) or len(exact) != len(shown):
        return shown
    pairs = zip(shown, exact, strict=True)
    return [float(e) if isinstance(e, (int, float)) and _shown_number(e) == _shown_number(s) else s for s, e in pairs]


def _exact_text(shown: str, pair: Any) -> str:
    return str(pair[1]) if isinstance(pair, list) and len(pair) == 2 and pair[0] == shown else shown


def _plain(text: str) -> str:
    return storable_line(text).replace('"', "'")


def _shown_text(value: Any) -> str:
    return "" if value is None else _plain(str(value))


def _shown_number(value: float) -> str:
    return f"{float(value):.6g}"


def _shown_names(table: Table) -> list[str]:
    """Return the columns' names as the node shows them: without breaking signs, none empty, none twice."""
    names: list[str] = []
    for number, column in enumerate(table.columns):
        wanted = name = _plain(column.name) or f"Column {number + 1}"
        suffix = 2
        while name in names:
            name, suffix = f"{wanted} ({suffix})", suffix + 1
        names.append(name)
    return names


def _digest(table: Table) -> str:
    columns = [[c.name, c.unit, c.description, [repr(v) for v in c.values]] for c in table.columns]
    return hashlib.sha256(to_json(columns).encode("utf-8")).hexdigest()
