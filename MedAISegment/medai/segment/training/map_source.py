"""Label maps as a data set: images are made from them, for training and for measuring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress

from ..assessment.measure import software
from ..assessment.result import Assessment
from ..assessment.rows import Row
from ..assessment.settings import MeasureSettings
from ..evaluate import compare
from ..models.loading import load_network
from ..models.reading import read_model
from .dataset import CaseFiles, named
from .dataset_folder import subject_of, volumes
from .folds import Split
from .label_maps import TissueMap, load_tissues
from .recipe import Recipe
from .samples import Samples, order_of
from .synthesis import SyntheticSamples

IMAGES_PER_MAP = 8
"""Images that are made from each held-back label map to measure a model on."""
TEST_EPOCH = 2**31
"""Far beyond every epoch of a training (100,000 at most), so that no test image has a training image's seed."""


class MapSource:
    """A folder of label maps, or one with a folder ``labels`` (or ``labelsTr``); images are not read.

    Raises
    ------
    InputError
        If there are no label maps.
    """

    def __init__(self, recipe: Recipe, data: str | Path) -> None:
        root = Path(data)
        self.name = root.name or root.resolve().name
        self._recipe = recipe
        if not root.is_dir():
            raise InputError(f"There is no folder {root.name!r}.", hint="Give the folder of the label maps.")
        place = next((root / part for part in ("labels", "labelsTr") if (root / part).is_dir()), root)
        found = volumes(place)
        if not found:
            raise InputError(
                f"The folder {place.name!r} holds no label maps.",
                hint="Known suffixes: .nii.gz, .nii, .nrrd, .mha, .mhd.",
            )
        self._files = found

    @property
    def cases(self) -> tuple[CaseFiles, ...]:
        """The label maps, sorted by name."""
        return tuple(CaseFiles(name, subject_of(name), (), path) for name, path in sorted(self._files.items()))

    def check(self, split: Split, *, progress: ProgressFn, cancel: CancelToken) -> list[str]:
        """Read the held-back maps; those of training are read next anyway.

        Raises
        ------
        InputError
            If a map cannot be used, or the split names others.
        """
        unknown = sorted({*split.training, *split.held_back} - set(self._files))
        if unknown:
            raise InputError(f"The split names what the data set has not: {named(unknown, 'case')}.")
        self._maps(split.held_back, progress, cancel)
        return []

    def samples(
        self, names: Sequence[str], *, cache: Path | None, progress: ProgressFn, cancel: CancelToken
    ) -> Samples:
        """Return images made from the named maps."""
        return SyntheticSamples(self._maps(names, progress, cancel), self._recipe)

    def measure(
        self, folder: Path, names: Sequence[str], about: dict[str, Any], *, out: Path | None,
        progress: ProgressFn, cancel: CancelToken,
    ) -> Assessment:  # fmt: skip
        """Let a stored model label images made from the named maps, each the size of a patch, on the model's grid.

        They are made as in training, from seeds that no training uses; whole real images are another matter.
        """
        import torch

        model = read_model(folder)
        network = load_network(model, cancel=cancel)
        maps = self._maps(names, no_progress, cancel)
        count = IMAGES_PER_MAP * len(maps)
        optimiser = self._recipe.optimiser.model_copy(update={"samples_per_epoch": count})
        recipe = self._recipe.model_copy(update={"optimiser": optimiser})
        made = SyntheticSamples(maps, recipe)
        order = order_of(recipe.seed, TEST_EPOCH, len(maps), count)
        numbers = np.array([0, *(entry.label for entry in recipe.labels)], dtype=np.uint16)
        segments = tuple(entry.to_segment() for entry in recipe.labels)
        grid = Geometry.from_spacing(recipe.patch, recipe.prepare.spacing or (1.0, 1.0, 1.0), (0, 0, 0))
        rows: list[Row] = []
        seen: dict[str, int] = {}
        for position in range(count):
            cancel.check()
            name = maps[order[position]].name
            seen[name] = seen.get(name, 0) + 1
            image, classes = made.sample(TEST_EPOCH, position)
            with torch.inference_mode():
                scores = network(torch.from_numpy(image)[None])
            found = scores[0].argmax(0).numpy()
            result, reference = (LabelMap(numbers[array], grid, segments) for array in (found, classes))
            for score in compare(
                result, reference, {"match": "labels"}, case=f"{name}-image{seen[name]}", cancel=cancel
            ):
                title = next(entry.name for entry in recipe.labels if entry.label == score.label)
                rows.append(Row.of(score, subject=subject_of(name), name=title, flags=()))
            progress((position + 1) / count, f"measuring on made image {position + 1} of {count}")
        return Assessment(
            model={
                "id": model.id, "title": model.title, "version": model.manifest.version,
                "weights_sha256": model.manifest.weights_sha256,
            },
            data={
                "name": self.name, "subjects": len({subject_of(n) for n in names}), "seen_in_training": None, **about,
                "cases": count,
            },
            settings=MeasureSettings(), rows=tuple(rows), software=software(),
        )  # fmt: skip

    def _maps(self, names: Sequence[str], progress: ProgressFn, cancel: CancelToken) -> list[TissueMap]:
        found = []
        for number, name in enumerate(names):
            cancel.check()
            found.append(load_tissues(self._files[name], self._recipe, name))
            progress((number + 1) / len(names), f"reading {name}")
        return found
