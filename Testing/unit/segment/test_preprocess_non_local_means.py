"""Non-local means against the definition and scikit-image."""

import itertools

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS, non_local_means
from medai.segment.preprocess._noise import noise_sigma


def smooth(array, **settings):
    volume = Volume(array, Geometry.from_spacing(array.shape[:3], (0.8, 0.8, 2.0)))
    return PREPROCESS.create("non_local_means").run(volume, settings).array


def defined(array, size, far, h, sigma):
    """Every pair of voxels, with exact exponentials."""
    plain = np.squeeze(array).astype(np.float64)
    half, axes = size // 2, range(np.squeeze(array).ndim)
    pad = half + far + 1
    padded = np.pad(plain, pad, mode="reflect")
    core = (slice(pad, -pad),) * plain.ndim

    def shifted(values, offset):
        return np.roll(values, [-o for o in offset], axes)

    total, weights = np.zeros_like(plain), np.zeros_like(plain)
    for offset in itertools.product(range(-far, far + 1), repeat=plain.ndim):
        # A pair's patches are compared from its first voxel on, whichever of the two is being filtered.
        turned = offset < (0,) * plain.ndim
        forward = tuple(-o for o in offset) if turned else offset
        squared = (padded - shifted(padded, forward)) ** 2 - 2 * sigma**2
        patch = sum(shifted(squared, o) for o in itertools.product(range(1 - half, half + 1), repeat=plain.ndim))
        if turned:
            patch = shifted(patch, offset)
        exponent = np.maximum(patch, 0) / (h**2 * size**plain.ndim)
        weight = np.where(exponent > 5, 0, np.exp(-exponent))
        total += (weight * shifted(padded, offset))[core]
        weights += weight[core]
    return (total / weights).reshape(array.shape)


def step(rng, shape):
    array = rng.normal(0, 20, shape)
    array[..., shape[2] // 2 :] += 80
    return array


@pytest.mark.parametrize(("size", "far"), [(3, 1), (3, 2), (5, 2), (7, 1)])
def test_float64_is_the_definition(rng, size, far):
    array = step(rng, (10, 13, 17))
    result = smooth(array, patch_size=size, patch_distance=far, noise_sigma=20.0, strength=0.8)
    np.testing.assert_allclose(result, defined(array, size, far, 16.0, 20.0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(10, 14, 18), (1, 24, 30)])
@pytest.mark.parametrize(("size", "far"), [(3, 2), (5, 3)])
def test_scikit_image_is_as_near_as_its_exponential_allows(rng, shape, size, far):
    from skimage.restoration import denoise_nl_means

    array = step(rng, shape)
    expected = denoise_nl_means(
        np.squeeze(array), patch_size=size, patch_distance=far, h=16.0, sigma=20.0, fast_mode=True, preserve_range=True
    ).reshape(shape)
    result = smooth(array, patch_size=size, patch_distance=far, noise_sigma=20.0, strength=0.8)
    assert np.abs(expected - array).max() > 30
    assert np.abs(result - expected).max() < 1.5
    assert np.abs(result - expected).mean() < 0.15


@pytest.mark.parametrize("tile", [(4, 5, 6), (1, 64, 7)])
def test_tiles_join_without_a_seam(rng, monkeypatch, tile):
    array = step(rng, (10, 13, 17))
    whole = smooth(array)
    monkeypatch.setattr(non_local_means, "TILE", tile)
    np.testing.assert_allclose(smooth(array), whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "i8", "f4"])
def test_integers_keep_their_scale(rng, dtype):
    array = np.clip(step(rng, (9, 12, 16)) + 80, 0, 255).astype(dtype)
    result = smooth(array, noise_sigma=20.0)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, defined(array, 3, 2, 16.0, 20.0), rtol=0, atol=5e-3)


@pytest.mark.parametrize("shape", [(1, 20, 30), (20, 1, 30), (20, 30, 1), (1, 1, 30), (3, 3, 3)])
def test_an_axis_of_one_voxel_takes_no_part(rng, shape):
    array = rng.normal(size=shape) * 20
    np.testing.assert_allclose(smooth(array, noise_sigma=20.0), defined(array, 3, 2, 16.0, 20.0), rtol=0, atol=1e-10)


def test_noise_goes_and_the_edge_stays(rng):
    array = step(rng, (16, 24, 32))
    result = smooth(array)
    assert result[..., :16].std() < 0.4 * array[..., :16].std()
    assert result[..., 17:].mean() - result[..., :15].mean() > 78


@pytest.mark.parametrize("sigma", [2.0, 25.0])
@pytest.mark.parametrize("shape", [(12, 80, 80), (1, 160, 160), (80, 80, 12), (200, 40, 40)])
def test_noise_is_estimated_beside_anatomy_and_empty_air(rng, shape, sigma):
    k, j, i = np.indices(shape)
    array = 200 * np.sin(j / 15) * np.cos(i / 20) + k + rng.normal(0, sigma, shape)
    array[:, :, : shape[2] // 3] = 0
    assert noise_sigma(array) == pytest.approx(sigma, rel=0.06)


def test_an_image_without_noise_is_returned():
    array = np.full((5, 6, 7), -20, np.int16)
    result = smooth(array)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, array)
    assert noise_sigma(np.zeros((1, 1, 9))) == 0.0


@pytest.mark.parametrize(
    "wrong", [{"patch_size": 4}, {"patch_size": 1}, {"patch_distance": 0}, {"noise_sigma": 0}, {"strength": 0}]
)
def test_wrong_settings_are_refused_by_key(wrong):
    with pytest.raises(SettingsError, match=f"non_local_means\\.{next(iter(wrong))}"):
        smooth(np.zeros((9, 9, 9)), **wrong)


def test_strange_values_are_refused():
    array = np.zeros((9, 9, 9))
    array[1, 2, 3] = np.inf
    with pytest.raises(InputError, match="NaN or infinite"):
        smooth(array)


def test_cancel_reaches_inside_a_tile(rng, cancel_at_poll):
    array = rng.random((8, 32, 64), dtype=np.float32)
    token, seen = cancel_at_poll(40), []
    image = Volume(array, Geometry.from_spacing(array.shape, (1.0, 1.0, 1.0)))
    with pytest.raises(Cancelled):
        PREPROCESS.create("non_local_means").run(
            image, {"patch_distance": 12, "patch_size": 7}, cancel=token, progress=lambda f, _m="": seen.append(f)
        )
    # The image is one tile of 7,812 offsets: it was left after some of them.
    assert seen == []
    assert token.polls < 60
