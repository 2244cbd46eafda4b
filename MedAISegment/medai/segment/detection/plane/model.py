"""The model folder: detector.json, the weights and the facts about the training, written at once, read with checks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from medai.core.errors import ManifestError, OutputError, SettingsError
from medai.core.settings import Settings, load_json_file

from ...manifest import Description, FileEntry, LabelEntry
from ...models.reading import verify_file
from ...models.weights import fill, read_weights
from ...training.export import WEIGHTS, require_new_folder, write_pretty, write_weights
from ..manifest import MANIFEST
from .card import model_card
from .network import build_mask_rcnn
from .settings import ImageSettings, MaskRcnnRecipe, MaskRcnnSettings, NetworkSettings, check_labels

if TYPE_CHECKING:
    import torch


class MaskRcnnModel(Settings):
    """What detector.json says."""

    kind: Literal["detector2d"] = "detector2d"
    schema_version: Literal[1] = 1
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    version: str = Field("1.0.0", pattern=r"^\d+\.\d+\.\d+$")
    description: Description
    labels: tuple[LabelEntry, ...] = Field(min_length=1, max_length=256)
    network: NetworkSettings
    image: ImageSettings
    weights: FileEntry
    metrics: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _labels_fit(self) -> MaskRcnnModel:
        check_labels(self.labels)
        return self


def read_detector(folder: str | Path) -> MaskRcnnModel:
    """Read a model folder's detector.json; the weights are not read.

    Raises
    ------
    ManifestError
        If it is missing, malformed, or of another kind of detector.
    """
    root = Path(folder)
    file = root / MANIFEST
    if not file.is_file():
        raise ManifestError(f"The model folder {root.name!r} has no {MANIFEST}.")
    try:
        return MaskRcnnModel.parse(load_json_file(file), where=f"{root.name}/{MANIFEST}")
    except SettingsError as error:
        raise ManifestError(error.message) from None


def load_network(folder: str | Path, model: MaskRcnnModel, settings: MaskRcnnSettings) -> torch.nn.Module:
    """Return the network with its weights, in evaluation mode on the CPU.

    Raises
    ------
    ChecksumError
        If the weights are not those that detector.json names.
    ModelError
        If they do not fit the network.
    DependencyError
        If torchvision is missing or broken.
    """
    network = build_mask_rcnn(
        model.network, len(model.labels), score=settings.score, overlap=settings.overlap, most=settings.most
    )
    data = verify_file(Path(folder), model.weights)
    return fill(network, read_weights(data, model.weights.path), model.id)


def write_detector(
    network: torch.nn.Module,
    recipe: MaskRcnnRecipe,
    folder: str | Path,
    *,
    split: dict[str, list[str]],
    history: dict[str, Any],
    measure: Callable[[Path], dict[str, Any]],
) -> Path:
    """Write a complete model folder; it appears as a whole or not at all.

    Parameters
    ----------
    folder : path
        New, or empty.
    split : dict
        ``training`` and ``held_back``: names of images.
    history : dict
        ``losses``, ``minutes``, ``software``.
    measure : callable
        Called with the folder before it is published; returns the metrics that detector.json and the card show, so
        they are those of the stored half-precision weights.

    Raises
    ------
    OutputError
        If the folder holds something, or cannot be written.
    """
    target = require_new_folder(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".medai-model-", dir=target.parent))
    except OSError as error:
        raise OutputError(f"Cannot write {target.name!r}: {error.strerror}.") from error
    try:
        model = MaskRcnnModel(
            id=recipe.id,
            description=recipe.description,
            labels=recipe.labels,
            network=recipe.network,
            image=recipe.image,
            weights=write_weights(network, staging / WEIGHTS),
        )
        facts = {"recipe.json": recipe.to_dict(), "split.json": split, "training.json": history}
        for name, value in {MANIFEST: model.to_dict(), **facts}.items():
            write_pretty(staging / name, value)
        model = model.model_copy(update={"metrics": measure(staging)})
        write_pretty(staging / MANIFEST, model.to_dict())
        (staging / "MODEL_CARD.md").write_text(model_card(model, recipe, history, split), "utf-8")
        staging.chmod(0o755)
        if target.exists():
            target.rmdir()
        staging.rename(target)
    except OSError as error:
        raise OutputError(f"Cannot write {target.name!r}: {error.strerror}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target
