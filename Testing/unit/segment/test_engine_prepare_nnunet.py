"""Prepared images beside nnU-Net's own DefaultPreprocessor, crop, normalisation and resampling.

nnU-Net interpolates in float64, MedAI in float32 with cut-off spline filters: values agree to 2e-5 of the image's
range (CLOSE); shapes and labels are equal.
"""

# ruff: noqa: E402

import numpy as np
import pytest

pytest.importorskip("nnunetv2")
ndimage = pytest.importorskip("scipy.ndimage")

from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.default_resampling import (
    compute_new_shape,
    determine_do_sep_z_and_axis,
    resample_data_or_seg_to_shape,
)
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume
from medai.segment.inference.prepare import ChannelEntry, Normalise, PrepareSettings
from medai.segment.inference.prepared import prepare, with_labels
from medai.segment.inference.sampling import separate_axis

CLOSE = 2e-5
CT = {"mean": 80.0, "std": 120.0, "percentile_00_5": -300.0, "percentile_99_5": 400.0}
STEPS = {
    "ZScoreNormalization": (Normalise(method="zscore"),),
    "masked": (Normalise(method="zscore", over="filled"),),
    "CTNormalization": (
        Normalise(method="clip", low=-300.0, high=400.0),
        Normalise(method="shift_scale", mean=80.0, sd=120.0),
    ),
    "RescaleTo01Normalization": (Normalise(method="range"),),
    "RGBTo01Normalization": (Normalise(method="shift_scale", sd=255.0),),
    "NoNormalization": (),
}
SAMPLING = {"grid": "edges", "crop": "nonzero", "normalise_first": True}


def picture(shape, channels=1, seed=0, low=-500, high=800):
    """Smooth random channels with zeros outside a box and a hole inside."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(channels):
        array = ndimage.gaussian_filter(rng.normal(size=shape), 1.0)
        found.append(low + (high - low) * (array - array.min()) / np.ptp(array))
    data = np.stack(found).astype(np.int16)
    data[:, :1], data[:, :, -2:], data[:, ..., :2] = 0, 0, 0
    data[:, shape[0] // 2, shape[1] // 2 : shape[1] // 2 + 2, shape[2] // 2] = 0
    return data


def plans(spacing, schemes, masks, function, kwargs, transpose=(0, 1, 2)):
    """nnU-Net's plans, as few keys as its preprocessor reads."""
    forward = list(transpose)
    configuration = {
        "data_identifier": "x", "preprocessor_name": "DefaultPreprocessor", "batch_size": 1, "patch_size": [8, 8, 8],
        "spacing": list(spacing), "normalization_schemes": schemes, "use_mask_for_norm": masks,
        "resampling_fn_data": function, "resampling_fn_data_kwargs": {"is_seg": False, **kwargs},
        "architecture": {"network_class_name": "x", "arch_kwargs": {}, "_kw_requires_import": []},
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
    }  # fmt: skip
    properties = {str(n): CT for n in range(len(schemes))}
    return PlansManager({
        "dataset_name": "Dataset001_Test", "plans_name": "nnUNetPlans", "transpose_forward": forward,
        "transpose_backward": [forward.index(n) for n in range(3)], "configurations": {"test": configuration},
        "foreground_intensity_properties_per_channel": properties, "image_reader_writer": "SimpleITKIO",
    })  # fmt: skip


def theirs(data, spacing, manager, seg=None):
    """Run nnU-Net's preprocessor; return the image, the label image and the bounding box."""
    properties = {"spacing": list(spacing)}
    configuration = manager.get_configuration("test")
    # Only a prediction's path is wanted: without a training label there is no sampling of locations.
    image, found, _ = DefaultPreprocessor(verbose=False).run_case_npy(
        data, seg, properties, manager, configuration, {"labels": {"background": 0, "a": 1, "b": 2, "c": 3},
                                                        "channel_names": {}, "file_ending": ".nrrd"},
    )  # fmt: skip
    return image, found, properties["bbox_used_for_cropping"]


def volume(data, spacing):
    array = data[0] if len(data) == 1 else np.moveaxis(data, 0, -1)
    return Volume(array, Geometry.from_spacing(data.shape[1:], spacing[::-1]))


def close(found, wanted):
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= CLOSE * np.ptp(wanted)


GRIDS = [
    ((14, 23, 26), (1.2, 0.8, 0.9), (1.0, 1.0, 1.5)),  # isotropic enough
    ((14, 23, 26), (1.2, 0.8, 0.9), (1.2, 0.8, 0.9)),  # nothing to do
    ((14, 23, 26), (5.0, 0.8, 0.9), (3.0, 1.0, 1.0)),  # K apart, by the image's spacing
    ((14, 23, 26), (5.0, 0.8, 0.9), (5.0, 1.0, 1.0)),  # K apart and unchanged
    ((14, 23, 26), (1.0, 0.8, 0.9), (6.0, 1.0, 1.0)),  # K apart, by the model's spacing
    ((14, 23, 9), (0.8, 0.9, 4.0), (1.0, 0.7, 3.0)),  # I apart
    ((14, 9, 26), (0.8, 3.0, 0.7), (1.0, 1.5, 0.7)),  # J apart
    ((14, 9, 26), (0.5, 2.5, 2.5), (1.0, 1.5, 1.5)),  # two coarse axes: together
    ((8, 11, 12), (0.8, 0.9, 0.7), (0.4, 0.45, 0.3)),  # finer
    ((8, 21, 22), (2.0, 1.0, 1.0), (1.0, 2.0, 2.0)),  # ties of nearest neighbour and of rounding
    ((5, 31, 21), (10.0, 0.75, 0.75), (5.0, 1.5, 1.5)),
]


@pytest.mark.parametrize(("shape", "spacing", "new"), GRIDS)
@pytest.mark.parametrize("function", ["cubic", "linear", "torch"])
def test_crop_normalise_and_resample_as_nnunet(shape, spacing, new, function):
    data = picture(shape, 2)
    kwargs = {"order": 3 if function == "cubic" else 1, "order_z": 0, "force_separate_z": None}
    name = "resample_torch_fornnunet" if function == "torch" else "resample_data_or_seg_to_shape"
    kwargs = {"force_separate_z": None} if function == "torch" else kwargs
    schemes = ["ZScoreNormalization", "CTNormalization"]
    wanted, _, _ = theirs(data, spacing, plans(new, schemes, [True, False], name, kwargs))
    how = PrepareSettings(
        orientation="RAS", spacing=new[::-1], interpolate="cubic" if function == "cubic" else "linear", anisotropy=3.0,
        channels=(ChannelEntry(normalise=STEPS["masked"]), ChannelEntry(normalise=STEPS["CTNormalization"])),
        **SAMPLING,
    )  # fmt: skip
    close(prepare(volume(data, spacing), how).array, wanted)


@pytest.mark.parametrize("scheme", [name for name in STEPS if name != "CTNormalization"])
@pytest.mark.parametrize("seed", [0, 1])
def test_normalisation_schemes(scheme, seed):
    data = picture((11, 13, 14), seed=seed, low=0, high=255)
    name = "ZScoreNormalization" if scheme == "masked" else scheme
    function = {"order": 3, "order_z": 0, "force_separate_z": None}
    manager = plans((1, 1, 1), [name], [scheme == "masked"], "resample_data_or_seg_to_shape", function)
    how = PrepareSettings(spacing=(1.0, 1.0, 1.0), channels=(ChannelEntry(normalise=STEPS[scheme]),), **SAMPLING)
    close(prepare(volume(data, (1, 1, 1)), how).array, theirs(data, (1, 1, 1), manager)[0])


@pytest.mark.parametrize("transpose", [(1, 0, 2), (2, 0, 1), (2, 1, 0)])
def test_transposed_axes(transpose):
    data, spacing, new = picture((10, 12, 14)), (3.0, 0.9, 1.1), (1.0, 1.2, 2.0)
    kwargs = {"order": 3, "order_z": 0, "force_separate_z": None}
    manager = plans(new, ["ZScoreNormalization"], [False], "resample_data_or_seg_to_shape", kwargs, transpose)
    letters = "SAR"  # of K, J, I
    how = PrepareSettings(
        orientation="".join(letters[a] for a in transpose)[::-1], spacing=new[::-1], interpolate="cubic",
        anisotropy=3.0, channels=(ChannelEntry(normalise=STEPS["ZScoreNormalization"]),), **SAMPLING,
    )  # fmt: skip
    close(prepare(volume(data, spacing), how).array, theirs(data, spacing, manager)[0])


def test_slices_of_a_2d_network_keep_their_distance():
    data, spacing = picture((9, 24, 22)), (4.0, 0.8, 0.7)
    kwargs = {"order": 3, "order_z": 0, "force_separate_z": None}
    manager = plans([1.1, 1.2], ["ZScoreNormalization"], [False], "resample_data_or_seg_to_shape", kwargs)
    how = PrepareSettings(
        spacing=(1.2, 1.1, 1.0), keep_slices=True, interpolate="cubic", anisotropy=3.0,
        channels=(ChannelEntry(normalise=STEPS["ZScoreNormalization"]),), **SAMPLING,
    )  # fmt: skip
    close(prepare(volume(data, spacing), how).array, theirs(data, spacing, manager)[0])


@pytest.mark.parametrize("seed", range(5))
def test_box_and_mask_as_crop_to_nonzero(seed):
    rng = np.random.default_rng(seed)
    data = np.zeros((2, 12, 13, 14), dtype=np.float32)
    low, high = rng.integers(0, 5, 3), rng.integers(8, 12, 3)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    data[(slice(None), *box)] = rng.normal(size=(2, *(high - low))) * (rng.random((2, *(high - low))) < 0.4)
    cropped, seg, bbox = crop_to_nonzero(data.copy())
    how = PrepareSettings(spacing=None, crop="nonzero", channels=(ChannelEntry(), ChannelEntry()))
    found = prepare(volume(data, (1, 1, 1)), how, keep_mask=True)
    np.testing.assert_array_equal(found.array, cropped)
    np.testing.assert_array_equal(found.grid.origin, [b[0] for b in bbox][::-1])
    np.testing.assert_array_equal(found.placement.filled, seg[0] >= 0)


@pytest.mark.parametrize(("shape", "spacing", "new"), GRIDS)
def test_previous_labels_become_channels(shape, spacing, new):
    data = picture(shape)
    rng = np.random.default_rng(3)
    seg = np.argmax([ndimage.gaussian_filter(rng.normal(size=shape), 1.5) for _ in range(4)], axis=0).astype(np.uint8)
    cropped, outside, _ = crop_to_nonzero(data.astype(np.float32), seg.astype(np.int16)[None])
    new_shape = compute_new_shape(cropped.shape[1:], spacing, new)
    wanted = resample_data_or_seg_to_shape(
        outside, new_shape, spacing, new, is_seg=True, order=1, order_z=0, force_separate_z=None
    )
    wanted = convert_labelmap_to_one_hot(wanted[0], [1, 2, 3], np.float32)
    how = PrepareSettings(
        spacing=new[::-1], interpolate="cubic", anisotropy=3.0, channels=(ChannelEntry(),), **SAMPLING
    )
    image = volume(data, spacing)
    found = with_labels(prepare(image, how, keep_mask=True), LabelMap(seg, image.geometry), (1, 2, 3))
    assert found.array.shape == (4, *new_shape)
    # Equal shares in one arithmetic differ in the last bit of the other, which then decides.
    assert (found.array[1:] == wanted).mean() >= 0.999


def test_torch_resampling_is_the_linear_rule():
    data = picture((12, 21, 22)).astype(np.float32)
    spacing, new = (5.0, 0.8, 0.9), (3.0, 1.1, 1.0)
    shape = compute_new_shape(data.shape[1:], spacing, new)
    wanted = resample_torch_fornnunet(data, shape, spacing, new, num_threads=1)
    how = PrepareSettings(spacing=new[::-1], grid="edges", anisotropy=3.0, channels=(ChannelEntry(),))
    close(prepare(volume(data, spacing), how).array, wanted)


def test_the_axis_apart_is_nnunets():
    rng = np.random.default_rng(0)
    for _ in range(300):
        old, new = rng.choice([0.5, 1.0, 1.7, 3.0, 6.0], size=(2, 3)).tolist()
        separate, axis = determine_do_sep_z_and_axis(None, old, new)
        assert separate_axis(old, new, 3.0) == (axis if separate else None)
