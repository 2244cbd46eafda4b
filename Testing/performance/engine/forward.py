"""One window through a network: our session in float32 and bfloat16, and torch as it comes."""

from __future__ import annotations

from pathlib import Path

import torch

from medai.core.progress import CancelToken
from medai.segment.backends.warm import open_session
from medai.segment.inference.network import NetworkSource
from medai.segment.inference.options import InferenceOptions


def large():
    """nnU-Net's plain network with six stages: 31 M parameters."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    return PlainConvUNet(
        1, 6, (32, 64, 128, 256, 320, 320), torch.nn.Conv3d, 3, (1, 2, 2, 2, 2, 2), (2,) * 6, 3, (2,) * 5,
        conv_bias=True, norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=False,
    )  # fmt: skip


def small():
    """Our training's kind of network, with 1.2 M parameters."""
    from monai.networks.nets import DynUNet

    return DynUNet(3, 1, 3, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[24, 48, 96, 128], norm_name="instance")


def case(make, size):
    """Return the contenders; each runs in a process of its own and loads its network in its first call."""
    shape = (1, 1, size, size, size)

    def network():
        torch.manual_seed(0)
        return make().eval()

    def ours(precision):
        source = NetworkSource(f"{make.__name__}", make.__name__, "torch", lambda cancel: network())
        options = InferenceOptions(device="cpu", precision=precision)
        image = torch.randn(shape, generator=torch.Generator().manual_seed(1))

        def run():
            session = open_session(source, shape, options, reduced=True, cancel=CancelToken())
            scores = session(image)
            return {**{k: session.facts[k] for k in ("backend", "precision", "threads")}, "mean": float(scores.mean())}

        return run

    def eager():
        kept = []
        image = torch.randn(shape, generator=torch.Generator().manual_seed(1))

        def run():
            if not kept:
                kept.append(network())
            with torch.inference_mode():
                return {"threads": torch.get_num_threads(), "mean": float(kept[0](image).mean())}

        return run

    return {"ours": ours("f32"), "ours bf16": ours("bf16"), "torch eager": eager()}


def hippocampus():
    """The shipped model over training images: what bfloat16 changes, as 1 - Dice against float32."""
    import numpy as np

    from medai.core.io import read_volume
    from medai.segment.formats import FORMATS
    from medai.segment.inference.prepare import model_grid, normalise, on_grid
    from medai.segment.models import ModelStore

    model = ModelStore().find("hippocampus")
    source = FORMATS.create("medai").networks(model)[0]
    folder = Path(__file__).resolve().parents[4] / "shared" / "data" / "msd_hippocampus"
    files = sorted(folder.rglob("images/*.nii.gz"))[:12]
    settings = model.manifest.prepare
    shape = (1, 1, *model.manifest.window)

    def run():
        dice = []
        for file in files:
            volume = read_volume(file)
            array = normalise(on_grid(volume, model_grid(volume.geometry, settings), settings), settings)
            batch = torch.zeros(shape)
            part = array[tuple(slice(0, n) for n in shape[2:])]
            batch[0, 0, : part.shape[0], : part.shape[1], : part.shape[2]] = torch.from_numpy(part)
            labels = []
            for precision in ("f32", "bf16"):
                options = InferenceOptions(device="cpu", precision=precision)
                session = open_session(source, shape, options, reduced=True, cancel=CancelToken())
                labels.append(session(batch)[0].float().argmax(0).numpy().copy())
            for value in range(1, model.manifest.classes):
                a, b = (found == value for found in labels)
                dice.append(2 * np.count_nonzero(a & b) / max(1, np.count_nonzero(a) + np.count_nonzero(b)))
        return {"images": len(files), "mean dice": float(np.mean(dice)), "least dice": float(min(dice))}

    return {"ours": run}


CASES = {
    "forward 31 M-parameter nnU-Net net 128^3": lambda: case(large, 128),
    "forward 1.2 M U-Net 96^3": lambda: case(small, 96),
    "bf16 against f32 on the shipped model": hippocampus,
}
