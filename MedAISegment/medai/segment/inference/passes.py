"""Which passes through which networks a run averages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from medai.core.errors import SettingsError

from ..manifest import Manifest
from .options import InferenceOptions

Flip = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The passes over each window.

    Parameters
    ----------
    members : int
        Networks of the ensemble.
    flips : tuple of tuple of int
        Axes (K, J, I = 0, 1, 2) along which each member's passes mirror the window; its result is mirrored back.
    dropout, spread : bool
        Dropout stays random; how far the passes differ is measured.
    """

    members: int
    flips: tuple[Flip, ...]
    dropout: bool = False
    spread: bool = False

    @property
    def count(self) -> int:
        """Passes over each window."""
        return self.members * len(self.flips)


def plan_passes(manifest: Manifest, options: InferenceOptions, members: int) -> Plan:
    """Return the passes that a model and the user's options ask for.

    Mirroring runs over every subset of the allowed axes, as nnU-Net does.  ``uncertainty`` ensemble compares mirrorings
    and members, and mirrors a model of one member even if its manifest does not by default.  ``uncertainty`` dropout
    makes ``samples`` passes with each member; with mirroring, they take the subsets in turn.

    Raises
    ------
    SettingsError
        If mirroring is asked for that the model does not allow, or there is only one pass to compare.
    """
    entry = manifest.inference
    axes = tuple(a for a in sorted(set(entry.mirror_axes)) if a > 0 or entry.dims == 3)
    if options.mirror and not axes:
        raise SettingsError(
            f"mirror: the model {manifest.id!r} names no axis along which its images may be mirrored.",
            hint="Run it without mirroring.",
        )
    compare = options.uncertainty == "ensemble"
    default = entry.mirror or (compare and members == 1)
    mirror = default if options.mirror is None else options.mirror
    flips: tuple[Flip, ...] = ((),)
    if mirror:
        flips = tuple(itertools.chain.from_iterable(itertools.combinations(axes, n) for n in range(len(axes) + 1)))
    if options.uncertainty == "dropout":
        turns = tuple(flips[n % len(flips)] for n in range(options.samples))
        return Plan(members, turns, dropout=True, spread=True)
    if compare and members * len(flips) == 1:
        raise SettingsError(
            f"uncertainty: the model {manifest.id!r} makes a single pass, with nothing to compare it to.",
            hint="Use 'entropy'; 'dropout' if the network has dropout layers.",
        )
    return Plan(members, flips, spread=compare)
