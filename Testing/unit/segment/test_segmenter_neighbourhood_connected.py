"""Region growing by whole neighbourhoods."""

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment import runs as segment_runs
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters import _runs as runs


def volume(array):
    return Volume(array, Geometry.from_spacing(array.shape, (0.8, 1.0, 2.0)))


def seed(image, kji, segment="Region"):
    ras = image.geometry.to_ras(np.array(kji[::-1], dtype=float))
    return {"ras": [float(v) for v in ras], "segment": segment}


def grow(image, *seeds, **settings):
    return SEGMENTERS.create("neighbourhood_connected").run(image, {"seeds": list(seeds), **settings})


@pytest.mark.parametrize("radius", [1, 2, 4])
@pytest.mark.parametrize("shape", [(12, 30, 34), (1, 30, 34), (3, 30, 34)])
def test_equals_simpleitk(rng, monkeypatch, radius, shape):
    import SimpleITK as sitk

    array = (60 + 40 * ndimage.gaussian_filter(rng.normal(0, 8, shape), 1.5)).astype(np.int16)
    lower, upper = int(np.percentile(array, 4)), int(np.percentile(array, 96))
    good = ndimage.minimum_filter((array >= lower) & (array <= upper), 2 * radius + 1, mode="nearest")
    places = [tuple(int(v) for v in row) for row in np.argwhere(good)[[0, -1]]]
    image = volume(array)
    monkeypatch.setattr(runs, "SLAB_VOXELS", 30 * 34 * 2)
    monkeypatch.setattr(segment_runs, "SLAB_VOXELS", 30 * 34 * 2)
    found = grow(image, *(seed(image, p) for p in places), lower=lower, upper=upper, radius=radius)
    expected = sitk.NeighborhoodConnected(
        sitk.GetImageFromArray(array), [p[::-1] for p in places], lower, upper, [radius] * 3, 1
    )
    assert np.array_equal(found.array, sitk.GetArrayFromImage(expected))


def test_a_thin_bridge_does_not_leak():
    array = np.zeros((7, 9, 25), dtype=np.int16)
    array[:, 1:8, 1:9] = array[:, 1:8, 15:24] = 100
    array[3, 4, 9:15] = 100
    image = volume(array)
    found = grow(image, seed(image, (3, 4, 4)), lower=50)
    assert found.counts()[1] > 0
    assert not found.array[:, :, 9:].any()


def test_a_seed_at_the_edge_is_named():
    array = np.zeros((7, 9, 9), dtype=np.int16)
    array[:, 2:7, 2:7] = 100
    image = volume(array)
    with pytest.raises(InputError, match=r"Seed 2 of 'Liver' has a value outside the limits within 1 voxels\."):
        grow(image, seed(image, (3, 4, 4), "Liver"), seed(image, (3, 2, 4), "Liver"), lower=50)
