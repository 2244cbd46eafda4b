"""MedAI Segment's recipes: saved pipelines that are listed, run, and copied into the list of own steps."""

from __future__ import annotations

import json

import pytest

RECIPE, OWN_STEPS = 3, 4
BRIGHT = {
    "id": "bright-parts",
    "title": "Bright parts",
    "description": "Everything brighter than the rest.",
    "modality": "CT",
    "hounsfield": False,
    "pipeline": [{"step": "median"}, {"step": "threshold", "settings": {"name": "Bright"}}],
}
GROWN = {
    "id": "grown",
    "title": "Grown from points",
    "pipeline": [{"step": "connected_threshold", "settings": {"lower": 150.0}}],
}


@pytest.fixture
def panel(load_module, phantom, tmp_path, monkeypatch):
    """The panel with two recipes of our own."""
    from medai.segment import recipes

    for recipe in (BRIGHT, GROWN):
        (tmp_path / f"{recipe['id']}.json").write_text(json.dumps(recipe), encoding="utf-8")
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    phantom()
    _module, widget = load_module("MedAISegment")
    widget.ui.methodField.setCurrentIndex(RECIPE)
    return widget


def test_recipes_are_listed_and_described(panel):
    box = panel.ui.recipeField
    assert [box.itemText(n) for n in range(box.count)] == ["Bright parts", "Grown from points"]
    assert panel.ui.methodInfoLabel.text == BRIGHT["description"]
    assert panel.ui.denoiseField.isHidden()
    assert panel.ui.stepsGroup.isHidden()
    assert panel.ui.seedsField.isHidden()
    box.setCurrentIndex(1)
    assert panel._parameterNode.recipeId == "grown"
    assert not panel.ui.seedsField.isHidden()


def test_recipe_runs_and_says_what_it_is_made_for(panel, press, scene):
    node = panel._parameterNode.inputVolume
    assert "Bright: " in press(panel)
    from medai.mrml.attributes import get_flags
    from medai.mrml.quantities import modality_of

    assert modality_of(node) == ""
    assert "MODALITY" not in str(get_flags(panel._parameterNode.segmentation))


def test_image_of_another_modality_is_flagged(panel, press, scene):
    from medai.mrml import volume_from_node, volume_to_node

    wrong = volume_to_node(volume_from_node(panel._parameterNode.inputVolume).replace(modality="MR"), scene, "MR")
    panel.ui.inputVolumeField.setCurrentNode(wrong)
    status = press(panel)
    assert "Note: The recipe is made for CT, the image is MR." in status


def test_recipe_becomes_own_steps(panel):
    panel.ui.editRecipeButton.click()
    assert panel.ui.methodField.currentIndex == OWN_STEPS
    assert not panel.ui.stepsGroup.isHidden()
    steps = json.loads(panel._parameterNode.pipeline)
    assert [step["step"] for step in steps] == ["median", "threshold"]
    assert steps[1]["settings"]["name"] == "Bright"
    assert panel.ui.stepsList.count == 2


def test_preview_of_a_recipe(panel, process_events):
    panel.ui.previewGroup.collapsed = False
    assert process_events(until=lambda: panel.preview.shown is not None, timeout=60)
    assert panel.preview.shown["segments"][0]["name"] == "Bright"


def test_shipped_recipes_fit_the_panel(load_module, phantom):
    from medai.segment.recipes import list_recipes

    phantom()
    _module, widget = load_module("MedAISegment")
    widget.ui.methodField.setCurrentIndex(RECIPE)
    shipped = list_recipes()
    box = widget.ui.recipeField
    assert [box.itemText(n) for n in range(box.count)] == [recipe.title for recipe in shipped]
    for index, recipe in enumerate(shipped):
        box.setCurrentIndex(index)
        assert widget.ui.methodInfoLabel.text == recipe.description
        needs = {part for step in recipe.pipeline for part in step.settings}
        assert widget.ui.applyButton.enabled or "package" in widget.ui.applyButton.toolTip, (recipe.id, needs)
