"""The model folder: detector.json, the weights and the facts about the training, written at once, read with checks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from medai.core.errors import ManifestError, ModelError, SettingsError
from medai.core.new_folder import new_folder
from medai.core.settings import Settings, load_json_file

from ...manifest import Description, FileEntry, LabelEntry
from ...models.reading import verify_file
from ...models.weights import fill, read_weights
from ...training.export import WEIGHTS, write_pretty, write_weights
from ..manifest import MANIFEST
from .card import model_card
from .domain import Name, Range
from .network import build_mask_rcnn
from .settings import ImageSettings, MaskRcnnRecipe, NetworkSettings, check_labels

if TYPE_CHECKING:
    import torch

_LOADED: dict[str, torch.nn.Module] = {}
_LOCK = threading.Lock()


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
    usual: dict[Name, Range] = Field(
        default_factory=dict, description="What slices of the training images look like; others are flagged."
    )
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


def detector_kind(folder: str | Path) -> str:
    """Return what kind of detector a folder holds: this one's is :data:`~.settings.KIND`.

    Raises
    ------
    ManifestError
        If detector.json is missing or no JSON object.
    """
    root = Path(folder)
    if not (root / MANIFEST).is_file():
        raise ManifestError(f"The folder {root.name!r} has no {MANIFEST}.", hint="Choose a detector's folder.")
    try:
        value = load_json_file(root / MANIFEST)
    except SettingsError as error:
        raise ManifestError(error.message) from None
    return str(value.get("kind", "")) if isinstance(value, dict) else ""


def held_back_names(folder: Path) -> list[str]:
    """Return the names of the images that training never saw.

    Raises
    ------
    ManifestError
        If split.json is missing or damaged.
    """
    try:
        names = load_json_file(folder / "split.json")["held_back"]
    except (SettingsError, OSError, KeyError, TypeError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ManifestError(f"The model folder {folder.name!r} has no split.json that can be read.")
    return names


def load_network(folder: str | Path, model: MaskRcnnModel) -> torch.nn.Module:
    """Return the network with its weights, in evaluation mode; loaded once per process, the last model is kept.

    Raises
    ------
    ChecksumError
        If the weights are not those that detector.json names.
    ModelError
        If they do not fit the network, or are no safetensors.
    DependencyError
        If torchvision is missing or broken.
    """
    key = f"{model.digest()} {Path(folder).resolve()}"
    with _LOCK:
        if key not in _LOADED:
            _LOADED.clear()
            if not model.weights.path.lower().endswith(".safetensors"):
                raise ModelError(f"{model.id}: a detector's weights are safetensors, given {model.weights.path!r}.")
            network = build_mask_rcnn(model.network, len(model.labels))
            data = verify_file(Path(folder), model.weights)
            _LOADED[key] = fill(network, read_weights(data, model.weights.path), model.id)
        return _LOADED[key]


def write_detector(
    network: torch.nn.Module,
    recipe: MaskRcnnRecipe,
    folder: str | Path,
    *,
    split: dict[str, list[str]],
    history: dict[str, Any],
    usual: dict[Name, Range],
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
    usual : dict
        As :func:`~medai.segment.detection.plane.domain.usual_ranges` gives them.
    measure : callable
        Called with the folder before it is published; returns the metrics that detector.json and the card show, so
        they are those of the stored half-precision weights.

    Raises
    ------
    OutputError
        If the folder holds something, or cannot be written.
    """
    with new_folder(folder) as place:
        model = MaskRcnnModel.parse(
            {
                **{name: recipe.to_dict()[name] for name in ("id", "description", "labels", "network", "image")},
                "weights": write_weights(network, place / WEIGHTS).to_dict(),
                "usual": usual,
            }
        )
        facts = {"recipe.json": recipe.to_dict(), "split.json": split, "training.json": history}
        for name, value in {MANIFEST: model.to_dict(), **facts}.items():
            write_pretty(place / name, value)
        model = model.model_copy(update={"metrics": measure(place)})
        write_pretty(place / MANIFEST, model.to_dict())
        (place / "MODEL_CARD.md").write_text(model_card(model, recipe, history, split), "utf-8")
    return Path(folder)
