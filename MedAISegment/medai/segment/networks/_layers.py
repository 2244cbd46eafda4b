"""Normalisation and activation layers as data: a name of a fixed list, or the name with plain arguments."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

Argument = bool | int | float | None
Layer = str | tuple[str, dict[str, Argument]]

NORMS: dict[str, frozenset[str]] = {
    "instance": frozenset({"affine", "eps", "momentum", "track_running_stats"}),
    "batch": frozenset({"affine", "eps", "momentum", "track_running_stats"}),
    "group": frozenset({"num_groups", "affine", "eps"}),
}
"""Normalisation -> arguments that it may be given; MONAI's ``Norm`` factory knows the same names."""
ACTS: dict[str, frozenset[str]] = {
    "relu": frozenset({"inplace"}),
    "relu6": frozenset({"inplace"}),
    "leakyrelu": frozenset({"inplace", "negative_slope"}),
    "prelu": frozenset({"num_parameters", "init"}),
    "elu": frozenset({"inplace", "alpha"}),
    "selu": frozenset({"inplace"}),
    "celu": frozenset({"inplace", "alpha"}),
    "gelu": frozenset(),
    "silu": frozenset({"inplace"}),
    "sigmoid": frozenset(),
    "tanh": frozenset(),
    "mish": frozenset({"inplace"}),
    "swish": frozenset({"alpha"}),
    "memswish": frozenset({"inplace"}),
}
"""Activation -> arguments; MONAI's ``Act`` factory knows the same names."""
# Statistics over several processes matter in training only; the stored weights are those of batch normalisation.
_SAME = {"syncbatch": "batch", "sync_batch": "batch"}


def _checked(value: Layer, known: dict[str, frozenset[str]], kind: str) -> Layer:
    name, arguments = (value, {}) if isinstance(value, str) else value
    lower = _SAME.get(name.lower(), name.lower())
    if lower not in known:
        raise ValueError(f"the {kind} {name!r} is not one of {', '.join(sorted(known))}")
    if unknown := sorted(set(arguments) - known[lower]):
        raise ValueError(f"the {kind} {name!r} takes no argument {unknown[0]!r}")
    return (lower, arguments) if arguments else lower


def _norm(value: Layer) -> Layer:
    return _checked(value, NORMS, "normalisation")


def _act(value: Layer) -> Layer:
    return _checked(value, ACTS, "activation")


Norm = Annotated[Layer, AfterValidator(_norm)]
"""Field type: ``"instance"`` or ``("group", {"num_groups": 8})``."""
Act = Annotated[Layer, AfterValidator(_act)]
"""Field type: ``"relu"`` or ``("leakyrelu", {"negative_slope": 0.1})``."""


def same_length(what: str, values: tuple[Any, ...], expected: int) -> None:
    """Refuse a list of another length.

    Raises
    ------
    ValueError
        With both lengths.
    """
    if len(values) != expected:
        raise ValueError(f"{what} must have {expected} entries, given {len(values)}")
