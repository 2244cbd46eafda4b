"""medai.mrml.provenance: facts kept with nodes."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("slicer")

from medai.core.errors import SceneError
from medai.core.table import Column, Table
from medai.core.version import VERSION
from medai.mrml import (
    labels_to_segmentation,
    labels_to_volume,
    provenance_of,
    stamp,
    table_to_node,
    volume_to_node,
)


def test_stamp_adds_and_replaces(scene):
    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    assert provenance_of(node) == {}
    stamp(node, {"a": 1, "b": "old"})
    stamp(node, {"b": "new", "c": [None, True, 1.5, {"é": '"'}]})
    assert provenance_of(node) == {"a": 1, "b": "new", "c": [None, True, 1.5, {"é": '"'}]}
    assert node.GetAttribute("MedAI.Provenance").startswith("{")


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}, b"bytes"])
def test_what_has_no_json_form_is_refused_and_changes_nothing(scene, value):
    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    stamp(node, {"a": 1})
    with pytest.raises(SceneError, match="plain JSON"):
        stamp(node, {"b": value})
    assert provenance_of(node) == {"a": 1}


@pytest.mark.parametrize("text", ["{", "[1]", '"x"'])
def test_damaged_provenance_is_reported(scene, text):
    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    node.SetAttribute("MedAI.Provenance", text)
    with pytest.raises(SceneError, match="cannot be read"):
        provenance_of(node)


@pytest.mark.parametrize("wrong", [None, "node", 3])
def test_what_is_no_node_is_refused(wrong):
    with pytest.raises(SceneError, match="MRML node is needed"):
        stamp(wrong, {})
    with pytest.raises(SceneError, match="MRML node is needed"):
        provenance_of(wrong)


def test_every_node_that_we_make_is_stamped(scene, volume, labels):
    image = volume_to_node(volume, scene)
    nodes = [
        image,
        labels_to_segmentation(labels, scene, reference=image),
        table_to_node(Table("t", (Column("a", (1,)),)), scene),
        labels_to_volume(labels, scene),
    ]
    for node in nodes:
        facts = provenance_of(node)
        assert facts["made_by"] == f"MedAI {VERSION}"
        assert facts["intended_use"] == "Research use only"
        assert len(facts["content_sha256"]) == 64
        assert facts["created"].endswith("+00:00")
        attributes = list(node.GetAttributeNames())
        assert all(name.startswith("MedAI.") for name in attributes), attributes
    assert provenance_of(nodes[1])["input_sha256"] == volume.digest()
    assert provenance_of(nodes[3])["content_sha256"] == labels.digest()
