"""Where a training stands, on disk: written as a whole or not at all, so that a kill costs one epoch at most."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.core.atomic import atomic_path
from medai.core.errors import InputError, OutputError

from .recipe import Recipe

if TYPE_CHECKING:
    import torch

FORMAT = 1


@dataclass
class State:
    """All that the next epoch depends on."""

    epoch: int
    step: int
    losses: list[float]
    network: dict[str, torch.Tensor]
    average: dict[str, torch.Tensor]
    optimiser: dict[str, Any]
    seconds: float = 0.0


def fingerprint_of(recipe: Recipe, data: str, start: dict[str, torch.Tensor] | None) -> str:
    """Return what a checkpoint belongs to: the recipe's numbers, the data (a digest) and the weights at the start.

    Texts that change no weight are left out.
    """
    values = recipe.to_dict()
    for name in ("description", "id"):
        values.pop(name, None)
    values["optimiser"].pop("workers", None)
    text = json.dumps([values, data], sort_keys=True)
    found = hashlib.sha256(text.encode("utf-8"))
    for name, weight in sorted((start or {}).items()):
        found.update(f"{name}{tuple(weight.shape)}".encode())
        found.update(weight.detach().cpu().float().contiguous().numpy().tobytes())
    return found.hexdigest()


def write_state(path: Path, state: State, belongs_to: str) -> None:
    """Write a checkpoint; an older one at ``path`` stays until the new one is complete.

    Raises
    ------
    OutputError
        If it cannot be written, because the disk is full for one; the older one is unchanged then.
    """
    import torch

    values = {"format": FORMAT, "belongs_to": belongs_to, **state.__dict__}
    with atomic_path(path) as temporary:
        try:
            with open(temporary, "wb") as stream:
                torch.save(values, stream)
        except RuntimeError as error:
            # torch's zip writer reports a failed write as its own error, without a number.
            raise OutputError(
                f"The checkpoint {path.name!r} could not be written completely; the disk is probably full.",
                hint="The last good checkpoint is kept: free some space and run the same command again.",
            ) from error


def read_state(path: Path, belongs_to: str) -> State | None:
    """Return the checkpoint, or None if there is none.

    Raises
    ------
    InputError
        If it is damaged, or belongs to another recipe or other data.
    """
    import torch

    if not path.exists():
        return None
    hint = "Delete it to start again, or choose another folder."
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise InputError(f"The checkpoint {path.name!r} cannot be read: it is damaged.", hint=hint) from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise InputError(f"{path.name!r} is no checkpoint of this version.", hint=hint)
    if values.pop("belongs_to") != belongs_to:
        raise InputError(
            f"The checkpoint {path.name!r} belongs to another recipe, other data or another split.", hint=hint
        )
    return State(**values)
