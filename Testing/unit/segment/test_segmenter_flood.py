"""Flooding from a seed's own value."""

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
    return SEGMENTERS.create("flood").run(image, {"seeds": list(seeds), **settings})


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize(("connectivity", "skimage"), [(6, 1), (18, 2), (26, 3)])
@pytest.mark.parametrize("tolerance", [0, 15, 33])
def test_equals_scikit_image(rng, dtype, connectivity, skimage, tolerance):
    from skimage.segmentation import flood

    array = rng.integers(-30, 70, (9, 21, 24)).astype(dtype)
    image = volume(array)
    for place in ((0, 0, 0), (4, 10, 12), (8, 20, 23)):
        found = grow(image, seed(image, place), tolerance=tolerance, connectivity=connectivity)
        assert np.array_equal(found.array, flood(array, place, connectivity=skimage, tolerance=tolerance))


def test_each_seed_floods_from_its_own_value():
    array = np.zeros((3, 8, 8), dtype=np.int16)
    array[:, :, 2:4], array[:, :, 4:6], array[:, :, 6:] = 50, 100, 50
    image = volume(array)
    found = grow(image, seed(image, (1, 1, 2)), seed(image, (1, 1, 5)), tolerance=10)
    assert np.array_equal(found.array, (array >= 50) & (np.indices(array.shape)[2] < 6))


def test_the_limits_do_not_wrap():
    array = np.full((2, 3, 4), 250, dtype=np.uint8)
    array[:, :, 0] = 3
    image = volume(array)
    assert np.array_equal(grow(image, seed(image, (0, 1, 2)), tolerance=40).array, array == 250)


def test_a_mean_radius_forgives_noise(rng):
    array = np.full((7, 9, 11), 100.0)
    array[3, 4, 5] = 118  # a noisy voxel under the seed
    array[:, :, 8:] = 130
    image = volume(array)
    assert (grow(image, seed(image, (3, 4, 5)), tolerance=20).array[:, :, 8:] == 1).all()
    assert np.array_equal(grow(image, seed(image, (3, 4, 5)), tolerance=20, mean_radius=1).array, array < 130)
    with pytest.raises(InputError, match="Seed 1 of 'Region' has the value 118, outside"):
        grow(image, seed(image, (3, 4, 5)), tolerance=5, mean_radius=1)
