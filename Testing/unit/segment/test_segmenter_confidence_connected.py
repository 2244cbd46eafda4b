"""Region growing within a confidence interval."""

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS


def volume(array):
    return Volume(array, Geometry.from_spacing(array.shape, (0.8, 1.0, 2.0)))


def seed(image, kji, segment="Region"):
    ras = image.geometry.to_ras(np.array(kji[::-1], dtype=float))
    return {"ras": [float(v) for v in ras], "segment": segment}


def grow(image, *seeds, **settings):
    return SEGMENTERS.create("confidence_connected").run(image, {"seeds": list(seeds), **settings})


def simpleitk(array, places, settings):
    import SimpleITK as sitk

    found = sitk.ConfidenceConnected(
        sitk.GetImageFromArray(array), [p[::-1] for p in places], settings["iterations"], settings["multiplier"],
        settings["initial_radius"], 1,
    )  # fmt: skip
    return sitk.GetArrayFromImage(found)


@pytest.fixture
def body(rng):
    """A bright body in the corner of a noisy image: the seeds' boxes reach over the border."""
    array = rng.normal(40, 12, (14, 22, 25))
    array[:9, 3:17, 4:18] += 80
    return array.astype(np.float32)


@pytest.mark.parametrize("multiplier", [1.2, 2.0, 3.0])
@pytest.mark.parametrize("iterations", [0, 1, 5])
@pytest.mark.parametrize("radius", [1, 3])
def test_equals_simpleitk_on_real_numbers(body, multiplier, iterations, radius):
    places = [(0, 4, 5), (5, 9, 9)]
    settings = {"multiplier": multiplier, "iterations": iterations, "initial_radius": radius}
    image = volume(body)
    found = grow(image, *(seed(image, p) for p in places), **settings)
    assert np.array_equal(found.array, simpleitk(body, places, settings))


def test_whole_numbers_give_what_the_same_real_numbers_give(body):
    """SimpleITK cuts the interval off to whole numbers; ours does not."""
    settings = {"multiplier": 2.0, "iterations": 3, "initial_radius": 1}
    whole = np.rint(body).astype(np.int16)
    image = volume(whole)
    found = grow(image, seed(image, (5, 9, 9)), **settings)
    assert np.array_equal(found.array, simpleitk(whole.astype(np.float64), [(5, 9, 9)], settings))


def test_a_single_seed_without_a_box_starts_from_its_own_value():
    array = np.zeros((5, 6, 7))
    array[1:4, 2:5, 2:6] = 9
    image = volume(array)
    found = grow(image, seed(image, (2, 3, 3)), initial_radius=0)
    assert np.array_equal(found.array, array > 0)
    assert found.meta["limits"] == {"Region": [9.0, 9.0]}


def test_segments_learn_their_own_interval(body):
    image = volume(body)
    found = grow(image, seed(image, (5, 9, 9), "Bright"), seed(image, (12, 19, 20), "Dark"), multiplier=2.5)
    limits = found.meta["limits"]
    assert limits["Bright"][0] > limits["Dark"][0] + 50
    assert (found.array[3:6, 6:12, 8:14] == 1).mean() > 0.95
    assert (found.array[11:13, 18:21, 19:22] == 2).mean() > 0.95


def test_nan_is_neither_counted_nor_grown(body):
    holed = body.copy()
    holed[5, 9, 10] = np.nan
    image = volume(holed)
    found = grow(image, seed(image, (5, 9, 9)))
    assert found.array[5, 9, 10] == 0
    assert np.isfinite(found.meta["limits"]["Region"]).all()
    with pytest.raises(InputError, match="without a value"):
        grow(image, seed(image, (5, 9, 10)))
