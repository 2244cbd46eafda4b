"""Padding: NumPy's values, the old voxels at their place, types, limits."""

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.pipeline import run_pipeline
from medai.segment.preprocess import PREPROCESS

TURN = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1.0]])


def volume(rng, shape=(5, 6, 7), dtype=np.int16, components=()):
    array = rng.integers(0, 200, (*shape, *components)).astype(dtype)
    return Volume(array, Geometry.from_spacing(shape, (0.5, 1.0, 2.0), (1.0, 2.0, 3.0), TURN))


def pad(image, **settings):
    return PREPROCESS.create("pad").run(image, settings)


@pytest.mark.parametrize(("mode", "more"), [("constant", {"constant_values": -9}), ("edge", {}), ("reflect", {})])
@pytest.mark.parametrize("wide", [(1, 2, 3), (0, 0, 4), (9, 20, 15)])
def test_values_are_numpys_and_old_voxels_keep_their_place(rng, mode, more, wide):
    image = volume(rng)
    i, j, k = wide
    settings = {"before": [float(n) for n in wide], "after": [2.0, 0.0, 1.0], "mode": mode, "value": -9.0}
    result = pad(image, **settings)
    np.testing.assert_array_equal(result.array, np.pad(image.array, [(k, 1), (j, 0), (i, 2)], mode=mode, **more))
    assert result.array.dtype == image.array.dtype
    np.testing.assert_allclose(
        result.geometry.to_ras(np.add(wide, [2, 3, 4])), image.geometry.to_ras([2, 3, 4]), atol=1e-9
    )


def test_mm_are_rounded_up_to_voxels(rng):
    result = pad(volume(rng), unit="mm", before=[1.0, 1.0, 1.0], after=[0.6, 0.0, 4.1])
    assert result.geometry.size == (7 + 2 + 2, 6 + 1, 5 + 1 + 3)


def test_a_single_slice_and_colour(rng):
    image = volume(rng, (1, 8, 9), np.uint8, (3,))
    result = pad(image, before=[1.0, 1.0, 1.0], after=[1.0, 1.0, 1.0], mode="edge")
    assert result.array.shape == (1, 10, 11, 3)
    np.testing.assert_array_equal(result.array[:, 1:-1, 1:-1], image.array)


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, -1.0), (np.uint8, 256.0), (np.int16, 0.5), (np.int16, 4e4)])
def test_a_value_that_the_type_does_not_hold_is_refused(rng, dtype, value):
    with pytest.raises(SettingsError, match=f"no value of the image's type {np.dtype(dtype).name}"):
        pad(volume(rng, dtype=dtype), value=value)
    assert pad(volume(rng, dtype=dtype), value=value, mode="edge").array.dtype == dtype


def test_limits(rng):
    with pytest.raises(SettingsError, match="10007 x 10006 x 10005 voxels"):
        pad(volume(rng), before=[10000.0, 10000.0, 10000.0], after=[0.0, 0.0, 0.0])
    for bad in ({"before": [-1, 0, 0]}, {"mode": "wrap"}, {"after": [1, 1]}, {"unit": "cm"}):
        with pytest.raises(SettingsError, match=f"pad\\.{next(iter(bad))}"):
            pad(volume(rng), **bad)


def test_labels_of_a_padded_image_come_back(rng):
    image = volume(rng)
    steps = [
        {"step": "pad", "settings": {"value": 1000.0}},
        {"step": "threshold", "settings": {"method": "manual", "lower": 100, "name": "High"}},
    ]
    found = run_pipeline(image, steps)
    np.testing.assert_array_equal(found.labels.array > 0, image.array >= 100)
