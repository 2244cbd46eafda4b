"""A bundle's postprocessing: what the network's output means, and what is repaired in the labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from medai.core.errors import ManifestError, UnsafeModel

from ._bundle_names import Arguments, transform_of

Activation = Literal["softmax", "sigmoid", "none"]
_IGNORED = {"EnsureTyped", "ToTensord", "ToDeviced", "CastToTyped", "SaveImaged", "Invertd", "DeleteItemsd",
            "SelectItemsd", "Identityd", "FromMetaTensord", "ToMetaTensord", "SqueezeDimd"}  # fmt: skip
_PAINT = re.compile(
    r"\$\s*lambda\s+(\w+)\s*:\s*((?:torch\.where\(\s*\1\[\[\d+\]\]\s*>\s*0(?:\.0)?\s*,\s*\d+\s*,\s*)+)0(?:\.0)?\s*(\)+)\s*"
)
"""The one function that is understood: nested choices by channel, the first channel that is set wins."""
_CHOICE = re.compile(r"\[\[(\d+)\]\]\s*>\s*0(?:\.0)?\s*,\s*(\d+)")


@dataclass(frozen=True)
class Kept:
    """Keep the largest components of some classes; none given: of all."""

    classes: tuple[int, ...]
    number: int
    connectivity: Literal[6, 18, 26]


@dataclass(frozen=True)
class After:
    """What the transforms after the network do.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", "none"}
    regions : bool
        Each channel is a yes or no of its own.
    paint : tuple of (int, int)
        For regions: channel and label, later over earlier; empty if the bundle does not say.
    kept : tuple of Kept
    """

    activation: Activation
    regions: bool
    paint: tuple[tuple[int, int], ...]
    kept: tuple[Kept, ...]


def read_postprocessing(components: Any, where: str, classes: int) -> After:
    """Return what the transforms do to the network's output.

    Parameters
    ----------
    components : list of dict
        Resolved transforms, the functions of ``Lambdad`` as they are written.
    where : str
        For messages.
    classes : int
        Channels of the network's output.

    Raises
    ------
    ManifestError
        If there is a transform or an argument that MedAI cannot reproduce; its name is in the message.
    UnsafeModel
        If a function is given as code.
    """
    if not isinstance(components, list):
        raise ManifestError(f"{where}: a list of transforms was expected.")
    activation = decided = ""
    paint: tuple[tuple[int, int], ...] = ()
    kept: list[Kept] = []
    for component in components:
        name = transform_of(component, where)
        given = Arguments(component, f"{where}: {name}")
        given.ignore("keys")
        if name in _IGNORED:
            continue
        _check_order(name, f"{where}: {name}", activation, decided)
        if name == "Activationsd":
            activation = _activation(given)
        elif name == "AsDiscreted":
            decided = _decision(given, classes)
        elif name == "KeepLargestConnectedComponentd":
            if decided == "threshold" and classes > 1 and not paint:
                raise ManifestError(f"{where}: MedAI cannot reproduce {name} of channels that may overlap.")
            kept += _kept(given, {label for _, label in paint} or set(range(1, max(2, classes))))
        elif name == "Lambdad":
            paint = _paint(given)
        else:
            raise ManifestError(f"{where}: MedAI cannot reproduce the transform {name!r}.")
        given.done()
    if not decided:
        raise ManifestError(f"{where}: AsDiscreted is missing, so that it is not known how labels are decided on.")
    regions = decided == "threshold"
    if (regions and activation == "softmax") or (not regions and activation == "sigmoid"):
        raise ManifestError(f"{where}: MedAI cannot reproduce {decided} after {activation}.")
    if paint and not regions:
        raise ManifestError(f"{where}: MedAI cannot reproduce Lambdad after argmax.")
    found: Activation = "sigmoid" if activation == "sigmoid" else "none" if regions else "softmax"
    return After(found, regions, paint, tuple(kept))


def _check_order(name: str, where: str, activation: str, decided: str) -> None:
    """Refuse an order that means something else than probabilities, a decision, and then repairs of labels."""
    if (name == "Activationsd" and (activation or decided)) or (name == "AsDiscreted" and decided):
        raise ManifestError(f"{where} comes after {'AsDiscreted' if decided else 'Activationsd'}, which is not known.")
    if name in ("KeepLargestConnectedComponentd", "Lambdad") and not decided:
        raise ManifestError(f"{where} comes before AsDiscreted: it is not about labels then.")


def _activation(given: Arguments) -> str:
    softmax, sigmoid = given.flag("softmax"), given.flag("sigmoid")
    given.only("other", None)
    given.ignore("dim")
    if softmax == sigmoid:
        raise ManifestError(f"{given.where}: either softmax or sigmoid was expected.")
    return "softmax" if softmax else "sigmoid"


def _decision(given: Arguments, classes: int) -> str:
    largest = given.flag("argmax")
    threshold = given.take("threshold", given.take("threshold_values"))
    logit = given.number("logit_thresh", 0.5)
    given.only("to_onehot", None, False, classes)
    given.only("rounding", None)
    given.only("n_classes", None, classes)
    given.only("num_classes", None, classes)
    given.ignore("dim", "keepdim", "dtype")
    if largest and threshold in (None, False):
        return "argmax"
    if not largest and (logit if threshold is True else threshold) == 0.5:
        return "threshold"
    raise given.refused("threshold", threshold)


def _kept(given: Arguments, labels: set[int]) -> list[Kept]:
    """Return what is kept; nothing if only background or labels that there are not are named: MONAI does nothing."""
    named = given.take("applied_labels")
    values = [named] if type(named) is int else named or []
    number, connectivity = given.take("num_components", 1), given.take("connectivity")
    if not isinstance(values, list) or any(type(v) is not int or v < 0 for v in values):
        raise given.refused("applied_labels", named)
    if type(number) is not int or number < 1:
        raise given.refused("num_components", number)
    if connectivity not in (None, 1, 2, 3):
        raise given.refused("connectivity", connectivity)
    if not given.flag("independent", True) and len(values) != 1:
        raise given.refused("independent", False)
    given.only("is_onehot", None, False, True)
    reach: Literal[6, 18, 26] = 6 if connectivity == 1 else 18 if connectivity == 2 else 26
    found = tuple(v for v in values if v in labels)
    return [Kept(found, number, reach)] if found or not values else []


def _paint(given: Arguments) -> tuple[tuple[int, int], ...]:
    function = given.text("func")
    given.ignore("overwrite", "inv_func", "track_meta")
    match = _PAINT.fullmatch(function)
    if match is None or match[2].count("torch.where") != len(match[3]):
        raise UnsafeModel(
            f"{given.where} is code that would have to be executed: {function!r:.200}.",
            hint="MedAI reads bundles as data.",
        )
    choices = [(int(channel), int(label)) for channel, label in _CHOICE.findall(match[2])]
    # The first choice wins, so it is painted last.
    return tuple(reversed(choices))
