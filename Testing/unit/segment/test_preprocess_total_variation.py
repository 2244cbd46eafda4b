"""Total variation denoising against scikit-image."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS, total_variation


def flatten(array, **settings):
    volume = Volume(array, Geometry.from_spacing(array.shape[:3], (0.8, 0.8, 2.0)))
    return PREPROCESS.create("total_variation").run(volume, settings).array


def skimages(array, weight, eps=2e-4, max_num_iter=200):
    from skimage.restoration import denoise_tv_chambolle

    # Without the axes of one voxel: there, as here, they take no part.
    plain = np.squeeze(array).astype(np.float64)
    return denoise_tv_chambolle(plain, weight=weight, eps=eps, max_num_iter=max_num_iter).reshape(array.shape)


def step(rng, shape):
    array = rng.normal(0, 20, shape)
    array[..., shape[2] // 2 :] += 100
    return array


@pytest.mark.parametrize(
    "settings", [(10.0, 2e-4, 200), (60.0, 1e-5, 50), (0.5, 1e-3, 200), (10.0, 0.5, 1), (10.0, 1e-9, 2)]
)
def test_float64_is_skimages_at_every_stop(rng, settings):
    array = step(rng, (11, 23, 31))
    weight, tolerance, most = settings
    result = flatten(array, weight=weight, tolerance=tolerance, max_iterations=most)
    np.testing.assert_allclose(result, skimages(array, *settings), rtol=0, atol=1e-10)


@pytest.mark.parametrize("tile", [(3, 7, 20), (1, 64, 9), (64, 5, 64)])
def test_tiles_join_without_a_seam(rng, monkeypatch, tile):
    monkeypatch.setattr(total_variation, "TILE", tile)
    array = step(rng, (10, 20, 41))
    np.testing.assert_allclose(flatten(array, weight=15.0), skimages(array, 15.0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "u4", "f4", ">f4"])
def test_integers_keep_their_scale(rng, dtype):
    array = np.clip(step(rng, (10, 20, 24)) + 80, 0, 255).astype(dtype)
    result = flatten(array)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, skimages(array, 10.0), rtol=0, atol=2e-3)


@pytest.mark.parametrize("shape", [(1, 20, 30), (20, 1, 30), (20, 30, 1), (1, 1, 30), (2, 2, 2)])
def test_an_axis_of_one_voxel_takes_no_part(rng, shape):
    array = rng.normal(size=shape) * 30
    np.testing.assert_allclose(flatten(array), skimages(array, 10.0), rtol=0, atol=1e-10)


def test_one_voxel_and_constant_images_stay():
    assert flatten(np.full((1, 1, 1), 7, np.int16)).item() == 7
    assert (flatten(np.full((4, 5, 6), -3, np.int16)) == -3).all()


def test_it_flattens_noise_and_keeps_the_step(rng):
    array = step(rng, (12, 24, 24))
    result = flatten(array, weight=40.0)
    assert result[..., 14:].mean() - result[..., :10].mean() > 85
    assert result[..., :10].std() < 0.25 * array[..., :10].std()


@pytest.mark.parametrize("strange", [np.nan, -np.inf])
def test_strange_values_are_refused(strange):
    array = np.zeros((5, 6, 7))
    array[1, 2, 3] = strange
    with pytest.raises(InputError, match="NaN or infinite"):
        flatten(array)


@pytest.mark.parametrize("wrong", [{"weight": 0}, {"tolerance": 0}, {"tolerance": 1}, {"max_iterations": 0}])
def test_wrong_settings_are_refused_by_key(wrong):
    with pytest.raises(SettingsError, match=f"total_variation\\.{next(iter(wrong))}"):
        flatten(np.zeros((5, 6, 7)), **wrong)


def test_cancel_stops_inside_the_work(rng):
    token = CancelToken()
    volume = Volume(rng.normal(size=(32, 64, 64)), Geometry.from_spacing((32, 64, 64), (1.0, 1.0, 1.0)))
    with pytest.raises(Cancelled):
        PREPROCESS.create("total_variation").run(
            volume, progress=lambda fraction, message="": token.cancel(), cancel=token
        )
