"""Locating both sides in a whole head by the template."""

import numpy as np
import pytest

pytest.importorskip("nilearn")
pytest.importorskip("SimpleITK")

from medai.core.errors import Cancelled, InputError
from medai.core.geometry import Geometry
from medai.core.io import read_volume
from medai.core.progress import CancelToken
from medai.core.resample import reorient_array, resample_volume
from medai.core.volume import Volume
from medai.segment.atlas import fit_template, template_path
from medai.segment.inference.locate import place, recentred
from medai.segment.inference.regions import Box
from medai.segment.manifest import Description, RegionHint

LEFT, RIGHT = (-26.0, -22.0, -14.0), (26.0, -22.0, -14.0)


def fit(volume):
    return fit_template(volume, progress=lambda f, m="": None, cancel=CancelToken())


@pytest.fixture(scope="module")
def template():
    return read_volume(template_path())


def test_a_moved_turned_and_scaled_brain_stored_in_another_orientation_is_found(template):
    angle = np.deg2rad(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    truth = np.eye(4)
    truth[:3, :3] = turn * 1.08
    truth[:3, 3] = (12, -25, 40)
    small = resample_volume(template, template.geometry.with_spacing((2, 2, 2)))
    array, grid = reorient_array(small.array, Geometry(small.geometry.shape, truth @ small.geometry.ijk_to_ras), "PSL")
    found = fit(Volume(np.ascontiguousarray(array), grid))
    for point in (LEFT, RIGHT):
        expected = truth[:3, :3] @ point + truth[:3, 3]
        assert np.linalg.norm(np.asarray(found.to_image(point)) - expected) < 2.0


@pytest.mark.data
def test_a_real_head_is_found_with_left_on_the_left(data_dir):
    head = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    found = fit(head)
    left, right = np.asarray(found.to_image(LEFT)), np.asarray(found.to_image(RIGHT))
    assert left[0] < -20
    assert right[0] > 20
    assert 45 < np.linalg.norm(left - right) < 65
    assert 0.55 < np.linalg.det(found.matrix[:3, :3]) < 1.5
    # Where the U-Net finds them, whatever box it gets.
    assert np.linalg.norm(left - (-24.7, -9.2, 10.3)) < 4
    assert np.linalg.norm(right - (22.4, -5.5, 10.1)) < 4


@pytest.mark.data
@pytest.mark.parametrize(("axis", "degrees", "scale"), [(2, 15, 1.0), (0, -20, 1.1), (1, 10, 0.9), (0, 25, 1.0)])
def test_a_turned_and_scaled_real_head_is_found_in_the_same_place(data_dir, axis, degrees, scale):
    head = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    i, j = ((1, 2), (0, 2), (0, 1))[axis]
    angle, truth = np.deg2rad(degrees), np.eye(4)
    truth[i, i] = truth[j, j] = np.cos(angle)
    truth[i, j], truth[j, i] = -np.sin(angle), np.sin(angle)
    truth[:3, :3] *= scale
    truth[:3, 3] = (30, -40, 50)
    moved = fit(Volume(head.array, Geometry(head.geometry.shape, truth @ head.geometry.ijk_to_ras)))
    plain = fit(head)
    for point in (LEFT, RIGHT):
        expected = truth[:3, :3] @ plain.to_image(point) + truth[:3, 3]
        assert np.linalg.norm(np.asarray(moved.to_image(point)) - expected) < 4


@pytest.mark.data
def test_what_is_no_head_is_refused_instead_of_located_anywhere(data_dir, rng):
    body = read_volume(data_dir / "totalsegmentator" / "example_ct.nii.gz")
    noise = Volume(rng.normal(size=(80, 90, 80)).astype(np.float32), Geometry.from_spacing((80, 90, 80), (2, 2, 2)))
    for volume in (body, noise):
        with pytest.raises(InputError, match="could not be located"):
            fit(volume)


def test_a_small_field_of_view_is_refused(rng):
    crop = Volume(rng.normal(size=(40, 50, 40)).astype(np.float32), Geometry.from_spacing((40, 50, 40)))
    with pytest.raises(InputError, match="40 x 50 x 40 mm"):
        fit(crop)


def test_cancel_stops_the_registration(template):
    token = CancelToken()

    def progress(fraction, message=""):
        token.cancel()

    with pytest.raises(Cancelled):
        fit_template(template, progress=progress, cancel=token)


HINT = RegionHint(size_mm=(36, 52, 36), centroid=(0.42, 0.5, 0.42))


def test_a_structure_lies_where_it_lies_in_the_training_crops_mirrored_for_the_other_side():
    left = place(HINT, "left", (-26, -22, -14), mirrored=False)
    right = place(HINT, "right", (26, -22, -14), mirrored=True)
    assert left.centre_ras == pytest.approx((-26 + 0.08 * 36, -22, -14 + 0.08 * 36))
    assert right.centre_ras == pytest.approx((26 - 0.08 * 36, -22, -14 + 0.08 * 36))


def test_recentring_moves_the_box_to_what_was_found(tiny_model):
    from medai.segment.models import read_model

    manifest = read_model(tiny_model).manifest
    grid = Geometry.from_spacing((16, 16, 16), (1, 1, 1), (-30, -20, -10))
    scores = np.zeros((3, 16, 16, 16), dtype=np.float32)
    scores[0] = 1
    scores[:, 2:8, 3:9, 9:15] = np.array([0, 1, 0]).reshape(3, 1, 1, 1)
    box = Box("left", grid, scores[0], np.ones(grid.shape, dtype=bool))
    region = place(manifest.region, "left", (0, 0, 0), mirrored=False)
    moved = recentred(region, scores, box, manifest)
    assert moved is not None
    assert moved.centre_ras == pytest.approx((-30 + 11.5, -20 + 5.5, -10 + 4.5))
    scores[:] = np.array([1, 0, 0]).reshape(3, 1, 1, 1)
    assert recentred(region, scores, box, manifest) is None


@pytest.mark.parametrize("shift", [-1000.0, None])
def test_negative_values_do_not_move_the_centre_of_mass(template, shift):
    small = resample_volume(template, template.geometry.with_spacing((2, 2, 2)))
    array = small.array
    moved = array + shift if shift else (array - array.mean()) / array.std()
    plain, other = fit(small), fit(small.replace(array=moved.astype(np.float32)))
    for point in (LEFT, RIGHT):
        assert np.linalg.norm(np.subtract(plain.to_image(point), other.to_image(point))) < 0.5


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_image_without_contrast_is_refused(value):
    with pytest.raises(InputError, match="one value only"):
        fit(Volume(np.full((60, 60, 60), value, dtype=np.float32), Geometry.from_spacing((60, 60, 60), (2, 2, 2))))


def test_a_localiser_of_three_slices_is_refused(rng):
    array = rng.random((3, 100, 100)).astype(np.float32)
    with pytest.raises(InputError, match="too few"):
        fit(Volume(array, Geometry.from_spacing(array.shape, (1, 1, 40))))


@pytest.mark.parametrize(("trained", "side", "mirrored"), [
    ("left", "right", True), ("left", "left", False), ("", "right", False), ("", "left", False), ("left", "", False),
])  # fmt: skip
def test_only_the_other_side_of_a_one_sided_model_is_mirrored(recipe_dict, trained, side, mirrored):
    description = Description.parse({**recipe_dict["description"], "side": trained})
    assert description.mirrors(side) is mirrored
