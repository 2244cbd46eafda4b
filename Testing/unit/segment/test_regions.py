"""Boxes: exact where an axis swap is enough, in every orientation; clipped, outside, resampled."""

import itertools

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.resample import reorient_array
from medai.core.volume import Volume
from medai.segment.inference.prepare import PrepareSettings, model_grid, normalise, on_grid
from medai.segment.inference.regions import Region, cut, paste, region_grid

ORIENTATIONS = ["".join(p) for order in itertools.permutations(("LR", "PA", "IS")) for p in itertools.product(*order)]
SETTINGS = PrepareSettings()


@pytest.fixture
def head(rng):
    array = rng.normal(size=(20, 24, 28)).astype(np.float32)
    return Volume(array, Geometry.from_spacing(array.shape, (1, 1, 1), (-13, -11, -9)))


def stored_as(volume, orientation):
    array, grid = reorient_array(volume.array, volume.geometry, orientation)
    return Volume(np.ascontiguousarray(array), grid)


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_box_is_the_same_in_every_orientation(head, orientation):
    region = Region(side="left", centre_ras=(-2.0, 1.0, 0.0), size_mm=(10, 12, 8))
    expected = cut(head, model_grid(head.geometry, SETTINGS), region, SETTINGS)
    turned = stored_as(head, orientation)
    box = cut(turned, model_grid(turned.geometry, SETTINGS), region, SETTINGS)
    assert box.grid.same_as(expected.grid)
    np.testing.assert_array_equal(box.image, expected.image)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_labels_come_back_to_where_they_were_found(head, orientation):
    turned = stored_as(head, orientation)
    grid = model_grid(turned.geometry, SETTINGS)
    region = Region(centre_ras=(1.0, -2.0, 2.0), size_mm=(9, 8, 10))
    box = region_grid(grid, region)
    scores = np.zeros((2, *box.shape), dtype=np.float32)
    scores[0] = 1
    k, j, i = 3, 2, 5
    scores[:, k, j, i] = (0, 1)
    labels, where = paste(scores, box, turned.geometry)
    canvas = np.zeros(turned.geometry.shape)
    canvas[where] = labels
    found = np.argwhere(canvas)
    assert len(found) == 1
    np.testing.assert_allclose(turned.geometry.to_ras(found[0][::-1]), box.to_ras((i, j, k)), atol=1e-9)


def test_left_handed_and_oblique_grids_come_back_too(rng):
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    for direction in (turn, turn @ np.diag([1, 1, -1.0])):
        grid = Geometry.from_spacing((20, 22, 24), (0.8, 0.9, 1.3), (5, -4, 3), direction)
        volume = Volume(rng.normal(size=grid.shape).astype(np.float32), grid)
        target = model_grid(grid, SETTINGS)
        blob = (
            np.linalg.norm(target.to_ras(np.indices(target.shape)[::-1].reshape(3, -1).T) - target.centre, axis=1) < 6
        )
        scores = np.stack([~blob, blob]).astype(np.float32).reshape(2, *target.shape)
        labels, where = paste(scores, target, grid)
        canvas = np.zeros(grid.shape)
        canvas[where] = labels
        millilitres = canvas.sum() * grid.voxel_volume_mm3 / 1000
        assert millilitres == pytest.approx(4 / 3 * np.pi * 6**3 / 1000, rel=0.05)
        centre = grid.to_ras(np.argwhere(canvas)[:, ::-1]).mean(axis=0)
        np.testing.assert_allclose(centre, target.centre, atol=0.3)
        assert volume.geometry is grid


def test_a_box_that_reaches_outside_is_padded_with_zero(head):
    region = Region(centre_ras=(-13.0, 0.0, 0.0), size_mm=(10, 10, 10))
    box = cut(head, model_grid(head.geometry, SETTINGS), region, SETTINGS)
    assert 0 < box.inside.mean() < 1
    assert (box.image[~box.inside] == 0).all()
    assert abs(float(box.image[box.inside].mean())) < 1e-4


def test_a_box_outside_the_image_is_refused(head):
    region = Region(centre_ras=(500.0, 0.0, 0.0), size_mm=(10, 10, 10))
    with pytest.raises(InputError, match="outside the image"):
        cut(head, model_grid(head.geometry, SETTINGS), region, SETTINGS)


def test_an_impossible_size_is_refused(head):
    with pytest.raises(InputError, match="size"):
        region_grid(head.geometry, Region(centre_ras=(0, 0, 0), size_mm=(10, 0, 10)))


def test_nan_and_constant_regions_are_refused():
    with pytest.raises(InputError, match="NaN"):
        normalise(np.array([[[1, np.nan]]], dtype=np.float32), SETTINGS)
    with pytest.raises(InputError, match="same value"):
        normalise(np.full((4, 4, 4), 7, dtype=np.float32), SETTINGS)


def test_normalising_is_blind_to_scale_and_offset(rng):
    values = rng.normal(size=(12, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(
        normalise(values, SETTINGS), normalise((values * 1e5 + 7e5).astype(np.float32), SETTINGS), atol=2e-3
    )


def test_a_model_grid_covers_the_image_at_the_models_spacing():
    grid = Geometry.from_spacing((10, 100, 120), (0.7, 0.7, 4.0))
    target = model_grid(grid, SETTINGS)
    np.testing.assert_allclose(target.spacing, (1, 1, 1))
    assert target.size == (84, 70, 40)
    np.testing.assert_allclose(target.centre, grid.centre)


def test_a_ramp_is_resampled_in_place():
    grid = Geometry.from_spacing((10, 30, 40), (0.7, 0.9, 3.0), (4, 5, 6))
    ras = grid.to_ras(np.indices(grid.shape)[::-1].reshape(3, -1).T).reshape(*grid.shape, 3)
    ramp = Volume((ras @ [1.0, 2.0, 3.0]).astype(np.float32), grid)
    target = model_grid(grid, SETTINGS)
    values = on_grid(ramp, target, SETTINGS)
    where = target.to_ras(np.indices(target.shape)[::-1].reshape(3, -1).T).reshape(*target.shape, 3)
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(values[inner], (where @ [1.0, 2.0, 3.0])[inner], atol=1e-3)
