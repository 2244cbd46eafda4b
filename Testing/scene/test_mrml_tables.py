"""medai.mrml.tables: table nodes to Table values and back."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("slicer")

import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medai.core.errors import InputError, SceneError
from medai.core.table import Column, Table
from medai.mrml import HeadlessSession, provenance_of, table_from_node, table_to_node

FEATURES = Table(
    "Features",
    (
        Column("segment", ("Left", "", None, "脑 🧠"), "", "Which segment"),
        Column("volume", (0.1 + 0.2, math.nan, math.inf, -0.0), "mm3", "Voxel volume, tidy"),
        Column("voxels", (1, -(2**31) + 1, 2**31 - 1, 0), "1"),
        Column("large", (1, 2**62, -(2**62), 0)),
        Column("touches", (True, False, True, False), "", "Touches the border"),
    ),
)


def same(first: Table, second: Table) -> bool:
    """Tables are equal; NaN equals NaN and types count."""
    return repr(first) == repr(second)


def array_of(node, name):
    return node.GetTable().GetColumnByName(name)


def test_round_trip(scene):
    assert same(table_from_node(table_to_node(FEATURES, scene)), FEATURES)


def test_columns_are_typed_for_slicer(scene):
    node = table_to_node(FEATURES, scene)
    assert array_of(node, "segment").IsA("vtkStringArray")
    assert array_of(node, "volume").IsA("vtkDoubleArray")
    assert array_of(node, "voxels").IsA("vtkIntArray")
    assert array_of(node, "large").IsA("vtkLongLongArray")
    assert array_of(node, "touches").IsA("vtkBitArray")
    assert node.GetColumnUnitLabel("volume") == "mm3"
    assert node.GetColumnDescription("touches") == "Touches the border"
    assert math.isnan(array_of(node, "volume").GetValue(1))
    assert node.GetCellText(0, 0) == "Left"


def test_survives_saving(session, tmp_path):
    table_to_node(FEATURES, session.scene)
    session.save(tmp_path / "a.mrb")
    session.load(tmp_path / "a.mrb")
    node = session.scene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert same(table_from_node(node), FEATURES)
    kinds = [node.GetTable().GetColumn(n).GetDataType() for n in range(5)]
    assert kinds == [vtk.VTK_STRING, vtk.VTK_DOUBLE, vtk.VTK_INT, vtk.VTK_LONG_LONG, vtk.VTK_BIT]
    assert node.GetColumnUnitLabel("volume") == "mm3"


TEXT = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.sampled_from(
        ['a"b', '"', '""', "a\tb", "a\nb", "a\r\nb", " lead ", "", "0.1", "nan", "'", "\\n", ",", ";", "#", "é"]
    ),
)
NUMBER = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def tables(draw):
    rows = draw(st.integers(0, 4))
    names = draw(st.lists(st.text(max_size=6), min_size=1, max_size=4, unique=True))
    columns = []
    for name in names:
        cells = draw(st.sampled_from([TEXT, NUMBER, st.integers(-(2**62), 2**62), st.booleans()]))
        values = tuple(draw(st.lists(cells, min_size=rows, max_size=rows)))
        column = Column(name, values, draw(st.text(max_size=5)), draw(st.text(max_size=12)))
        columns.append(column)
    return Table("T", tuple(columns))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=tables())
def test_any_table_survives_saving(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("tables") / "t.mrb"
    with HeadlessSession() as session:
        table_to_node(table, session.scene, name="T")
        session.save(path)
        session.load(path)
        back = table_from_node(session.scene.GetFirstNodeByClass("vtkMRMLTableNode"))
    assert same(back, table)


def test_an_edit_in_slicer_wins_over_the_exact_value(scene):
    node = table_to_node(FEATURES, scene)
    array_of(node, "volume").SetValue(0, 5.0)
    array_of(node, "segment").SetValue(2, "edited")
    back = table_from_node(node)
    assert back.column("volume").values[0] == 5.0
    assert back.column("segment").values[2] == "edited"
    assert back.column("segment").values[1] == ""


def test_removed_and_added_rows_do_not_mix_values_up(scene):
    node = table_to_node(FEATURES, scene)
    node.RemoveRow(0)
    back = table_from_node(node)
    assert back.rows == 3
    assert math.isnan(back.column("volume").values[0])
    assert back.column("segment").values == ("", "", "脑 🧠")


def test_removed_and_swapped_columns_do_not_mix_values_up(scene):
    node = table_to_node(FEATURES, scene)
    node.RemoveColumn(0)
    back = table_from_node(node)
    assert [c.name for c in back.columns] == ["volume", "voxels", "large", "touches"]
    assert back.column("volume").values[0] == 0.1 + 0.2
    assert back.column("volume").unit == "mm3"


def test_a_table_of_another_origin(scene):
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "foreign")
    for kind, name, value in (
        (vtk.vtkFloatArray, "float", 0.5),
        (vtk.vtkShortArray, "short", -3),
        (vtk.vtkUnsignedCharArray, "byte", 200),
        (vtk.vtkStringArray, "text", "x"),
    ):
        array = kind()
        array.SetName(name)
        array.InsertNextValue(value)
        node.AddColumn(array)
    back = table_from_node(node)
    assert [c.values for c in back.columns] == [(0.5,), (-3,), (200,), ("x",)]
    assert [c.kind for c in back.columns] == ["float", "int", "int", "str"]
    assert back.name == "foreign"


def test_empty_tables(scene):
    assert table_from_node(table_to_node(Table("none", ()), scene)).columns == ()
    bare = Table("bare", (Column("a", ()), Column("b", ())))
    assert table_from_node(table_to_node(bare, scene)).columns == bare.columns


def test_update_in_one_modification(scene):
    node = table_to_node(FEATURES, scene)
    events = []
    tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: events.append(event))
    other = Table("Other", (Column("x", (1.5, 2.5), "mm"),))
    count = scene.GetNumberOfNodes()
    assert table_to_node(other, scene, node) is node
    node.RemoveObserver(tag)
    assert len(events) == 1
    assert scene.GetNumberOfNodes() == count
    back = table_from_node(node)
    assert back.columns == other.columns
    assert back.name == "Features"
    assert node.GetColumnDescription("touches") == ""


def test_failed_update_leaves_the_node_untouched(scene):
    node = table_to_node(FEATURES, scene)
    seen = node.GetMTime()
    with pytest.raises(InputError, match="64 bits"):
        table_to_node(Table("big", (Column("n", (2**64,)),)), scene, node)
    with pytest.raises(SceneError, match="JSON"):
        table_to_node(FEATURES, scene, node, provenance={"x": math.inf})
    node.SetLocked(True)
    locked = node.GetMTime()
    with pytest.raises(SceneError, match="locked"):
        table_to_node(FEATURES, scene, node)
    assert seen <= locked == node.GetMTime()
    assert same(table_from_node(node), FEATURES)


def test_wrong_nodes_are_refused(scene):
    with pytest.raises(SceneError, match="table is needed"):
        table_from_node(None)
    with pytest.raises(SceneError, match="given vtkMRMLTextNode"):
        table_to_node(FEATURES, scene, scene.AddNewNodeByClass("vtkMRMLTextNode"))
    node = table_to_node(FEATURES, scene)
    scene.RemoveNode(node)
    with pytest.raises(SceneError, match="not in the scene any more"):
        table_to_node(FEATURES, scene, node)
    with pytest.raises(SceneError, match="MRML scene is needed"):
        table_to_node(FEATURES, None)


def test_provenance_changes_with_the_content(scene):
    digests = {provenance_of(table_to_node(t, scene))["content_sha256"] for t in (FEATURES, Table("x", ()), FEATURES)}
    assert len(digests) == 2
    assert all(len(d) == 64 for d in digests)
