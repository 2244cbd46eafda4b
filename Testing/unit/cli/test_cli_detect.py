"""``medai detect``: findings on disk, errors in one sentence, exit codes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("SimpleITK")

from medai.cli.app import app
from medai.core.geometry import Geometry
from medai.core.io import write_volume
from medai.core.volume import Volume
from medai.segment.detection.model import shipped_detectors


def medai(*words):
    return CliRunner().invoke(app, ["detect", *[str(w) for w in words]])


@pytest.fixture
def image(tmp_path):
    values = np.random.default_rng(1).normal(-850, 20, (20, 20, 20)).astype(np.float32)
    file = tmp_path / "ct.nii.gz"
    write_volume(Volume(values, Geometry.from_spacing(values.shape, (2, 2, 2)), modality="CT"), file)
    return file


@pytest.mark.skipif(not shipped_detectors(), reason="no shipped detector")
def test_findings_are_written(image, tmp_path):
    result = medai("run", image, "--out", tmp_path / "out", "--score", 0.05, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.stdout
    told = json.loads(result.stdout)
    assert told == {**json.loads((tmp_path / "out" / "findings.json").read_text()), "files": told["files"]}
    assert all((tmp_path / "out" / name).is_file() for name in told["files"])
    assert "masks.seg.nrrd" in told["files"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("run", "IMAGE", "--out", "OUT", "--model", "nothing"), "no detector called"),
        (("run", "IMAGE", "--out", "OUT", "--device", "tpu"), "device"),
        (("measure", "--out", "OUT", "--model", "nothing"), "no detector called"),
        (("train", "--out", "OUT", "--recipe", "nothing.json"), "nothing.json"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(image, tmp_path, words, text):
    names = {"IMAGE": image, "OUT": tmp_path / "out"}
    result = medai(*[names.get(word, word) for word in words])
    assert result.exit_code == 2
    assert text in result.output
    assert not (tmp_path / "out").exists()


def test_both_kinds_of_data_are_refused(image, tmp_path):
    from medai.cli.detectdata import Place, Side, training_of
    from medai.core.errors import InputError
    from medai.core.progress import CancelToken

    with pytest.raises(InputError, match="not both"):
        training_of(None, tmp_path, 1, image, Place(None, "", Side.both), 1, CancelToken())
