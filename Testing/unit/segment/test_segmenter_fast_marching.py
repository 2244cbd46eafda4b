"""Fast marching."""

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters._potential import PotentialSettings, potential

SPACING = (0.8, 1.0, 2.0)


def volume(array):
    return Volume(array, Geometry.from_spacing(array.shape, SPACING))


def seed(image, kji, segment="Region"):
    ras = image.geometry.to_ras(np.array(kji[::-1], dtype=float))
    return {"ras": [float(v) for v in ras], "segment": segment}


def grow(image, *seeds, **settings):
    return SEGMENTERS.create("fast_marching").run(image, {"seeds": list(seeds), **settings})


@pytest.fixture
def body(rng):
    array = rng.normal(40, 4, (14, 34, 40))
    array[3:11, 8:26, 9:31] += 150
    return array.astype(np.float32)


@pytest.mark.parametrize("reach", [6.0, 15.0, 60.0])
def test_equals_simpleitk_on_the_whole_image(body, reach):
    """The box that the front can reach gives what the whole image gives."""
    import SimpleITK as sitk

    image = volume(body)
    found = grow(image, seed(image, (7, 15, 17)), seed(image, (5, 20, 25)), reach=reach, edge=20.0)
    smooth = sitk.GetImageFromArray(body)
    smooth.SetSpacing(SPACING)
    smooth = sitk.DiscreteGaussian(smooth, [1.0] * 3, 100, [0.01] * 3, True)
    steep = sitk.GetArrayFromImage(sitk.GradientMagnitude(smooth))
    speed = sitk.GetImageFromArray((1 / (1 + (steep / 20.0) ** 2)).astype(np.float32))
    speed.SetSpacing(SPACING)
    time = sitk.GetArrayFromImage(sitk.FastMarching(speed, [(17, 15, 7), (25, 20, 5)], 1.0, reach))
    sure = np.abs(time - reach) > 1e-3 * reach
    assert np.array_equal(found.array[sure], (time <= reach)[sure])
    assert found.counts()[1] > 100


def test_a_flat_image_gives_a_ball_in_mm():
    image = volume(np.full((15, 31, 41), 7, dtype=np.int16))
    found = grow(image, seed(image, (7, 15, 20)), reach=10.0)
    k, j, i = np.ogrid[:15, :31, :41]
    distance = np.sqrt(((k - 7) * 2.0) ** 2 + (j - 15) ** 2 + ((i - 20) * 0.8) ** 2)
    # the first-order scheme makes the front a little late off the axes
    assert found.array[distance < 8.5].all()
    assert not found.array[distance > 10].any()


def test_the_front_stops_at_the_edge(body):
    image = volume(body)
    found = grow(image, seed(image, (7, 15, 17)), reach=60.0)
    truth = body > 115
    assert not (found.array[~truth] > 0).any()
    # the smoothed edge slows the front down some voxels before the edge itself
    assert found.array[4:10, 11:23, 12:28].mean() > 0.95
    assert found.meta["edge"] > 0


def test_the_first_front_keeps_a_voxel():
    image = volume(np.full((5, 20, 30), 7, dtype=np.int16))
    found = grow(image, seed(image, (2, 10, 5), "Liver"), seed(image, (2, 10, 20), "Spleen"), reach=50.0)
    assert (found.array[:, :, :12] == 1).all()
    assert (found.array[:, :, 14:] == 2).all()


def test_nan_stops_the_front():
    array = np.full((3, 9, 20), 5.0)
    array[:, :, 10] = np.nan
    image = volume(array)
    found = grow(image, seed(image, (1, 4, 3)), reach=100.0, edge=1000.0)
    assert not found.array[:, :, 10:].any()
    assert found.array[:, :, 0].all()
    with pytest.raises(InputError, match="without a value"):
        grow(image, seed(image, (1, 4, 10)))


def test_the_potential_of_a_box_is_that_of_the_image(body):
    image = volume(body)
    settings = PotentialSettings(edge=15.0, sigma_mm=1.5)
    whole_box = tuple(slice(0, n) for n in body.shape)
    box = (slice(2, 9), slice(10, 20), slice(0, 17))
    start = np.ones(body.shape, dtype=bool)
    whole, _ = potential(image, whole_box, start, settings, 0.0, CancelToken())
    part, edge = potential(image, box, start[box], settings, 0.0, CancelToken())
    assert edge == 15.0
    assert np.allclose(part, whole[box], rtol=1e-6)
    assert 0 < part.min() < part.max() <= 1
