"""Which segments are compared with which: names, codes, labels, and those without a partner."""

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.segment.anatomy import named
from medai.segment.evaluate import compare


def labels(segments, coded=False):
    """One plane a label: the segment with label n fills slice n."""
    array = np.zeros((8, 4, 5), dtype=np.uint8)
    made = []
    for label, name in segments.items():
        array[label] = label
        made.append(named(label, name) if coded else Segment(label, name))
    return LabelMap(array, Geometry.from_spacing(array.shape), tuple(made))


def swapped(labelmap, table):
    """The same places under other label values."""
    lookup = np.arange(256, dtype=np.uint8)
    for old, new in table.items():
        lookup[old] = new
    segments = tuple(s.relabelled(table.get(s.label, s.label)) for s in labelmap.segments)
    return LabelMap(lookup[labelmap.array], labelmap.geometry, segments)


def found(scores):
    return [(s.segment, s.label, s.status, s.dice) for s in scores]


def test_names_win_over_labels_when_both_have_them():
    reference = labels({1: "Left kidney", 2: "Liver"})
    prediction = swapped(reference, {1: 2, 2: 1})
    scores = compare(prediction, reference)
    assert found(scores) == [("Left kidney", 1, "scored", 1.0), ("Liver", 2, "scored", 1.0)]
    assert {s.matched_by for s in scores} == {"names"}
    by_label = compare(prediction, reference, {"match": "labels"})
    assert [s.dice for s in by_label] == [0.0, 0.0]
    assert [s.predicted_name for s in by_label] == ["Liver", "Left kidney"]


@pytest.mark.parametrize("made_up", ["Label 1", "label 1 (2)", "Segment_1"])
def test_labels_are_used_when_one_side_has_no_names(made_up):
    (score,) = compare(labels({1: made_up}), labels({1: "Liver"}))
    assert (score.matched_by, score.status, score.segment, score.dice) == ("labels", "scored", "Liver", 1.0)


def test_how_a_name_is_written_does_not_count():
    (score,) = compare(labels({1: "left_KIDNEY"}), labels({1: "Left kidney"}))
    assert (score.matched_by, score.key, score.predicted_name) == ("names", "left kidney", "left_KIDNEY")


def test_names_that_differ_only_in_writing_are_refused():
    with pytest.raises(InputError, match="'liver' and 'Liver' of the prediction have the same name"):
        compare(labels({1: "liver", 2: "Liver"}), labels({1: "Liver"}))


def test_segments_without_a_partner_are_listed_as_such():
    scores = compare(labels({1: "Liver", 3: "Spleen"}), labels({1: "Liver", 2: "Kidney"}))
    assert found(scores) == [
        ("Liver", 1, "scored", 1.0),
        ("Kidney", 2, "only_in_reference", 0.0),
        ("Spleen", 3, "only_in_prediction", None),
    ]
    kidney, spleen = scores[1:]
    assert (kidney.recall, kidney.volume_error_percent, kidney.hd_mm) == (0.0, -100.0, None)
    assert kidney.reason == "the prediction has no such segment"
    assert (spleen.specificity, spleen.surface_dice, spleen.volume_error_ml) == (None, None, None)
    assert spleen.predicted_ml == pytest.approx(0.02)
    assert spleen.reason == "the reference has no such segment"


def test_no_common_name_is_refused_with_both_lists():
    with pytest.raises(InputError, match=r"prediction \(Leber\) has the name .* reference \(Liver\)"):
        compare(labels({1: "Leber"}), labels({1: "Liver"}))


def test_codes_match_whatever_the_names():
    reference = labels({1: "Left kidney", 2: "Right kidney", 3: "Liver"}, coded=True)
    renamed = tuple(
        Segment(s.label, name, s.color, s.category, s.type, s.modifier)
        for s, name in zip(reference.segments, ("Niere links", "Niere rechts", "Leber"), strict=True)
    )
    prediction = swapped(LabelMap(reference.array, reference.geometry, renamed), {1: 2, 2: 3, 3: 1})
    scores = compare(prediction, reference, {"match": "codes"})
    assert found(scores) == [
        ("Left kidney", 1, "scored", 1.0),
        ("Right kidney", 2, "scored", 1.0),
        ("Liver", 3, "scored", 1.0),
    ]
    assert [s.predicted_name for s in scores] == ["Niere links", "Niere rechts", "Leber"]
    assert len({s.key for s in scores}) == 3


def test_segments_without_codes_have_no_partner_by_codes():
    reference = labels({1: "Liver"}, coded=True)
    prediction = LabelMap(
        reference.array + np.where(np.arange(8) == 5, 2, 0).astype(np.uint8)[:, None, None],
        reference.geometry,
        (reference.segments[0], Segment(2, "Bare")),
    )
    scores = compare(prediction, reference, {"match": "codes"})
    assert [(s.segment, s.status) for s in scores] == [("Liver", "scored"), ("Bare", "only_in_prediction")]


def test_the_same_code_twice_is_refused():
    twice = labels({1: "Lesion A", 2: "Lesion B"}, coded=True)
    with pytest.raises(InputError, match="'Lesion A' and 'Lesion B' of the reference have the same code"):
        compare(labels({1: "Liver"}, coded=True), twice, {"match": "codes"})


def test_an_empty_named_prediction_misses_every_segment():
    reference = labels({1: "Liver", 2: "Kidney"})
    nothing = LabelMap(np.zeros_like(reference.array), reference.geometry)
    assert [(s.status, s.dice) for s in compare(nothing, reference)] == [("prediction_empty", 0.0)] * 2
