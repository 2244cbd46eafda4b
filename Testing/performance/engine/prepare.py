"""From a CT to a network's input: box, values, cubic or linear resampling to 1.5 mm, beside the peers' own steps.

The small cases compare with nnU-Net, whose resampling of a whole CT takes minutes; the whole CT runs beside MONAI and
SimpleITK.  ``MEDAI_BENCH_WHOLE=1`` lets nnU-Net run on the whole CT, too.  The stored orders of axes are the fastest
(as the model reads them) and the slowest (all axes swapped).
"""

from __future__ import annotations

import os

import numpy as np

SMALL, WHOLE = (120, 256, 256), (300, 512, 512)
SPACING = (0.8, 0.8, 1.25)
NEW = (1.5, 1.5, 1.5)
MEAN, SD = 100.0, 140.0


def ct(shape):
    """Body-like values in int16."""
    k, j, i = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    inside = (k[:, None, None] ** 4 + j[:, None] ** 2 * 3 + i**2 * 1.5) < 1
    noise = np.random.default_rng(0).normal(0, 30, size=shape).astype(np.float32)
    return np.where(inside, 40 + noise, -1000 + noise).astype(np.int16)


def settings(interpolate, grid):
    """A CT model's settings: nnU-Net's or MONAI's."""
    from medai.segment.inference.prepare import ChannelEntry, Normalise, PrepareSettings

    steps = (Normalise(method="clip", low=-900.0, high=1300.0), Normalise(method="shift_scale", mean=MEAN, sd=SD))
    return PrepareSettings(
        spacing=NEW, grid=grid, interpolate=interpolate, crop="nonzero" if grid == "edges" else "none",
        anisotropy=3.0 if grid == "edges" else 0.0, normalise_first=True, channels=(ChannelEntry(normalise=steps),),
    )  # fmt: skip


def ours(array, interpolate, grid, swapped=False, crop_body=False):
    """prepare() over a volume."""
    from medai.core.geometry import Geometry
    from medai.core.volume import Volume
    from medai.segment.inference.prepared import prepare

    geometry = Geometry.from_spacing(array.shape, SPACING)
    if swapped:
        array, geometry = np.ascontiguousarray(array.transpose(2, 1, 0)), geometry.transpose((2, 1, 0))
    volume, how = Volume(array, geometry, modality="CT"), settings(interpolate, grid)

    def call():
        found = prepare(volume, how, crop_body=crop_body)
        return {"shape": list(found.array.shape)}

    return call


def nnunet(array):
    """Do the steps of nnU-Net's DefaultPreprocessor with its own functions."""

    def call():
        from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
        from nnunetv2.preprocessing.normalization.default_normalization_schemes import CTNormalization
        from nnunetv2.preprocessing.resampling.default_resampling import (
            compute_new_shape,
            resample_data_or_seg_to_shape,
        )

        values = {"mean": MEAN, "std": SD, "percentile_00_5": -900.0, "percentile_99_5": 1300.0}
        data, seg, _ = crop_to_nonzero(array[None].astype(np.float32))
        data[0] = CTNormalization(False, values).run(data[0], seg[0])
        shape = compute_new_shape(data.shape[1:], SPACING[::-1], NEW)
        data = resample_data_or_seg_to_shape(data, shape, SPACING[::-1], NEW, order=3, force_separate_z=None)
        return {"shape": list(data.shape)}

    return call


def monai(array):
    """ScaleIntensityRange and Spacing."""

    def call():
        import torch
        from monai.data import MetaTensor
        from monai.transforms import ScaleIntensityRange, Spacing

        image = MetaTensor(torch.from_numpy(array[None]), affine=torch.diag(torch.tensor([*SPACING[::-1], 1.0])))
        scaled = ScaleIntensityRange(-900.0, 1300.0, -7.1, 8.6, clip=True)(image)
        found = Spacing(NEW, mode="bilinear", padding_mode="border", dtype=np.float32)(scaled)
        return {"shape": list(found.shape)}

    return call


def sitk(array, order):
    """Clip, shift and scale, resample."""

    def call():
        import SimpleITK as sitk_

        image = sitk_.GetImageFromArray(array)
        image.SetSpacing(SPACING)
        image = (sitk_.Clamp(image, sitk_.sitkFloat32, -900, 1300) - MEAN) / SD
        size = [round(n * a / b) for n, a, b in zip(array.shape[::-1], SPACING, NEW, strict=True)]
        how = sitk_.sitkBSpline if order == 3 else sitk_.sitkLinear
        found = sitk_.Resample(image, size, sitk_.Transform(3, sitk_.sitkIdentity), how, (0.0, 0.0, 0.0), NEW)
        return {"shape": list(found.GetSize())}

    return call


def small_cubic():
    """A small CT, cubic."""
    array = ct(SMALL)
    return {"ours": ours(array, "cubic", "edges"), "nnunetv2": nnunet(array), "SimpleITK B-spline": sitk(array, 3)}


def whole_cubic():
    """A whole CT, cubic."""
    array = ct(WHOLE)
    found = {
        "ours": ours(array, "cubic", "edges"),
        "ours, axes swapped": ours(array, "cubic", "edges", swapped=True),
        "ours, body only": ours(array, "cubic", "edges", crop_body=True),
        "SimpleITK B-spline": sitk(array, 3),
    }
    return {**found, "nnunetv2": nnunet(array)} if os.environ.get("MEDAI_BENCH_WHOLE") else found


def whole_linear():
    """A whole CT, linear."""
    array = ct(WHOLE)
    return {"ours": ours(array, "linear", "centres"), "MONAI": monai(array), "SimpleITK linear": sitk(array, 1)}


CASES = {
    "prepare 256x256x120, cubic to 1.5 mm": small_cubic,
    "prepare 512x512x300, cubic to 1.5 mm": whole_cubic,
    "prepare 512x512x300, linear to 1.5 mm": whole_linear,
}
