"""What ``medai detect`` trains and measures on, from its options."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any


class Side(str, Enum):
    """Half of a background."""

    left = "left"
    right = "right"
    both = "both"


OTHER = {Side.left: Side.right, Side.right: Side.left}


@dataclass(frozen=True)
class Place:
    """Where nodules may lie in a background."""

    file: Path | None
    labels: str
    side: Side


def background(ct: Path, place: Place) -> Any:
    """Read a CT and where nodules may lie in it.

    Raises
    ------
    InputError
        If there is no place, or the labels are no numbers.
    """
    from medai.core.errors import InputError
    from medai.core.io import read_labelmap, read_volume
    from medai.segment.detection.backgrounds import aerated_lung, lungs_of, part_of

    volume = read_volume(ct)
    volume = volume if volume.modality else volume.replace(modality="CT")
    if place.file is None:
        where = aerated_lung(volume)
    else:
        labels = read_labelmap(place.file)
        numbers = _numbers(place.labels) or [segment.label for segment in labels.segments]
        where = lungs_of(volume, labels, numbers)
    found = part_of(volume, where, place.side.value, ct.name.split(".")[0])
    if not found.place.any():
        raise InputError(
            f"{ct.name} shows no aerated lung in the {place.side.value} half.", hint="Give --place, or another side."
        )
    return found


def read_recipe(name: str, epochs: int) -> Any:
    """Read a recipe's file or a shipped detector's recipe, with another number of epochs if wanted."""
    from medai.core.settings import load_json_file
    from medai.segment.detection.model import find_detector
    from medai.segment.detection.recipe import DetectorRecipe

    file = Path(name) if name.endswith(".json") else find_detector(name).folder / "recipe.json"
    values = DetectorRecipe.parse(load_json_file(file), where=file.name).to_dict()
    if epochs:
        for key in ("optimiser", "mask_optimiser"):
            values[key]["epochs"] = epochs
    return DetectorRecipe.parse(values, where=file.name)


def training_of(
    recipe: Any, data: Path | None, held_back: int, ct: Path | None, place: Place, scans: int, token: Any
) -> tuple[list[Any], list[Any], str]:
    """Return sources, tests, and what the sources are in words.

    Raises
    ------
    InputError
        If there are too few labelled scans, or both kinds of data are given.
    """
    from medai.core.errors import InputError
    from medai.segment.detection.pool import labelled_folder, mixed
    from medai.segment.detection.testsets import labelled_test, phantom_test, planted_test

    if data is not None:
        if ct is not None:
            raise InputError("Give labelled data or a background, not both.")
        cases = labelled_folder(data, kind=recipe.labels[0].name, cancel=token)
        if len(cases) <= held_back:
            raise InputError(
                f"There are {len(cases)} scans, {held_back} are to be held back: none is left to train on."
            )
        kept, held = cases[:-held_back], cases[-held_back:]
        names = ", ".join(case.name for case in held)
        test = labelled_test("held-back scans", f"Scans that training never saw: {names}.", held)
        return list(kept), [test], f"{len(kept)} labelled scans"
    real = [background(ct, place)] if ct is not None else []
    sources = mixed(recipe.phantoms, real, cancel=token)
    tests = [phantom_test(scans, recipe.synthesis)]
    about = f"{recipe.phantoms.count} generated chests"
    if ct is not None:
        about += f", and the {place.side.value} half of {ct.name}"
        if place.side in OTHER:
            other = background(ct, Place(place.file, place.labels, OTHER[place.side]))
            text = f"The {OTHER[place.side].value} half of {ct.name}, of which training saw the other half only."
            tests.append(planted_test("the other half of the real CT", text, other, scans, recipe.synthesis))
    return list(sources), tests, about


def tests_of(model: Any, data: Path | None, shown: Any, ignore: Path | None, scans: int) -> list[Any]:
    """Return what a detector is to be measured on."""
    from medai.core.io import read_labelmap
    from medai.segment.detection.pool import labelled_folder
    from medai.segment.detection.synthesis import SynthesisSettings
    from medai.segment.detection.testsets import labelled_test, phantom_test, planted_test

    tests: list[Any] = []
    settings = SynthesisSettings()
    if data is not None:
        kind = model.manifest.labels[0].name
        tests.append(labelled_test("labelled scans", "Labelled scans of a user.", labelled_folder(data, kind=kind)))
    if shown is not None:
        ignored = read_labelmap(ignore) if ignore is not None else None
        about = f"{shown.name} with planted nodules."
        tests.append(planted_test(shown.name, about, shown, scans, settings, ignored=ignored))
    return tests or [phantom_test(scans, settings)]


def _numbers(text: str) -> list[int]:
    from medai.core.errors import InputError

    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InputError(f"Labels are whole numbers with commas between them, given {text[:40]!r}.") from None
