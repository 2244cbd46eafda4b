"""Colour pictures as grey values."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from medai.cli.app import app
from medai.core.errors import UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap
from medai.core.volume import Volume
from medai.segment.preprocess.grey import Grey


def picture(array):
    return Volume(array, Geometry.from_spacing(array.shape[:3], (0.2, 0.2, 1.0)))


@pytest.mark.parametrize("components", [3, 4])
def test_luminance_is_pillows(rng, components):
    image = pytest.importorskip("PIL.Image")
    array = rng.integers(0, 256, (1, 20, 30, components)).astype(np.uint8)
    expected = np.asarray(image.fromarray(array[0, ..., :3]).convert("L")).astype(int)
    found = Grey().run(picture(array)).array
    assert found.dtype == np.uint8
    assert np.abs(found[0] - expected).max() <= 1  # Pillow cuts where we round


def test_a_channel_and_the_types(rng):
    array = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
    assert np.array_equal(Grey().run(picture(array), {"take": "green"}).array, array[..., 1])
    assert Grey().run(picture(array)).array.dtype == np.float32
    white = np.full((1, 2, 2, 3), 65535, dtype=np.uint16)
    assert (Grey().run(picture(white)).array == 65535).all()


def test_grey_images_stay_and_other_vectors_are_refused(rng):
    array = rng.normal(size=(2, 5, 6))
    assert np.array_equal(Grey().run(picture(array)).array, array)
    with pytest.raises(UnsupportedInput, match="given 2 components"):
        Grey().run(picture(np.stack([array, array], axis=3)))


def test_an_x_ray_saved_as_a_colour_picture_can_be_segmented(tmp_path):
    image = pytest.importorskip("PIL.Image")
    j, i = np.mgrid[0:200, 0:150]
    bright = (i / 100) ** 2 + ((j - 100) / 75) ** 2 <= 1
    rgb = np.repeat(np.where(bright, 180, 10).astype(np.uint8)[..., None], 3, axis=2)
    image.fromarray(rgb).save(tmp_path / "xray.png")
    steps = tmp_path / "steps.json"
    steps.write_text(json.dumps([{"step": "grey"}, {"step": "threshold"}]), encoding="utf-8")
    words = ["segment", tmp_path / "xray.png", "--pipeline", steps, "--out", tmp_path / "out.nii.gz"]
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    assert int(read_labelmap(tmp_path / "out.nii.gz").array.sum()) == int(bright.sum())
