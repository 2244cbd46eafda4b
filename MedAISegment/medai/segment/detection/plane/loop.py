"""The training loop: torchvision's five losses, AdamW, averaged weights; repeatable, and resumed to the same result."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medai.core.errors import ModelError
from medai.core.progress import CancelToken, ProgressFn

from ...training.state import State, read_state, write_state
from .dataset import Picture
from .network import build_mask_rcnn
from .samples import PlaneSamples
from .settings import MaskRcnnRecipe

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Trained:
    """A network in evaluation mode, the mean loss of each epoch, and the time it took, earlier runs included."""

    network: torch.nn.Module
    losses: list[float]
    seconds: float


def train_network(
    pictures: Sequence[Picture],
    recipe: MaskRcnnRecipe,
    *,
    checkpoint: Path | None = None,
    device: str = "cpu",
    progress: ProgressFn,
    cancel: CancelToken,
) -> Trained:
    """Train a Mask R-CNN from random weights.

    Parameters
    ----------
    pictures : sequence of Picture
        Held in memory.
    recipe : MaskRcnnRecipe
        On a CPU, the same pictures, recipe, versions and kind of machine give the same weights, with or without an
        interruption.  On a GPU torchvision's gradients are summed in no fixed order, and the last digits differ.
    checkpoint : Path, optional
        File that is written after each epoch, and that the training goes on from if it is there.
    device : {"cpu", "cuda"}

    Raises
    ------
    ModelError
        If the loss stops being finite.
    InputError
        If the checkpoint is damaged or belongs to another training.
    OutputError
        If the checkpoint cannot be written; the last good one is kept.
    DependencyError
        If torchvision is missing or broken.
    Cancelled
        If somebody asked to stop; the last epoch's checkpoint is kept.
    """
    import torch

    t = recipe.optimiser
    samples = PlaneSamples(pictures, recipe)
    steps = math.ceil(len(samples) / t.batch)
    belongs_to = _fingerprint(recipe, pictures)
    with _repeatable(t.threads, device):
        torch.manual_seed(recipe.seed)
        network = build_mask_rcnn(recipe.network, len(recipe.labels)).to(device).train()
        _stop_inside(network, cancel)
        optimiser = torch.optim.AdamW(network.parameters(), lr=t.learning_rate, weight_decay=t.weight_decay)
        average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        state = State(0, 0, [], network.state_dict(), average, optimiser.state_dict())
        if checkpoint is not None and (found := read_state(checkpoint, belongs_to)) is not None:
            network.load_state_dict(found.network)
            optimiser.load_state_dict(found.optimiser)
            average = {name: value.to(device) for name, value in found.average.items()}
            state = found
        losses, seconds, step = list(state.losses), state.seconds, state.step
        for epoch in range(state.epoch, t.epochs):
            started, summed = time.monotonic(), 0.0
            for first in range(0, len(samples), t.batch):
                cancel.check()
                chosen = range(first, min(len(samples), first + t.batch))
                batch = [samples.sample(epoch, n) for n in chosen]
                # torchvision draws anchors and boxes from the global generator.
                torch.manual_seed(int(np.random.SeedSequence([recipe.seed, epoch, first]).generate_state(1)[0]))
                for group in optimiser.param_groups:
                    group["lr"] = t.learning_rate * rate(step, steps * t.epochs, t.warmup_steps)
                optimiser.zero_grad(set_to_none=True)
                loss = _loss(network, batch, device)
                if not torch.isfinite(loss):
                    raise ModelError(
                        f"The loss is {float(loss.detach())} in epoch {epoch + 1}; training stopped.",
                        hint="Lower the learning rate.",
                    )
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), t.gradient_clip)
                optimiser.step()
                _average(average, network.state_dict(), min(t.ema, (1 + step) / (10 + step)))
                summed += float(loss.detach())
                step += 1
                part = (epoch + (first + len(batch)) / len(samples)) / t.epochs
                progress(part, f"epoch {epoch + 1} of {t.epochs}, loss {summed / (first // t.batch + 1):.3f}")
            losses.append(summed / steps)
            seconds += time.monotonic() - started
            if checkpoint is not None:
                kept = State(epoch + 1, step, losses, network.state_dict(), average, optimiser.state_dict(), seconds)
                write_state(checkpoint, kept, belongs_to)
        if t.ema:
            network.load_state_dict(average)
        for module in network.modules():
            module._forward_pre_hooks.clear()
    return Trained(network.cpu().eval(), losses, seconds)


def rate(step: int, total: int, warmup: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _loss(network: torch.nn.Module, batch: Sequence[Any], device: str) -> torch.Tensor:
    import torch

    images = [torch.from_numpy(image).to(device) for image, _ in batch]
    targets = [
        {
            "boxes": torch.from_numpy(t.boxes).to(device),
            "labels": torch.from_numpy(t.classes).to(device),
            "masks": torch.from_numpy(t.masks).to(device),
        }
        for _, t in batch
    ]
    return torch.stack(list(network(images, targets).values())).sum()


def _average(average: dict[str, torch.Tensor], current: dict[str, torch.Tensor], decay: float) -> None:
    for name, value in current.items():
        average[name].mul_(decay).add_(value, alpha=1 - decay)


def _stop_inside(network: torch.nn.Module, cancel: CancelToken) -> None:
    """Poll the token before every layer, because a step of a large network takes more than a second on a CPU."""
    for module in network.modules():
        module.register_forward_pre_hook(lambda _module, _inputs: cancel.check())


@contextmanager
def _repeatable(threads: int, device: str) -> Iterator[None]:
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.random.get_rng_state()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(device == "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.random.set_rng_state(before[2])


def _fingerprint(recipe: MaskRcnnRecipe, pictures: Sequence[Picture]) -> str:
    """Return what a checkpoint belongs to: the numbers and the data, without texts that change no weight."""
    values = recipe.to_dict()
    for name in ("description", "id"):
        values.pop(name)
    data = [[p.name, p.digest, hashlib.sha256(p.instances.tobytes()).hexdigest(), sorted(p.classes.items())]
            for p in pictures]  # fmt: skip
    return hashlib.sha256(json.dumps([values, data], sort_keys=True).encode("utf-8")).hexdigest()
