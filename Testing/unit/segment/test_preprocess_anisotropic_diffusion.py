"""Curvature anisotropic diffusion against SimpleITK."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.preprocess import PREPROCESS


def smooth_and_noisy(rng, shape):
    from scipy.ndimage import gaussian_filter

    width = [1.5 if n > 1 else 0 for n in shape]
    return gaussian_filter(rng.normal(size=shape), width) * 1000 + rng.normal(size=shape) * 20


def diffuse(array, spacing=(1.0, 1.0, 1.0), **settings):
    volume = Volume(array, Geometry.from_spacing(array.shape[:3], spacing))
    return PREPROCESS.create("anisotropic_diffusion").run(volume, settings).array


def simpleitks(array, spacing, step, conductance, iterations):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    return sitk.GetArrayFromImage(sitk.CurvatureAnisotropicDiffusion(image, step, conductance, 1, iterations))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.8, 2.5)])
@pytest.mark.parametrize(("conductance", "iterations"), [(3.0, 5), (0.8, 3), (9.0, 1)])
def test_float64_is_simpleitks(rng, spacing, conductance, iterations):
    array = smooth_and_noisy(rng, (19, 37, 45))
    result = diffuse(array, spacing, conductance=conductance, iterations=iterations, time_step=0.04)
    expected = simpleitks(array, spacing, 0.04, conductance, iterations)
    assert np.abs(expected - array).max() > 20
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-9)


def test_tiles_and_slabs_join_without_a_seam(rng):
    array = smooth_and_noisy(rng, (18, 70, 530))
    np.testing.assert_allclose(diffuse(array), simpleitks(array, (1, 1, 1), 0.0625, 3.0, 5), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "i8", "f4"])
def test_other_types_are_float32(rng, dtype):
    array = np.clip(smooth_and_noisy(rng, (12, 20, 24)) / 10 + 128, 0, 255).astype(dtype)
    result = diffuse(array)
    assert result.dtype == np.float32
    expected = simpleitks(array.astype(np.float64), (1, 1, 1), 0.0625, 3.0, 5)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 30, 40), (30, 1, 40), (30, 40, 1), (2, 2, 2)])
def test_an_axis_of_one_voxel_takes_no_part(rng, shape):
    array = smooth_and_noisy(rng, shape)
    np.testing.assert_allclose(
        diffuse(array, time_step=0.05), simpleitks(array, (1, 1, 1), 0.05, 3.0, 5), rtol=0, atol=1e-9
    )


def test_the_limit_of_the_step_follows_the_spacing(rng):
    array = smooth_and_noisy(rng, (10, 12, 14))
    with pytest.raises(SettingsError, match=r"anisotropic_diffusion\.time_step: 0\.0625 is unstable.*0\.03125"):
        diffuse(array, (0.5, 0.5, 3.0), time_step=0.0625)
    np.testing.assert_array_equal(diffuse(array, (0.5, 0.5, 3.0)), diffuse(array, (0.5, 0.5, 3.0), time_step=0.5 / 16))
    diffuse(array[:1], (0.5, 0.5, 3.0), time_step=0.5 / 8)  # two axes are stable with twice the step


def test_an_edge_stays_and_noise_goes(rng):
    array = rng.normal(0, 10, (24, 24, 24)).astype(np.float32)
    array[:, :, 12:] += 500
    result = diffuse(array, iterations=10)
    assert result[:, :, 12:].mean() - result[:, :, :12].mean() > 495
    assert result[:, :, :11].std() < 0.5 * array[:, :, :11].std()


def test_a_constant_image_stays():
    assert (diffuse(np.full((6, 7, 8), 5, np.int16)) == 5).all()


def test_flips_and_turns(rng):
    array = smooth_and_noisy(rng, (12, 20, 30))
    plain = diffuse(array)
    for axis in range(3):
        np.testing.assert_allclose(diffuse(np.flip(array, axis)), np.flip(plain, axis), rtol=0, atol=1e-9)
    np.testing.assert_allclose(diffuse(array.transpose(1, 2, 0)), plain.transpose(1, 2, 0), rtol=0, atol=1e-9)


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_strange_values_are_refused(strange):
    array = np.zeros((5, 6, 7), np.float32)
    array[1, 2, 3] = strange
    with pytest.raises(InputError, match="1 voxels that are NaN or infinite"):
        diffuse(array)


@pytest.mark.parametrize(
    "wrong", [{"iterations": 0}, {"conductance": 0}, {"time_step": 0}, {"time_step": -0.1}, {"iterations": 2.5}]
)
def test_wrong_settings_are_refused_by_key(wrong):
    with pytest.raises(SettingsError, match=f"anisotropic_diffusion\\.{next(iter(wrong))}"):
        diffuse(np.zeros((5, 6, 7)), **wrong)


def test_cancel_stops_inside_the_work(rng):
    token = CancelToken()
    volume = Volume(rng.normal(size=(32, 64, 64)), Geometry.from_spacing((32, 64, 64), (1.0, 1.0, 1.0)))
    with pytest.raises(Cancelled):
        PREPROCESS.create("anisotropic_diffusion").run(
            volume, progress=lambda fraction, message="": token.cancel(), cancel=token
        )
