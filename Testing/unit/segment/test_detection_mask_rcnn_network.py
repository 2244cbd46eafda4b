"""Training, storing and using the network; needs a torchvision that works (a CPU build will do)."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from medai.core.errors import Cancelled, ChecksumError, InputError, ManifestError, OutputError
from medai.core.geometry import Geometry
from medai.core.io import read_volume
from medai.core.progress import CancelToken
from medai.core.resample import reorient_array
from medai.core.volume import Volume
from medai.segment.detection.plane.dataset import find_entries, load_picture
from medai.segment.detection.plane.settings import MaskRcnnRecipe
from medai.segment.detection.plane.synthetic import CellSettings, write_cells

SMALL = CellSettings(size=48, radius=(5, 8), cells=(1, 3), lines=0)
RECIPE = {
    "id": "cells",
    "description": {
        "title": "Cells",
        "summary": "For tests.",
        "intended_use": "Tests.",
        "limits": ["Made up."],
        "training_data": "Made up.",
        "licence": "Apache-2.0",
    },
    "labels": [{"label": 1, "name": "Cell"}],
    "network": {
        "short_side": 64,
        "long_side": 64,
        "anchors": [8, 16, 24, 32, 64],
        "pyramid_width": 16,
        "head_width": 16,
        "mask_layers": 1,
        "boxes": 8,
    },
    "optimiser": {"epochs": 2, "batch": 2, "threads": 1, "warmup_steps": 1},
    "held_back": 2,
    "seed": 4,
}


@pytest.fixture(scope="session")
def torchvision():
    """Skip unless torchvision works; asked in another process, because a broken one leaves half of itself behind."""
    pytest.importorskip("torch")
    code = "from medai.segment.detection.plane.library import missing_reason; print(missing_reason())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    if answer.returncode or answer.stdout.strip():
        pytest.skip(answer.stdout.strip() or "torchvision cannot be tried")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return write_cells(tmp_path_factory.mktemp("cells"), 6, 7, SMALL)


@pytest.fixture(scope="session")
def trained(torchvision, data, tmp_path_factory):
    """Model folder, its metrics, and what progress was told."""
    from medai.segment.detection.plane.service import train

    told = []
    out = tmp_path_factory.mktemp("models") / "cells"
    metrics = train(RECIPE, data, out, device="cpu", progress=lambda fraction, text: told.append((fraction, text)))
    return out, metrics, told


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def test_a_training_ends_with_a_complete_model_folder(trained):
    folder, metrics, told = trained
    names = {"MODEL_CARD.md", "detector.json", "recipe.json", "split.json", "training.json", "weights.safetensors"}
    assert {path.name for path in folder.iterdir()} == names
    manifest = json.loads((folder / "detector.json").read_text())
    assert manifest["kind"] == "detector2d"
    assert manifest["metrics"] == metrics
    assert metrics["on"] == "held-back images"
    assert metrics["images"] == 2
    split = json.loads((folder / "split.json").read_text())
    assert (len(split["training"]), len(split["held_back"])) == (4, 2)
    losses = json.loads((folder / "training.json").read_text())["losses"]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    card = (folder / "MODEL_CARD.md").read_text()
    assert "Research use only" in card
    assert "held-back images" in card


def test_the_numbers_of_the_card_can_be_repeated(trained, data, tmp_path):
    from medai.segment.detection.plane.service import measure_data

    folder, metrics, _ = trained
    again = measure_data(folder, data, device="cpu")
    assert {**again, "on": metrics["on"]} == metrics
    assert measure_data(folder, data, cases="all", device="cpu")["images"] == 6
    other = write_cells(tmp_path, 1, 0, SMALL)
    with pytest.raises(InputError, match="2 held-back images are not in the data set"):
        measure_data(folder, other, device="cpu")


def test_stopped_and_resumed_gives_the_same_weights(trained, data, tmp_path):
    from medai.segment.detection.plane.service import train

    checkpoint, token = tmp_path / "state.pt", CancelToken()

    def stop_in_the_second_epoch(fraction, text):
        if text.startswith("epoch 2"):
            token.cancel()

    with pytest.raises(Cancelled):
        train(
            RECIPE, data, tmp_path / "out", checkpoint=checkpoint, device="cpu", progress=stop_in_the_second_epoch,
            cancel=token,
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    told = []
    metrics = train(
        RECIPE, data, tmp_path / "out", checkpoint=checkpoint, device="cpu", progress=lambda _, text: told.append(text)
    )
    assert not any(text.startswith("epoch 1") for text in told)
    assert weights(tmp_path / "out") == weights(trained[0])
    assert metrics == trained[1]
    assert not checkpoint.exists()


def test_a_checkpoint_of_another_training_is_refused(torchvision, data, tmp_path):
    from medai.segment.detection.plane.service import train

    checkpoint, token = tmp_path / "state.pt", CancelToken()

    def stop(fraction, text):
        if text.startswith("epoch 2"):
            token.cancel()

    with pytest.raises(Cancelled):
        train(RECIPE, data, tmp_path / "out", checkpoint=checkpoint, device="cpu", progress=stop, cancel=token)
    with pytest.raises(InputError, match="another recipe"):
        train({**RECIPE, "seed": 5}, data, tmp_path / "out", checkpoint=checkpoint, device="cpu")


def test_a_token_that_is_cancelled_inside_a_step_stops_there(torchvision, data):
    from medai.segment.detection.plane.loop import train_network

    recipe = MaskRcnnRecipe.parse(RECIPE)
    pictures = [load_picture(entry, recipe) for entry in find_entries(data, recipe.labels)]

    cancel_at_poll = 40

    class Token(CancelToken):
        polls = 0

        def check(self):
            self.polls += 1
            if self.polls == cancel_at_poll:
                self.cancel()
            super().check()

    token, told = Token(), []
    with pytest.raises(Cancelled):
        train_network(pictures, recipe, progress=lambda *given: told.append(given), cancel=token)
    assert told == []  # inside the first step
    assert token.polls == cancel_at_poll


def test_an_image_gives_findings_with_masks_on_its_grid(trained, data):
    from medai.segment.detection.plane.service import detect

    image = read_volume(data / "images" / "cell_000.png")
    found = detect(image, {"model": str(trained[0]), "score": 0.0, "most": 5, "device": "cpu"})
    assert found.geometry.same_as(image.geometry)
    assert 1 <= len(found) <= 5
    counts = found.to_labelmap().counts()
    assert all(counts[item.mask_label] > 0 for item in found.items)
    assert found.meta["model"] == "cells"
    again = detect(image, {"model": str(trained[0]), "score": 0.0, "most": 5, "device": "cpu"})
    assert again.to_dict() == found.to_dict()
    assert np.array_equal(again.to_labelmap().array, found.to_labelmap().array)


def test_boxes_only_a_score_of_its_own_and_flags(trained, data):
    from medai.segment.detection.plane.model import detector_kind
    from medai.segment.detection.plane.service import detect

    assert detector_kind(trained[0]) == "detector2d"
    image = read_volume(data / "images" / "cell_000.png")
    settings = {"model": str(trained[0]), "score": 0.0, "most": 5, "device": "cpu"}
    found, boxes = detect(image, settings), detect(image, {**settings, "masks": False})
    assert np.array_equal(boxes.boxes(), found.boxes())
    assert boxes.masks is None
    assert {item.mask_label for item in boxes.items} == {None}
    middle = float(found.scores()[0])
    assert len(detect(image, {**settings, "score": middle})) == int((found.scores() >= middle).sum())
    shown = detect(image, {"model": str(trained[0]), "device": "cpu"})
    assert shown.meta["settings"]["score"] == 0.5
    assert [flag.code for flag in found.flags if flag.code == "ORIENT_UNKNOWN"]
    flat = detect(Volume(np.full((1, 32, 32), 3.0), Geometry.from_spacing((1, 32, 32))), settings)
    assert {"INT_CONSTANT", "DOMAIN_OOD"} <= {flag.code for flag in flat.flags}
    assert "DOMAIN_OOD" not in [flag.code for flag in found.flags]


def test_a_volume_gives_the_same_objects_however_it_is_stored(trained, data):
    from medai.segment.detection.plane.service import detect

    planes = [read_volume(data / "images" / f"cell_00{n}.png").array[0] for n in (0, 0, 1)]
    grid = Geometry.from_lps((3, 48, 48), np.diag([0.5, 0.5, 2.0, 1.0]))
    settings = {"model": str(trained[0]), "score": 0.0, "most": 4, "device": "cpu", "batch": 1}
    found = detect(Volume(np.stack(planes), grid), settings)
    array, other = reorient_array(np.stack(planes), grid, "SRA")
    turned = detect(Volume(np.ascontiguousarray(array), other), settings)
    assert np.array_equal(reorient_array(turned.to_labelmap().array, other, "LPS")[0], found.to_labelmap().array)
    assert np.allclose(turned.centres_ras(), found.centres_ras())
    # Slices 0 and 1 are the same picture, so their instances are linked one to one.
    labels = found.to_labelmap().array
    assert np.array_equal(labels[0], labels[1])
    alone = detect(Volume(np.stack(planes), grid), {**settings, "link": None})
    assert len(alone) > len(found)


def test_a_colour_image_is_read_by_a_grey_model(trained, data):
    from medai.segment.detection.plane.service import detect

    grey = read_volume(data / "images" / "cell_000.png")
    colour = Volume(np.repeat(grey.array[..., None], 3, axis=-1), grey.geometry)
    settings = {"model": str(trained[0]), "score": 0.0, "most": 3, "device": "cpu"}
    assert np.allclose(detect(colour, settings).scores(), detect(grey, settings).scores(), atol=1e-4)


def test_changed_weights_and_other_folders_are_refused(trained, tmp_path):
    import shutil

    from medai.segment.detection.plane.service import detect

    image = Volume(np.zeros((1, 32, 32)), Geometry.from_spacing((1, 32, 32)))
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    content = bytearray(weights(folder))
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(ChecksumError):
        detect(image, {"model": str(folder)})
    text = (folder / "detector.json").read_text()
    (folder / "detector.json").write_text(text.replace("detector2d", "detector3d"))
    with pytest.raises(ManifestError, match="kind"):
        detect(image, {"model": str(folder)})
    (folder / "detector.json").unlink()
    with pytest.raises(ManifestError, match=r"no detector\.json"):
        detect(image, {"model": str(folder)})


def test_nothing_is_left_behind_where_a_model_is_already(trained, data):
    from medai.segment.detection.plane.service import train

    with pytest.raises(OutputError, match="not empty"):
        train(RECIPE, data, trained[0], device="cpu")


def test_colour_training_with_empty_images(torchvision, tmp_path):
    from medai.segment.detection.plane.service import detect, train

    folder = write_cells(tmp_path / "data", 4, 1, SMALL.model_copy(update={"colour": "rgb"}))
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(folder / "masks" / "cell_000.png")
    recipe = {**RECIPE, "image": {"colour": "rgb"}, "held_back": 0}
    recipe["optimiser"] = {**RECIPE["optimiser"], "epochs": 1, "empty_share": 1.0}
    metrics = train(recipe, folder, tmp_path / "out", device="cpu")
    assert metrics["on"] == "training images"
    assert metrics["images"] == 4
    image = read_volume(folder / "images" / "cell_000.png")
    assert image.components == 3
    assert detect(image, {"model": str(tmp_path / "out"), "score": 1.0, "device": "cpu"}).items == ()
