"""From boxes and mask probabilities to instances, linked objects, findings and a label map."""

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.resample import reorient_array
from medai.core.volume import Volume
from medai.segment.detection.plane.findings import findings_of, truth_of
from medai.segment.detection.plane.flags import border_flags, image_flags
from medai.segment.detection.plane.instances import Instance, Raw, instances_of, mask_iou
from medai.segment.detection.plane.link import linked
from medai.segment.detection.plane.seen import Seen
from medai.segment.detection.plane.settings import LinkSettings
from medai.segment.manifest import Description, LabelEntry

CLASSES = (LabelEntry(label=1, name="Cell"), LabelEntry(label=2, name="Debris"))


def raw(*items, shape=(10, 12)):
    """Boxes as (left, top, right, bottom, score, class); the masks fill the boxes with probability 0.9."""
    masks = np.zeros((len(items), *shape), np.float32)
    for mask, (left, top, right, bottom, *_) in zip(masks, items, strict=True):
        mask[top:bottom, left:right] = 0.9
    table = np.array(items, dtype=np.float32).reshape(-1, 6)
    return Raw(table[:, :4], table[:, 4], table[:, 5].astype(int), masks)


def square(row, column, size=4, score=0.9, kind=1):
    mask = np.ones((size, size), dtype=bool)
    return Instance((column, row, column + size, row + size), score, kind, row, column, mask)


def test_the_better_instance_keeps_the_pixels_that_two_claim():
    found = instances_of(raw((0, 0, 4, 4, 0.6, 1), (3, 0, 8, 4, 0.8, 1)), score=0.5, mask=0.5)
    assert [round(item.score, 3) for item in found] == [0.8, 0.6]
    assert [item.pixels for item in found] == [20, 12]
    painted = np.zeros((10, 12), int)
    for item in found:
        painted[item.row : item.row + item.mask.shape[0], item.column : item.column + item.mask.shape[1]] += item.mask
    assert painted.max() == 1


def test_the_same_thing_found_twice_low_scores_and_specks_are_dropped():
    items = ((0, 0, 4, 4, 0.9, 1), (1, 0, 4, 4, 0.8, 1), (8, 8, 9, 9, 0.7, 1), (6, 0, 10, 4, 0.4, 1))
    assert [i.score for i in instances_of(raw(*items), score=0.5, mask=0.5, smallest=2)] == [pytest.approx(0.9)]
    assert len(instances_of(raw(*items), score=0.3, mask=0.5)) == 3
    assert len(instances_of(raw(*items), score=0.3, mask=0.5, most=2)) == 2
    assert instances_of(raw(*items), score=0.3, mask=0.95) == []
    assert instances_of(raw(), score=0.0, mask=0.5) == []


def test_a_box_over_the_edge_is_cut():
    given = raw((0, 0, 4, 4, 0.9, 1))
    given.boxes[0] = (-1.5, -2, 3.5, 4)
    (found,) = instances_of(given, score=0.5, mask=0.5)
    assert found.box == (0.0, 0.0, 3.5, 4.0)
    assert found.mask.shape == (4, 4)


def test_the_overlap_of_two_masks():
    assert mask_iou(square(0, 0), square(0, 0)) == 1.0
    assert mask_iou(square(0, 0), square(2, 2)) == pytest.approx(4 / 28)
    assert mask_iou(square(0, 0), square(4, 0)) == 0.0


def test_instances_of_neighbouring_slices_become_objects():
    planes = [[square(0, 0, score=0.6)], [square(1, 0), square(0, 8)], [square(1, 1)], [], [square(1, 1, score=0.7)]]
    things = linked(planes, LinkSettings())
    assert [[k for k, _ in thing.parts] for thing in things] == [[0, 1, 2], [1], [4]]
    assert (things[0].score, things[0].low, things[0].high) == (0.9, (0.0, 0.0, 0.0), (3.0, 5.0, 5.0))
    bridged = linked(planes, LinkSettings(gap=1))
    assert [[k for k, _ in thing.parts] for thing in bridged] == [[0, 1, 2, 4], [1]]
    assert len(linked(planes, LinkSettings(slices=2))) == 1
    assert len(linked(planes, None)) == 5
    assert linked([[], []], LinkSettings()) == []


def test_classes_are_never_joined_and_pairs_are_chosen_for_the_largest_overlap():
    assert len(linked([[square(0, 0)], [square(0, 0, kind=2)]], LinkSettings())) == 2
    # Both of the next slice overlap the first object; only the exchange gives each a partner.
    first, second = square(0, 0, size=6), square(0, 6, size=6)
    things = linked([[first, second], [square(0, 3, size=6), square(0, 1, size=6)]], LinkSettings())
    assert sorted([part.column for _, part in thing.parts] for thing in things) == [[0, 1], [6, 3]]


def test_objects_do_not_depend_on_the_direction_of_the_slices():
    random = np.random.default_rng(0)
    planes = [[square(int(r), int(c)) for r, c in random.integers(0, 20, (4, 2))] for _ in range(6)]
    sizes = sorted(len(thing.parts) for thing in linked(planes, LinkSettings()))
    assert sizes == sorted(len(thing.parts) for thing in linked(planes[::-1], LinkSettings()))
    assert max(sizes) > 1


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SRA", "IAL"])
def test_findings_carry_box_mask_and_name_in_the_stored_grid(orientation):
    canonical = Geometry.from_spacing((3, 10, 12), (0.5, 0.5, 2.0), (7.0, -3.0, 1.0), np.diag([-1.0, -1.0, 1.0]))
    _, grid = reorient_array(np.zeros((3, 10, 12)), canonical, orientation)
    seen = Seen.of(grid, "axial")
    things = linked([[square(0, 0)], [square(0, 1), square(5, 6, kind=2, score=0.95)], []], LinkSettings())
    found = findings_of(things, seen, grid, CLASSES, meta={"model": "m"})
    assert [(item.name, item.label, item.mask_label) for item in found.items] == [("Debris", 2, 1), ("Cell", 1, 2)]
    assert [segment.name for segment in found.to_labelmap().segments] == ["Debris 1", "Cell 1"]
    assert found.to_labelmap().counts() == {1: 16, 2: 32}
    for item in found.items:
        k, j, i = np.nonzero(found.to_labelmap().array == item.mask_label)
        assert item.low == (i.min(), j.min(), k.min())
        assert item.high == (i.max() + 1, j.max() + 1, k.max() + 1)
    # The same place in space, whatever the grid's order.
    assert np.allclose(found.items[1].centre_ras, (7.0 - 2.0 * 0.5 - 0.0, -3.0 - 1.5 * 0.5, 1.0 + 1.0))
    table = found.to_table()
    assert table.column("mask_volume").values == (16 * 0.5, 32 * 0.5)


def test_no_findings_give_an_empty_label_map():
    grid = Geometry.from_spacing((1, 4, 4))
    found = findings_of([], Seen.of(grid, "auto"), grid, CLASSES)
    assert len(found) == 0
    assert not found.to_labelmap().array.any()
    assert found.to_dict()["findings"] == []


def test_the_truth_of_a_label_map():
    array = np.zeros((1, 6, 8), np.uint8)
    array[0, 1:3, 2:6] = 4
    array[0, 5, 7] = 7
    labels = LabelMap(array, Geometry.from_spacing((1, 6, 8)))
    truth = truth_of(labels, CLASSES, {4: 2, 7: 1})
    assert [(d.low, d.high, d.name, d.mask_label) for d in truth.items] == [
        ((2, 1, 0), (6, 3, 1), "Debris", 4),
        ((7, 5, 0), (8, 6, 1), "Cell", 7),
    ]


def test_what_is_doubtful_about_an_image_is_flagged():
    texts = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "x")
    made_for = Description(**texts, limits=("x",), modality="CT", spacing_range_mm=(0.5, 1.0))
    grid = Geometry.from_spacing((1, 2, 2), (0.8, 2.0, 9.0))
    flags = image_flags(Volume(np.zeros((1, 2, 2)), grid, "MR"), np.zeros((1, 2, 2), np.float32), made_for)
    # The distance between slices is that of no slices here.
    assert [flag.code for flag in flags] == ["MODALITY_MISMATCH", "INT_CONSTANT", "GEOM_SPACING_OUT_OF_MODEL_RANGE"]
    assert flags[2].measured == pytest.approx(2.0)
    fine = Geometry.from_spacing((1, 2, 2), (0.8, 0.8, 9.0))
    values = np.array([[[0.0, 1.0], [0.0, 0.5]]], np.float32)
    assert image_flags(Volume(values, fine, "CT"), values, made_for) == []


def test_instances_at_the_border_are_flagged_but_not_for_the_missing_axis():
    grid = Geometry.from_spacing((1, 10, 12))
    inside = findings_of(linked([[square(2, 2)]], None), Seen.of(grid, "axial"), grid, CLASSES)
    assert border_flags(inside.items, grid) == []
    edge = findings_of(linked([[square(0, 2), square(5, 5)]], None), Seen.of(grid, "axial"), grid, CLASSES)
    (flag,) = border_flags(edge.items, grid)
    assert (flag.code, flag.measured) == ("FOV_CLIPPED", 1)
