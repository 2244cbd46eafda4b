"""Reorienting: as nibabel and SimpleITK turn axes, and no voxel moves in the patient."""

import itertools

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume
from medai.segment.pipeline import run_pipeline
from medai.segment.preprocess import PREPROCESS

LETTERS = ("LR", "PA", "IS")
EVERY = [
    "".join(letters)
    for order in itertools.permutations(range(3))
    for letters in itertools.product(*(LETTERS[axis] for axis in order))
]
TILT = np.array([[np.cos(0.2), -np.sin(0.2), 0], [np.sin(0.2), np.cos(0.2), 0], [0, 0, 1.0]]) @ np.diag([-1, -1, 1.0])


def volume(rng, shape=(3, 4, 5), dtype=np.int16, components=()):
    array = rng.integers(0, 1000, (*shape, *components)).astype(dtype)
    return Volume(array, Geometry.from_spacing(shape, (0.8, 1.1, 2.5), (1, 2, 3), TILT))


def reorient(image, orientation):
    return PREPROCESS.create("reorient").run(image, {"orientation": orientation})


@pytest.mark.parametrize("orientation", EVERY)
def test_every_orientation_keeps_each_voxel_at_its_place(rng, orientation):
    image = volume(rng)
    result = reorient(image, orientation)
    assert result.geometry.orientation == orientation
    assert result.array.dtype == image.array.dtype
    assert result.array.flags.c_contiguous
    k, j, i = (n.reshape(-1) for n in np.indices(image.geometry.shape))
    ras = image.geometry.to_ras(np.stack([i, j, k], axis=-1))
    index = np.rint(result.geometry.to_ijk(ras)).astype(int)
    assert np.allclose(result.geometry.to_ras(index), ras, atol=1e-9)
    np.testing.assert_array_equal(result.array[index[:, 2], index[:, 1], index[:, 0]], image.array.reshape(-1))


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAR", "PIR"])
def test_values_are_simpleitks(rng, orientation):
    sitk = pytest.importorskip("SimpleITK")
    from medai.core.sitk import to_array, to_sitk

    image = volume(rng)
    # DICOMOrient's letters say, as ours do, where an axis goes to.
    expected = to_array(sitk.DICOMOrient(to_sitk(image.array, image.geometry), orientation))
    np.testing.assert_array_equal(reorient(image, orientation).array, expected)


def test_values_are_nibabels(rng):
    nib = pytest.importorskip("nibabel")
    image = volume(rng)
    theirs = nib.as_closest_canonical(nib.Nifti1Image(image.array.T, image.geometry.ijk_to_ras))
    ours = reorient(image, "RAS")
    np.testing.assert_array_equal(ours.array.T, np.asarray(theirs.dataobj))
    np.testing.assert_allclose(ours.geometry.ijk_to_ras, theirs.affine, atol=1e-9)


def test_there_and_back_is_the_same(rng):
    image = volume(rng, components=(3,), dtype=np.uint8)
    back = reorient(reorient(image, "SLA"), image.geometry.orientation)
    np.testing.assert_array_equal(back.array, image.array)
    assert back.geometry.same_as(image.geometry, 1e-9)


@pytest.mark.parametrize("bad", ["RA", "RAR", "RLS", "XYZ", "RASS", "", 3])
def test_what_is_no_orientation_is_refused(rng, bad):
    with pytest.raises(SettingsError, match=r"reorient\.orientation"):
        reorient(volume(rng), bad)


def test_lower_case_is_taken(rng):
    assert reorient(volume(rng), "ras").geometry.orientation == "RAS"


def test_labels_turn_with_the_image_and_come_back(rng):
    image = volume(rng, (6, 7, 8))
    labels = LabelMap((rng.integers(0, 3, (6, 7, 8))).astype(np.uint8), image.geometry)
    steps = [{"step": "reorient", "settings": {"orientation": "SAR"}}]
    found = run_pipeline(image, steps, labels=labels)
    assert found.image.geometry.orientation == "SAR"
    np.testing.assert_array_equal(found.labels.array, labels.array)
    steps.append({"step": "threshold", "settings": {"method": "manual", "lower": 500, "name": "High"}})
    np.testing.assert_array_equal(run_pipeline(image, steps).labels.array, image.array >= 500)
