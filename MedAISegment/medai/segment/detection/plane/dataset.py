"""The images of a training folder with their instance masks, as slices in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.io import read_labelmap, read_volume
from medai.core.io.formats import format_of, split_name
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume

from ...manifest import LabelEntry
from .classes import read_classes
from .intensity import unit_values
from .seen import Seen
from .settings import MaskRcnnRecipe

LOSSY = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Entry:
    """An image and its instance masks on disk, and the class of each instance (nothing: all of class 1)."""

    name: str
    image: Path
    masks: Path
    classes: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it is looked at.

    Parameters
    ----------
    name : str
    values : array, shape (slices, rows, columns) or (slices, rows, columns, 3), float32
        From 0 to 1.
    instances : array, shape (slices, rows, columns), uint16
        0 is background.
    classes : mapping
        Class of each instance; empty: all of class 1.
    digest : str
        Of the voxels as stored: two images with the same one are the same image.
    """

    name: str
    values: npt.NDArray[np.float32]
    instances: npt.NDArray[np.uint16]
    classes: Mapping[int, int]
    digest: str


def find_entries(folder: str | Path, labels: Sequence[LabelEntry]) -> list[Entry]:
    """Return the pairs of ``folder/images`` and ``folder/masks``, sorted by name.

    Parameters
    ----------
    labels : sequence of LabelEntry
        The model's; with more than one, classes.csv says which instance is what.

    Raises
    ------
    InputError
        If a folder is missing or empty, an image has no mask or the other way round, a name occurs twice, a mask is a
        JPEG (which changes values), or classes.csv does not fit.
    """
    root = Path(folder)
    if not (root / "images").is_dir() or not (root / "masks").is_dir():
        raise InputError(
            f"{root.name!r} needs the folders 'images' and 'masks'.",
            hint="Give an image and its mask the same name; a mask holds 0 and another number for each instance.",
        )
    images, masks = _files(root / "images"), _files(root / "masks")
    alone = sorted(set(images) ^ set(masks))
    if alone:
        raise InputError(
            f"{len(alone)} images have no mask, or the other way round: {', '.join(alone[:5])}.",
            hint="Give an image and its mask the same name.",
        )
    if not images:
        raise InputError(f"{root.name!r} holds no images.", hint="PNG, TIFF, JPEG (images only), NIfTI, NRRD, MHA.")
    lossy = sorted(path.name for path in masks.values() if split_name(path)[1] in LOSSY)
    if lossy:
        raise InputError(f"The mask {lossy[0]!r} is a JPEG, which changes values.", hint="Save masks as PNG.")
    known = read_classes(root, labels)
    return [Entry(name, images[name], masks[name], known.get(name, {})) for name in sorted(images)]


def split_names(names: Sequence[str], held_back: int, seed: int) -> tuple[list[str], list[str]]:
    """Return (training, held back), both sorted; the seed decides.

    Raises
    ------
    InputError
        If none would be left to train on.
    """
    if held_back >= len(names):
        raise InputError(f"{held_back} of {len(names)} images are to be held back; none is left to train on.")
    ordered = sorted(names)
    held = {ordered[n] for n in np.random.default_rng(seed).permutation(len(ordered))[:held_back]}
    return [n for n in ordered if n not in held], sorted(held)


def read_pair(entry: Entry) -> tuple[Volume, LabelMap]:
    """Read an image and its masks.

    Raises
    ------
    GeometryError
        If their grids differ; of pictures (PNG, TIFF), whose resolution says little, only the sizes count.
    InputError
        If they cannot be read, or one is a picture and the other is not: a picture does not say how it lies in space.
    """
    volume, labels = read_volume(entry.image), read_labelmap(entry.masks)
    kinds = [format_of(path) == "picture" for path in (entry.image, entry.masks)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"{entry.name}: one of image and mask is a picture, the other has a grid in space.",
            hint="Save both as PNG or TIFF, or both as NIfTI, NRRD or MHA.",
        )
    if all(kinds) and labels.geometry.shape == volume.geometry.shape:
        labels = labels.replace(geometry=volume.geometry)
    volume.geometry.require_same(labels.geometry, f"mask of {entry.name}")
    return volume, labels


def load_picture(entry: Entry, recipe: MaskRcnnRecipe) -> Picture:
    """Read an image with its masks and bring it into the form that training reads.

    Raises
    ------
    GeometryError, InputError
        As :func:`read_pair`, and if classes.csv leaves out an instance.
    """
    volume, labels = read_pair(entry)
    if len(recipe.labels) > 1:
        unknown = [s.label for s in labels.segments if s.label not in entry.classes]
        if unknown:
            raise InputError(f"{entry.name}: instance {unknown[0]} of the mask has no class in classes.csv.")
    seen = Seen.of(volume.geometry, recipe.image.plane)
    values = np.ascontiguousarray(seen.look(unit_values(volume, recipe.image)))
    instances = np.ascontiguousarray(seen.look(labels.array).astype(np.uint16))
    return Picture(entry.name, values, instances, entry.classes, volume.digest())


def require_trainable(training: Sequence[Picture], held_back: Sequence[Picture]) -> None:
    """Check what only all images together show.

    Raises
    ------
    InputError
        If no training image holds an instance, or an image is on both sides of the split under two names.
    """
    if not any(picture.instances.any() for picture in training):
        raise InputError("None of the training images holds an instance: all masks are empty.")
    known = {picture.digest: picture.name for picture in training}
    for picture in held_back:
        if picture.digest in known:
            raise InputError(
                f"The held-back image {picture.name!r} is the training image {known[picture.digest]!r} once more.",
                hint="Remove one of them, or the numbers on held-back images would be too good.",
            )


def _files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or format_of(path) in ("", "dicom"):
            continue
        name = split_name(path)[0]
        if name in found:
            raise InputError(f"{folder.name!r} holds {name!r} twice: {found[name].name} and {path.name}.")
        found[name] = path
    return found
