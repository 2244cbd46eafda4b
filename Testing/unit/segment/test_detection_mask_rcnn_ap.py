"""Average precision of boxes and masks: worked examples, ties, intervals, and the COCO tools where they are there."""

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.detection.froc import Scan
from medai.segment.detection.plane.ap import average_precision, mask_overlaps
from medai.segment.detection.plane.dataset import find_entries
from medai.segment.detection.plane.findings import truth_of
from medai.segment.detection.plane.measure import measure
from medai.segment.detection.plane.settings import MaskRcnnRecipe
from medai.segment.detection.plane.synthetic import CellSettings, cells, write_cells
from medai.segment.detection.result import Detection, Detections
from medai.segment.manifest import LabelEntry

GRID = Geometry.from_spacing((1, 32, 32))
LABELS = (LabelEntry(label=1, name="Cell"),)


def boxes(*items):
    """Findings as (left, top, right, bottom, score, class)."""
    made = []
    array = np.zeros(GRID.shape, np.uint8)
    for value, (left, top, right, bottom, score, kind) in enumerate(items, start=1):
        made.append(
            Detection.of(GRID, (left, top, 0), (right, bottom, 1), score, label=kind, name=f"c{kind}", mask_label=value)
        )
        array[0, top:bottom, left:right] = value
    segments = tuple(Segment(n, f"s{n}") for n in range(1, len(items) + 1))
    return Detections(tuple(made), GRID, masks=LabelMap(array, GRID, segments))


TRUTH = boxes((0, 0, 10, 10, 1, 1), (20, 20, 30, 30, 1, 1))


def test_everything_found_exactly_is_1_and_nothing_found_is_0():
    for of in ("boxes", "masks"):
        assert average_precision([Scan(TRUTH, TRUTH)], of).ap == 1.0
        assert average_precision([Scan(boxes(), TRUTH)], of).ap == 0.0


def test_a_false_alarm_before_the_second_hit():
    found = boxes((0, 0, 10, 10, 0.9, 1), (0, 20, 5, 25, 0.8, 1), (20, 20, 30, 30, 0.7, 1))
    # Precision 1 up to a recall of 0.5 (51 of 101 points), 2/3 beyond.
    assert average_precision([Scan(found, TRUTH)]).ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    # A second box on the same instance is a false alarm.
    twice = boxes((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 10, 0.8, 1), (20, 20, 30, 30, 0.7, 1))
    assert average_precision([Scan(twice, TRUTH)]).ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_thresholds_and_classes():
    # 8 of 10 columns: an overlap of 0.8, found at 0.50 to 0.80.
    found = boxes((0, 0, 8, 10, 0.9, 1), (20, 20, 30, 30, 0.8, 1))
    result = average_precision([Scan(found, TRUTH)])
    assert result.ap50 == result.ap75 == 1.0
    # Above 0.8 the first is a false alarm: precision 1/2 up to a recall of 1/2.
    assert result.ap == pytest.approx((7 + 3 * 51 * 0.5 / 101) / 10)
    other = boxes((0, 0, 10, 10, 0.9, 2), (20, 20, 30, 30, 0.8, 1))
    truth = boxes((0, 0, 10, 10, 1, 2), (20, 20, 30, 30, 1, 1))
    assert average_precision([Scan(other, truth)]).ap == 1.0
    assert average_precision([Scan(other, TRUTH)]).ap50 == pytest.approx(51 / 101)


def test_intervals_are_repeatable_and_hold_the_value():
    miss = boxes((0, 0, 10, 10, 0.9, 1))
    scans = [Scan(TRUTH, TRUTH), Scan(miss, TRUTH), Scan(boxes(), TRUTH), Scan(TRUTH, TRUTH), Scan(TRUTH, TRUTH)]
    result = average_precision(scans, resamples=200)
    assert result.intervals == average_precision(scans, resamples=200).intervals
    low, high = result.intervals["ap50"]
    assert low < result.ap50 < high
    assert average_precision(scans).intervals == {}


def test_masks_are_compared_by_their_pixels():
    found = boxes((0, 0, 10, 5, 0.9, 1), (25, 20, 30, 30, 0.5, 1))
    assert np.allclose(mask_overlaps(found, TRUTH), [[0.5, 0], [0, 0.5]])
    with pytest.raises(InputError, match="has none"):
        mask_overlaps(Detections(found.items[:0], GRID), TRUTH)
    with pytest.raises(InputError, match="no precision"):
        average_precision([Scan(found, boxes())])


def scattered(seed):
    """Return ten images with true boxes and findings near them, of two classes, masks included."""
    random = np.random.default_rng(seed)
    scans = []
    for _ in range(10):
        truth, found = [], []
        for n, (left, top) in enumerate([(1, 1), (17, 1), (1, 17), (17, 17)][: random.integers(1, 5)]):
            width, height = random.integers(5, 13, 2)
            kind = 1 + n % 2
            truth.append((left, top, left + width, top + height, 1.0, kind))
            if random.random() < 0.85:
                a, b = random.integers(0, 3, 2)
                found.append((left + a, top + b, left + a + width, top + b + height, random.random(), kind))
        scans.append(Scan(boxes(*found), boxes(*truth)))
    return scans


@pytest.mark.parametrize("of", ["boxes", "masks"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_to_the_coco_tools(of, seed):
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    mask = pytest.importorskip("pycocotools.mask")
    scans = scattered(seed)

    def entry(number, item, masks):
        (left, top, _), (right, bottom, _) = item.low, item.high
        plane = np.asfortranarray((masks.array[0] == item.mask_label).astype(np.uint8))
        return {
            "image_id": number,
            "category_id": item.label,
            "bbox": [left, top, right - left, bottom - top],
            "area": (right - left) * (bottom - top),
            "iscrowd": 0,
            "score": item.score,
            "segmentation": mask.encode(plane),
        }

    truth, found = [], []
    for number, scan in enumerate(scans, start=1):
        truth += [entry(number, item, scan.truth.masks) for item in scan.truth.items]
        found += [entry(number, item, scan.found.masks) for item in scan.found.items]
    data = coco.COCO()
    data.dataset = {
        "images": [{"id": n, "width": 32, "height": 32} for n in range(1, len(scans) + 1)],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": [{**item, "id": n} for n, item in enumerate(truth, start=1)],
    }
    data.createIndex()
    judge = evaluation.COCOeval(data, data.loadRes(found), "bbox" if of == "boxes" else "segm")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    ours = average_precision(scans, of)
    assert (ours.ap, ours.ap50, ours.ap75) == pytest.approx(tuple(judge.stats[:3]), abs=1e-9)
    assert 0.05 < ours.ap < 0.95


def test_measuring_a_detector_that_knows_the_answer_and_one_that_errs(tmp_path):
    settings = CellSettings(size=48, radius=(4, 7), cells=(2, 3))
    description = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "x")
    recipe = MaskRcnnRecipe.parse(
        {"id": "c", "description": {**description, "limits": ["x"]}, "labels": [{"label": 1, "name": "Cell"}]}
    )
    entries = find_entries(write_cells(tmp_path, 4, 0, settings), recipe.labels)
    known = {cells(0, n, settings)[0].tobytes(): cells(0, n, settings)[1] for n in range(4)}

    def knows(volume: Volume) -> Detections:
        labels = LabelMap(known[np.ascontiguousarray(volume.array).tobytes()][None], volume.geometry)
        return truth_of(labels, LABELS, {})

    def misses_one(volume: Volume) -> Detections:
        found = knows(volume)
        return Detections(found.items[1:], found.geometry, masks=found.masks)

    told = []
    best = measure(entries, LABELS, knows, resamples=20, progress=lambda f, _: told.append(f), cancel=CancelToken())
    count = sum(int(instances.max()) for instances in known.values())
    assert (best["images"], best["instances"]) == (4, count)
    assert best["boxes"]["ap"] == best["masks"]["ap"] == best["froc"]["cpm"] == 1.0
    assert best["at_score"] == {"score": 0.5, "sensitivity": 1.0, "false_positives_per_image": 0.0}
    assert told == sorted(told)
    assert told[-1] == 1.0
    worse = measure(entries, LABELS, misses_one, resamples=0, progress=lambda *_: None, cancel=CancelToken())
    assert worse["at_score"]["sensitivity"] == pytest.approx(1 - 4 / count, abs=1e-4)
    assert worse["masks"]["ap50"] < 0.8
    with pytest.raises(InputError, match="no images"):
        measure([], LABELS, knows, progress=lambda *_: None, cancel=CancelToken())
