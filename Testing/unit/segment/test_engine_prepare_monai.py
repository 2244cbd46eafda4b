"""Prepared images beside MONAI's transforms; values agree to 2e-5 of the range, places to 1e-6 mm."""

# ruff: noqa: E402

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
ndimage = pytest.importorskip("scipy.ndimage")

from monai.data import MetaTensor
from monai.transforms import (
    CropForeground,
    NormalizeIntensity,
    Orientation,
    ScaleIntensity,
    ScaleIntensityRange,
    ScaleIntensityRangePercentiles,
    Spacing,
)

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.inference.prepare import ChannelEntry, Normalise, PrepareSettings
from medai.segment.inference.prepared import prepare

CLOSE = 2e-5
NEW = [(1.5, 1.5, 1.5), (0.6, 0.7, 1.3), (0.9, 2.0, 2.5004), (4.0, 4.0, 4.0), (40.0, 1.0, 1.0)]
SIGNS = {"RAS": (1, 1, 1), "LPS": (-1, -1, 1), "RPI": (1, -1, -1)}


def picture(shape=(9, 17, 14), spacing=(0.9, 1.1, 2.5), signs=(1, 1, 1), angle=0.0, seed=0):
    array = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 0.8).astype(np.float32) * 500
    c, s = np.cos(angle), np.sin(angle)
    direction = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * np.array(signs)
    return Volume(array, Geometry.from_spacing(shape, spacing, (5.0, -3.0, 8.0), direction))


def tensor(volume):
    """The image as MONAI reads it: axes R, A, S first to last, which is I, J, K of the array."""
    return MetaTensor(torch.from_numpy(volume.array.transpose(2, 1, 0)[None].copy()), affine=volume.geometry.ijk_to_ras)


def close(found, wanted):
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= CLOSE * np.ptp(wanted)


@pytest.mark.parametrize("signs", SIGNS.values(), ids=SIGNS)
@pytest.mark.parametrize("angle", [0.0, 0.3])
@pytest.mark.parametrize("new", NEW, ids=str)
@pytest.mark.parametrize(("mode", "interpolate"), [("bilinear", "linear"), (3, "cubic")])
def test_orientation_and_spacing(signs, angle, new, mode, interpolate):
    image = picture(signs=signs, angle=angle)
    turned = Orientation("RAS", labels=None)(tensor(image))
    padding = "border" if mode == "bilinear" else "nearest"
    wanted = Spacing(new, mode=mode, padding_mode=padding)(turned)
    how = PrepareSettings(
        orientation="SAR", spacing=new[::-1], grid="centres", interpolate=interpolate, channels=(ChannelEntry(),)
    )
    found = prepare(image, how)
    close(found.array, wanted)
    # (R, A, S) indices of MONAI's affine are K, J, I of ours.
    affine = found.grid.ijk_to_ras[:, [2, 1, 0, 3]]
    np.testing.assert_allclose(affine, np.asarray(wanted.affine), atol=1e-6)


def test_the_spacing_that_is_kept():
    image = picture(spacing=(1.0, 1.0009, 2.0))
    wanted = Spacing((1.0, 1.0, 2.0))(tensor(image))
    found = prepare(
        image, PrepareSettings(orientation="SAR", spacing=(2.0, 1.0, 1.0), grid="centres", channels=(ChannelEntry(),))
    )
    close(found.array, wanted)


STEPS = [
    (NormalizeIntensity(), Normalise(method="zscore")),
    (NormalizeIntensity(nonzero=True, channel_wise=True), Normalise(method="zscore", over="nonzero")),
    (NormalizeIntensity(subtrahend=20.0, divisor=7.0), Normalise(method="shift_scale", mean=20.0, sd=7.0)),
    (ScaleIntensity(), Normalise(method="range")),
    (ScaleIntensity(minv=-1.0, maxv=2.0), Normalise(method="range", out_low=-1.0, out_high=2.0)),
    (
        ScaleIntensityRange(-57.0, 164.0, 0.0, 1.0, clip=True),
        Normalise(method="range", low=-57.0, high=164.0, clip=True),
    ),
    (
        ScaleIntensityRange(-57.0, 164.0, -1.0, 1.0, clip=False),
        Normalise(method="range", low=-57.0, high=164.0, out_low=-1.0),
    ),
    (
        ScaleIntensityRangePercentiles(1.0, 99.0, 0.0, 1.0, clip=True),
        Normalise(method="percentile_range", low=1.0, high=99.0, clip=True),
    ),
    (
        ScaleIntensityRangePercentiles(5.0, 90.0, 2.0, 3.0, clip=False),
        Normalise(method="percentile_range", low=5.0, high=90.0, out_low=2.0, out_high=3.0),
    ),
]


@pytest.mark.parametrize("number", range(len(STEPS)))
@pytest.mark.parametrize("first", [True, False])
def test_intensities(number, first):
    image = picture()
    array = image.array.copy()
    array[:2] = 0
    image = image.replace(array=array)
    theirs, ours = STEPS[number]
    spacing = Spacing((1.3, 1.3, 1.9))
    wanted = spacing(theirs(tensor(image))) if first else theirs(spacing(tensor(image)))
    how = PrepareSettings(
        orientation="SAR", spacing=(1.9, 1.3, 1.3), grid="centres", normalise_first=first,
        channels=(ChannelEntry(normalise=(ours,)),),
    )  # fmt: skip
    close(prepare(image, how).array, wanted)


def test_a_large_image_has_the_same_percentiles():
    """MONAI takes NumPy's percentiles above a million voxels."""
    image = picture((60, 150, 120), spacing=(1.0, 1.0, 1.0))
    theirs, ours = STEPS[-1]
    how = PrepareSettings(orientation="SAR", spacing=None, channels=(ChannelEntry(normalise=(ours,)),))
    close(prepare(image, how).array, theirs(tensor(image)))


def test_channels_apart():
    array = np.stack([picture(seed=n).array * (n + 1) for n in range(3)], axis=-1)
    image = Volume(array, picture().geometry)
    whole = MetaTensor(torch.from_numpy(array.transpose(3, 2, 1, 0).copy()), affine=image.geometry.ijk_to_ras)
    wanted = NormalizeIntensity(channel_wise=True)(whole)
    entry = ChannelEntry(normalise=(Normalise(method="zscore"),))
    close(prepare(image, PrepareSettings(orientation="SAR", spacing=None, channels=(entry,) * 3)).array, wanted)


def test_a_crop_to_what_is_positive():
    """After all other changes, in any channel."""
    array = np.zeros((12, 17, 14, 2), dtype=np.float32)
    array[3:9, 4:12, 5:11, 0] = 5
    array[2:7, 6:14, 4:9, 1] = 2
    array[..., 1] -= 1
    image = Volume(array, picture((12, 17, 14), angle=0.3).geometry)
    whole = MetaTensor(torch.from_numpy(array.transpose(3, 2, 1, 0).copy()), affine=image.geometry.ijk_to_ras)
    step = Normalise(method="shift_scale", mean=0.5, sd=2.0)
    changed = NormalizeIntensity(subtrahend=0.5, divisor=2.0)(Spacing((0.7, 1.4, 2.0))(whole))
    wanted = CropForeground()(changed)
    how = PrepareSettings(
        orientation="SAR", spacing=(2.0, 1.4, 0.7), grid="centres", crop="positive",
        channels=(ChannelEntry(normalise=(step,)),) * 2,
    )  # fmt: skip
    found = prepare(image, how)
    close(found.array, wanted)
    assert found.array.shape[1:] != changed.shape[1:]
    np.testing.assert_allclose(found.grid.ijk_to_ras[:, [2, 1, 0, 3]], np.asarray(wanted.affine), atol=1e-6)


def test_nothing_positive_leaves_the_image_whole():
    image = Volume(-1.0 - np.abs(picture().array), picture().geometry)
    found = prepare(image, PrepareSettings(spacing=None, crop="positive", channels=(ChannelEntry(),)))
    assert found.grid.shape == image.geometry.shape
