"""Resampling to a reference: SimpleITK's values on parallel and oblique grids, what lies outside, bad references."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, GeometryError, InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.io import write_volume
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS

sitk = pytest.importorskip("SimpleITK")
from medai.core.resample import resample_array  # noqa: E402

TURN = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1.0]])
DIRECTIONS = {
    "same": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "swapped": np.eye(3)[:, [1, 2, 0]] * np.array([1, -1, 1]),
    "oblique": TURN,
}


def grid(shape, spacing, centre, direction):
    raw = Geometry.from_spacing(shape, spacing, (0, 0, 0), direction)
    return Geometry.from_spacing(shape, spacing, tuple(np.asarray(centre) - raw.centre), direction)


def image_of(rng, dtype=np.float64, shape=(13, 15, 17)):
    array = rng.normal(100, 30, shape).astype(dtype)
    return Volume(array, grid(shape, (0.9, 1.1, 1.7), (10, 20, 30), np.eye(3)), modality="MR")


def to(image, target=None, **settings):
    if target is not None:
        settings["grid"] = target.to_dict()
    return PREPROCESS.create("resample_to").run(image, settings)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("interpolator", ["linear", "bspline", "nearest"])
@pytest.mark.parametrize("spacing", [(0.5, 0.6, 0.7), (2.0, 2.1, 2.3)])
def test_values_are_simpleitks_inside_and_the_fill_outside(rng, direction, interpolator, spacing):
    image = image_of(rng)
    target = grid((11, 12, 14), spacing, (12.03, 21.02, 28.01), DIRECTIONS[direction])
    result = to(image, target, interpolator=interpolator, fill=-7.0)
    expected = resample_array(image.array, image.geometry, target, interpolator, -7.0)
    assert result.geometry.same_as(target)
    np.testing.assert_allclose(result.array, expected, rtol=0, atol=1e-5 if interpolator == "bspline" else 1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_two_slices_and_cubic(rng, direction):
    image = image_of(rng, shape=(2, 12, 13))
    target = grid((4, 9, 10), (1.1, 1.2, 0.8), (10.0, 20.0, 30.0), DIRECTIONS[direction])
    expected = resample_array(image.array, image.geometry, target, "bspline", -1.0)
    np.testing.assert_allclose(to(image, target, interpolator="bspline", fill=-1.0).array, expected, atol=1e-5)


@pytest.mark.parametrize("direction", ["same", "oblique"])
def test_types(rng, direction):
    image = image_of(rng, np.int16)
    target = grid((8, 8, 8), (1.0, 1.0, 1.0), (10, 20, 30), DIRECTIONS[direction])
    assert to(image, target).array.dtype == np.float32
    assert to(image, target, interpolator="nearest").array.dtype == np.int16
    assert to(image_of(rng), target).array.dtype == np.float64


def test_the_smallest_value_stands_outside_and_is_flagged(rng):
    image = image_of(rng, np.int16)
    wide = image.geometry.crop((-3, -3, -3), (19, 21, 23))
    result = to(image, wide)
    assert result.array[0, 0, 0] == image.array.min()
    np.testing.assert_array_equal(result.array[3:-3, 3:-3, 3:-3], image.array)
    assert [f.code for f in result.flags] == ["FOV_CLIPPED"]
    inside = image.geometry.crop((1, 1, 1), (5, 5, 5))
    assert to(image, inside).flags == ()


def test_the_reference_is_an_image_file(rng, tmp_path):
    image = image_of(rng)
    target = grid((6, 7, 8), (2.0, 2.0, 2.0), (10, 20, 30), np.eye(3))
    path = tmp_path / "reférence 1.nii.gz"
    write_volume(Volume(np.zeros(target.shape, np.uint8), target), path)
    result = to(image, reference=str(path))
    assert result.geometry.same_as(target)
    np.testing.assert_allclose(result.array, to(image, target).array, atol=1e-4)
    assert result.modality == "MR"


def test_there_must_be_one_reference(rng, tmp_path):
    image = image_of(rng)
    with pytest.raises(SettingsError, match="either a reference image or a grid"):
        to(image)
    with pytest.raises(SettingsError, match="either a reference image or a grid"):
        to(image, image.geometry, reference="x.nii")
    with pytest.raises(InputError, match=r"missing\.nii"):
        to(image, reference=str(tmp_path / "missing.nii"))
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken\.nii\.gz"):
        to(image, reference=str(broken))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [0, 4, 4]}, "grid.shape"),
        ({"shape": [4, 4]}, "grid.shape"),
        ({"ijk_to_ras": [[1, 0, 0, 0]] * 3}, "grid.ijk_to_ras"),
        ({"ijk_to_ras": [[1, 0, 0, 0]] * 4}, "last row"),
        ({"ijk_to_ras": [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}, "greater than 0"),
        ({"spacing": 1}, "unknown key"),
    ],
)
def test_a_grid_that_is_none_is_refused(rng, change, words):
    image = image_of(rng)
    with pytest.raises((SettingsError, GeometryError), match=words):
        PREPROCESS.create("resample_to").run(image, {"grid": {**image.geometry.to_dict(), **change}})


def test_grids_without_a_common_point_are_refused_and_both_are_shown(rng):
    image = image_of(rng)
    far = grid((5, 5, 5), (1, 1, 1), (500, 20, 30), np.eye(3))
    with pytest.raises(GeometryError, match=r"no point in common") as caught:
        to(image, far)
    assert image.geometry.describe() in caught.value.message
    assert far.describe() in caught.value.message
    holding = grid((200, 200, 200), (5, 5, 5), (500, 20, 30), np.eye(3))
    assert to(image, holding).array.shape == (200, 200, 200)


def test_limits(rng):
    image = image_of(rng, np.uint8)
    huge = grid((2000, 2000, 2000), (0.01, 0.01, 0.01), (10, 20, 30), np.eye(3))
    with pytest.raises(SettingsError, match="2000 x 2000 x 2000 voxels, 8000 million"):
        to(image, huge)
    with pytest.raises(SettingsError, match="-1 is no value of the image's type uint8"):
        to(image, image.geometry, interpolator="nearest", fill=-1.0)
    assert to(image, image.geometry, fill=-1.5).array.dtype == np.float32


def test_cancel_stops_oblique_work(rng):
    token = CancelToken()
    image = image_of(rng, np.float32, (40, 60, 60))
    target = grid((60, 120, 120), (0.5, 0.5, 0.5), (10, 20, 30), TURN)
    with pytest.raises(Cancelled):
        PREPROCESS.create("resample_to").run(
            image, {"grid": target.to_dict(), "interpolator": "bspline"}, cancel=token,
            progress=lambda fraction, message="": token.cancel() if fraction > 0.1 else None,
        )  # fmt: skip
