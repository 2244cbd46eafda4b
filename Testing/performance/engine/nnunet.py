"""A whole run of an nnU-Net folder on a CT of a body in air: ours, nnU-Net's predictor, MONAI's sliding window.

The image has the network's spacing already, so that the windows decide.  The whole-body case is 273 x 273 x 200 voxels
with windows of 128 voxels that overlap by half: 48 windows over the whole image, 18 in the box around the body.  Nobody
mirrors.  The network is nnU-Net's plain U-Net with random weights (31 M in the large case, 25 classes): the times are
those of a trained one, the labels are not.  ``agreement`` is the share of the voxels in the body's box that have the
label of the first contender with the same windows (the box's, or the whole image's).  MONAI gets the image prepared
and stops at the labels on the network's grid.  Importing the peers and reading the weights is not timed; ours is timed
from the model's folder to the label map, the first time with loading.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.segment.formats import FORMATS
from medai.segment.inference.run import run_model
from medai.segment.models.info import ModelInfo

INTENSITY = {"mean": 60.0, "std": 90.0, "percentile_00_5": -150.0, "percentile_99_5": 300.0}
WHOLE = {
    "shape": (200, 273, 273),
    "patch": 128,
    "features": (32, 64, 128, 256, 320, 320),
    "classes": 25,
    "spacing": 1.5,
}
SCALED = {"shape": (100, 137, 137), "patch": 64, "features": (16, 32, 64, 96), "classes": 9, "spacing": 3.0}
_FOLDERS = []


def body_ct(shape: tuple[int, int, int]) -> np.ndarray:
    """An elliptic trunk with organs in air, HU; the arms' room beside it is air."""
    rng = np.random.default_rng(5)
    k, j, i = np.meshgrid(
        *[(np.arange(n, dtype=np.float32) + 0.5) / n - 0.5 for n in shape], indexing="ij", sparse=True
    )
    image = np.full(shape, -1000.0, np.float32)
    image[np.broadcast_to((j / 0.28) ** 2 + (i / 0.43) ** 2 < 1, shape)] = 40.0
    for hu in (-800.0, -700.0, 60.0, 110.0, 160.0, 200.0, 300.0, -90.0, 20.0, 250.0):
        centre, size = rng.uniform(-0.22, 0.22, 3), rng.uniform(0.05, 0.14, 3)
        inside = sum(((x - c) / s) ** 2 for x, c, s in zip((k, j, i), centre, size, strict=True))
        image[inside < 1] = hu
    image += rng.normal(0, 12, shape).astype(np.float32)
    return image


def make_folder(case: dict) -> Path:
    """Write a trainer's folder with random weights that answer loudly."""
    import torch

    from medai.segment.networks import build_network

    levels = len(case["features"])
    strides = [[1] * 3] + [[2] * 3] * (levels - 1)
    layout = {
        "n_stages": levels, "features_per_stage": list(case["features"]), "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3] * 3] * levels, "strides": strides, "n_conv_per_stage": [2] * levels,
        "n_conv_per_stage_decoder": [2] * (levels - 1), "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }  # fmt: skip
    data = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "x", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
        "patch_size": [case["patch"]] * 3, "spacing": [case["spacing"]] * 3,
        "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False], "batch_dice": False,
        "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": data,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**data, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**data, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": layout, "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }  # fmt: skip
    plans = {
        "dataset_name": "Dataset001_Body", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "label_manager": "LabelManager",
        "configurations": {"3d_fullres": configuration},
        "foreground_intensity_properties_per_channel": {"0": INTENSITY},
    }  # fmt: skip
    names = {"background": 0} | {f"organ {n}": n for n in range(1, case["classes"])}
    dataset = {"channel_names": {"0": "CT"}, "labels": names, "numTraining": 1, "file_ending": ".nii.gz"}
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="medai-bench-"))
    folder = Path(_FOLDERS[-1].name)
    (folder / "fold_0").mkdir()
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    torch.manual_seed(1)
    settings = {
        "in_channels": 1, "out_channels": case["classes"], "features": case["features"], "strides": strides,
        "kernels": [[3] * 3] * levels, "blocks": [2] * levels, "decoder": [2] * (levels - 1),
    }  # fmt: skip
    network = build_network("nnunet_plain", settings)
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim > 2:
                torch.nn.init.kaiming_normal_(value, 0.01)
    checkpoint = {
        "network_weights": network.state_dict(), "init_args": {"configuration": "3d_fullres"},
        "trainer_name": "nnUNetTrainer", "inference_allowed_mirroring_axes": None,
    }  # fmt: skip
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def contenders(case: dict) -> dict:
    """Ours as it chooses, ours in float32 over the whole image, and the peers."""
    image = body_ct(case["shape"])
    folder = make_folder(case)
    manifest = FORMATS.create("nnunet").describe(folder, cancel=CancelToken())
    model = ModelInfo(manifest.id, "x", folder, manifest)
    volume = Volume(image, Geometry.from_spacing(case["shape"], (case["spacing"],) * 3), modality="CT")
    # The contenders run in processes of their own, one after the other, children of one.
    store = Path(tempfile.gettempdir()) / f"medai-bench-{os.getppid()}-{case['patch']}"
    j, i = (np.flatnonzero((image > -500).any(axis=axes)) for axes in ((0, 2), (0, 1)))
    box = np.s_[:, j[0] : j[-1] + 1, i[0] : i[-1] + 1]

    def ours(options: dict, windows: str, *, keep: bool) -> dict:
        result = run_model(model, volume, options)
        labels, told = result.labels.array, result.facts["inference"]
        if keep:
            np.save(store.with_suffix(f".{windows}.npy"), labels)
        facts = {k: told[k] for k in ("backend", "precision", "windows") if k in told}
        return {**facts, **({} if keep else agreement(labels, windows))}

    def agreement(labels: np.ndarray, windows: str) -> dict:
        file = store.with_suffix(f".{windows}.npy")
        return {"agreement": float((np.load(file)[box] == labels[box]).mean())} if file.is_file() else {}

    def nnunet():
        import torch
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        with contextlib.redirect_stdout(io.StringIO()):
            made = nnUNetPredictor(device=torch.device("cpu"), use_mirroring=False, allow_tqdm=False)
            made.initialize_from_trained_model_folder(str(folder), None, "checkpoint_final.pth")

        def call() -> dict:
            labels = made.predict_single_npy_array(image[None], {"spacing": [case["spacing"]] * 3}, None, None, False)
            return agreement(labels, "whole")

        return call

    def monai():
        import torch
        from monai.inferers import sliding_window_inference

        from medai.segment.inference.prepared import prepare

        network = FORMATS.create("nnunet").networks(model)[0].load(CancelToken())
        ready = torch.from_numpy(prepare(volume, manifest.prepare, cancel=CancelToken()).array)[None]

        def call() -> dict:
            with torch.inference_mode():
                scores = sliding_window_inference(ready, manifest.window, 1, network, overlap=0.5, mode="gaussian")
            return agreement(scores[0].argmax(0).numpy(), "whole")

        return call

    def later(make):
        """Prepare a peer at its first call only: each process asks for all contenders and runs one."""
        state = []

        def call() -> dict:
            if not state:
                state.append(make())
            return state[0]()

        return call

    plain = {"backend": "torch", "precision": "f32", "crop_body": False}
    return {
        "ours": lambda: ours({}, "box", keep=True),
        "ours, f32": lambda: ours({"precision": "f32"}, "box", keep=False),
        "ours, torch f32, whole image": lambda: ours(plain, "whole", keep=True),
        "nnU-Net": later(nnunet),
        "MONAI": later(monai),
    }


CASES = {
    "nnU-Net folder, CT of a body, scaled down": lambda: contenders(SCALED),
    "nnU-Net folder, whole-body CT 273x273x200": lambda: contenders(WHOLE),
}
