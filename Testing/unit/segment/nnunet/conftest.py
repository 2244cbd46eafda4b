"""Model folders as nnU-Net v2 writes them, made here: phantoms, plans, and networks trained for a moment on them."""

import json

import numpy as np
import pytest

CT_INTENSITY = {
    "max": 400.0, "mean": 60.0, "median": 55.0, "min": -200.0, "percentile_00_5": -150.0, "percentile_99_5": 300.0,
    "std": 90.0,
}  # fmt: skip


def phantom(shape, spacing, channels=1, seed=0, air=-1000.0):
    """Two ellipsoids, one of them with a core, in a body: (images (C, K, J, I), labels (K, J, I)); labels 0..3.

    Sizes are shares of the image, so that every shape and spacing shows the same thing.
    """
    rng = np.random.default_rng(seed)
    axes = [(np.arange(n) + 0.5) / n - 0.5 for n in shape]
    k, j, i = np.meshgrid(*axes, indexing="ij")
    shift = rng.uniform(-0.03, 0.03, 3)
    body = (k / 0.62) ** 2 + (j / 0.42) ** 2 + (i / 0.46) ** 2 < 1
    left = ((k - shift[0]) / 0.34) ** 2 + ((j - shift[1]) / 0.22) ** 2 + ((i + 0.2 - shift[2]) / 0.17) ** 2 < 1
    right = ((k + shift[0]) / 0.30) ** 2 + ((j + shift[1]) / 0.26) ** 2 + ((i - 0.22 + shift[2]) / 0.15) ** 2 < 1
    core = ((k + shift[0]) / 0.22) ** 2 + ((j + shift[1]) / 0.18) ** 2 + ((i - 0.22 + shift[2]) / 0.11) ** 2 < 1
    labels = np.zeros(shape, np.uint8)
    labels[left & body], labels[right & body], labels[core & body] = 1, 2, 3
    values = [0.0, 280.0, -90.0, 150.0]
    images = []
    for channel in range(channels):
        image = np.where(body, 40.0, air).astype(np.float32)
        for label in (1, 2, 3):
            image[labels == label] = values[label] if channel == 0 else 320.0 - values[label]
        image[body] += rng.normal(0, 6, int(body.sum())).astype(np.float32)
        images.append(image)
    return np.stack(images), labels


class Folder:
    """Writes one trainer's folder.

    Parameters
    ----------
    root : Path
        The data set's folder.
    configuration : str
        Name, such as ``3d_fullres``; ``2d`` in it makes a 2D network.
    """

    def __init__(self, root, configuration="3d_fullres", **choices):
        self.root, self.configuration = root, configuration
        self.flat = configuration.startswith("2d")
        known = {
            "patch": (1, 24, 24)[1:] if self.flat else (16, 24, 24),
            "spacing": (1.5, 1.5) if self.flat else (1.5, 1.5, 1.5),
            "channels": ("CT",),
            "schemes": None,
            "masks": None,
            "labels": {"background": 0, "left": 1, "right": 2, "core": 3},
            "order": None,
            "transpose": (0, 1, 2),
            "folds": ("fold_0",),
            "residual": False,
            "old": False,
            "mirror": (0, 1) if self.flat else (0, 1, 2),
            "strides": None,
            "previous": None,
            "configurations": {},
            "data_kwargs": {},
            "resampling": "resample_data_or_seg_to_shape",
            "reader": "SimpleITKIO",
            "trainer": "nnUNetTrainer",
            "steps": 60,
            "checkpoint": "checkpoint_final.pth",
            "image": ((36, 40, 44), (1.5, 1.5, 1.5)),
            "air": -1000.0,
            "seed": 0,
        }
        unknown = set(choices) - set(known)
        assert not unknown, unknown
        vars(self).update({**known, **choices})
        self.path = root / f"{self.trainer}__nnUNetPlans__{configuration}"

    def plans(self):
        """Return plans.json's content."""
        dims = 2 if self.flat else 3
        count = len(self.channels)
        strides = self.strides or [[1] * dims, [2] * dims, [2] * dims]
        levels = len(strides)
        kwargs = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None, **self.data_kwargs}
        linear = {**kwargs, "order": 1}
        if self.resampling == "resample_torch_fornnunet":
            kwargs = linear = {"is_seg": False, "force_separate_z": False, "memefficient_seg_resampling": False}
        values = {
            "data_identifier": "nnUNetPlans_" + self.configuration,
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": list(self.patch),
            "median_image_size_in_voxels": [40.0] * dims,
            "spacing": list(self.spacing),
            "normalization_schemes": self.schemes or ["CTNormalization"] * count,
            "use_mask_for_norm": self.masks or [False] * count,
            "resampling_fn_data": self.resampling,
            "resampling_fn_seg": self.resampling,
            "resampling_fn_data_kwargs": kwargs,
            "resampling_fn_seg_kwargs": {**linear, "is_seg": True},
            "resampling_fn_probabilities": self.resampling,
            "resampling_fn_probabilities_kwargs": linear,
            "batch_dice": False,
            "previous_stage": self.previous,
        }
        down = [1, 2, 2] if self.residual else [2] * levels
        if self.old:
            values |= {
                "UNet_class_name": "ResidualEncoderUNet" if self.residual else "PlainConvUNet",
                "UNet_base_num_features": 4,
                "n_conv_per_stage_encoder": down[:levels],
                "n_conv_per_stage_decoder": [2] * (levels - 1),
                "num_pool_per_axis": [levels - 1] * dims,
                "pool_op_kernel_sizes": strides,
                "conv_kernel_sizes": [[3] * dims] * levels,
                "unet_max_num_features": 8,
            }
        else:
            values["architecture"] = {
                "network_class_name": "dynamic_network_architectures.architectures.unet."
                + ("ResidualEncoderUNet" if self.residual else "PlainConvUNet"),
                "arch_kwargs": {
                    "n_stages": levels,
                    "features_per_stage": [min(4 << n, 8) for n in range(levels)],
                    "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
                    "kernel_sizes": [[3] * dims] * levels,
                    "strides": strides,
                    "n_blocks_per_stage" if self.residual else "n_conv_per_stage": down[:levels],
                    "n_conv_per_stage_decoder": [2] * (levels - 1),
                    "conv_bias": True,
                    "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
                    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                    "dropout_op": None,
                    "dropout_op_kwargs": None,
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            }
        return {
            "dataset_name": self.root.name,
            "plans_name": "nnUNetPlans",
            "original_median_spacing_after_transp": [1.5, 1.5, 1.5],
            "original_median_shape_after_transp": [36, 40, 44],
            "image_reader_writer": self.reader,
            "transpose_forward": list(self.transpose),
            "transpose_backward": [int(n) for n in np.argsort(self.transpose)],
            "configurations": {self.configuration: values, **self.configurations},
            "experiment_planner_used": "ExperimentPlanner",
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {str(n): CT_INTENSITY for n in range(count)},
        }

    def dataset(self):
        """Return dataset.json's content."""
        told = {
            "channel_names": {str(n): name for n, name in enumerate(self.channels)},
            "labels": self.labels,
            "numTraining": 3,
            "file_ending": ".nii.gz",
        }
        return told | ({"regions_class_order": list(self.order)} if self.order else {})

    def write(self, state=None):
        """Write the folder; each fold is trained with a seed of its own, unless ``state`` gives its weights."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "plans.json").write_text(json.dumps(self.plans()))
        (self.path / "dataset.json").write_text(json.dumps(self.dataset()))
        for index, fold in enumerate(self.folds):
            weights = state if state is not None else self.train(self.seed + index)
            self.save(fold, weights)
        return self.path

    def save(self, fold, weights):
        """Write a checkpoint as nnU-Net's trainer does, with everything it keeps beside the weights."""
        import torch

        parameter = torch.nn.Parameter(torch.zeros(3))
        optimiser = torch.optim.SGD([parameter], 0.01, momentum=0.99, nesterov=True)
        parameter.sum().backward()
        optimiser.step()
        (self.path / fold).mkdir(exist_ok=True)
        torch.save(
            {
                "network_weights": weights,
                "optimizer_state": optimiser.state_dict(),
                "grad_scaler_state": None,
                "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.25)], "epoch_start_timestamps": [1.5e9]},
                "_best_ema": np.float64(0.9),
                "current_epoch": 1,
                "init_args": {
                    "plans": self.plans(),
                    "configuration": self.configuration,
                    "fold": fold.removeprefix("fold_"),
                    "dataset_json": self.dataset(),
                    "unpack_dataset": True,
                    "device": torch.device("cpu"),
                },
                "trainer_name": self.trainer,
                "inference_allowed_mirroring_axes": self.mirror,
            },
            self.path / fold / self.checkpoint,
        )

    def train(self, seed):
        """Return the weights after some steps on a phantom that nnU-Net's own preprocessor has prepared."""
        import torch
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
        from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        manager, dataset = PlansManager(self.plans()), self.dataset()
        config, labels = manager.get_configuration(self.configuration), manager.get_label_manager(dataset)
        torch.manual_seed(seed)
        network = get_network_from_plans(
            config.network_arch_class_name, config.network_arch_init_kwargs, config.network_arch_init_kwargs_req_import,
            determine_num_input_channels(manager, config, dataset), labels.num_segmentation_heads,
            deep_supervision=False,
        )  # fmt: skip
        images, truth = phantom(*self.image, len(self.channels), seed, self.air)
        properties = {"spacing": list(self.image[1])}
        made = config.preprocessor_class(verbose=False)
        data, seg, _ = made.run_case_npy(images, truth[None].astype(np.int16), properties, manager, config, dataset)
        seg = np.maximum(seg, 0)
        if self.previous:
            data = np.concatenate([data, np.stack([seg[0] == n for n in labels.foreground_labels]).astype(data.dtype)])
        x = torch.from_numpy(data.astype(np.float32))
        y = torch.from_numpy(seg[0].astype(np.int64))
        if labels.has_regions:
            members = [torch.tensor(r if isinstance(r, tuple) else [r]) for r in labels.foreground_regions]
            y = torch.stack([torch.isin(y, m) for m in members]).float()
        self._fit(network, x, y, labels.has_regions, seed)
        return network.state_dict()

    def _fit(self, network, x, y, regions, seed):
        import torch

        rng = np.random.default_rng(seed)
        patch = (1, *self.patch) if self.flat else self.patch
        short = [max(p - n, 0) for p, n in zip(patch, x.shape[1:], strict=True)]
        pads = [v for n in reversed(short) for v in (n // 2, n - n // 2)]
        x, y = torch.nn.functional.pad(x, pads), torch.nn.functional.pad(y, pads)
        for value in network.parameters():
            if value.ndim > 2:
                torch.nn.init.kaiming_normal_(value, 0.01)
        optimiser = torch.optim.Adam(network.parameters(), 2e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-2, total_steps=self.steps)
        weights = None if regions else torch.tensor([0.5] + [1.5] * int(y.max()))
        cross = (
            torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0)) if regions else torch.nn.CrossEntropyLoss(weights)
        )
        inside = torch.nonzero(y[-1] if regions else y).numpy()
        for step in range(self.steps):
            batch = []
            for _ in range(4 if self.flat else 2):
                # Every other patch has a voxel of a structure at its centre.
                centre = inside[rng.integers(len(inside))] if step % 2 else rng.integers(0, x.shape[1:])
                start = [int(np.clip(c - p // 2, 0, n - p)) for c, n, p in zip(centre, x.shape[1:], patch, strict=True)]
                where = tuple(slice(s, s + p) for s, p in zip(start, patch, strict=True))
                batch.append((x[(slice(None), *where)], y[(..., *where)]))
            inputs, target = torch.stack([b[0] for b in batch]), torch.stack([b[1] for b in batch])
            if self.flat:
                inputs, target = inputs.squeeze(2), target.squeeze(-3)
            optimiser.zero_grad()
            loss = cross(network(inputs), target)
            loss.backward()
            optimiser.step()
            schedule.step()
        self.loss = float(loss.detach())


@pytest.fixture(scope="session")
def nnunet_folder():
    """The class that writes a trainer's folder."""
    pytest.importorskip("torch")
    pytest.importorskip("dynamic_network_architectures")
    pytest.importorskip("nnunetv2")
    return Folder


@pytest.fixture(scope="session")
def nnunet_phantom():
    """The function that makes the images."""
    return phantom
