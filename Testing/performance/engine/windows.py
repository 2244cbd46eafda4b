"""What it costs to cut windows out, weight them and put them together, beside MONAI and nnU-Net.

The "network" copies its window into every class of one buffer, so nearly all time is bookkeeping; "bare passes" calls
it as often as the others and does nothing else.  Everybody's result is the mean scores; ours come slab by slab.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np

WINDOW = (96, 96, 96)


def prepare(classes, size):
    """Return what every contender needs: the image, the network, and the starts of the windows."""
    import torch

    from medai.segment.inference.windows import axis_starts

    image = np.random.default_rng(0).normal(size=(1, size, size, size)).astype(np.float32)
    buffer = torch.empty((1, classes, *WINDOW))
    buffer.zero_()

    class Copy(torch.nn.Module):
        """Every class is the image."""

        def forward(self, x):
            with torch.inference_mode():
                return buffer.copy_(x.expand(-1, classes, -1, -1, -1))

    starts = axis_starts(size, WINDOW[0], 0.5, "fixed")
    return image, Copy(), list(itertools.product(starts, repeat=3))


def real(classes, size):
    """Return an own U-Net of 118 classes instead of the copy: what the driver adds to passes that take their time."""
    import torch

    from medai.segment.networks import build_network

    image, _, starts = prepare(1, size)
    torch.manual_seed(0)
    network = build_network("unet3d", {"out_channels": classes, "filters": [16, 32, 64, 128]}).eval()

    class Quiet(torch.nn.Module):
        """No gradients."""

        def forward(self, x):
            with torch.inference_mode():
                return network(x)

    return image, Quiet(), starts


def manifest(classes):
    """Return a manifest of a model with as many classes."""
    from medai.segment.manifest import Manifest

    text = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "Timing")
    return Manifest.parse({
        "id": "timing", "version": "1.0.0", "description": {**text, "limits": ["None."]}, "network": {"name": "unet3d"},
        "prepare": {}, "window": list(WINDOW), "labels": [{"label": n, "name": f"{n}"} for n in range(1, classes)],
        "weights": {"path": "w", "bytes": 1, "sha256": "0" * 64},
    })  # fmt: skip


def case(classes, size, make=prepare):
    """Return the contenders."""
    import torch

    image, network, starts = make(classes, size)

    def ours():
        from medai.core.progress import CancelToken, no_progress
        from medai.segment.backends import Session
        from medai.segment.inference.network import NetworkSource
        from medai.segment.inference.options import InferenceOptions
        from medai.segment.inference.stream import WindowRun

        class Plain(Session):
            facts: dict = {}
            device = "cpu"

            def __call__(self, batch):
                return network(batch)

        source = NetworkSource("timing", "timing", "torch", lambda cancel: network)
        run = WindowRun(image, [source], manifest(classes), InferenceOptions(), progress=no_progress,
                        cancel=CancelToken(), opener=lambda *args, **more: Plain())  # fmt: skip
        error = 0.0
        for slab in run:
            part = torch.from_numpy(image[0, slab.start : slab.start + slab.scores.shape[1]])
            error = max(error, float((slab.scores[-1] - part).abs().max()))
        return {"windows": run.facts["windows"], "largest_error": error, "sums_mib": run.facts["sums_bytes"] / 2**20}

    def bare():
        x = torch.from_numpy(image)[None]
        for k, j, i in starts:
            network(x[:, :, k : k + 96, j : j + 96, i : i + 96].contiguous())

    def monai():
        from monai.inferers.utils import sliding_window_inference

        with torch.inference_mode():
            found = sliding_window_inference(torch.from_numpy(image)[None], WINDOW, 1, network, 0.5, "gaussian")
        return {"largest_error": float((found[0, -1] - torch.from_numpy(image[0])).abs().max())}

    def nnunet():
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        predictor = nnUNetPredictor(use_mirroring=False, perform_everything_on_device=False,
                                    device=torch.device("cpu"), verbose=False, allow_tqdm=False)  # fmt: skip
        predictor.network = network
        predictor.configuration_manager = SimpleNamespace(patch_size=WINDOW)
        predictor.label_manager = SimpleNamespace(num_segmentation_heads=classes)
        found = predictor.predict_sliding_window_return_logits(torch.from_numpy(image))
        return {"largest_error": float((found[-1].float() - torch.from_numpy(image[0])).abs().max())}

    return {"ours": ours, "bare passes": bare, "MONAI": monai, "nnU-Net": nnunet}


def driver(classes, size):
    """Return ours and the bare passes; the error means nothing here."""
    found = case(classes, size, real)
    return {name: found[name] for name in ("ours", "bare passes", "MONAI")}


CASES = {
    "windows, 118 classes, 192^3": lambda: case(118, 192),
    "windows, 3 classes, 192^3": lambda: case(3, 192),
    "windows, driver over a U-Net, 118 classes, 144^3": lambda: driver(118, 144),
}
