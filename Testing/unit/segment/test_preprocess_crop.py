"""Cropping to a region: which voxels stay, what is clipped, and labels that lie on the input's grid again."""

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume
from medai.segment.pipeline import run_pipeline
from medai.segment.preprocess import PREPROCESS

TURN = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1.0]])


def volume(rng, shape=(12, 14, 16), spacing=(1.0, 1.0, 1.0), direction=None, components=()):
    array = rng.integers(0, 1000, (*shape, *components)).astype(np.int16)
    return Volume(array, Geometry.from_spacing(shape, spacing, (10.0, 20.0, 30.0), direction))


def crop(image, **settings):
    return PREPROCESS.create("crop").run(image, settings)


@pytest.mark.parametrize("direction", [np.eye(3), np.diag([-1.0, -1.0, 1.0]), np.eye(3)[:, [2, 0, 1]]])
def test_a_region_keeps_the_voxels_whose_centres_lie_in_it(rng, direction):
    image = volume(rng, spacing=(0.9, 1.1, 1.7), direction=direction)
    centre, size = image.geometry.centre + np.array([0.3, -0.4, 0.2]), np.array([6.0, 5.0, 7.0])
    result = crop(image, centre_ras=[float(v) for v in centre], size_mm=[float(v) for v in size])
    k, j, i = (n.reshape(-1) for n in np.indices(image.geometry.shape))
    ras = image.geometry.to_ras(np.stack([i, j, k], axis=-1))
    inside = (np.abs(ras - centre) <= size / 2 + 1e-9).all(axis=1)
    assert result.array.size == inside.sum()
    np.testing.assert_array_equal(np.sort(result.array.reshape(-1)), np.sort(image.array.reshape(-1)[inside]))
    assert result.geometry.direction == pytest.approx(image.geometry.direction)
    first = result.geometry.to_ras([0.0, 0.0, 0.0])
    index = np.rint(image.geometry.to_ijk(first)).astype(int)
    assert image.array[index[2], index[1], index[0]] == result.array[0, 0, 0]
    assert result.flags == ()


def test_of_an_oblique_image_the_box_holds_the_region(rng):
    image = volume(rng, (30, 40, 40), direction=TURN)
    centre, size = image.geometry.centre, np.array([8.0, 10.0, 6.0])
    result = crop(image, centre_ras=[float(v) for v in centre], size_mm=[float(v) for v in size])
    k, j, i = (n.reshape(-1) for n in np.indices(image.geometry.shape))
    ras = image.geometry.to_ras(np.stack([i, j, k], axis=-1))
    inside = (np.abs(ras - centre) <= size / 2).all(axis=1)
    index = result.geometry.to_ijk(ras[inside])
    assert (index > -0.01).all()
    assert (index < np.array(result.geometry.size) - 0.99).all()
    assert result.array.size < 4 * inside.sum()


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5, -0.49])
def test_a_region_thinner_than_a_voxel_keeps_one(rng, shift):
    image = volume(rng, spacing=(1.0, 1.0, 5.0))
    centre = image.geometry.to_ras([8.0, 7.0, 6.0 + shift])
    result = crop(image, centre_ras=[float(v) for v in centre], size_mm=[3.0, 3.0, 0.1])
    assert result.geometry.shape == (1, 3, 3)
    assert abs(result.geometry.centre[2] - centre[2]) <= 2.5 + 1e-6


def test_the_middle_is_the_default_centre(rng):
    image = volume(rng)
    result = crop(image, size_mm=[6.0, 6.0, 6.0])
    np.testing.assert_allclose(result.geometry.centre, image.geometry.centre)
    assert result.geometry.shape == (6, 6, 6)


def test_a_region_that_reaches_outside_is_clipped_and_flagged(rng):
    image = volume(rng)
    result = crop(image, centre_ras=[10.0, 20.0, 30.0], size_mm=[6.0, 6.0, 6.0])
    assert [f.code for f in result.flags] == ["FOV_CLIPPED"]
    np.testing.assert_array_equal(result.array, image.array[:4, :4, :4])
    assert crop(result, size_mm=[2.0, 2.0, 2.0]).flags == result.flags


def test_a_region_outside_is_refused(rng):
    image = volume(rng)
    with pytest.raises(InputError, match=r"lies outside the image.*16 x 14 x 12"):
        crop(image, centre_ras=[200.0, 20.0, 30.0], size_mm=[10.0, 10.0, 10.0])
    with pytest.raises(InputError, match="lies outside"):
        crop(image, box="voxels", first_ijk=[16, 0, 0])
    with pytest.raises(InputError, match="lies outside"):
        crop(image, box="voxels", first_ijk=[-9, 0, 0], size_ijk=[5, 0, 0])


def test_a_range_of_voxels(rng):
    image = volume(rng)
    result = crop(image, box="voxels", first_ijk=[2, 3, 4], size_ijk=[5, 6, 0])
    np.testing.assert_array_equal(result.array, image.array[4:, 3:9, 2:7])
    assert result.geometry.origin == (12.0, 23.0, 34.0)
    assert result.flags == ()
    clipped = crop(image, box="voxels", first_ijk=[-2, 3, 4], size_ijk=[5, 60, 0])
    np.testing.assert_array_equal(clipped.array, image.array[4:, 3:, :3])
    assert [f.code for f in clipped.flags] == ["FOV_CLIPPED"]
    assert crop(image, box="voxels").geometry == image.geometry


def test_it_is_simpleitks_region(rng):
    sitk = pytest.importorskip("SimpleITK")
    from medai.core.sitk import geometry_of, to_array, to_sitk

    image = volume(rng, direction=TURN)
    theirs = sitk.RegionOfInterest(to_sitk(image.array, image.geometry), [5, 6, 7], [2, 3, 4])
    ours = crop(image, box="voxels", first_ijk=[2, 3, 4], size_ijk=[5, 6, 7])
    np.testing.assert_array_equal(ours.array, to_array(theirs))
    assert ours.geometry.same_as(geometry_of(theirs), 1e-6)


def test_colour_and_a_single_slice(rng):
    flat = volume(rng, (1, 20, 22), components=(3,))
    result = crop(flat, centre_ras=[20.0, 30.0, 500.0], size_mm=[4.0, 4.0, 1.0])
    assert result.array.shape == (1, 5, 5, 3)
    np.testing.assert_array_equal(result.array, flat.array[:, 8:13, 8:13])
    assert result.flags == ()


@pytest.mark.parametrize(
    "bad", [{"size_mm": [1, 1, 0]}, {"size_mm": [1, 1]}, {"box": "sphere"}, {"size_ijk": [1, 1, -1]}]
)
def test_wrong_settings_are_refused_by_key(rng, bad):
    with pytest.raises(SettingsError, match=f"crop\\.{next(iter(bad))}"):
        crop(volume(rng), **bad)


@pytest.mark.parametrize("direction", [np.eye(3), np.diag([-1.0, -1.0, 1.0]), TURN])
def test_labels_made_in_a_crop_lie_on_the_inputs_grid(rng, direction):
    """Equal to thresholding the whole inside the box; nothing outside."""
    image = volume(rng, spacing=(0.8, 0.8, 2.5), direction=direction)
    steps = [
        {"step": "crop", "settings": {"box": "voxels", "first_ijk": [3, 2, 1], "size_ijk": [7, 8, 9]}},
        {"step": "threshold", "settings": {"method": "manual", "lower": 400, "name": "High"}},
    ]
    found = run_pipeline(image, steps)
    assert found.labels.geometry == image.geometry
    expected = np.zeros(image.geometry.shape, bool)
    box = (slice(1, 10), slice(2, 10), slice(3, 10))
    expected[box] = image.array[box] >= 400
    np.testing.assert_array_equal(found.labels.array > 0, expected)
    assert found.image.geometry.shape == (9, 8, 7)


def test_a_clipped_region_is_noted_in_the_labels(rng):
    image = volume(rng)
    steps = [
        {"step": "crop", "settings": {"centre_ras": [10.0, 20.0, 30.0], "size_mm": [9.0, 9.0, 9.0]}},
        {"step": "threshold", "settings": {"method": "manual", "lower": 400}},
    ]
    assert "FOV_CLIPPED" in {f.code for f in run_pipeline(image, steps).labels.flags}


def test_painted_labels_are_cropped_too(rng):
    image = volume(rng)
    labels = LabelMap(rng.integers(0, 3, image.geometry.shape).astype(np.uint8), image.geometry)
    steps = [{"step": "crop", "settings": {"box": "voxels", "first_ijk": [3, 2, 1], "size_ijk": [7, 8, 9]}}]
    assert run_pipeline(image, steps, labels=labels).labels.digest() == labels.digest(), "no step worked on them"
    steps.append({"step": "minimum_size", "settings": {"minimum_mm3": 0.001}})
    found = run_pipeline(image, steps, labels=labels).labels
    expected = np.zeros_like(labels.array)
    expected[1:10, 2:10, 3:10] = labels.array[1:10, 2:10, 3:10]
    np.testing.assert_array_equal(found.array, expected)
