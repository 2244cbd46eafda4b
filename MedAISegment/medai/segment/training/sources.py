"""Where a training's samples come from, and what its model is measured on: images with label maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from medai.core.progress import CancelToken, ProgressFn, sub_progress

from ..assessment.measure import measure_model
from ..assessment.result import Assessment
from .cases import load_case
from .checks import check_dataset, require_trainable
from .dataset import CaseFiles, open_dataset
from .folds import Split
from .patches import PatchSamples
from .recipe import Recipe
from .samples import Samples


class Source(Protocol):
    """A data set, of either kind."""

    name: str

    @property
    def cases(self) -> tuple[CaseFiles, ...]:
        """The cases, sorted by name; a split is drawn among them."""

    def check(self, split: Split, *, progress: ProgressFn, cancel: CancelToken) -> list[str]:
        """Look at every file before training starts; return what is worth knowing, raise what forbids it."""

    def samples(
        self, names: Sequence[str], *, cache: Path | None, progress: ProgressFn, cancel: CancelToken
    ) -> Samples:
        """Return the samples of the named cases."""

    def measure(
        self, folder: Path, names: Sequence[str], about: dict[str, Any], *, out: Path | None,
        progress: ProgressFn, cancel: CancelToken,
    ) -> Assessment:  # fmt: skip
        """Measure a stored model on the named cases."""


def open_source(recipe: Recipe, data: str | Path, *, allow_empty: bool = False) -> Source:
    """Return the data set that a recipe trains on: images with label maps, or label maps alone.

    Raises
    ------
    InputError
        If there is no such data set at ``data``.
    """
    if recipe.synthesis is not None:
        from .map_source import MapSource

        return MapSource(recipe, data)
    return ImageSource(recipe, data, allow_empty=allow_empty)


class ImageSource:
    """Images with label maps, whatever way they are laid out; see :func:`open_dataset`."""

    def __init__(self, recipe: Recipe, data: str | Path, *, allow_empty: bool = False) -> None:
        self.name = Path(data).name or Path(data).resolve().name
        self._recipe, self._allow_empty = recipe, allow_empty
        self._dataset = open_dataset(data)
        self._by_name = {files.case: files for files in self._dataset.cases}

    @property
    def cases(self) -> tuple[CaseFiles, ...]:
        """The cases, sorted by name."""
        return self._dataset.cases

    def check(self, split: Split, *, progress: ProgressFn, cancel: CancelToken) -> list[str]:
        """Read every file once; return the warnings.

        Raises
        ------
        InputError, GeometryError
            If something forbids training; every case concerned is counted, the first five are named.
        """
        labels = [entry.label for entry in self._recipe.labels]
        found = check_dataset(
            self._dataset, labels, split=split, allow_empty=self._allow_empty, progress=progress, cancel=cancel
        )
        require_trainable(found)
        return [problem.message for problem in found]

    def samples(
        self, names: Sequence[str], *, cache: Path | None, progress: ProgressFn, cancel: CancelToken
    ) -> Samples:
        """Return random patches of the named cases, which are held in memory or, with a cache, on disk."""
        cases = []
        for number, name in enumerate(names):
            cancel.check()
            cases.append(load_case(self._by_name[name], self._recipe, cache=cache, cancel=cancel))
            progress((number + 1) / len(names), f"reading {name}")
        return PatchSamples(cases, self._recipe)

    def measure(
        self, folder: Path, names: Sequence[str], about: dict[str, Any], *, out: Path | None,
        progress: ProgressFn, cancel: CancelToken,
    ) -> Assessment:  # fmt: skip
        """Segment whole images and compare them with their label maps."""
        cases = [self._by_name[name] for name in names]
        return measure_model(
            folder, cases, out=out, data={"name": self.name, **about},
            progress=sub_progress(progress, 0.0, 1.0), cancel=cancel,
        )  # fmt: skip
