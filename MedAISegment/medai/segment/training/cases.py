"""Each case as a network reads it: images and classes in the model's grid, made once and kept on disk if wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap, read_volume
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken
from medai.core.resample import reorient_array, resample_array
from medai.core.smooth_labels import smooth_labels
from medai.core.volume import Volume

from ..channels import stacked
from ..inference.prepare import model_grid, normalise, on_grid
from ..inference.prepared import prepare
from .case_cache import cached
from .dataset import CaseFiles, named, open_dataset
from .folds import split_subjects
from .recipe import Recipe


@dataclass(frozen=True)
class Pair:
    """An image and its label map on disk: a case with one channel."""

    case: str
    image: Path
    labels: Path

    @property
    def files(self) -> CaseFiles:
        """The same as a case of a data set; a subject of its own."""
        return CaseFiles(self.case, self.case, (self.image,), self.labels)


@dataclass(frozen=True)
class Case:
    """A case in the model's grid.

    Parameters
    ----------
    image : array of float32, shape (C, K, J, I)
        As the network reads it.
    classes : array of uint8, shape (K, J, I)
        0 is background, n the n-th label of the recipe.
    """

    name: str
    image: npt.NDArray[np.float32]
    classes: npt.NDArray[np.uint8]


def find_pairs(folder: str | Path) -> list[Pair]:
    """Return the cases of a data set with one channel, sorted by name; see :func:`open_dataset`.

    Raises
    ------
    InputError
        If a folder is missing or empty, an image has no label map or the other way round (every case is named), or
        there are several channels.
    """
    found = open_dataset(folder)
    alone = sorted([files.case for files in found.cases if files.labels is None] + list(found.unmatched))
    if alone:
        raise InputError(
            f"There is an image but no label map, or the other way round, in {named(alone, 'case')}.",
            hint="Give both files of a case the same name.",
        )
    if len(found.channels) > 1:
        raise InputError(f"The cases have {len(found.channels)} channels, one was expected.")
    return [Pair(files.case, files.images[0], files.label_file) for files in found.cases]


def split(cases: list[str], held_back: int, seed: int) -> tuple[list[str], list[str]]:
    """Return (training, held back), both sorted, of cases that are a subject each; see :func:`split_subjects`.

    Raises
    ------
    InputError
        If fewer than one case would be left to train on.
    """
    found = split_subjects([CaseFiles(case, case, ()) for case in cases], held_back, seed)
    return list(found.training), list(found.held_back)


def load_case(
    files: CaseFiles | Pair, recipe: Recipe, *, cache: Path | None = None, cancel: CancelToken | None = None
) -> Case:
    """Read a case and bring it into the model's grid, by the functions that inference uses.

    Parameters
    ----------
    files : CaseFiles or Pair
        With a label map.
    recipe : Recipe
        Its ``prepare`` and ``labels`` decide the result.
    cache : Path, optional
        A folder in which prepared cases are kept; the arrays are then memory maps, so that a data set may be larger
        than the memory.  A case is prepared anew if one of its files, or the recipe's part above, has changed.

    Returns
    -------
    Case

    Raises
    ------
    GeometryError
        If grids differ.
    InputError
        If there is no label map, it holds a label that the recipe does not name, or the channels do not fit.
    OutputError
        If the cache cannot be written.
    Cancelled
        If somebody asked to stop.
    """
    found = files.files if isinstance(files, Pair) else files
    token = cancel or CancelToken()
    token.check()
    if cache is None:
        image, classes = _made(found, recipe, token)
    else:
        image, classes = cached(cache, found, recipe, lambda: _made(found, recipe, token), token)
    return Case(found.case, image, classes)


def _made(files: CaseFiles, recipe: Recipe, cancel: CancelToken) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    label_file = files.label_file
    volumes = [read_volume(path) for path in files.images]
    for volume in volumes:
        volume.require_scalar("Training")
    cancel.check()
    labels = read_labelmap(label_file)
    volumes[0].geometry.require_same(labels.geometry, f"label map of case {files.case}")
    wanted = len(recipe.prepare.channels) or 1
    if len(volumes) != wanted:
        raise InputError(
            f"Case {files.case} has {len(volumes)} images, the recipe names {wanted} channels.",
            hint="Give one image for each channel, in the recipe's order.",
        )
    cancel.check()
    if recipe.prepare.channels:
        return _prepared(stacked(volumes), labels, files.case, recipe, cancel)
    return _plain(volumes[0], labels, files.case, recipe)


def _prepared(
    volume: Volume, labels: LabelMap, case: str, recipe: Recipe, cancel: CancelToken
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Prepare as :func:`~medai.segment.inference.run.run_model` does."""
    ready = prepare(volume, recipe.prepare, cancel=cancel)
    turned, grid = reorient_array(labels.array, labels.geometry, recipe.prepare.orientation)
    if grid.same_as(ready.grid):
        values = turned
    elif np.allclose(grid.spacing, ready.grid.spacing, rtol=0, atol=1e-6):
        values = _cropped(turned, grid, ready.grid)
    else:
        # Interpolated like the image, so that a thin structure lies where its grey values are.
        values = smooth_labels(labels.array, labels.geometry, ready.grid, cancel)
    return ready.array, _classes(values, case, recipe)


def _cropped(array: npt.NDArray[Any], grid: Geometry, part: Geometry) -> npt.NDArray[Any]:
    start = [round(float(v)) for v in grid.to_ijk(part.origin)][::-1]
    return array[tuple(slice(begin, begin + size) for begin, size in zip(start, part.shape, strict=True))]


def _plain(volume: Volume, labels: LabelMap, case: str, recipe: Recipe) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Prepare as :func:`~medai.segment.inference.located.run_located` does for models of a region."""
    grid = model_grid(volume.geometry, recipe.prepare)
    turned, turned_grid = reorient_array(labels.array, labels.geometry, recipe.prepare.orientation)
    # Sampled as turned, not as stored: half-way between two voxels the nearest would be the one that is stored first.
    values = turned if turned_grid.same_as(grid) else resample_array(turned, turned_grid, grid, "nearest")
    classes = _classes(values, case, recipe)
    return normalise(on_grid(volume, grid, recipe.prepare), recipe.prepare)[None], classes


def _classes(values: npt.NDArray[Any], case: str, recipe: Recipe) -> npt.NDArray[np.uint8]:
    lookup = np.full(65536, -1, dtype=np.int32)
    lookup[0] = 0
    for index, entry in enumerate(recipe.labels, start=1):
        lookup[entry.label] = index
    classes = lookup[values]
    if (classes < 0).any():
        unknown = sorted({int(v) for v in np.unique(values[classes < 0])})
        raise InputError(f"Case {case}: the label map holds labels the recipe does not name: {unknown[:5]}.")
    return np.ascontiguousarray(classes, dtype=np.uint8)
