"""MedAI Segment's list of own steps: adding, ordering, forms made from the settings, files, running."""

from __future__ import annotations

import json

import numpy as np
import pytest

SEGMENTATION, VOLUME = "vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode"
OWN_STEPS = 4


@pytest.fixture
def panel(load_module, phantom):
    """The panel with a phantom and an empty list of own steps."""
    phantom()
    _module, widget = load_module("MedAISegment")
    widget.ui.methodField.setCurrentIndex(OWN_STEPS)
    return widget


@pytest.fixture
def choose(panel):
    """`choose(title)` chooses an entry of the menu of steps."""

    def run(title):
        for part in panel.editor.fillMenu().actions():
            for action in part.menu().actions() if part.menu() else []:
                if action.text == title:
                    assert action.enabled
                    action.trigger()
                    return
        raise AssertionError(f"no step is called {title}")

    return run


def steps(panel):
    return json.loads(panel._parameterNode.pipeline or "[]")


def names(panel):
    return [step["step"] for step in steps(panel)]


def texts(panel):
    return [panel.ui.stepsList.item(row).text() for row in range(panel.ui.stepsList.count)]


def test_menu_is_grouped_by_kind_and_group(panel):
    from medai.segment.pipeline import all_steps

    parts = [action for action in panel.editor.fillMenu().actions() if action.menu()]
    headings = [action.text for action in parts]
    assert "Filter: Denoise" in headings
    assert "Segment: Threshold" in headings
    kinds = [heading.split(":")[0] for heading in headings]
    assert kinds == sorted(kinds, key=["Filter", "Segment", "Repair", "Not available"].index)
    listed = [a.text for part in parts for a in part.menu().actions() if a.enabled]
    assert sorted(listed) == sorted(step.title for step in all_steps() if not step.unavailable_reason())


def test_step_that_cannot_run_is_grey_and_says_why(panel, monkeypatch):
    from medai.segment.preprocess.gaussian import Gaussian

    monkeypatch.setattr(Gaussian, "requires", ("no_such_package",))
    parts = {action.text: action.menu() for action in panel.editor.fillMenu().actions() if action.menu()}
    [action] = [a for a in parts["Filter: Denoise"].actions() if a.text.startswith(Gaussian.title)]
    assert not action.enabled
    assert "no_such_package" in action.text


def test_empty_list_says_what_to_do(panel):
    assert not panel.ui.applyButton.enabled
    assert "Add a step" in panel.ui.applyButton.toolTip
    assert "Add the first step" in panel.ui.stepInfo.text


def test_add_run_and_undo(panel, choose, press, count):
    choose("Gaussian smoothing")
    choose("Threshold")
    assert names(panel) == ["gaussian", "threshold"]
    status = press(panel)
    assert "mL" in status
    assert count(SEGMENTATION) == 1
    assert panel.ui.undoButton.enabled
    panel.ui.undoButton.click()
    assert count(SEGMENTATION) == 0
    assert "Undone" in panel.ui.statusLabel.text
    assert not panel.ui.undoButton.enabled


def test_a_new_step_comes_after_the_chosen_one(panel, choose):
    choose("Gaussian smoothing")
    choose("Threshold")
    panel.ui.stepsList.setCurrentRow(0)
    choose("Clip values")
    assert names(panel) == ["gaussian", "clip", "threshold"]
    assert panel.ui.stepsList.currentRow == 1


def test_order_removal_and_ticks(panel, choose, process_events):
    import qt

    choose("Gaussian smoothing")
    choose("Clip values")
    choose("Threshold")
    panel.ui.upStepButton.click()
    panel.ui.upStepButton.click()
    assert names(panel) == ["threshold", "gaussian", "clip"]
    assert not panel.ui.upStepButton.enabled
    panel.ui.downStepButton.click()
    assert names(panel) == ["gaussian", "threshold", "clip"]
    panel.ui.stepsList.item(2).setCheckState(qt.Qt.Unchecked)
    assert steps(panel)[2] == {"step": "clip", "enabled": False}
    panel.ui.stepsList.item(2).setCheckState(qt.Qt.Checked)
    assert steps(panel)[2] == {"step": "clip"}
    panel.ui.stepsList.setCurrentRow(2)
    panel.ui.removeStepButton.click()
    assert names(panel) == ["gaussian", "threshold"]
    panel.ui.removeStepButton.click()
    panel.ui.removeStepButton.click()
    assert names(panel) == []
    assert not panel.ui.removeStepButton.enabled


def test_dragging_changes_the_order(panel, choose, process_events):
    import qt

    choose("Gaussian smoothing")
    choose("Clip values")
    choose("Threshold")
    model, root = panel.ui.stepsList.model(), qt.QModelIndex()
    assert model.moveRow(root, 2, root, 0)  # what Qt does when a row is dropped
    process_events()
    assert names(panel) == ["threshold", "gaussian", "clip"]
    assert panel.ui.stepsList.currentRow == 0


def test_form_is_made_from_the_settings(panel, choose):
    choose("Gaussian smoothing")
    field = panel.editor.form.fields["sigma_mm"]
    box = field.widget
    assert box.suffix == " mm"
    assert box.value == 1.0
    assert box.maximum == 100
    assert 0 < box.minimum <= 0.01
    assert box.singleStep == pytest.approx(0.1)
    assert "mm" in box.toolTip
    box.setValue(2.5)
    assert steps(panel) == [{"step": "gaussian", "settings": {"sigma_mm": 2.5}}]
    assert "2.5 mm" in texts(panel)[0]
    box.setValue(1.0)
    assert steps(panel) == [{"step": "gaussian"}]


def test_choice_optional_number_and_merge(panel, choose):
    choose("Threshold")
    fields = panel.editor.form.fields
    method = fields["method"].widget
    assert method.itemText(0) == "otsu"
    assert method.findText("soft tissue") >= 0
    assert fields["lower"].value() is None
    assert not fields["lower"]._box.enabled
    method.setCurrentIndex(method.findText("manual"))
    assert "lower" in panel.editor.form.problemAt("method") or "lower" in panel.ui.stepProblem.text
    assert not panel.ui.applyButton.enabled
    assert "lower" in panel.ui.applyButton.toolTip
    assert "see below" in texts(panel)[0]
    fields["lower"]._tick.setChecked(True)
    fields["lower"]._box.setValue(120.0)
    assert steps(panel)[0]["settings"] == {"method": "manual", "lower": 120.0}
    assert panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip
    assert panel.ui.stepProblem.isHidden()
    fields["lower"]._tick.setChecked(False)
    assert not panel.ui.applyButton.enabled
    fields["merge"].widget.setCurrentIndex(1)
    assert steps(panel)[0]["merge"] == "over"
    fields["merge"].widget.setCurrentIndex(0)
    assert "merge" not in steps(panel)[0]


def test_text_that_is_not_allowed_is_said_at_the_field(panel, choose):
    choose("Threshold")
    panel.editor.form.fields["name"].widget.setText("x" * 65)
    assert "64" in panel.editor.form.problemAt("name")
    assert not panel.ui.applyButton.enabled
    panel.editor.form.fields["name"].widget.setText("Lesion")
    assert panel.editor.form.problemAt("name") == ""
    assert panel.ui.applyButton.enabled


def test_names_and_numbers_between_commas(panel, choose):
    choose("Crop to a region")
    size = panel.editor.form.fields["size_mm"].widget
    assert size.text == "100, 100, 100"
    size.setText("20, 20.5, x")
    assert "size_mm" in panel.ui.applyButton.toolTip
    assert panel.editor.form.problemAt("size_mm")
    size.setText("20, 20.5, 30")
    assert steps(panel)[0]["settings"]["size_mm"] == [20, 20.5, 30]
    assert panel.editor.form.problemAt("size_mm") == ""
    choose("Threshold")
    choose("Fill holes")
    segments = panel.editor.form.fields["segments"].widget
    segments.setText('Left, "Vein, portal"')
    assert steps(panel)[2]["settings"]["segments"] == ["Left", "Vein, portal"]
    panel.ui.stepsList.setCurrentRow(0)
    panel.ui.stepsList.setCurrentRow(2)
    assert panel.editor.form.fields["segments"].widget.text == 'Left, "Vein, portal"'


def test_inside_offers_the_segments_that_are_known(panel, choose, scene):
    mine = scene.AddNewNodeByClass(SEGMENTATION, "Mine")
    mine.GetSegmentation().AddEmptySegment("a", "Liver")
    panel.ui.startSegmentationField.setCurrentNode(mine)
    choose("Threshold")
    inside = panel.editor.form.fields["inside"].widget
    assert [inside.itemText(n) for n in range(inside.count)] == ["", "Liver"]
    inside.setCurrentIndex(1)
    assert steps(panel)[0]["settings"] == {"inside": "Liver"}


def test_steps_are_saved_with_the_scene(panel, choose, scene, load_module):
    choose("Gaussian smoothing")
    panel.editor.form.fields["sigma_mm"].widget.setValue(3.0)
    choose("Threshold")
    panel.editor.form.fields["name"].widget.setText('Büchse "<&>" %')
    kept = panel._parameterNode.pipeline
    scene.SetSaveToXMLString(1)
    scene.Commit()
    text = scene.GetSceneXMLString()
    panel._parameterNode.pipeline = ""
    scene.SetLoadFromXMLString(1)
    scene.SetSceneXMLString(text)
    scene.Connect()
    assert panel._parameterNode.pipeline == kept
    assert len(texts(panel)) == 2
    assert "Büchse" in texts(panel)[1]


def test_file_and_back(panel, choose, host, tmp_path):
    from medai.segment.pipeline import parse_pipeline

    choose("Gaussian smoothing")
    choose("Threshold")
    kept = steps(panel)
    file = tmp_path / "mine ä.json"
    host.record.file_answers.append(str(file))
    panel.ui.savePipelineButton.click()
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written == {"pipeline": kept}
    parse_pipeline(written)
    panel._parameterNode.pipeline = ""
    host.record.file_answers.append(str(file))
    panel.ui.loadPipelineButton.click()
    assert steps(panel) == kept
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"step": "gaussian", "settings": {"sgima_mm": 2}}]', "bad.json[0].settings.sgima_mm: unknown key"),
        ('[{"step": "gaussian", "settings": {"sigma_mm": "2"}}]', "bad.json[0].settings.sigma_mm"),
        ('[{"step": "threshold", "settings": {"lower": NaN}}]', "NaN is not allowed"),
        ('[{"step": "no_such_step"}]', "bad.json[0].step"),
        ('[{"step": "threshold", "colour": 1}]', "bad.json[0].colour: unknown key"),
        ("[" * 50 + "]" * 50, "levels deep"),
        ('{"pipeline": []}', "at least 1"),
        ("not json", "not valid JSON"),
        ("7", "bad.json"),
    ],
)
def test_file_that_is_no_pipeline_is_refused_once(panel, choose, host, tmp_path, shown_errors, content, said):
    choose("Threshold")
    file = tmp_path / "bad.json"
    file.write_text(content, encoding="utf-8")
    host.record.file_answers.append(str(file))
    panel.ui.loadPipelineButton.click()
    assert len(shown_errors()) == 1
    assert said in shown_errors()[0]
    assert "Traceback" not in shown_errors()[0]
    assert names(panel) == ["threshold"]


def test_text_of_a_foreign_scene_is_no_error(panel):
    for text in ("{", "7", '{"a": 1}', "[1, 2]"):
        panel._parameterNode.pipeline = text
        assert texts(panel) == []
        assert not panel.ui.applyButton.enabled
    panel._parameterNode.pipeline = '[{"step": "of_the_future", "settings": {"x": 1}}]'
    assert "of_the_future" in texts(panel)[0]
    assert "no step called" in panel.ui.applyButton.toolTip
    assert "not available" in panel.ui.stepProblem.text


def test_value_out_of_range_stays_until_it_is_edited(panel):
    panel._parameterNode.pipeline = '[{"step": "gaussian", "settings": {"sigma_mm": 500.0}}, {"step": "threshold"}]'
    panel.ui.stepsList.setCurrentRow(0)
    assert "500" in panel.editor.form.problemAt("sigma_mm")
    assert steps(panel)[0]["settings"]["sigma_mm"] == 500.0
    panel.editor.form.fields["sigma_mm"].widget.setValue(5.0)
    assert panel.editor.form.problemAt("sigma_mm") == ""


def test_filters_alone_give_a_new_image(panel, choose, press, scene, count):
    import slicer

    before = slicer.util.arrayFromVolume(panel._parameterNode.inputVolume).copy()
    choose("Gaussian smoothing")
    assert panel.ui.applyButton.text == "Filter the image"
    assert panel.ui.segmentationField.isHidden()
    assert not panel.ui.outputVolumeField.isHidden()
    status = press(panel)
    made = scene.GetFirstNodeByName("Phantom filtered")
    assert made is not None
    assert "Phantom filtered" in status
    assert panel._parameterNode.outputVolume is made
    assert panel._parameterNode.inputVolume is not made
    assert np.array_equal(slicer.util.arrayFromVolume(panel._parameterNode.inputVolume), before)
    assert slicer.util.arrayFromVolume(made).std() < before.std()
    assert count(SEGMENTATION) == 0
    assert count(VOLUME) == 2
    panel.ui.undoButton.click()
    assert count(VOLUME) == 1


def test_chosen_output_image_is_replaced_and_comes_back(panel, choose, press, scene):
    import slicer

    from medai.mrml import provenance_of, volume_from_node

    image = panel._parameterNode.inputVolume
    panel.ui.outputVolumeField.setCurrentNode(image)
    before = volume_from_node(image).digest()
    made = provenance_of(image)
    choose("Gaussian smoothing")
    press(panel)
    assert volume_from_node(image).digest() != before
    assert provenance_of(image)["pipeline"][0]["step"] == "gaussian"
    panel.ui.undoButton.click()
    assert volume_from_node(image).digest() == before
    assert provenance_of(image) == made
    assert slicer.util.arrayFromVolume(image).dtype == np.float32


def test_segments_to_start_from(panel, choose, press, scene):
    panel._parameterNode.method = type(panel._parameterNode.method).OTSU
    press(panel)
    first = panel._parameterNode.segmentation
    panel.ui.methodField.setCurrentIndex(OWN_STEPS)
    choose("Dilate")
    assert "works on segments" in panel.ui.applyButton.toolTip
    panel.ui.startSegmentationField.setCurrentNode(first)
    panel.ui.segmentationField.setCurrentNode(None)
    before = first.GetSegmentation().GetNthSegment(0)
    status = press(panel)
    larger = panel._parameterNode.segmentation
    assert larger is not first
    volume = float(status.split(": ")[-1].removesuffix(" mL"))
    assert volume > 4 / 3 * np.pi * 12.0**3 / 1000 * 1.2
    assert first.GetSegmentation().GetNthSegment(0) is before


def test_changed_start_segmentation_discards_the_result(panel, choose, press, process_events, shown_errors, count):
    panel._parameterNode.method = type(panel._parameterNode.method).OTSU
    press(panel)
    first = panel._parameterNode.segmentation
    panel.ui.methodField.setCurrentIndex(OWN_STEPS)
    choose("Dilate")
    panel.ui.startSegmentationField.setCurrentNode(first)
    panel.ui.segmentationField.setCurrentNode(None)
    press(panel, wait=False)
    image = first.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    image.GetPointData().GetScalars().SetTuple1(0, 1)
    assert process_events(until=lambda: panel._run is None, timeout=60)
    assert "segmentation to start from was changed" in shown_errors()[0]
    assert count(SEGMENTATION) == 1


def test_start_segmentation_on_another_grid_is_refused(panel, choose, shown_errors, two_boxes, count):
    _volume, boxes = two_boxes
    choose("Dilate")
    panel.ui.startSegmentationField.setCurrentNode(boxes)
    panel.ui.applyButton.click()
    assert panel._run is None
    assert len(shown_errors()) == 1
    assert count(SEGMENTATION) == 1


@pytest.fixture
def picture(scene):
    """A colour picture of one slice: a red square on blue."""
    from medai.core.geometry import Geometry
    from medai.core.volume import Volume
    from medai.mrml import volume_to_node

    array = np.zeros((1, 40, 40, 3), np.uint8)
    array[..., 2] = 200
    array[0, 10:30, 10:30] = (220, 10, 10)
    return volume_to_node(Volume(array, Geometry.from_spacing((1, 40, 40), (1, 1, 1))), scene, "Picture")


def test_colour_picture_is_filtered(panel, choose, press, picture, process_events, scene):
    import slicer

    panel.ui.inputVolumeField.setCurrentNode(picture)
    assert panel._parameterNode.inputVolume is picture
    choose("Median filter")
    panel.ui.previewGroup.collapsed = False
    assert process_events(until=lambda: panel.preview.shown is not None, timeout=60), panel.ui.previewNote.text
    assert "Picture filtered" in press(panel)
    made = scene.GetFirstNodeByName("Picture filtered")
    assert made.GetClassName() == "vtkMRMLVectorVolumeNode"
    assert tuple(slicer.util.arrayFromVolume(made)[0, 20, 20]) == (220, 10, 10)
    panel.parent.exit()
    panel.parent.enter()
    assert panel.ui.inputVolumeField.currentNode() is picture


def test_colour_picture_is_not_segmented_by_grey_values(panel, choose, press, picture, shown_errors, count):
    panel.ui.inputVolumeField.setCurrentNode(picture)
    choose("Threshold")
    press(panel)
    assert len(shown_errors()) == 1
    assert "scalar image" in shown_errors()[0]
    assert count(SEGMENTATION) == 0
