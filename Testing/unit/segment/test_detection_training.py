"""Training a tiny detector: repeatable, resumable to the same weights, stored with its checksums; labelled data too."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("SimpleITK")

import torch

from medai.core.errors import (
    Cancelled,
    ChecksumError,
    InputError,
    ManifestError,
    ModelError,
    OutputError,
    SettingsError,
)
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.detection.crops import CropSamples
from medai.segment.detection.manifest import AnchorEntry, MaskEntry, RetinaNet3DSettings
from medai.segment.detection.model import find_detector, load_networks, read_detector
from medai.segment.detection.network import build_detector, focal_loss
from medai.segment.detection.phantom import Background
from medai.segment.detection.pool import labelled_from, mixed, with_ignored
from medai.segment.detection.recipe import DetectorRecipe, PhantomPool
from medai.segment.detection.run import DetectSettings, run_detector
from medai.segment.detection.samples import WindowSamples
from medai.segment.detection.service import train_detector
from medai.segment.detection.testsets import labelled_test, planted_test
from medai.segment.detection.training import train_boxes, train_masks

TEXT = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "Tests")
TINY = {
    "id": "tiny",
    "description": {**TEXT, "limits": ["Hardly trained."], "modality": "CT"},
    "window": [16, 16, 16],
    "network": {"settings": {"features": [8, 8], "pyramid": 8}},
    "anchors": {"shapes": [[2, 2, 2], [4, 4, 4]]},
    "select": {"score": 0.0, "shown": 0.0, "most": 5},
    "mask": {"size": 16, "spacing_mm": 1.5, "features": [2, 4, 4, 4]},
    "synthesis": {"count": [1, 1], "diameter_mm": [8, 12]},
    "optimiser": {"epochs": 2, "steps": 2, "batch": 1, "warmup_steps": 1},
    "mask_optimiser": {"epochs": 1, "steps": 2, "batch": 2, "warmup_steps": 1},
    "seed": 7,
}


def recipe(**changes):
    return DetectorRecipe.parse({**TINY, **changes})


@pytest.fixture(scope="module")
def lung():
    """A block of lung with noise."""
    values = np.random.default_rng(1).normal(-850, 20, (24, 24, 24)).astype(np.float32)
    place = np.zeros(values.shape, bool)
    place[8:16, 8:16, 8:16] = True
    return Background(Volume(values, Geometry.from_spacing(values.shape, (2, 2, 2)), modality="CT"), place, "lung")


@pytest.fixture(scope="module")
def trained(lung, tmp_path_factory):
    """A folder that the whole service wrote."""
    folder = tmp_path_factory.mktemp("detector") / "tiny"
    test = planted_test("block", "A block.", lung, 2, recipe().synthesis)
    steps = []
    metrics = train_detector(
        recipe(), [lung], [test], folder, about="a block", progress=lambda fraction, message="": steps.append(fraction)
    )
    return folder, metrics, steps


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_gives_the_same_weights(lung):
    one, again = (train_boxes(WindowSamples([lung], recipe())) for _ in range(2))
    assert same(one.network, again.network)
    assert one.losses == again.losses
    assert len(one.losses) == 2
    other = train_boxes(WindowSamples([lung], recipe(seed=8)))
    assert not same(one.network, other.network)


class StopAt(CancelToken):
    """Cancels at its n-th poll."""

    def __init__(self, number):
        super().__init__()
        self.left = number

    def check(self):
        self.left -= 1
        if self.left < 0:
            self.cancel()
        super().check()


@pytest.mark.parametrize("stage", ["boxes", "masks"])
def test_a_stopped_training_goes_on_to_the_same_weights(lung, tmp_path, stage):
    chosen = recipe(mask_optimiser={**TINY["mask_optimiser"], "epochs": 2})
    samples = WindowSamples([lung], chosen) if stage == "boxes" else CropSamples([lung], chosen)
    train = train_boxes if stage == "boxes" else train_masks
    whole = train(samples)
    file = tmp_path / "state.pt"
    with pytest.raises(Cancelled):
        train(samples, checkpoint=file, cancel=StopAt(3))
    assert file.exists()
    resumed = train(samples, checkpoint=file)
    assert same(whole.network, resumed.network)
    assert whole.losses == resumed.losses


def test_a_checkpoint_of_another_recipe_is_refused(lung, tmp_path):
    file = tmp_path / "state.pt"
    train_boxes(WindowSamples([lung], recipe()), checkpoint=file)
    with pytest.raises(InputError, match="belongs to another"):
        train_boxes(WindowSamples([lung], recipe(seed=9)), checkpoint=file)


def test_windows_depend_on_their_number_only(lung):
    samples = WindowSamples([lung], recipe())
    one, again = samples.sample(1, 3), WindowSamples([lung], recipe()).sample(1, 3)
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.boxes, again.boxes)
    assert not np.array_equal(one.image, samples.sample(1, 4).image)
    assert one.image.shape == (1, 16, 16, 16)
    few = recipe(windows={"distinct": 2})
    kept = WindowSamples([lung], few)
    sums = {round(float(kept.sample(0, n).image.sum()), 1) for n in range(12)}
    assert len(sums) == 2  # mirrored anew, but the same two


def test_boxes_lie_on_the_bright_voxels(lung):
    samples = WindowSamples([lung], recipe(windows={"inside": 1.0, "count": [1, 1], "noise_hu": 0}))
    seen = 0
    for number in range(12):
        window = samples.sample(0, number)
        for box in window.boxes:
            if (box[:3] < 1).any() or (box[3:] > 15).any():
                continue
            seen += 1
            k, j, i = ((box[:3] + box[3:]) / 2).astype(int)
            assert window.image[0, k, j, i] > 0.2
            outside = window.image[0].copy()
            a, b = np.floor(box[:3] - 1).astype(int), np.ceil(box[3:] + 1).astype(int)
            outside[a[0] : b[0], a[1] : b[1], a[2] : b[2]] = 0
            assert outside.max() < 0.25
    assert seen


def test_crops_show_the_finding_and_its_box(lung):
    both, mask = CropSamples([lung], recipe()).sample(0, 0)
    assert both.shape == (2, 16, 16, 16)
    assert mask.any()
    assert set(np.unique(both[1])) == {0.0, 1.0}
    assert both[0][mask].mean() > 2 * both[0][~mask].mean()
    assert (both[1].astype(bool) & mask).sum() > 0.6 * mask.sum()


def test_the_service_writes_a_complete_folder(trained):
    folder, metrics, steps = trained
    names = {"detector.json", "recipe.json", "training.json", "MODEL_CARD.md", "weights.safetensors"}
    assert {file.name for file in folder.iterdir()} == {*names, "mask_weights.safetensors"}
    assert steps == sorted(steps)
    assert steps[-1] == pytest.approx(1)
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    assert "Research use only" in card
    assert f"**{metrics['block']['froc']['cpm']:.3f}**" in card
    assert metrics["block"]["froc"]["scans"] == 2
    assert json.loads((folder / "training.json").read_text())["sources"] == "a block"
    assert read_detector(folder).manifest.metrics == metrics


def test_a_full_folder_is_left_alone(trained, lung):
    folder, _, _ = trained
    with pytest.raises(OutputError, match="not empty"):
        train_detector(recipe(), [lung], [], folder, about="")


def test_the_stored_detector_runs(trained, lung):
    model = find_detector(str(trained[0]))
    found = run_detector(model, lung.volume, DetectSettings(device="cpu"))
    assert 0 < len(found) <= 5
    assert found.masks is not None
    assert found.meta["model"]["id"] == "tiny"


@pytest.fixture
def copied(trained, tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    for file in trained[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_other_weights_than_the_manifest_names_are_refused(copied):
    file = copied / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(ChecksumError, match="SHA-256"):
        load_networks(read_detector(copied))
    file.unlink()
    with pytest.raises(ChecksumError, match="cannot be read"):
        load_networks(read_detector(copied))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"window": [16, 16, 18]}, "multiple of 4"),
        ({"mask": None}, "mask stage"),
        ({"schema_version": 2}, "schema_version"),
        ({"anchors": {"shapes": [[3, 3, 3]]}}, "even"),
        ({"surprise": 1}, "surprise"),
        ({"labels": [{"label": 2, "name": "x"}]}, "numbered"),
        ({"network": {"name": "code"}}, "network.name"),
    ],
)
def test_a_damaged_manifest_is_refused(copied, change, word):
    file = copied / "detector.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ManifestError, match=word):
        read_detector(copied)


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"no detector\.json"):
        find_detector(str(tmp_path))
    with pytest.raises(ModelError, match="no detector called"):
        find_detector("not-there")


def labelled():
    values = np.random.default_rng(2).normal(-850, 20, (24, 24, 24)).astype(np.float32)
    labels = np.zeros(values.shape, np.uint8)
    for number, k in ((1, 6), (2, 15)):
        values[k : k + 4, 9:13, 9:13] = 40
        labels[k : k + 4, 9:13, 9:13] = number
    grid = Geometry.from_spacing(values.shape, (2, 2, 2))
    return labelled_from(Volume(values, grid, modality="CT"), LabelMap(labels, grid), "case")


def test_labelled_scans_are_trained_and_measured_on(tmp_path):
    case = labelled()
    assert [item.low for item in case.truth.items] == [(9, 9, 6), (9, 9, 15)]
    metrics = train_detector(
        recipe(), [case], [labelled_test("own", "Own.", [case])], tmp_path / "own", about="one scan"
    )
    assert metrics["own"]["froc"]["findings"] == 2


def test_a_mask_stage_needs_masks():
    case = labelled()
    bare = type(case)(case.volume, type(case.truth)(case.truth.items, case.volume.geometry), "bare")
    with pytest.raises(InputError, match="needs masks"):
        CropSamples([bare], recipe())
    with pytest.raises(InputError, match="no scans"):
        WindowSamples([], recipe())
    with pytest.raises(InputError, match="no background"):
        mixed(PhantomPool(count=0), [])


def test_what_a_label_map_marks_as_ignored_counts_neither_way():
    case = labelled()
    truth = with_ignored(type(case.truth)((), case.volume.geometry), case.truth.masks)
    assert [item.ignore for item in truth.items] == [True, True]


def test_the_focal_loss_by_hand():
    logits = torch.tensor([[0.0], [0.0], [2.0]])
    target = torch.tensor([[1.0], [0.0], [0.0]])
    p = torch.sigmoid(torch.tensor(2.0)).item()
    easy = np.log(2) * 0.25
    expected = 0.25 * easy + 0.75 * easy + 0.75 * p**2 * -np.log(1 - p)
    assert focal_loss(logits, target).item() == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(focal_loss(logits, torch.zeros(3, 1)))


@pytest.mark.parametrize("loss", ["focal", "hard_negatives"])
def test_both_losses_train_without_torchvision(loss, lung):
    from medai.segment.detection.manifest import DetectorNetwork
    from medai.segment.detection.network import build_retinanet

    entry = DetectorNetwork(settings=RetinaNet3DSettings(features=(8, 8), pyramid=8))
    anchors = AnchorEntry(shapes=((4, 4, 4),))
    detector = build_detector(build_retinanet(entry, anchors, 1), anchors, 2, loss=loss, reduced=True).train()
    image = torch.rand(2, 1, 16, 16, 16)
    boxes = {"boxes": torch.tensor([[4.0, 4, 4, 9, 9, 9]]), "labels": torch.tensor([0])}
    empty = {"boxes": torch.zeros(0, 6), "labels": torch.zeros(0, dtype=torch.int64)}
    losses = detector(image, [boxes, empty])
    assert all(torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in detector.network.network.classification_head.parameters())


@pytest.mark.parametrize(
    "change",
    [
        {"window": [16, 16, 17]},
        {"prepare": {"channels": [{"normalise": [{"method": "zscore"}]}]}},
        {"prepare": {"spacing": None, "channels": [{}]}},
        {"prepare": {"channels": []}},
    ],
)
def test_recipes_that_cannot_be_are_refused(change):
    with pytest.raises(SettingsError):
        recipe(**change)
    with pytest.raises(SettingsError):
        MaskEntry.parse({"size": 20})
