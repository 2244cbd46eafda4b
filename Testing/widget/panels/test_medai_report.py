"""MedAI Report: its own .ui, real clicks, the real scene and the real worker process."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def panel(load_module, two_boxes, tmp_path):
    """The panel with an image, a segmentation of two boxes and a folder."""
    _module, widget = load_module("MedAIReport")
    assert widget._parameterNode.inputVolume is two_boxes[0]
    widget.ui.outputFolderField.setText(str(tmp_path / "out"))
    return widget


def read(panel_folder):
    return json.loads((panel_folder / "out" / "report.json").read_text(encoding="utf-8"))


def test_measures_writes_both_files_and_opens_the_page_on_request(panel, press, host, tmp_path, screenshot):
    assert not panel.ui.openButton.enabled
    panel.ui.questionField.setText("How large are the boxes?")
    panel.ui.pseudonymField.setText("Case 7")
    status = press(panel)
    report = read(tmp_path)
    assert [finding["volume"]["text"] for finding in report["findings"]] == ["1.20 mL", "0.480 mL"]
    assert report["task"]["question"] == "How large are the boxes?"
    assert report["identity"]["pseudonym"] == "Case 7"
    assert report["summary"][0] in status
    assert "How large are the boxes?" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "report.json"]
    assert host.record.opened_urls == []
    screenshot(panel.parent, "medai-report-after", (440, 640))
    panel.ui.openButton.click()
    [url] = host.record.opened_urls
    assert url.startswith("file://")
    assert url.endswith("/out/report.html")


def test_uses_the_table_that_was_measured(panel, press, two_boxes, tmp_path, load_module):
    _module, features = load_module("MedAIFeatures")
    info = features.logic.process(*two_boxes, settings={"families": {"shape": {}}})
    import slicer

    panel._parameterNode.table = slicer.mrmlScene.GetNodeByID(info["tableNodeId"])
    press(panel)
    rows = read(tmp_path)["radiomics"]["rows"]
    assert {row["family"] for row in rows} == {"shape"}


def test_table_of_an_edited_segmentation_is_refused(panel, press, two_boxes, tmp_path, load_module, shown_errors):
    _module, features = load_module("MedAIFeatures")
    info = features.logic.process(*two_boxes)
    import slicer

    panel._parameterNode.table = slicer.mrmlScene.GetNodeByID(info["tableNodeId"])
    two_boxes[1].GetSegmentation().RemoveSegment("Segment_2")
    press(panel)
    assert len(shown_errors()) == 1
    assert "edited since" in shown_errors()[0]
    assert not (tmp_path / "out").exists()


def test_foreign_table_is_told_before_the_start(panel, scene):
    panel._parameterNode.table = scene.AddNewNodeByClass("vtkMRMLTableNode", "Foreign")
    assert not panel.ui.applyButton.enabled
    assert "MedAI Features" in panel.ui.applyButton.toolTip


def test_folder_that_is_a_file_is_refused(panel, press, tmp_path, shown_errors):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    panel.ui.outputFolderField.setText(str(tmp_path / "file"))
    press(panel)
    assert len(shown_errors()) == 1
    assert "'file' is a file" in shown_errors()[0]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_folder_is_chosen_in_a_dialog(panel, host, tmp_path):
    host.record.file_answers.append(str(tmp_path / "elsewhere"))
    panel.ui.browseButton.click()
    assert panel._parameterNode.outputFolder == str(tmp_path / "elsewhere")
    assert panel.ui.outputFolderField.text == str(tmp_path / "elsewhere")
    panel.ui.browseButton.click()  # cancelled
    assert panel._parameterNode.outputFolder == str(tmp_path / "elsewhere")


def test_no_folder_is_told(panel):
    panel.ui.outputFolderField.setText("  ")
    assert not panel.ui.applyButton.enabled
    assert "folder" in panel.ui.statusLabel.text


def test_pseudonym_and_no_node_names(panel, two_boxes, tmp_path):
    two_boxes[0].SetName("Canary^Patient")
    panel.logic.process(*two_boxes, str(tmp_path / "out"), pseudonym="Case 7")
    assert read(tmp_path)["identity"]["pseudonym"] == "Case 7"
    for name in ("report.json", "report.html"):
        assert "Canary" not in (tmp_path / "out" / name).read_text(encoding="utf-8")


def test_cancel_writes_nothing(panel, press, process_events, tmp_path):
    press(panel, wait=False)
    panel.ui.applyButton.click()
    assert process_events(until=lambda: panel._run is None, timeout=10)
    assert list((tmp_path / "out").iterdir()) == []


def test_input_edited_in_mid_run_writes_nothing(panel, press, process_events, tmp_path, shown_errors, two_boxes):
    import slicer

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text("old", encoding="utf-8")
    press(panel, wait=False)
    slicer.util.arrayFromVolume(two_boxes[0])[0, 0, 0] += 1
    assert process_events(until=lambda: panel._run is None, timeout=60)
    assert len(shown_errors()) == 1
    assert [path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir()] == ["old"]


def test_edited_segmentation_is_said_in_the_report(panel, two_boxes, tmp_path):
    two_boxes[1].GetSegmentation().RemoveSegment("Segment_2")
    panel.logic.process(*two_boxes, str(tmp_path / "out"))
    assert read(tmp_path)["provenance"]["segmentation"]["edited_since"] is True


def test_report_of_a_segmentation_run_names_its_pipeline(panel, load_module, tmp_path, phantom):
    _module, segment = load_module("MedAISegment")
    volume = phantom()
    info = segment.logic.process(volume)
    import slicer

    panel.logic.process(volume, slicer.mrmlScene.GetNodeByID(info["segmentationNodeId"]), str(tmp_path / "out"))
    report = read(tmp_path)
    assert report["task"]["steps"] == ["threshold"]
    assert "edited_since" not in report["provenance"]["segmentation"]
    assert [item["step"] for item in report["provenance"]["times"]] == ["threshold"]
