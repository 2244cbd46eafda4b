"""MedAI Features: its own .ui, real clicks, the real scene and the real worker process."""

from __future__ import annotations

import csv
import json

import pytest

TABLE = "vtkMRMLTableNode"


@pytest.fixture
def panel(load_module, two_boxes):
    """The panel with an image and a segmentation of two boxes."""
    _module, widget = load_module("MedAIFeatures")
    assert widget._parameterNode.inputVolume is two_boxes[0]
    assert widget._parameterNode.segmentation is two_boxes[1]
    return widget


@pytest.fixture
def measured(panel, two_boxes, scene):
    """The panel with a table that the console made."""
    info = panel.logic.process(*two_boxes)
    panel._parameterNode.table = scene.GetNodeByID(info["tableNodeId"])
    return panel


def tick(panel, field, row, ticked):
    """Tick or untick an entry of a list as a click does."""
    import qt

    getattr(panel.ui, field).item(row).setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)


def column(node, name):
    values = node.GetTable().GetColumnByName(name)
    return [values.GetValue(row) for row in range(values.GetNumberOfValues())]


def test_measures_both_boxes(panel, press, count, screenshot):
    screenshot(panel.parent, "medai-features-before", (440, 620))
    status = press(panel)
    node = panel._parameterNode.table
    assert count(TABLE) == 1
    assert "of 2 segments" in status
    rows = {
        (segment, feature): value
        for segment, feature, value in zip(
            column(node, "segment"), column(node, "feature"), column(node, "value"), strict=True
        )
    }
    assert rows["Large box", "voxel_volume"] == pytest.approx(1200.0)
    assert rows["Small box", "voxel_volume"] == pytest.approx(480.0)
    assert panel.ui.tableView.mrmlTableNode() is node
    assert not panel.ui.resultGroup.isHidden()
    screenshot(panel.parent, "medai-features-after", (480, 860))


def test_only_ticked_segments_and_families(panel, press):
    tick(panel, "segmentsField", 0, False)
    families = [name for name, _title, reason in panel.logic.families() if not reason]
    tick(panel, "familiesField", families.index("shape"), False)
    press(panel)
    node = panel._parameterNode.table
    assert set(column(node, "segment")) == {"Small box"}
    assert "shape" not in column(node, "family")
    assert column(node, "family")


def test_nothing_ticked_is_told(panel):
    tick(panel, "segmentsField", 0, False)
    tick(panel, "segmentsField", 1, False)
    assert not panel.ui.applyButton.enabled
    assert "segment" in panel.ui.applyButton.toolTip
    tick(panel, "segmentsField", 1, True)
    assert panel.ui.applyButton.enabled


def test_csv_and_clipboard_hold_the_same_numbers(measured, host, tmp_path):
    import qt

    panel = measured
    path = tmp_path / "features.csv"
    host.record.file_answers.append(str(path))
    panel.ui.saveButton.click()
    assert "saved" in panel.ui.statusLabel.text
    panel.ui.copyButton.click()
    assert "clipboard" in panel.ui.statusLabel.text
    saved = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    pasted = [line.split("\t") for line in qt.QApplication.clipboard().text().splitlines()]
    assert saved == pasted
    header = saved[0]
    features = json.loads(panel._parameterNode.table.GetAttribute("MedAI.Features"))
    assert len(saved) - 1 == len(features["rows"])
    for line, row in zip(saved[1:], features["rows"], strict=True):
        value = line[header.index("value")]
        assert (float(value) if value else None) == row["value"]


def test_cancelled_file_dialog_saves_nothing(measured, host):
    measured.ui.saveButton.click()
    assert len(host.record.file_dialogs) == 1
    assert "saved" not in measured.ui.statusLabel.text


def test_unwritable_csv_is_told_once(measured, host, shown_errors, tmp_path):
    host.record.file_answers.append(str(tmp_path / "missing" / "features.csv"))
    measured.ui.saveButton.click()
    assert len(shown_errors()) == 1
    assert "folder" in shown_errors()[0]


def test_chosen_table_is_replaced(panel, press, scene, count):
    mine = scene.AddNewNodeByClass(TABLE, "Mine")
    panel.ui.tableField.setCurrentNode(mine)
    press(panel)
    assert panel._parameterNode.table is mine
    assert mine.GetName() == "Mine"
    assert count(TABLE) == 1
    assert mine.GetNumberOfRows() > 10


def test_edited_segmentation_discards_the_result(panel, press, process_events, shown_errors, count):
    press(panel, wait=False)
    panel._parameterNode.segmentation.GetSegmentation().RemoveSegment("Segment_2")
    assert process_events(until=lambda: panel._run is None, timeout=60)
    assert len(shown_errors()) == 1
    assert "segmentation was changed" in shown_errors()[0]
    assert count(TABLE) == 0


def test_segmentation_of_another_grid(panel, press, phantom, shown_errors, count):
    panel._parameterNode.inputVolume = phantom()
    press(panel)
    assert len(shown_errors()) == 1
    assert "grid" in shown_errors()[0]
    assert count(TABLE) == 0
    panel._parameterNode.resample = True
    press(panel)
    assert len(shown_errors()) == 1
    assert count(TABLE) == 1


def test_result_of_the_panel_is_that_of_the_console(panel, press, two_boxes):
    from MedAISegmentLib.featurenodes import readFeatures

    press(panel)
    import slicer

    info = panel.logic.process(*two_boxes)
    console = readFeatures(slicer.mrmlScene.GetNodeByID(info["tableNodeId"]))
    assert readFeatures(panel._parameterNode.table).rows == console.rows


def test_features_survive_saving_the_scene(measured, scene, tmp_path):
    from MedAISegmentLib.featurenodes import readFeatures

    before = readFeatures(measured._parameterNode.table)
    path = tmp_path / "scene.mrml"
    scene.SetURL(str(path))
    scene.SetRootDirectory(str(tmp_path))
    for node in (scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())):
        if node.IsA("vtkMRMLStorableNode") and node.GetSaveWithScene():
            node.AddDefaultStorageNode()
            storage = node.GetStorageNode()
            if storage is not None:
                storage.SetFileName(str(tmp_path / f"{node.GetID()}.{storage.GetDefaultWriteFileExtension()}"))
                storage.WriteData(node)
    assert scene.Commit(str(path))
    scene.Clear(0)
    assert scene.Import()
    table = scene.GetFirstNodeByClass(TABLE)
    assert readFeatures(table).rows == before.rows
