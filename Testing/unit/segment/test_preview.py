"""The preview of one slice: what the pipeline does to it, held as radiologists hold it."""

from __future__ import annotations

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken, no_progress
from medai.core.task import run_task
from medai.core.volume import Volume
from medai.segment.pipeline import apply_filters, run
from medai.segment.plane import plane_of
from medai.segment.preview import BINS, LARGEST_PICTURE, effort_for, preview, slab_around, slice_at

MEDIAN = [{"step": "median", "settings": {"radius": 1}}]
OTSU = [{"step": "threshold"}]


@pytest.fixture
def image() -> Volume:
    """A bright box in noise, 1.5 x 1 x 2 mm, RAS."""
    array = np.random.default_rng(3).normal(100, 5, (12, 20, 24))
    array[3:9, 5:15, 8:20] += 100
    return Volume(array.astype(np.float32), Geometry.from_spacing(array.shape, (1.5, 1.0, 2.0), (-10.0, 5.0, 30.0)))


def cut(image: Volume, axis: int, index: int, halo: int = 1) -> tuple[Volume, int]:
    array, grid, position = slab_around(image.array, image.geometry, axis, index, halo)
    return image.replace(array=array, geometry=grid), position


@pytest.mark.parametrize(("normal", "axis"), [((0, 0, 1), 0), ((0, -1, 0), 1), ((1, 0, 0), 2), ((0.6, 0.1, 0.7), 0)])
def test_slice_nearest_to_a_view(image, normal, axis):
    point = image.geometry.to_ras((7, 11, 4))  # I, J, K
    assert slice_at(image.geometry, normal, point) == (axis, (4, 11, 7)[axis])


def test_slice_outside_the_image_is_the_last_one(image):
    assert slice_at(image.geometry, (0, 0, 1), (0.0, 0.0, 1e4)) == (0, 11)
    assert slice_at(image.geometry, (0, 0, 1), (0.0, 0.0, -1e4)) == (0, 0)


def test_slab_ends_with_the_image(image):
    array, grid, position = slab_around(image.array, image.geometry, 0, 1, 4)
    assert array.shape == (6, 20, 24)
    assert position == 1
    assert np.array_equal(array, image.array[0:6])
    array, grid, position = slab_around(image.array, image.geometry, 2, 23, 1)
    assert array.shape == (12, 20, 2)
    assert position == 1
    assert np.allclose(grid.to_ras((0, 0, 0)), image.geometry.to_ras((22, 0, 0)))


def test_middle_slice_equals_the_whole_image_where_the_kernel_fits(image):
    slab, position = cut(image, 0, 5)
    found = preview(slab, MEDIAN, 0, position, window=(50.0, 250.0))
    whole = apply_filters(image, MEDIAN)
    expected = plane_of(image.geometry, 0).cut(whole.array[5:6])
    grey = np.rint(np.clip((expected - 50.0) * 255 / 200, 0, 255)).astype(np.uint8)
    assert np.array_equal(found.after[:, :, 0], grey)
    assert found.slices == 3
    assert found.same_scale
    assert found.notes == ()


def test_segments_are_laid_over_the_picture(image):
    slab, position = cut(image, 0, 5)
    found = preview(slab, OTSU, 0, position)
    [segment] = found.segments
    assert segment["name"] == "Foreground"
    assert segment["voxels"] == 10 * 12
    grey = (found.after == found.after[:, :, :1]).all(axis=2)
    assert np.count_nonzero(~grey) == pytest.approx(120, abs=3)
    assert (found.before == found.before[:, :, :1]).all()
    outline = np.all(found.after == np.rint(255 * np.asarray(segment["color"])).astype(np.uint8), axis=2)
    assert outline.sum() == 2 * (10 + 12) - 4  # the pixels of the segment along its border


def test_labels_to_start_from(image):
    slab, position = cut(image, 1, 10)
    seen = np.zeros(slab.geometry.shape, np.uint8)
    seen[2:5, :, 3:9] = 7
    labels = LabelMap(seen, slab.geometry, (Segment(7, "Painted", (0.0, 1.0, 0.0)),))
    found = preview(slab, MEDIAN, 1, position, labels=labels)
    assert [(s["name"], s["voxels"]) for s in found.segments] == [("Painted", 18)]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_orientation_of_each_plane(axis):
    """A grid that grows to the left, back and down: right, front and top must still be where people look for them."""
    affine = np.diag([-1.0, -1.0, -2.0, 1.0])
    array = np.zeros((4, 6, 8), np.float32)
    array[0, 0, 0] = 1.0  # the most right, anterior and superior voxel
    seen = plane_of(Geometry(array.shape, affine), axis).cut(array)
    assert seen[0, 0] == 1.0
    assert seen.shape == {0: (6, 8), 1: (4, 8), 2: (4, 6)}[axis]


def test_orientation_of_a_permuted_grid():
    """I runs to superior, J to the right, K to anterior."""
    affine = np.array([[0, 2.0, 0, 0], [0, 0, 3.0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
    geometry = Geometry((3, 4, 5), affine)
    plane = plane_of(geometry, 0)  # a coronal slice
    assert plane.pixel_mm == (1.0, 2.0)
    seen = plane.cut(np.arange(20, dtype=np.float32).reshape(1, 4, 5))
    assert seen.shape == (5, 4)
    assert seen[0, 0] == 19  # superior (I = 4), right (J = 3)


def test_histograms_count_the_slice(image):
    slab, position = cut(image, 0, 5)
    found = preview(slab, MEDIAN, 0, position)
    before, after = found.histograms
    assert len(before["counts"]) == len(after["counts"]) == BINS
    assert sum(before["counts"]) == sum(after["counts"]) == 20 * 24
    assert (before["low"], before["high"]) == (after["low"], after["high"])
    assert before["low"] <= image.array[5].min()


def test_steps_up_to_none_show_the_image_itself(image):
    slab, position = cut(image, 0, 5)
    found = preview(slab, [{**MEDIAN[0], "enabled": False}], 0, position)
    assert np.array_equal(found.before, found.after)


def test_seeds_of_other_slices_are_left_out(image):
    pytest.importorskip("SimpleITK")
    slab, position = cut(image, 0, 5)
    inside, outside = ({"ras": list(image.geometry.to_ras((12, 10, k))), "segment": "Box"} for k in (5, 11))
    step = {"step": "connected_threshold", "settings": {"seeds": [inside, outside], "lower": 150.0}}
    assert preview(slab, [step], 0, position).segments[0]["voxels"] == 120
    step["settings"]["seeds"] = [outside]
    with pytest.raises(InputError, match="No seed lies in the slice shown"):
        preview(slab, [step], 0, position)


def test_kernel_longer_than_the_slab_works_on_the_slice_alone(image):
    pytest.importorskip("scipy")
    slab, position = cut(image, 0, 5)
    found = preview(slab, [{"step": "gaussian", "settings": {"sigma_mm": 2.0}}], 0, position)
    assert found.slices == 1
    assert "this slice only" in found.notes[0]


def test_kernel_longer_than_the_slice_is_an_error(image):
    slab, position = cut(image, 0, 5)
    with pytest.raises(SettingsError, match="too wide"):
        preview(slab, [{"step": "gaussian", "settings": {"sigma_mm": 50.0}}], 0, position)


def test_networks_are_left_out(image, monkeypatch):
    from medai.segment.segmenters.unet import UNet

    monkeypatch.setattr(UNet, "requires", ())
    slab, position = cut(image, 0, 5)
    found = preview(slab, [*MEDIAN, {"step": "unet"}], 0, position)
    assert "U-Net" in found.notes[0]
    assert found.segments == ()
    assert not np.array_equal(found.before, found.after)


def test_values_that_are_no_numbers_are_black(image):
    array = image.array.copy()
    array[5, 0, 0] = np.nan
    array[5, 0, 1] = np.inf
    slab, position = cut(image.replace(array=array), 0, 5)
    found = preview(slab, OTSU, 0, position)
    corner = plane_of(image.geometry, 0).cut(np.isnan(array[5:6]))
    assert (found.before[corner] == 0).all()
    assert sum(found.histograms[0]["counts"]) == 20 * 24 - 2


def test_constant_slice_has_a_picture():
    slab = Volume(np.full((1, 8, 8), 7, np.int16), Geometry.from_spacing((1, 8, 8), (1, 1, 1)))
    found = preview(slab, [{"step": "median", "enabled": False}], 0, 0)
    assert found.before.shape == (8, 8, 3)


def test_colour_is_shown_grey():
    array = np.random.default_rng(1).integers(0, 255, (1, 10, 10, 3)).astype(np.uint8)
    slab = Volume(array, Geometry.from_spacing((1, 10, 10), (1, 1, 1)))
    assert preview(slab, MEDIAN, 0, 0).after.shape == (10, 10, 3)


def test_large_slices_are_thinned_out_for_the_picture_only():
    array = np.zeros((1, 600, 1030), np.int16)
    array[0, ::2] = 100
    slab = Volume(array, Geometry.from_spacing(array.shape, (1, 1, 1)))
    found = preview(slab, OTSU, 0, 0)
    assert max(found.after.shape) <= LARGEST_PICTURE
    assert found.segments[0]["voxels"] == 300 * 1030


@pytest.mark.parametrize(
    ("seconds", "effort"),
    [(0.001, (4, 1)), (0.015, (1, 1)), (0.07, (0, 1)), (0.2, (0, 2)), (0.5, (0, 4)), (9.0, (0, 4))],
)
def test_effort_follows_the_clock(seconds, effort):
    assert effort_for(MEDIAN, seconds) == effort


def test_effort_follows_the_weight_before_there_is_a_clock():
    assert effort_for(MEDIAN) == (1, 1)
    assert effort_for([*MEDIAN] * 9) == (0, 1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thinned_slab_lies_where_it_was(image, axis):
    array, grid, position = slab_around(image.array, image.geometry, axis, 5, 1, 2)
    assert array.shape == tuple(3 if n == axis else size // 2 for n, size in enumerate(image.array.shape))
    index = [2, 2, 2]
    index[axis] = position
    k, j, i = (5 if n == axis else 2 * v for n, v in enumerate(index))
    assert array[tuple(index)] == image.array[k, j, i]
    assert np.allclose(grid.to_ras(index[::-1]), image.geometry.to_ras((i, j, k)))
    slab = image.replace(array=array, geometry=grid)
    full = plane_of(image.geometry, axis).pixel_mm
    assert preview(slab, MEDIAN, axis, position).pixel_mm == pytest.approx((2 * full[0], 2 * full[1]))


def test_task_gives_the_fields(image):
    slab, position = cut(image, 0, 5)
    settings = {"pipeline": OTSU, "axis": 0, "position": position, "window": [50, 250]}
    found = run_task(
        "medai.segment.tasks:preview", {"volume": slab}, settings, progress=no_progress, cancel=CancelToken()
    )
    assert found["after"].dtype == np.uint8
    assert found["segments"][0]["name"] == "Foreground"
    assert found["slices"] == 3


def test_cancelled_preview_stops(image):
    from medai.core.errors import Cancelled

    token = CancelToken()
    token.cancel()
    slab, position = cut(image, 0, 5)
    with pytest.raises(Cancelled):
        preview(slab, MEDIAN, 0, position, cancel=token)


def test_preview_and_run_agree_on_a_single_slice(image):
    array, grid, _ = slab_around(image.array, image.geometry, 0, 5, 0)
    slab = image.replace(array=array, geometry=grid)
    assert preview(slab, OTSU, 0, 0).segments[0]["voxels"] == int(run(slab, OTSU).counts()[1])
