"""Training a Mask R-CNN from a folder, and using one on an image."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medai.core.errors import InputError
from medai.core.new_folder import require_new_folder
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.volume import Volume

from ..result import Detections
from .dataset import Entry, find_entries, load_picture, require_trainable, split_names
from .domain import domain_flags, usual_ranges
from .findings import findings_of
from .flags import border_flags, image_flags
from .intensity import unit_values
from .library import torchvision_library
from .link import linked
from .loop import train_network
from .measure import LOW_SCORE, measure
from .model import MaskRcnnModel, held_back_names, load_network, read_detector, write_detector
from .network import choose
from .predict import chosen_device, slice_instances
from .seen import Seen
from .settings import MaskRcnnRecipe, MaskRcnnSettings

if TYPE_CHECKING:
    import torch

SOFTWARE = ("torch", "torchvision", "numpy", "scipy")


def train(
    recipe: MaskRcnnRecipe | Mapping[str, Any],
    data: str | Path,
    out: str | Path,
    *,
    checkpoint: str | Path | None = None,
    device: str = "",
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Train, store and measure a Mask R-CNN.

    Parameters
    ----------
    recipe : MaskRcnnRecipe or dict
        Everything that decides the result.
    data : path
        Folder with ``images`` and ``masks``, and ``classes.csv`` if there are several labels.
    out : path
        The new model folder; it appears complete or not at all.
    checkpoint : path, optional
        File that is written after each epoch.  If it is there, the training goes on from it, to the same weights as
        one that was never stopped; it is removed when the model folder is complete.
    device : {"", "cpu", "cuda"}
        Empty: CUDA if there is one, else the CPU.

    Returns
    -------
    dict
        The metrics of :func:`~medai.segment.detection.plane.measure.measure` on the held-back images (on the training
        images if none are), which detector.json and the card show; ``on`` says which.

    Raises
    ------
    DependencyError
        If torchvision is missing or broken.
    InputError, GeometryError
        If the data do not fit the recipe, before training starts.
    OutputError
        If ``out`` holds something, or something cannot be written.
    """
    chosen, token = MaskRcnnRecipe.parse(recipe), cancel or CancelToken()
    torchvision_library()
    require_new_folder(out)
    place = chosen_device(device)
    entries = {entry.name: entry for entry in find_entries(data, chosen.labels)}
    names, held = split_names(list(entries), chosen.held_back, chosen.seed)
    pictures = {}
    for index, name in enumerate([*names, *held]):
        token.check()
        pictures[name] = load_picture(entries[name], chosen)
        progress(0.05 * (index + 1) / len(entries), f"reading {name}")
    training = [pictures[name] for name in names]
    require_trainable(training, [pictures[name] for name in held])
    file = None if checkpoint is None else Path(checkpoint)
    trained = train_network(
        training, chosen, checkpoint=file, device=place, progress=sub_progress(progress, 0.05, 0.9), cancel=token
    )
    history = {
        "losses": [round(x, 6) for x in trained.losses],
        "minutes": round(trained.seconds / 60, 1),
        "software": {name: importlib.metadata.version(name) for name in SOFTWARE},
        "device": place,
    }
    result: dict[str, Any] = {}

    def measured(folder: Path) -> dict[str, Any]:
        on = [entries[name] for name in held or names]
        part = sub_progress(progress, 0.9, 1.0)
        result.update(measure_model(folder, on, device=device, progress=part, cancel=token))
        result["on"] = "held-back images" if held else "training images"
        return result

    lists = {"training": names, "held_back": held}
    usual = usual_ranges([plane for picture in training for plane in picture.values])
    write_detector(trained.network, chosen, out, split=lists, history=history, usual=usual, measure=measured)
    if file is not None:
        file.unlink(missing_ok=True)
    return result


def detect(
    volume: Volume,
    settings: MaskRcnnSettings | Mapping[str, Any],
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Detections:
    """Find the instances in a 2D image, or in the slices of a volume.

    Parameters
    ----------
    volume : Volume
        Grey or RGB.  However its axes are stored, the same slices are looked at and the same is found.
    settings : MaskRcnnSettings or dict
        At least ``model``.

    Returns
    -------
    Detections
        One finding and one segment for each instance, or for each object over several slices if they are linked.

    Raises
    ------
    ManifestError, ChecksumError, ModelError
        If the model folder cannot be used.
    DependencyError
        If torchvision is missing or broken.
    InputError, UnsupportedInput
        If a voxel is NaN, or holds neither one value nor a colour.
    """
    chosen, token = MaskRcnnSettings.parse(settings), cancel or CancelToken()
    folder = Path(chosen.model)
    progress(0.0, "loading the model")
    model = read_detector(folder)
    return _find(load_network(folder, model), model, volume, chosen, progress, token)


def measure_model(
    folder: str | Path,
    entries: list[Entry],
    *,
    device: str = "",
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Measure a model folder on images with known instances.

    Parameters
    ----------
    entries : list of Entry
        As :func:`~medai.segment.detection.plane.dataset.find_entries` gives them.

    Returns
    -------
    dict
        See :func:`~medai.segment.detection.plane.measure.measure`.
    """
    token = cancel or CancelToken()
    settings = MaskRcnnSettings.parse({"model": str(folder), "score": LOW_SCORE, "device": device})
    model = read_detector(folder)
    network = load_network(folder, model)

    def find(volume: Volume) -> Detections:
        return _find(network, model, volume, settings, no_progress, token)

    return measure(entries, model.labels, find, progress=progress, cancel=token)


def measure_data(
    folder: str | Path,
    data: str | Path,
    *,
    cases: Literal["held-back", "all"] = "held-back",
    device: str = "",
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Measure a model folder on a data set; on the one it was trained with, this repeats its card's numbers.

    Parameters
    ----------
    data : path
        As for :func:`train`.
    cases : {"held-back", "all"}
        held-back: the images that split.json names as never seen; all: every image of ``data``.

    Raises
    ------
    ManifestError
        If the folder is no Mask R-CNN, or its split.json cannot be read.
    InputError
        If no image was held back, or one of them is not in ``data``.
    """
    root, model = Path(folder), read_detector(folder)
    entries = {entry.name: entry for entry in find_entries(data, model.labels)}
    chosen = list(entries)
    if cases == "held-back":
        chosen = held_back_names(root)
        if not chosen:
            raise InputError(f"No image was held back when {model.id!r} was trained.", hint="Measure on all images.")
        missing = [name for name in chosen if name not in entries]
        if missing:
            raise InputError(f"{len(missing)} held-back images are not in the data set: {', '.join(missing[:5])}.")
    return measure_model(root, [entries[name] for name in chosen], device=device, progress=progress, cancel=cancel)


def _find(
    network: torch.nn.Module,
    model: MaskRcnnModel,
    image: Volume,
    settings: MaskRcnnSettings,
    progress: ProgressFn,
    cancel: CancelToken,
) -> Detections:
    seen = Seen.of(image.geometry, settings.plane or model.image.plane)
    values = seen.look(unit_values(image, model.image))
    flags = [
        *image.flags,
        *image_flags(image, values, model.description),
        *domain_flags(list(values), model.usual),
    ]
    device = chosen_device(settings.device)
    choose(network, score=settings.shown, overlap=settings.overlap, most=settings.most)
    planes = slice_instances(
        network, values, settings, device=device, progress=sub_progress(progress, 0.0, 0.95), cancel=cancel
    )
    things = linked(planes, settings.link)
    facts = {**settings.to_dict(), "model": model.id, "score": settings.shown}
    meta = {"model": model.id, "kind": model.kind, "device": device, "slices": len(planes), "settings": facts}
    found = findings_of(things, seen, image.geometry, model.labels, flags=tuple(flags), meta=meta, name=image.name)
    found = dataclasses.replace(found, flags=(*found.flags, *border_flags(found.items, image.geometry)))
    if not settings.masks:
        found = dataclasses.replace(found, items=tuple(d.replace(mask_label=None) for d in found.items), masks=None)
    progress(1.0, f"{len(found)} found")
    return found
