"""Geodesic active contours."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.segmenters import SEGMENTERS

SPACING = (1.0, 1.0, 1.5)
TWO = (Segment(1, "Liver"), Segment(2, "Spleen"))


def volume(array):
    return Volume(array, Geometry.from_spacing(array.shape, SPACING))


def run(image, start=None, *, cancel=None, progress=lambda *_: None, **settings):
    labels = None if start is None else LabelMap(start.astype(np.uint8), image.geometry, TWO)
    step = SEGMENTERS.create("geodesic_active_contour")
    return step.run(image, settings, labels=labels, cancel=cancel, progress=progress)


@pytest.fixture
def body(rng):
    """A bright body in noise, the body, and a small start inside."""

    def make(shape=(20, 40, 44)):
        k, j, i = np.ogrid[tuple(slice(0, n) for n in shape)]
        truth = ((k - shape[0] // 2) / 7) ** 2 + ((j - 20) / 12) ** 2 + ((i - 22) / 13) ** 2 < 1
        start = (k - shape[0] // 2) ** 2 + (j - 20) ** 2 + (i - 20) ** 2 <= 16
        return (np.where(truth, 140, 40) + rng.normal(0, 5, shape)).astype(np.float32), truth, start

    return make


def dice(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


@pytest.mark.parametrize("flat", [False, True])
def test_equals_simpleitk(body, flat):
    import SimpleITK as sitk

    array, _, start = body((1, 40, 44) if flat else (20, 40, 44))
    found = run(volume(array), start, edge=12.0, margin_mm=1000, iterations=60, curvature=0.7)
    pick = (lambda a: a[0]) if flat else (lambda a: a)
    feature, mask = sitk.GetImageFromArray(pick(array)), sitk.GetImageFromArray(pick(start).astype(np.uint8))
    for image in (feature, mask):
        image.SetSpacing(SPACING[: image.GetDimension()])
    smooth = sitk.DiscreteGaussian(feature, [1.0] * feature.GetDimension(), 100, [0.01] * feature.GetDimension(), True)
    steep = sitk.GradientMagnitude(smooth) / 12.0
    level = sitk.Cast(sitk.SignedMaurerDistanceMap(mask, False, False, True), sitk.sitkFloat32)
    potential = sitk.Cast(1 / (1 + steep * steep), sitk.sitkFloat32)
    level = sitk.GeodesicActiveContourLevelSet(level, potential, 0.01, 1.0, 0.7, 1.0, 60)
    expected = sitk.GetArrayFromImage(level) <= 0
    # The two potentials differ in the last bit, which may tip a voxel at the surface.
    assert (pick(found.array > 0) != expected).sum() <= 2
    assert start.sum() < found.counts()[1]


def test_it_finds_the_body(body):
    array, truth, start = body()
    assert dice(run(volume(array.astype(np.int16)), start).array > 0, truth) > 0.93


def test_a_seed_does_as_well(body):
    array, truth, _ = body()
    image = volume(array)
    ras = [float(v) for v in image.geometry.to_ras(np.array([22.0, 20.0, 10.0]))]
    found = run(image, seeds=[{"ras": ras, "segment": "Liver"}], ball_mm=4.0)
    assert dice(found.array > 0, truth) > 0.93
    assert found.meta["edge"]["Liver"] > 0


def test_segments_do_not_enter_each_other(body):
    array, _, _ = body()
    start = np.zeros(array.shape, dtype=np.uint8)
    start[8:13, 17:23, 13:18], start[8:13, 17:23, 27:32] = 1, 2
    found = run(volume(array), start)
    assert found.counts()[1] > 200
    assert found.counts()[2] > 60
    assert (found.array[start == 2] != 1).all()


def test_it_can_shrink(body):
    array, truth, _ = body()
    start = np.zeros(array.shape, dtype=np.uint8)
    start[1:-1, 4:-4, 4:-4] = 1
    found = run(volume(array), start, propagation=-1.0, edge=12.0).array > 0
    assert dice(found, truth) > 0.9


def test_cancel_within_the_iterations(body):
    array, _, start = body()
    token, seen = CancelToken(), []

    def progress(fraction, message=""):
        seen.append(fraction)
        if fraction > 0.2:
            token.cancel()

    with pytest.raises(Cancelled):
        run(volume(array), start, cancel=token, progress=progress, iterations=5000, max_rms=0.0)
    assert max(seen) < 0.5


def test_too_thin_and_too_empty():
    with pytest.raises(UnsupportedInput, match="at least 4 voxels"):
        run(volume(np.zeros((2, 5, 6))), np.ones((2, 5, 6)))
    with pytest.raises(InputError, match="neither seeds nor segments"):
        run(volume(np.zeros((4, 5, 6))))
