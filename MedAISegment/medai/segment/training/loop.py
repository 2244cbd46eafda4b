"""The training loop: Dice + cross-entropy with deep supervision, averaged weights, checkpoints; repeatable by seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.core.errors import DeviceError, ModelError
from medai.core.progress import CancelToken, ProgressFn

from ..networks import build_network
from .heads import at_level, outputs
from .losses import dice_ce
from .recipe import OptimiserSettings, Recipe
from .samples import Samples, batches, seed_of
from .state import State, fingerprint_of, read_state, write_state

if TYPE_CHECKING:
    import torch

MOST_LOST = 0.02
"""Share of an epoch's steps that may be left out because their gradients are not finite."""
SUPERVISED = ("unet3d", "dynunet")
"""Networks of the registry with outputs of coarser levels that :func:`medai.segment.training.heads.outputs` knows."""


@dataclass(frozen=True)
class Trained:
    """What a training gives: the network in evaluation mode on the CPU, each epoch's mean loss, and its cost."""

    network: torch.nn.Module
    losses: tuple[float, ...]
    samples: int
    seconds: float
    device: str


def train(
    samples: Samples,
    recipe: Recipe,
    *,
    progress: ProgressFn,
    cancel: CancelToken,
    start: dict[str, torch.Tensor] | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, float, float], None] | None = None,
    frozen: Collection[str] = (),
) -> Trained:
    """Train a network.

    Parameters
    ----------
    samples : Samples
        Where images and classes come from.
    recipe : Recipe
        Everything else.  Same samples, recipe, machine and versions: same weights.
    start : dict, optional
        Weights to begin with (fine-tuning); otherwise random ones by the recipe's seed.
    checkpoint : path, optional
        File that is written after each epoch; if it is there already, training goes on from it and ends with the
        weights of an uninterrupted run.
    on_epoch : callable, optional
        Called with (epoch from 1, mean loss, learning rate) after each epoch.
    frozen : collection of str
        Parameters that stay as they are in ``start``.

    Raises
    ------
    ModelError
        If the loss stops being finite.
    InputError
        If the checkpoint is damaged or belongs to something else.
    OutputError
        If a checkpoint cannot be written; the one before it is kept.
    Cancelled
        If somebody asked to stop.
    """
    import torch

    o = recipe.optimiser
    device = device_of(o)
    kept = f"|frozen:{','.join(sorted(frozen))}" if frozen else ""
    belongs_to = fingerprint_of(recipe, samples.digest + kept, start)
    state = read_state(checkpoint, belongs_to) if checkpoint else None
    with _repeatable(o, device):
        torch.manual_seed(recipe.seed)
        network = build_network(*network_of(recipe, training=True))
        if state is not None:
            network.load_state_dict(state.network)
        elif start is not None:
            network.load_state_dict(start)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name not in frozen)
        network.to(device).train()
        optimiser = _optimiser(network, o)
        if state is None:
            average = {name: value.detach().clone() for name, value in network.state_dict().items()}
            state = State(0, 0, [], {}, average, {})
        else:
            optimiser.load_state_dict(state.optimiser)
            state.average = {name: value.to(device) for name, value in state.average.items()}
        total = math.ceil(len(samples) / o.batch) * o.epochs
        began, done_before = time.monotonic() - state.seconds, state.epoch
        for epoch in range(state.epoch, o.epochs):
            # For networks with dropout: an epoch's random numbers do not depend on whether it was resumed.
            torch.manual_seed(seed_of(recipe.seed, epoch, 2**31))
            loss = _epoch(network, optimiser, samples, recipe, state, total, device, cancel)
            state.losses.append(loss)
            state.epoch, state.seconds = epoch + 1, time.monotonic() - began
            if checkpoint:
                state.network, state.optimiser = network.state_dict(), optimiser.state_dict()
                write_state(checkpoint, state, belongs_to)
            if on_epoch:
                on_epoch(epoch + 1, loss, optimiser.param_groups[0]["lr"])
            pace = state.seconds / state.epoch
            left = pace * (o.epochs - state.epoch) / 60
            progress(state.epoch / o.epochs, f"epoch {state.epoch} of {o.epochs}, loss {loss:.4f}, {left:.0f} min left")
        if done_before == o.epochs:
            progress(1.0, "trained before")
        if o.ema:
            network.load_state_dict(state.average)
        if frozen and start is not None:
            # An average of equal numbers differs from them in the last digit.
            network.load_state_dict({name: start[name] for name in frozen}, strict=False)
        network.to("cpu").eval()
    return Trained(network, tuple(state.losses), len(samples) * o.epochs, state.seconds, str(device))


def network_of(recipe: Recipe, *, training: bool) -> tuple[str, dict[str, Any]]:
    """Return the name and the plain settings of the recipe's network."""
    channels, classes = len(recipe.prepare.channels) or 1, len(recipe.labels) + 1
    supervised = training and recipe.optimiser.deep_supervision
    if recipe.network is not None:
        settings = {**recipe.network.settings, "in_channels": channels, "out_channels": classes}
        if recipe.network.name in SUPERVISED:
            settings["deep_supervision"] = supervised
        return recipe.network.name, settings
    return "unet3d", {
        "in_channels": channels,
        "out_channels": classes,
        "filters": list(recipe.filters),
        "deep_supervision": supervised,
    }


def network_settings(recipe: Recipe, *, deep_supervision: bool) -> dict[str, Any]:
    """Return the plain settings of the recipe's network, with or without the outputs that only training uses."""
    return network_of(recipe, training=deep_supervision)[1]


def rate(step: int, total: int, warmup: int, schedule: str = "cosine") -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine or nnU-Net's power down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, total - warmup)
    return float(0.5 * (1 + math.cos(math.pi * share)) if schedule == "cosine" else (1 - share) ** 0.9)


def device_of(settings: OptimiserSettings) -> torch.device:
    """Return the device to train on.

    Raises
    ------
    DeviceError
        If CUDA is asked for and not there.
    """
    import torch

    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise DeviceError("The recipe asks for a CUDA device, but there is none.", hint="Use the device 'cpu'.")
    return torch.device("cuda" if there and settings.device != "cpu" else "cpu")


def _epoch(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    samples: Samples,
    recipe: Recipe,
    state: State,
    total: int,
    device: torch.device,
    cancel: CancelToken,
) -> float:
    import torch

    o = recipe.optimiser
    summed, count, lost = 0.0, 0, 0
    for image, classes in batches(samples, state.epoch, o.batch, o.workers):
        cancel.check()
        image, classes = image.to(device, non_blocking=True), classes.to(device, non_blocking=True)
        for group in optimiser.param_groups:
            group["lr"] = o.learning_rate * rate(state.step, total, o.warmup_steps, o.schedule)
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=o.precision == "bfloat16"):
            heads = outputs(network, image)
        weights = [0.5**i for i in range(len(heads))]
        parts = [
            w * dice_ce(h.float(), at_level(classes, h.shape[2:])) for w, h in zip(weights, heads, strict=True)
        ]  # fmt: skip
        loss = torch.stack(parts).sum() / sum(weights)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"The loss is {value} in epoch {state.epoch + 1}; training stopped.", hint="Lower the learning rate."
            )
        cancel.check()
        loss.backward()
        size = torch.nn.utils.clip_grad_norm_(network.parameters(), o.gradient_clip)
        if math.isfinite(float(size)):
            optimiser.step()
        else:
            # One overflow in a backward pass would turn every weight into NaN; the step is left out instead.
            lost += 1
            if lost > MOST_LOST * len(samples) / o.batch + 1:
                raise ModelError(
                    f"{lost} steps of epoch {state.epoch + 1} had gradients that are not finite; training stopped.",
                    hint="Lower the learning rate, or train in float32.",
                )
        _average(state.average, network.state_dict(), min(o.ema, (1 + state.step) / (10 + state.step)))
        summed, count, state.step = summed + value, count + 1, state.step + 1
    return summed / count


def _optimiser(network: torch.nn.Module, o: OptimiserSettings) -> torch.optim.Optimizer:
    import torch

    if o.kind == "sgd":
        return torch.optim.SGD(
            network.parameters(), lr=o.learning_rate, momentum=0.99, nesterov=True, weight_decay=o.weight_decay
        )
    return torch.optim.AdamW(network.parameters(), lr=o.learning_rate, weight_decay=o.weight_decay)


def _average(average: dict[str, Any], current: dict[str, Any], decay: float) -> None:
    for name, value in current.items():
        if value.dtype.is_floating_point:
            average[name].mul_(decay).add_(value, alpha=1 - decay)
        else:
            average[name].copy_(value)


@contextmanager
def _repeatable(o: OptimiserSettings, device: torch.device) -> Iterator[None]:
    """Set what makes results repeat, and set it back: torch's switches belong to the whole process."""
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.set_num_threads(o.threads)
    # On CUDA a few backward passes (3D interpolation) have no repeatable form: then it warns instead of refusing.
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    # Filling every new array with NaN finds reads of unwritten memory; no operation here reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=warned)
        torch.utils.deterministic.fill_uninitialized_memory = filled
