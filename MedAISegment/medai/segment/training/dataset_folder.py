"""Data sets as two folders, images and labels, whose files are matched by name."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from medai.core.errors import InputError, UnsupportedInput
from medai.core.io.formats import format_of, split_name

from .dataset import CaseFiles, DataSet

CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")
"""nnU-Net's file names: ``CASE_0000.nii.gz`` is the first channel of CASE."""
BIDS = re.compile(r"^(sub-[A-Za-z0-9]+)(_|$)")
VOLUMES = ("nifti", "nrrd", "meta")


def read_folder(root: Path) -> DataSet:
    """Return the cases of ``root/images`` and ``root/labels`` (or ``imagesTr`` and ``labelsTr``).

    Raises
    ------
    InputError
        If the folders are not there, or one holds two files of a case.
    UnsupportedInput
        If the images are pictures.
    """
    images, labels = pair_of_folders(root)
    files, masks = volumes(images), volumes(labels)
    if not files:
        require_no_pictures(images)
        raise InputError(
            f"The folder {images.name!r} of {root.name!r} holds no images.",
            hint="Known suffixes: .nii.gz, .nii, .nrrd, .mha, .mhd.",
        )
    if not masks or set(files) & set(masks):
        grouped: dict[str, dict[int, Path]] = {case: {0: path} for case, path in files.items()}
    else:
        grouped = by_channel(files)
    names = channel_names(max(len(found) for found in grouped.values()))
    cases = [
        CaseFiles(case, subject_of(case), tuple(found[n] for n in sorted(found)), masks.get(case))
        for case, found in sorted(grouped.items())
    ]
    return DataSet(tuple(cases), {}, names, "folder", tuple(sorted(set(masks) - set(grouped))))


def pair_of_folders(root: Path) -> tuple[Path, Path]:
    """Return the folders of images and of label maps.

    Raises
    ------
    InputError
        If they are not there.
    """
    for images, labels in (("images", "labels"), ("imagesTr", "labelsTr")):
        if (root / images).is_dir() and (root / labels).is_dir():
            return root / images, root / labels
    raise InputError(
        f"{root.name!r} has no folders 'images' and 'labels' (or 'imagesTr' and 'labelsTr').",
        hint="Put the images into one and the label maps into the other, with the same file names, or give a CSV file.",
    )


def volumes(folder: Path, suffix: str = "") -> dict[str, Path]:
    """Return the volumes of a folder by name without suffix (NFC), sorted.

    Parameters
    ----------
    suffix : str
        Take only files that end so.

    Raises
    ------
    InputError
        If two files have the same name without suffix; both are named.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or format_of(path) not in VOLUMES:
            continue
        if suffix and not path.name.endswith(suffix):
            continue
        name = unicodedata.normalize("NFC", split_name(path)[0])
        if name in found:
            raise InputError(
                f"The folder {folder.name!r} holds two files for {name!r}: {found[name].name!r} and {path.name!r}.",
                hint="Keep one of them.",
            )
        found[name] = path
    return dict(sorted(found.items()))


def require_no_pictures(folder: Path) -> None:
    """Raise :class:`UnsupportedInput` if a folder holds pictures: there is no training on them."""
    if any(format_of(path) == "picture" for path in folder.iterdir()):
        raise UnsupportedInput(
            f"The folder {folder.name!r} holds pictures; training needs volumes with a voxel size.",
            hint="Write the images as NIfTI or NRRD files.",
        )


def by_channel(files: dict[str, Path]) -> dict[str, dict[int, Path]]:
    """Group ``CASE_0000``, ``CASE_0001``, ... by case; a name without a number is a case with one channel."""
    grouped: dict[str, dict[int, Path]] = {}
    for name, path in files.items():
        match = CHANNEL.match(name)
        case, number = (match["case"], int(match["channel"])) if match else (name, 0)
        grouped.setdefault(case, {})[number] = path
    return grouped


def subject_of(case: str) -> str:
    """Return the subject in a BIDS name (``sub-01_ses-2_T1w`` gives ``sub-01``); else the case itself.

    Examples
    --------
    >>> subject_of("sub-01_ses-2_T1w"), subject_of("hippocampus_001")
    ('sub-01', 'hippocampus_001')
    """
    match = BIDS.match(case)
    return match[1] if match else case


def channel_names(count: int) -> tuple[str, ...]:
    """Return names for channels that have none."""
    return ("image",) if count == 1 else tuple(f"channel {n + 1}" for n in range(count))
