"""``medai segment`` with a model: folders of images, channels, frames, boxes, maps, and what it says of the run."""

import json
import os

import numpy as np
import pytest

typer_testing = pytest.importorskip("typer.testing")
torch = pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("safetensors")

from medai.cli.app import app  # noqa: E402
from medai.core.geometry import Geometry  # noqa: E402
from medai.core.io import read_labelmap, read_volume, write_volume  # noqa: E402
from medai.core.volume import Volume  # noqa: E402

SHAPE = (20, 24, 28)


def medai(*words):
    return typer_testing.CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture(scope="module")
def model(model_folder, tmp_path_factory):
    return model_folder(tmp_path_factory.mktemp("model") / "whole")


def smooth(seed, shape=SHAPE):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5).astype(np.float32)


def save(path, array):
    write_volume(Volume(array, Geometry.from_spacing(array.shape[:3], (1, 1, 1), (-10, -10, -10))), path)
    return path


@pytest.fixture
def image(tmp_path):
    return save(tmp_path / "head.nii.gz", smooth(1))


def test_one_image_says_what_ran(image, model, tmp_path):
    out = tmp_path / "seg.nii.gz"
    result = medai("segment", image, "--model", model, "--out", out, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["labels"] == {"1": "Front", "4": "Back"}
    labels = read_labelmap(out)
    assert set(np.unique(labels.array)) == {0, 1, 4}
    assert shown["volumes_ml"]["Front"] == pytest.approx(labels.counts()[1] / 1000)
    ran = shown["info"]["inference"]
    assert ran["backend"] in ("torch", "openvino")
    assert ran["precision"] in ("f32", "bf16")
    assert ran["device"] == "cpu"
    assert shown["info"]["model"]["id"] == "whole"
    text = medai("segment", image, "--model", model, "--out", out, "--device", "cpu").stdout
    assert "Research use only" in text
    assert f"with {ran['backend']} in {ran['precision']}" in text


def test_a_folder_of_images_goes_on_after_a_bad_one(model, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    save(folder / "a.nii.gz", smooth(1))
    save(folder / "b.nii.gz", smooth(2))
    (folder / "broken.nii.gz").write_bytes(b"no image")
    out = tmp_path / "out"
    result = medai("segment", folder, "--model", model, "--out", out, "--json")
    assert result.exit_code == 3, result.output
    cases = {case["case"]: case for case in json.loads(result.stdout)["cases"]}
    assert set(cases) == {"a", "b", "broken"}
    assert "error" in cases["broken"]
    assert sorted(p.name for p in out.iterdir()) == ["a_seg.nii.gz", "b_seg.nii.gz"]
    single = tmp_path / "single.nii.gz"
    medai("segment", folder / "b.nii.gz", "--model", model, "--out", single)
    np.testing.assert_array_equal(read_labelmap(single).array, read_labelmap(out / "b_seg.nii.gz").array)


def test_channels_are_files_or_names_with_numbers(model_folder, tmp_path):
    two = model_folder(tmp_path / "two", channels=2)
    folder = tmp_path / "images"
    folder.mkdir()
    first, second = save(folder / "p_0000.nii.gz", smooth(1)), save(folder / "p_0001.nii.gz", smooth(2))
    one = tmp_path / "one.nii.gz"
    result = medai("segment", first, "--channel", second, "--model", two, "--out", one)
    assert result.exit_code == 0, result.output
    result = medai("segment", folder, "--model", two, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(read_labelmap(one).array, read_labelmap(tmp_path / "out" / "p_seg.nii.gz").array)
    result = medai("segment", first, "--model", two, "--out", one)
    assert result.exit_code == 2
    assert "T1" in result.stderr
    assert "T2" in result.stderr


def test_every_frame_of_a_4d_image(model, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    frames = np.stack([smooth(1).T, smooth(2).T], axis=-1)
    path = tmp_path / "four.nii.gz"
    nibabel.save(nibabel.Nifti1Image(frames, np.eye(4)), path)
    result = medai("segment", path, "--all-frames", "--model", model, "--out", tmp_path / "s.nii.gz", "--json")
    assert result.exit_code == 0, result.output
    found = [read_labelmap(tmp_path / f"s_{n}.nii.gz").array for n in (0, 1)]
    assert (found[0] != found[1]).any()
    third = tmp_path / "third.nii.gz"
    medai("segment", path, "--frame", 1, "--model", model, "--out", third)
    np.testing.assert_array_equal(read_labelmap(third).array, found[1])


def test_only_the_box_is_labelled(image, model, tmp_path):
    out = tmp_path / "seg.nii.gz"
    result = medai("segment", image, "--model", model, "--roi", "0,0,0:8,8,8", "--out", out)
    assert result.exit_code == 0, result.output
    labels = read_labelmap(out)
    where = labels.geometry.to_ras(np.argwhere(labels.array)[:, ::-1])
    assert len(where) > 0
    assert np.abs(where).max() <= 4.5
    result = medai("segment", image, "--model", model, "--roi", "500,0,0:8,8,8", "--out", out)
    assert result.exit_code == 2
    assert "outside the image" in result.stderr


def test_maps_of_uncertainty_lie_beside_the_labels(image, model, tmp_path):
    out = tmp_path / "seg.nii.gz"
    result = medai("segment", image, "--model", model, "--tta", "--uncertainty", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert set(shown["maps"]) == {"entropy", "agreement", "mutual_information"}
    entropy = read_volume(tmp_path / "seg_entropy.nii.gz")
    assert entropy.geometry.same_as(read_labelmap(out).geometry)
    assert 0 <= entropy.array.min() <= entropy.array.max() <= 1
    assert read_volume(tmp_path / "seg_agreement.nii.gz").array.max() <= 1
    assert 0 <= shown["info"]["trust"]["Front"]["value"] <= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--members", "x"], ""),
        (["--backend", "magic"], "backend"),
        (["--overlap", "1.5"], "overlap"),
        (["--frame", "0", "--all-frames"], "either --frame or --all-frames"),
        (["--roi", "1,2:3"], "cannot be read"),
        (["--dropout", "1"], "at least 2 runs"),
        (["--device", "cuda"], "cuda"),
    ],
)
def test_options_that_do_not_fit_are_refused(image, model, tmp_path, words, message):
    if words == ["--device", "cuda"] and torch.cuda.is_available():
        pytest.skip("CUDA is here")
    result = medai("segment", image, "--model", model, "--out", tmp_path / "s.nii.gz", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "s.nii.gz").exists()


def test_an_output_folder_that_is_a_file_is_refused_first(model, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    save(folder / "a.nii.gz", smooth(1))
    out = tmp_path / "out"
    out.write_text("mine", "utf-8")
    result = medai("segment", folder, "--model", model, "--out", out)
    assert result.exit_code == 2
    assert out.read_text("utf-8") == "mine"


def test_a_map_never_replaces_an_input(model, tmp_path):
    image = save(tmp_path / "s_entropy.nii.gz", smooth(1))
    before = image.read_bytes()
    result = medai("segment", image, "--model", model, "--out", tmp_path / "s.nii.gz", "--uncertainty")
    assert result.exit_code == 2
    assert "one of the inputs" in result.stderr
    assert image.read_bytes() == before
    assert not (tmp_path / "s.nii.gz").exists()


def test_a_folder_goes_on_after_an_error_that_nobody_foresaw(model, tmp_path, monkeypatch):
    from medai.cli.cases import Case

    folder = tmp_path / "images"
    folder.mkdir()
    save(folder / "a.nii.gz", smooth(1))
    save(folder / "b.nii.gz", smooth(2))
    real = Case.read

    def read(self, series_uid):
        if self.name == "a":
            raise MemoryError
        return real(self, series_uid)

    monkeypatch.setattr(Case, "read", read)
    result = medai("segment", folder, "--model", model, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 3, result.output
    cases = {case["case"]: case for case in json.loads(result.stdout)["cases"]}
    assert "memory" in cases["a"]["error"]["message"]
    assert (tmp_path / "out" / "b_seg.nii.gz").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ["--device", "cpu"], ["--backend", "torch"], ["--precision", "f32"], ["--no-tta"], ["--overlap", "0.5"],
        ["--crop-body"], ["--regions", "image"], ["--roi", "0,0,0:8,8,8"], ["--region", "left:0,0,0:8,8,8"],
        ["--uncertainty"], ["--dropout", "4"],
    ],
)  # fmt: skip
def test_options_of_a_model_are_not_passed_over_without_one(image, tmp_path, words):
    out = tmp_path / "s.nii.gz"
    result = medai("segment", image, "--step", "threshold:lower=0.1", "--out", out, *words)
    assert result.exit_code == 2
    assert words[0].replace("--no-tta", "--tta") in result.stderr
    assert "--model" in result.stderr
    assert not out.exists()


def test_a_map_does_not_replace_an_input(image, model, tmp_path):
    given = image.rename(tmp_path / "seg_entropy.nii.gz")
    before = given.read_bytes()
    result = medai("segment", given, "--model", model, "--out", tmp_path / "seg.nii.gz", "--uncertainty", "--json")
    assert result.exit_code == 2, result.output
    assert "one of the inputs" in json.loads(result.stdout)["error"]["message"]
    assert given.read_bytes() == before
    assert list(tmp_path.iterdir()) == [given]


def test_maps_do_not_stay_without_their_labels(image, model, tmp_path, monkeypatch):
    from medai.core import io
    from medai.core.errors import OutputError

    def full(*_, **__):
        raise OutputError("Cannot write 'seg.nii.gz': the disk is full.")

    monkeypatch.setattr(io, "write_labelmap", full)
    result = medai("segment", image, "--model", model, "--out", tmp_path / "seg.nii.gz", "--uncertainty", "--json")
    assert result.exit_code == 2, result.output
    assert list(tmp_path.iterdir()) == [image]


def test_a_second_run_on_one_output_is_refused_and_names_the_first(image, model, tmp_path):
    from medai.cli.outputs import one_writer

    out = tmp_path / "s.nii.gz"
    with one_writer(out):
        result = medai("segment", image, "--model", model, "--out", out)
        assert result.exit_code == 2
        assert f"process {os.getpid()}" in result.stderr
        assert not out.exists()
        assert medai("segment", image, "--model", model, "--out", tmp_path / "other.nii.gz").exit_code == 0
    assert medai("segment", image, "--model", model, "--out", out).exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["head.nii.gz", "other.nii.gz", "s.nii.gz"]
