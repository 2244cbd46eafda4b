"""Training a detector's networks: repeatable from the seed, resumable after a kill, to the same weights."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medai.core.errors import ModelError
from medai.core.progress import CancelToken, ProgressFn, no_progress

from ..training.state import State, read_state, write_state
from .network import build_detector, build_mask_network, build_retinanet
from .recipe import DetectorOptimiser, DetectorRecipe

if TYPE_CHECKING:
    import torch

    from .crops import CropSamples
    from .samples import WindowSamples

Step = Callable[[int, int], Any]


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network in evaluation mode with the averaged weights, and how it came about."""

    network: torch.nn.Module
    losses: tuple[float, ...]
    seconds: float


def train_boxes(
    samples: WindowSamples,
    *,
    checkpoint: Path | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> TrainedNetwork:
    """Train the first stage.

    Parameters
    ----------
    samples : WindowSamples
        They hold the recipe.
    checkpoint : Path, optional
        File that is written after each epoch, and from which an interrupted training goes on.

    Raises
    ------
    ModelError
        If the loss stops being finite.
    InputError
        If the checkpoint is damaged or belongs to another recipe or other data.
    OutputError
        If it cannot be written; the older one is kept.
    Cancelled
        If somebody asked to stop; asked before each step.
    """
    import torch

    recipe = samples.recipe
    torch.manual_seed(recipe.seed)
    network = build_retinanet(recipe.network, recipe.anchors, len(recipe.labels))
    o = recipe.optimiser
    detector: Any = build_detector(
        network, recipe.anchors, recipe.network.settings.levels, loss=recipe.loss, reduced=o.precision == "bfloat16"
    )

    def loss(epoch: int, step: int) -> torch.Tensor:
        windows = [samples.sample(epoch, step * o.batch + n) for n in range(o.batch)]
        image = torch.from_numpy(np.stack([w.image for w in windows]))
        targets = [
            {"boxes": torch.from_numpy(w.boxes.astype(np.float32)), "labels": torch.from_numpy(w.labels)}
            for w in windows
        ]
        # MONAI samples negatives with torch's generator: the same ones after a resumption.
        torch.manual_seed((recipe.seed + 7919 * (epoch * o.steps + step)) % 2**63)
        total: torch.Tensor = sum(detector(image, targets).values(), torch.zeros(()))
        return total

    detector.train()
    belongs = _belongs_to(recipe, "boxes", samples.digest())
    return _train(network, loss, o, belongs, checkpoint, progress, cancel or CancelToken())


def train_masks(
    samples: CropSamples,
    *,
    checkpoint: Path | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> TrainedNetwork:
    """Train the second stage on crops around true boxes that are moved and scaled at random; as :func:`train_boxes`."""
    import torch
    from monai.losses import DiceCELoss

    recipe, o = samples.recipe, samples.recipe.mask_optimiser
    assert recipe.mask is not None
    torch.manual_seed(recipe.seed + 1)
    network = build_mask_network(recipe.mask)
    network.train()
    loss_of = DiceCELoss(sigmoid=True, batch=True)

    def loss(epoch: int, step: int) -> torch.Tensor:
        crops = [samples.sample(epoch, step * o.batch + n) for n in range(o.batch)]
        image = torch.from_numpy(np.stack([crop for crop, _ in crops]))
        target = torch.from_numpy(np.stack([mask for _, mask in crops])[:, None].astype(np.float32))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.precision == "bfloat16"):
            output = network(image)
        value: torch.Tensor = loss_of(output.float(), target)
        return value

    belongs = _belongs_to(recipe, "masks", samples.digest())
    return _train(network, loss, o, belongs, checkpoint, progress, cancel or CancelToken())


def _train(
    network: torch.nn.Module, loss_at: Callable[[int, int], torch.Tensor], o: DetectorOptimiser, belongs_to: str,
    checkpoint: Path | None, progress: ProgressFn, cancel: CancelToken,
) -> TrainedNetwork:  # fmt: skip
    import torch

    torch.set_num_threads(o.threads)
    optimiser = torch.optim.AdamW(network.parameters(), lr=o.learning_rate, weight_decay=o.weight_decay)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    losses: list[float] = []
    first, before = 0, 0.0
    state = read_state(checkpoint, belongs_to) if checkpoint is not None else None
    if state is not None:
        network.load_state_dict(state.network)
        optimiser.load_state_dict(state.optimiser)
        average, losses, first, before = dict(state.average), list(state.losses), state.epoch, state.seconds
    started = time.monotonic()
    total = o.epochs * o.steps
    for epoch in range(first, o.epochs):
        summed = 0.0
        for step in range(o.steps):
            cancel.check()
            done = epoch * o.steps + step
            for group in optimiser.param_groups:
                group["lr"] = o.learning_rate * _rate(done, total, o.warmup_steps)
            optimiser.zero_grad(set_to_none=True)
            loss = loss_at(epoch, step)
            if not torch.isfinite(loss):
                raise ModelError(
                    f"The loss is {float(loss.detach())} in epoch {epoch + 1}; training stopped.",
                    hint="Lower the learning rate.",
                )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), o.gradient_clip)
            optimiser.step()
            _follow(average, network.state_dict(), min(o.ema, (1 + done) / (10 + done)))
            summed += float(loss.detach())
            mean = summed / (step + 1)
            progress((done + 1) / total, f"epoch {epoch + 1} of {o.epochs}, loss {mean:.4f}")
        losses.append(summed / o.steps)
        if checkpoint is not None:
            seconds = before + time.monotonic() - started
            state = State(
                epoch + 1, (epoch + 1) * o.steps, losses, network.state_dict(), average, optimiser.state_dict(), seconds
            )
            write_state(checkpoint, state, belongs_to)
    if o.ema:
        network.load_state_dict(average)
    network.eval()
    return TrainedNetwork(network, tuple(losses), before + time.monotonic() - started)


def _rate(step: int, total: int, warmup: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _follow(average: dict[str, Any], current: dict[str, Any], decay: float) -> None:
    for name, value in current.items():
        if value.dtype.is_floating_point:
            average[name].mul_(decay).add_(value.detach(), alpha=1 - decay)
        else:
            average[name].copy_(value)


def _belongs_to(recipe: DetectorRecipe, stage: str, data: str) -> str:
    """Return what a checkpoint belongs to; texts that change no weight are left out."""
    values = recipe.to_dict()
    for name in ("description", "id", "select"):
        values.pop(name)
    return hashlib.sha256(json.dumps([stage, values, data], sort_keys=True).encode("ascii")).hexdigest()
