"""Region growing between two limits, and what all growing segmenters share."""

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken, no_progress
from medai.core.volume import Volume
from medai.segment import components
from medai.segment import runs as segment_runs
from medai.segment.segmenters import SEGMENTERS
from medai.segment.segmenters import _runs as runs

SPACING = (0.7, 1.1, 2.5)


def volume(array):
    return Volume(array, Geometry.from_spacing(array.shape, SPACING, (5.0, -3.0, 11.0)))


def seed(image, kji, segment="Region"):
    ras = image.geometry.to_ras(np.array(kji[::-1], dtype=float))
    return {"ras": [float(v) for v in ras], "segment": segment}


def grow(image, *seeds, labels=None, **settings):
    step = SEGMENTERS.create("connected_threshold")
    return step.run(image, {"seeds": list(seeds), **settings}, labels=labels)


@pytest.mark.parametrize("shape", [(9, 30, 41), (1, 30, 40), (20, 1, 33)])
@pytest.mark.parametrize(("connectivity", "full"), [(6, False), (26, True)])
@pytest.mark.parametrize("upper", [20, 45, 80])
def test_equals_simpleitk(rng, shape, connectivity, full, upper):
    import SimpleITK as sitk

    array = rng.integers(-20, 100, shape).astype(np.int16)
    low = -10 if upper == 45 else -1000
    places = [tuple(int(v) for v in row) for row in np.argwhere((array <= upper) & (array >= low))[[3, -5]]]
    image = volume(array)
    seeds = [seed(image, place) for place in places]
    found = grow(image, *seeds, lower=None if low == -1000 else low, upper=upper, connectivity=connectivity)
    method = sitk.ConnectedThresholdImageFilter
    kind = method.FullConnectivity if full else method.FaceConnectivity
    expected = sitk.ConnectedThreshold(sitk.GetImageFromArray(array), [p[::-1] for p in places], low, upper, 1, kind)
    assert np.array_equal(found.array, sitk.GetArrayFromImage(expected))


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("density", [0.1, 0.3, 0.7])
def test_parts_equal_scipys_labels(rng, connectivity, density):
    mask = rng.random((7, 19, 23)) < density
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    expected, count = ndimage.label(mask, structure)
    parts = runs.connected_parts(
        lambda start, stop: mask[start:stop], mask.shape, connectivity, progress=no_progress, cancel=CancelToken()
    )
    for number in range(1, count + 1):
        place = tuple(int(v) for v in np.argwhere(expected == number)[0])
        assert parts.at(place) == number
        assert np.array_equal(runs.chosen_mask(parts, {number})(0, 7), expected == number)
    empty = np.argwhere(~mask)
    assert {parts.at((int(k), int(j), int(i))) for k, j, i in empty[:: max(1, len(empty) // 50)]} == {0}
    # What lies outside the mask is no component, and so never chosen.
    assert not runs.chosen_mask(parts, {0})(0, 7).any()
    assert np.array_equal(
        parts.under(2, mask[2:5] & (expected[2:5] % 3 == 1)), np.unique(expected[2:5][expected[2:5] % 3 == 1])
    )


def test_noise_is_labelled_voxel_by_voxel_with_the_same_result(rng, monkeypatch):
    mask = rng.random((40, 80, 90)) < 0.4
    kept = runs.connected_parts(lambda a, b: mask[a:b], mask.shape, 6, progress=no_progress, cancel=CancelToken())
    assert isinstance(kept, runs._Labels)
    monkeypatch.setattr(components, "VOXELS_PER_RUN", 0)
    quick = runs.connected_parts(lambda a, b: mask[a:b], mask.shape, 6, progress=no_progress, cancel=CancelToken())
    assert isinstance(quick, runs._Runs)
    place = tuple(int(v) for v in np.argwhere(mask)[len(np.argwhere(mask)) // 2])
    assert kept.at(place) == quick.at(place)
    for chosen in ({kept.at(place)}, {0, 1, kept.count}):
        assert np.array_equal(runs.chosen_mask(kept, chosen)(3, 30), runs.chosen_mask(quick, chosen)(3, 30))
    assert np.array_equal(kept.under(3, mask[3:9]), quick.under(3, mask[3:9]))


def test_slabs_make_no_difference(rng, monkeypatch):
    array = rng.integers(0, 10, (9, 12, 13))
    array[4, 6, 6] = 3
    image = volume(array)
    whole = grow(image, seed(image, (4, 6, 6)), upper=5)
    monkeypatch.setattr(runs, "SLAB_VOXELS", 1)
    monkeypatch.setattr(segment_runs, "SLAB_VOXELS", 1)
    assert np.array_equal(grow(image, seed(image, (4, 6, 6)), upper=5).array, whole.array)


def test_a_contested_voxel_goes_to_the_nearer_seed_in_mm():
    image = volume(np.full((7, 8, 9), 5, dtype=np.int16))
    first, second = (1, 2, 2), (5, 4, 6)
    found = grow(image, seed(image, first, "Liver"), seed(image, second, "Spleen"), upper=9)
    grid = np.moveaxis(np.indices(image.array.shape), 0, -1)
    far = [np.linalg.norm((grid - np.array(p)) * SPACING[::-1], axis=-1) for p in (first, second)]
    assert np.array_equal(found.array, np.where(far[1] < far[0] - 1e-6, 2, 1))
    assert [s.name for s in found.segments] == ["Liver", "Spleen"]
    assert found.segments[0].type.value == "10200004"


def test_limits_are_exact_for_every_type():
    array = np.array([0, 99, 100, 200, 201, 255] * 2, dtype=np.uint8).reshape(1, 2, 6)
    for dtype in (np.uint8, np.int16, np.uint32, np.int64, np.float32, np.float64):
        image = volume(array.astype(dtype))
        found = grow(image, seed(image, (0, 0, 3)), lower=99.5, upper=200.9)
        assert np.array_equal(found.array[0, 0], [0, 0, 1, 1, 0, 0])
        found = grow(image, seed(image, (0, 0, 3)), lower=-1e30, upper=1e30)
        assert found.array.all()


def test_the_seeds_own_value_must_lie_within_the_limits():
    image = volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    with pytest.raises(InputError, match=r"Seed 2 of 'Liver' has the value 59, outside 0 to 30\."):
        grow(image, seed(image, (0, 0, 1), "Liver"), seed(image, (2, 3, 4), "Liver"), lower=0, upper=30)
    nan = volume(np.full((3, 3, 3), np.nan))
    with pytest.raises(InputError, match="without a value"):
        grow(nan, seed(nan, (1, 1, 1)), lower=0)


def test_seeds_are_needed_and_lie_in_the_image():
    image = volume(np.zeros((3, 4, 5)))
    with pytest.raises(InputError, match="no seed"):
        grow(image, upper=1)
    with pytest.raises(InputError, match="outside the image"):
        grow(image, {"ras": [500.0, 0.0, 0.0], "segment": "A"}, upper=1)


def test_limits_are_needed_and_in_order():
    image = volume(np.zeros((3, 4, 5)))
    with pytest.raises(SettingsError, match="lower, upper or both"):
        grow(image, seed(image, (1, 1, 1)))
    with pytest.raises(SettingsError, match="greater than upper"):
        grow(image, seed(image, (1, 1, 1)), lower=5, upper=4)


def test_inside_a_segment(rng):
    image = volume(np.full((5, 6, 7), 3, dtype=np.int16))
    area = np.zeros((5, 6, 7), dtype=np.uint8)
    area[1:4, 1:5, 1:6] = 1
    labels = LabelMap(area, image.geometry, (Segment(1, "Body"),))
    found = grow(image, seed(image, (2, 2, 2)), upper=9, inside="Body", labels=labels)
    assert np.array_equal(found.array, area)
    assert found.flags == ()
    with pytest.raises(InputError, match="lies outside the segment 'Body'"):
        grow(image, seed(image, (0, 0, 0)), upper=9, inside="Body", labels=labels)
    with pytest.raises(InputError, match="no segment 'Body'"):
        grow(image, seed(image, (2, 2, 2)), upper=9, inside="Body")


def test_a_leak_and_the_border_are_flagged():
    array = np.full((10, 10, 10), 100, dtype=np.int16)
    array[2:5, 2:5, 2:5] = 0
    image = volume(array)
    small = grow(image, seed(image, (3, 3, 3)), upper=50, max_ml=1.0)
    assert small.flags == ()
    flags = grow(image, seed(image, (8, 8, 8)), lower=50, max_ml=1.0).flags
    assert {f.code for f in flags} == {"VOL_IMPLAUSIBLE", "FOV_CLIPPED"}
    leak = next(f for f in flags if f.code == "VOL_IMPLAUSIBLE")
    assert leak.measured == pytest.approx((1000 - 27) * 0.7 * 1.1 * 2.5 / 1000)
    assert leak.limit == 1.0
    assert leak.affects == "Region"
