"""The training loop: Dice + cross-entropy with deep supervision, AdamW, averaged weights; repeatable from the seed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from medai.core.errors import ModelError
from medai.core.progress import CancelToken, ProgressFn

from ..networks import build_network
from .augment import patch_transform
from .cases import Case
from .recipe import Recipe

if TYPE_CHECKING:
    import torch


def train(
    cases: list[Case], recipe: Recipe, *, progress: ProgressFn, cancel: CancelToken
) -> tuple[torch.nn.Module, list[float]]:
    """Train a network.

    Parameters
    ----------
    cases : list of Case
        In the model's grid; held in memory.
    recipe : Recipe
        Everything else.  Same cases, recipe, machine and versions: same weights.

    Returns
    -------
    network : torch.nn.Module
        In evaluation mode, with the averaged weights if the recipe asks for them.
    losses : list of float
        Mean loss of each epoch.

    Raises
    ------
    ModelError
        If the loss stops being finite.
    Cancelled
        If somebody asked to stop.
    """
    import torch
    from monai.losses import DiceCELoss
    from monai.networks.utils import one_hot

    o = recipe.optimiser
    torch.set_num_threads(o.threads)
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(True)
    classes = len(recipe.labels) + 1
    network = build_network("unet3d", network_settings(recipe, deep_supervision=True))
    network.train()
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=o.learning_rate, weight_decay=o.weight_decay)
    loss_of = DiceCELoss(include_background=False, softmax=True, batch=True)
    order = np.random.default_rng(recipe.seed)
    transform = patch_transform(recipe)
    per_epoch = math.ceil(len(cases) / o.batch)
    total = per_epoch * o.epochs
    losses: list[float] = []
    step = 0
    started = time.monotonic()
    for epoch in range(o.epochs):
        summed = 0.0
        for image, target in _batches(cases, order.permutation(len(cases)), o.batch, transform):
            cancel.check()
            for group in optimiser.param_groups:
                group["lr"] = o.learning_rate * rate(step, total, o.warmup_steps)
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.precision == "bfloat16"):
                outputs = network(image).float()
            hot = one_hot(target, classes)
            heads = torch.unbind(outputs, dim=1)
            weights = [0.5**i for i in range(len(heads))]
            parts = [w * loss_of(h, hot) for w, h in zip(weights, heads, strict=True)]
            loss = torch.stack(parts).sum() / sum(weights)
            if not torch.isfinite(loss):
                raise ModelError(
                    f"The loss is {float(loss.detach())} in epoch {epoch + 1}; training stopped.",
                    hint="Lower the learning rate.",
                )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), o.gradient_clip)
            optimiser.step()
            _average(average, network.state_dict(), min(o.ema, (1 + step) / (10 + step)))
            summed += float(loss.detach())
            step += 1
        losses.append(summed / per_epoch)
        left = (time.monotonic() - started) / (epoch + 1) * (o.epochs - epoch - 1)
        progress(
            (epoch + 1) / o.epochs, f"epoch {epoch + 1} of {o.epochs}, loss {losses[-1]:.4f}, {left / 60:.0f} min left"
        )
    if o.ema:
        network.load_state_dict(average)
    network.eval()
    return network, losses


def network_settings(recipe: Recipe, *, deep_supervision: bool) -> dict[str, Any]:
    """Return the plain settings of the recipe's network."""
    return {
        "in_channels": 1,
        "out_channels": len(recipe.labels) + 1,
        "filters": list(recipe.filters),
        "deep_supervision": deep_supervision,
    }


def rate(step: int, total: int, warmup: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _average(average: dict[str, Any], current: dict[str, Any], decay: float) -> None:
    for name, value in current.items():
        if value.dtype.is_floating_point:
            average[name].mul_(decay).add_(value, alpha=1 - decay)
        else:
            average[name].copy_(value)


def _batches(cases: list[Case], order: Any, batch: int, transform: Any) -> Iterator[tuple[Any, Any]]:
    import torch

    for start in range(0, len(order), batch):
        items = [transform({"image": cases[i].image[None], "classes": cases[i].classes[None].astype(np.float32)})
                 for i in order[start : start + batch]]  # fmt: skip
        image = torch.stack([torch.as_tensor(item["image"]) for item in items]).float()
        target = torch.stack([torch.as_tensor(item["classes"]) for item in items])
        yield image, target
