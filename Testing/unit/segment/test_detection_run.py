"""The shipped detector on a generated block of lung: finds planted nodules, however the image is stored; bad input."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("SimpleITK")

from medai.core.errors import Cancelled, InputError, MedAIError, ModelError, SettingsError
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap
from medai.core.resample import reorient_array
from medai.core.volume import Volume
from medai.segment.detection.matching import matches
from medai.segment.detection.model import find_detector, shipped_detectors
from medai.segment.detection.result import Detections
from medai.segment.detection.run import DetectSettings, detect, run_detector
from medai.segment.detection.service import write_findings
from medai.segment.detection.synthesis import SynthesisSettings, plant

BALLS = SynthesisSettings(count=(2, 2), diameter_mm=(11, 14), glass_share=0, roughness=0.05)


@pytest.fixture(scope="module")
def shipped():
    found = {model.id: model for model in shipped_detectors()}
    if "nodule-synthetic" not in found:
        pytest.skip("no shipped detector")
    return found["nodule-synthetic"]


@pytest.fixture(scope="module")
def planted():
    """Noise of lung between two walls of tissue, with two nodules."""
    values = np.random.default_rng(3).normal(-850, 20, (36, 40, 44)).astype(np.float32)
    values[:, :6], values[:, -6:] = 40, 40
    place = np.zeros(values.shape, bool)
    place[10:26, 14:26, 10:34] = True
    grid = Geometry.from_spacing(values.shape, (2, 2, 2), (-40, -60, 10))
    return plant(Volume(values, grid, modality="CT", unit="[hnsf'U]", name="block"), place, BALLS, seed=12)


@pytest.fixture(scope="module")
def found(shipped, planted):
    return run_detector(shipped, planted.volume, DetectSettings(device="cpu"))


def test_planted_nodules_are_found_with_boxes_and_masks(planted, found):
    assert len(planted.truth) == 2
    hits = matches(found, planted.truth, "centre")
    assert hits.any(axis=0).all()
    labels = found.to_labelmap()
    for column, item in enumerate(planted.truth.items):
        best = found.items[int(np.flatnonzero(hits[:, column])[0])]
        assert np.asarray(best.size_mm) == pytest.approx(item.size_mm, rel=0.5)
        truth, mask = planted.truth.masks.array == item.mask_label, labels.array == best.mask_label
        assert 2 * (truth & mask).sum() / (truth.sum() + mask.sum()) > 0.5
    assert not found.flags


def test_few_others_are_found(found):
    assert len(found) <= 6


@pytest.mark.parametrize("orientation", ["LPS", "SAR", "PIR"])
def test_how_the_image_is_stored_makes_no_difference(shipped, planted, found, orientation):
    array, grid = reorient_array(planted.volume.array, planted.volume.geometry, orientation)
    volume = planted.volume.replace(array=np.ascontiguousarray(array), geometry=grid)
    other = run_detector(shipped, volume, DetectSettings(device="cpu"))
    assert len(other) == len(found)
    assert other.centres_ras() == pytest.approx(found.centres_ras(), abs=1e-3)
    assert other.scores() == pytest.approx(found.scores(), abs=1e-5)
    back, _ = reorient_array(other.to_labelmap().array, grid, planted.volume.geometry.orientation)
    assert (back != found.to_labelmap().array).mean() < 1e-4


def test_no_lung_no_finding(shipped):
    air = Volume(np.full((30, 30, 30), -1000, np.int16), Geometry.from_spacing((30, 30, 30), (2, 2, 2)), modality="CT")
    result = run_detector(shipped, air, DetectSettings(device="cpu"))
    assert len(result) == 0
    assert result.to_labelmap().array.max() == 0


def test_progress_rises_and_cancel_stops_inside(shipped, planted, cancel_at_poll):
    seen = []
    with pytest.raises(Cancelled):
        run_detector(
            shipped, planted.volume, DetectSettings(device="cpu"),
            progress=lambda fraction, message="": seen.append(fraction), cancel=cancel_at_poll(6),
        )  # fmt: skip
    assert seen == sorted(seen)
    assert seen[-1] < 1


@pytest.mark.parametrize(
    ("shape", "spacing", "modality", "code"),
    [
        ((1, 40, 40), (2, 2, 5), "CT", "DOMAIN_OOD"),
        ((20, 20, 20), (2, 2, 2), "MR", "MODALITY_MISMATCH"),
        ((10, 24, 24), (2, 2, 12), "CT", "GEOM_SPACING_OUT_OF_MODEL_RANGE"),
    ],
)
def test_unfit_images_are_flagged(shipped, shape, spacing, modality, code):
    values = np.random.default_rng(0).normal(-850, 20, shape).astype(np.float32)
    volume = Volume(values, Geometry.from_spacing(shape, spacing), modality=modality)
    result = run_detector(shipped, volume, DetectSettings(device="cpu"))
    assert code in {flag.code for flag in result.flags}


def test_an_image_smaller_than_a_window_is_looked_at(shipped):
    volume = Volume(np.full((3, 4, 5), -850.0), Geometry.from_spacing((3, 4, 5), (2, 2, 2)), modality="CT")
    assert run_detector(shipped, volume, DetectSettings(device="cpu")).meta["windows"] == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(shipped, value):
    values = np.full((20, 20, 20), -850, np.float32)
    values[3, 3, 3] = value
    with pytest.raises(InputError):
        run_detector(shipped, Volume(values, Geometry.from_spacing((20, 20, 20))), DetectSettings(device="cpu"))


def test_other_wrong_input_is_refused(planted):
    colour = Volume(np.zeros((4, 4, 4, 3), np.uint8), Geometry.from_spacing((4, 4, 4)))
    with pytest.raises(MedAIError):
        detect(colour)
    with pytest.raises(SettingsError, match="score"):
        detect(planted.volume, {"score": 2})
    with pytest.raises(ModelError, match="no detector called"):
        detect(planted.volume, {"model": "nothing"})


def test_what_is_written_can_be_read(found, tmp_path):
    files = write_findings(found, tmp_path)
    assert all(file.is_file() for file in files)
    masks = read_labelmap(tmp_path / "masks.seg.nrrd")
    again = Detections.from_dict(json.loads((tmp_path / "findings.json").read_text()), masks)
    assert again.items == found.items
    assert np.array_equal(masks.array, found.to_labelmap().array)
    assert len(list((tmp_path / "rois").glob("*.mrk.json"))) == len(found)
    write_findings(Detections((), found.geometry), tmp_path)
    assert not list((tmp_path / "rois").glob("*.mrk.json"))


def test_the_card_shows_the_measured_numbers(shipped):
    text = (shipped.folder / "MODEL_CARD.md").read_text("utf-8")
    assert "Research use only" in text
    assert shipped.manifest.metrics
    for values in shipped.manifest.metrics.values():
        assert f"**{values['froc']['cpm']:.3f}**" in text
    assert sum(file.stat().st_size for file in shipped.folder.iterdir()) < 10 * 2**20
    assert find_detector("nodule-synthetic").folder == shipped.folder
