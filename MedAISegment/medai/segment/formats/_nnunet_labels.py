"""nnU-Net's dataset.json, read as data: channels, labels, regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medai.core.errors import ManifestError

CT = {"ct"}
MR = {"mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd", "t1n", "t2", "t2w", "t2f", "flair", "adc", "dwi", "pd"}
PT = {"pt", "pet", "suv"}


@dataclass(frozen=True)
class Labels:
    """What the network's output means.

    Parameters
    ----------
    names : dict of int to str
        Label -> name, without background and ignore, by rising label.
    regions : tuple of int
        Label that each output channel paints, in order; empty if the largest channel wins.
    notes : tuple of str
        What people must know about the names.
    """

    names: dict[int, str]
    regions: tuple[int, ...]
    notes: tuple[str, ...]


def read_channels(dataset: dict[str, Any], where: str) -> tuple[str, ...]:
    """Return the channels' names in order.

    Raises
    ------
    ManifestError
        If they are missing or not numbered from 0.
    """
    # The first releases of version 2 still wrote the key of version 1.
    key = "channel_names" if "channel_names" in dataset else "modality"
    names = dataset.get(key)
    if not isinstance(names, dict) or not 1 <= len(names) <= 64:
        raise ManifestError(f"{where}.channel_names must name 1 to 64 channels.")
    if set(names) != {str(n) for n in range(len(names))} or not all(isinstance(v, str) for v in names.values()):
        raise ManifestError(f"{where}.{key} must number its channels '0', '1', ..., given {sorted(names)[:5]}.")
    return tuple(names[str(n)][:64] for n in range(len(names)))


def modality_of(channel: str) -> str:
    """Return the DICOM modality of a channel's name; empty if it says nothing certain."""
    word = channel.strip().lower().replace("-", "_").split("_")[0].split(" ")[0]
    return "CT" if word in CT else "MR" if word in MR else "PT" if word in PT else ""


def read_labels(dataset: dict[str, Any], where: str) -> Labels:
    """Return labels and regions.

    Raises
    ------
    ManifestError
        If they are malformed, or not those of a version 2 data set.
    """
    given = dataset.get("labels")
    if not isinstance(given, dict) or len(given) > 4096:
        raise ManifestError(f"{where}.labels is missing or no object.")
    if "background" not in given:
        old = given.get("0") == "background"
        raise ManifestError(
            f"{where}.labels has no 'background'" + (": this is a data set of nnU-Net version 1." if old else "."),
            hint="MedAI reads models of nnU-Net version 2.",
        )
    values = {name: _numbers(value, f"{where}.labels.{name}") for name, value in given.items()}
    if values.pop("background") != (0,) or isinstance(given["background"], list):
        raise ManifestError(f"{where}.labels.background must be 0, given {given['background']!r}.")
    ignore = values.pop("ignore", None)
    numbers = sorted({n for value in values.values() for n in value} - {0})
    if ignore is not None and (len(ignore) != 1 or ignore[0] != (numbers[-1] if numbers else 0) + 1):
        raise ManifestError(f"{where}.labels.ignore must be the largest label, given {given['ignore']!r}.")
    if not numbers:
        raise ManifestError(f"{where}.labels names nothing but the background.")
    if any(len(value) > 1 for value in [*values.values()]):
        return _regions(dataset, values, numbers, where)
    if numbers != list(range(1, len(numbers) + 1)):
        raise ManifestError(f"{where}.labels must be 0, 1, 2, ... without gaps, given {numbers[:10]}.")
    return Labels(_distinct({value[0]: name for name, value in values.items() if value != (0,)}), (), ())


def _numbers(value: Any, where: str) -> tuple[int, ...]:
    items = value if isinstance(value, list) else [value]
    if not items or not all(type(n) is int and 0 <= n <= 65535 for n in items):
        raise ManifestError(f"{where} must be a whole number from 0 to 65535 or a list of them, given {value!r:.60}.")
    return tuple(items)


def _regions(dataset: dict[str, Any], values: dict[str, tuple[int, ...]], numbers: list[int], where: str) -> Labels:
    # nnU-Net gives every entry that is not only background an output channel, in the file's order.
    regions = [(name, set(value)) for name, value in values.items() if set(value) != {0}]
    order = dataset.get("regions_class_order")
    if not isinstance(order, list) or not all(type(n) is int and 0 <= n <= 65535 for n in order):
        raise ManifestError(f"{where}.regions_class_order must list the label that each region is painted with.")
    if len(order) != len(regions):
        raise ManifestError(
            f"{where}.regions_class_order has {len(order)} entries, the labels name {len(regions)} regions."
        )
    names = {}
    rest = False
    for index, ((name, members), label) in enumerate(zip(regions, order, strict=True)):
        inner = any(other < members for _, other in regions[index + 1 :])
        rest = rest or inner
        if label:
            names[label] = f"{name[:56]} (rest)" if inner else name
    for number in numbers:
        names.setdefault(number, f"label {number}")
    note = "A name with '(rest)' is what is left of a region after the regions inside it were painted over it."
    return Labels(_distinct(dict(sorted(names.items()))), tuple(order), (note,) if rest else ())


def _distinct(names: dict[int, str]) -> dict[int, str]:
    result: dict[int, str] = {}
    for label, name in sorted(names.items()):
        text = name.strip()[:64] or f"label {label}"
        result[label] = text if text not in result.values() else f"{text[:52]} ({label})"
    return result
