"""Surface distances: MONAI's and DeepMind's definitions, planes, sheared grids, symmetry."""

import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.segment.evaluate import compare
from medai.segment.evaluation.surface import border_voxels, distances, steps_of
from medai.segment.evaluation.surfels import areas, kinds

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.8, 3.0), (2.5, 0.4, 1.1)]


def blob(rng, shape):
    smooth = gaussian_filter(rng.normal(size=shape), [2 if n > 1 else 0 for n in shape])
    return smooth > 0.03 * smooth.std() / 0.1


def measured(a, b, geometry, **settings):
    (score,) = compare(LabelMap(a, geometry), LabelMap(b, geometry), settings)
    return [score.hd_mm, score.hd95_mm, score.assd_mm, score.surface_dice]


def monais(a, b, spacing, tolerance):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    x, y = (torch.tensor(m)[None, None].float() for m in (a, b))
    given = {"include_background": True, "spacing": spacing}
    return [
        metrics.compute_hausdorff_distance(x, y, **given).item(),
        metrics.compute_hausdorff_distance(x, y, percentile=95, **given).item(),
        metrics.compute_average_surface_distance(x, y, symmetric=True, **given).item(),
        metrics.compute_surface_dice(x, y, class_thresholds=[tolerance], use_subvoxels=True, **given).item(),
    ]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", [(20, 24, 28), (30, 17, 9)])
def test_distances_and_surface_dice_are_monais(rng, spacing, shape):
    geometry = Geometry.from_spacing(shape, spacing)
    for tolerance in (0.9, 2.0):
        a, b = blob(rng, shape), blob(rng, shape)
        expected = monais(a, b, spacing[::-1], tolerance)
        assert measured(a, b, geometry, tolerance_mm=tolerance) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_is_a_plane_as_in_monai(rng, axis):
    shape = [30, 40, 50]
    shape[axis] = 1
    spacing = (0.7, 0.9, 5.0)
    a, b = blob(rng, shape), blob(rng, shape)
    in_plane = [s for n, s in enumerate(spacing[::-1]) if n != axis]
    expected = monais(a.squeeze(axis), b.squeeze(axis), in_plane, 1.5)
    found = measured(a, b, Geometry.from_spacing(tuple(shape), spacing), tolerance_mm=1.5)
    assert found == pytest.approx(expected, rel=1e-5)


def ball(centre, radius):
    grid = np.ogrid[0:12, 0:30, 0:32]
    return sum(((g - c) * s) ** 2 for g, c, s in zip(grid, centre, (3.0, 0.8, 0.7), strict=True)) <= radius**2


def test_surfels_are_deepminds():
    """Numbers of the package surface-distance 0.1 for these two balls, reference second.

    ``compute_robust_hausdorff`` at 100 and 95 %, the area-weighted mean of both directions' distances, and
    ``compute_surface_dice_at_tolerance`` at 1 and 2 mm.
    """
    a, b = ball((5, 14, 15), 9), ball((6, 15, 17), 8)
    geometry = Geometry.from_spacing(a.shape, (0.7, 0.8, 3.0))
    hd, hd95, average, dice = measured(a, b, geometry, surface="surfels", tolerance_mm=1.0)
    assert (hd, hd95) == pytest.approx((6.0, 3.4713109915419564), rel=1e-12)
    assert average == pytest.approx(1.3849853610934688, rel=1e-12)
    assert dice == pytest.approx(0.4664696477572958, rel=1e-12)
    assert measured(a, b, geometry, tolerance_mm=2.0)[3] == pytest.approx(0.6380888409594913, rel=1e-12)


def test_areas_of_every_neighbourhood_are_monais():
    utils = pytest.importorskip("monai.metrics.utils")
    for spacing in SPACINGS:
        table = utils.create_table_neighbour_code_to_surface_area(spacing)[0].numpy()
        ours = areas(np.diag(spacing))
        for kind in range(256):
            # MONAI counts the corners' bits from the other end.
            assert ours[kind] == pytest.approx(table[int(f"{kind:08b}"[::-1], 2)], abs=1e-6)
    flat = utils.create_table_neighbour_code_to_contour_length((0.7, 3.0))[0].numpy()
    ours = areas(np.diag((0.7, 3.0)))
    assert ours == pytest.approx([flat[int(f"{kind:04b}"[::-1], 2)] for kind in range(16)], abs=1e-6)


def test_kinds_of_one_voxel():
    assert sorted(kinds(np.ones((1, 1, 1), bool)).ravel().tolist()) == [1, 2, 4, 8, 16, 32, 64, 128]
    assert kinds(np.ones((1, 1), bool)).tolist() == [[8, 4], [2, 1]]


def test_the_border_counts_the_arrays_edge_as_outside():
    assert len(border_voxels(np.ones((5, 5, 5), bool)).indices) == 125 - 27
    assert len(border_voxels(np.ones((5, 5), bool)).indices) == 25 - 9


@pytest.mark.parametrize("surface", ["voxels", "surfels"])
def test_flips_and_swaps_change_nothing(rng, surface):
    a, b = blob(rng, (12, 14, 16)), blob(rng, (12, 14, 16))
    steps = (3.0, 0.8, 0.7)
    first = distances(a, b, np.diag(steps), surface)
    numbers = (first.hausdorff(), first.percentile(95), first.average(), first.within(1.0))
    for axes in itertools.permutations(range(3)):
        turned = [np.flip(m, 1).transpose(axes) for m in (a, b)]
        again = distances(turned[1], turned[0], np.diag([steps[n] for n in axes]), surface)
        found = (again.hausdorff(), again.percentile(95), again.average(), again.within(1.0))
        assert found == pytest.approx(numbers, rel=1e-12)


def test_a_tolerance_of_whole_steps_counts_them_in():
    a, b = np.zeros((2, 9, 9, 9), dtype=bool)
    a[2, 3:6, 3:6], b[5, 3:6, 3:6] = True, True
    found = distances(a, b, np.diag((0.1, 0.1, 0.1)), "voxels")
    assert found.within(0.3) == 1.0
    assert found.within(0.299) == 0.0
    assert found.hausdorff() == pytest.approx(0.3)


@pytest.mark.parametrize(
    "steps",
    [
        np.diag((1.0, 1.0, 1.0)),
        np.diag((3.0, 0.8, 0.7)),
        np.diag((0.05, 2.0, 9.0)),
        np.array([[2.0, 0.0, 1.5], [0.0, 1.0, 0.0], [0.0, 0.0, 0.7]]),
        np.array([[1.0, 0.9], [0.0, 0.3]]),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.01])
def test_distances_are_the_smallest_of_all(rng, steps, share):
    shape = (9, 12, 14)[: len(steps)]
    masks = [rng.random(shape) < share for _ in range(2)]
    for mask in masks:
        mask[(3,) * len(steps)] = True
    found = distances(*masks, steps, "voxels")
    a, b = (border_voxels(mask).indices @ steps for mask in masks)
    every = np.linalg.norm(a[:, None] - b[None], axis=2)
    assert found.predicted == pytest.approx(every.min(axis=1), rel=1e-12)
    assert found.reference == pytest.approx(every.min(axis=0), rel=1e-12)


def test_distances_on_a_sheared_grid_are_in_space():
    direction = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.0], [0.0, 0.0, 0.8]])
    geometry = Geometry.from_spacing((8, 8, 8), (1.0, 1.0, 2.0), direction=direction)
    a, b = np.zeros((2, 8, 8, 8), dtype=np.uint8)
    a[2, 3, 3], b[3, 3, 1] = 1, 1
    # One step along K is (1.2, 0, 1.6) mm, two back along I are (-2, 0, 0) mm.
    assert measured(a, b, geometry)[0] == pytest.approx(np.hypot(0.8, 1.6))
    assert steps_of(geometry)[0] == pytest.approx((1.2, 0.0, 1.6))


def test_areas_on_a_sheared_grid_are_those_of_the_turned_triangles():
    shear = np.array([[3.0, 0.0, 0.5], [0.0, 0.8, 0.0], [0.0, 0.0, 0.7]])
    # A flat wall between two slices: its area is that of the parallelogram of the other two steps.
    assert areas(shear)[0b00001111] == pytest.approx(0.8 * 0.7)
    assert areas(shear)[0b01010101] == pytest.approx(np.linalg.norm(np.cross(shear[0], shear[1])))
    assert areas(np.array([[1.0, 0.5], [0.0, 1.0]]))[0b0101] == pytest.approx(np.hypot(1.0, 0.5))
