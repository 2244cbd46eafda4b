"""The pairs of a training folder, the split by seed, and each pair in the model's grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.io import read_labelmap, read_volume
from medai.core.resample import reorient_array, resample_array

from ..inference.prepare import model_grid, normalise, on_grid
from .recipe import Recipe

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


@dataclass(frozen=True)
class Pair:
    """An image and its label map on disk."""

    case: str
    image: Path
    labels: Path


@dataclass(frozen=True)
class Case:
    """A pair in the model's grid: image (K, J, I) float32, normalised; classes (K, J, I) uint8, 0 is background."""

    name: str
    image: npt.NDArray[np.float32]
    classes: npt.NDArray[np.uint8]


def find_pairs(folder: str | Path) -> list[Pair]:
    """Return the pairs of ``folder/images`` and ``folder/labels`` (or ``imagesTr``/``labelsTr``), sorted by name.

    Raises
    ------
    InputError
        If a folder is missing or empty, or an image has no label map or the other way round; every case is named.
    """
    root = Path(folder)
    for images, labels in (("images", "labels"), ("imagesTr", "labelsTr")):
        if (root / images).is_dir() and (root / labels).is_dir():
            break
    else:
        raise InputError(f"{root.name!r} has no folders 'images' and 'labels' (or 'imagesTr' and 'labelsTr').")
    found = {_stem(p): p for p in sorted((root / images).iterdir()) if _stem(p)}
    masks = {_stem(p): p for p in sorted((root / labels).iterdir()) if _stem(p)}
    alone = sorted(set(found) ^ set(masks))
    if alone:
        raise InputError(
            f"{len(alone)} cases have an image but no label map, or the other way round: {', '.join(alone[:5])}.",
            hint="Give both files of a pair the same name.",
        )
    if not found:
        raise InputError(f"{root.name!r} holds no images.", hint=f"Known suffixes: {', '.join(SUFFIXES)}.")
    return [Pair(case, found[case], masks[case]) for case in sorted(found)]


def split(cases: list[str], held_back: int, seed: int) -> tuple[list[str], list[str]]:
    """Return (training, held back), both sorted; a case is a subject, so no subject is on both sides.

    Raises
    ------
    InputError
        If fewer than one case would be left to train on.
    """
    if held_back >= len(cases):
        raise InputError(f"{held_back} of {len(cases)} cases are to be held back; none is left to train on.")
    order = np.random.default_rng(seed).permutation(len(cases))
    names = sorted(cases)
    held = {names[i] for i in order[:held_back]}
    return [n for n in names if n not in held], sorted(held)


def load_case(pair: Pair, recipe: Recipe) -> Case:
    """Read a pair and bring it into the model's grid.

    Raises
    ------
    GeometryError
        If the two grids differ.
    InputError
        If the label map holds a label that the recipe does not name.
    """
    volume = read_volume(pair.image)
    volume.require_scalar("Training")
    labels = read_labelmap(pair.labels)
    volume.geometry.require_same(labels.geometry, f"label map of case {pair.case}")
    grid = model_grid(volume.geometry, recipe.prepare)
    turned, turned_grid = reorient_array(labels.array, labels.geometry, recipe.prepare.orientation)
    values = turned if turned_grid.same_as(grid) else resample_array(labels.array, labels.geometry, grid, "nearest")
    lookup = np.full(65536, -1, dtype=np.int32)
    lookup[0] = 0
    for index, entry in enumerate(recipe.labels, start=1):
        lookup[entry.label] = index
    classes = lookup[values]
    if (classes < 0).any():
        unknown = sorted({int(v) for v in np.unique(values[classes < 0])})
        raise InputError(f"Case {pair.case}: the label map holds labels the recipe does not name: {unknown[:5]}.")
    image = normalise(on_grid(volume, grid, recipe.prepare), recipe.prepare)
    return Case(pair.case, image, classes.astype(np.uint8))


def _stem(path: Path) -> str:
    if path.name.startswith(".") or not path.is_file():
        return ""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return ""
