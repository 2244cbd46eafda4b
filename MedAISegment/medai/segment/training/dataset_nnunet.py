"""nnU-Net's raw data sets: dataset.json with imagesTr and labelsTr.

Source of the layout: nnU-Net's documentation (dataset_format.md).  Its splits are not taken over: a split is by
subject and stored with the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medai.core.errors import InputError, SettingsError, UnsupportedInput
from medai.core.io.formats import format_of
from medai.core.settings import load_json_file

from .dataset import CaseFiles, DataSet, named
from .dataset_folder import VOLUMES, by_channel, pair_of_folders, subject_of, volumes


def read_nnunet(root: Path) -> DataSet:
    """Return the cases of an nnU-Net data set, version 2 or 1, or of the Medical Segmentation Decathlon.

    Raises
    ------
    InputError
        If dataset.json is malformed, or channels are missing.
    UnsupportedInput
        If labels are regions made of several labels, an ``ignore`` label is used, or the images are pictures.
    """
    where = f"{root.name}/dataset.json"
    try:
        about = load_json_file(root / "dataset.json", where=where)
    except SettingsError as error:
        raise InputError(error.message, hint=error.hint) from None
    if not isinstance(about, dict):
        raise InputError(f"{where} holds a {type(about).__name__}, an object was expected.")
    labels = read_label_names(about.get("labels"), where)
    channels = _channels(about, where)
    ending = about.get("file_ending", "")
    if not isinstance(ending, str) or (ending and format_of(f"a{ending}") not in VOLUMES):
        raise UnsupportedInput(
            f"{where}.file_ending is {ending!r:.20}; training needs volumes with a voxel size.",
            hint="Write the images as .nii.gz, .nrrd or .mha files.",
        )
    if "dataset" in about:
        cases = _listed(root, about["dataset"], where)
        return DataSet(tuple(cases), labels, channels, "nnunet")
    image_folder, label_folder = pair_of_folders(root)
    files, masks = volumes(image_folder, ending), volumes(label_folder, ending)
    # The Decathlon's own files carry no channel number.
    plain = len(channels) == 1 and bool(set(files) & set(masks))
    grouped = {case: {0: path} for case, path in files.items()} if plain else by_channel(files)
    wanted = set(range(len(channels)))
    wrong = [case for case, found in sorted(grouped.items()) if set(found) != wanted]
    if wrong:
        last = f"_{len(channels) - 1:04d}"
        raise InputError(
            f"{where} names {len(channels)} channels, so each case needs the files CASE_0000"
            f"{' to CASE' + last if len(channels) > 1 else ''}; others {'has' if len(wrong) == 1 else 'have'} "
            f"{named(wrong, 'case')}.",
            hint="Add the missing channels, or correct channel_names.",
        )
    cases = [
        CaseFiles(case, subject_of(case), tuple(found[n] for n in sorted(found)), masks.get(case))
        for case, found in sorted(grouped.items())
    ]
    return DataSet(tuple(cases), labels, channels, "nnunet", tuple(sorted(set(masks) - set(grouped))))


def read_label_names(given: Any, where: str) -> dict[int, str]:
    """Return label -> name without background, from either direction: ``{"liver": 1}`` or ``{"1": "liver"}``.

    Raises
    ------
    InputError
        If it is neither.
    UnsupportedInput
        For regions and ``ignore``.
    """
    if not isinstance(given, dict) or not 1 <= len(given) <= 4096:
        raise InputError(f"{where}.labels is missing or names nothing.", hint="It names each label: {'liver': 1}.")
    regions = sorted(str(name) for name, value in given.items() if isinstance(value, list))
    if regions:
        raise UnsupportedInput(
            f"{where}.labels has regions made of several labels ({named(regions, 'region')}); MedAI trains on labels "
            "that exclude each other.",
            hint="Give each label a name and number of its own, in dataset.json and in the label maps.",
        )
    if "ignore" in given:
        raise UnsupportedInput(
            f"{where}.labels has the label 'ignore'; MedAI trains on every voxel.",
            hint="Finish the labels of those voxels, or make them background.",
        )
    pairs = []
    for key, value in given.items():
        if type(value) is int:
            pairs.append((value, key))
        elif isinstance(value, str) and key.isdecimal():
            pairs.append((int(key), value))
        else:
            raise InputError(f"{where}.labels.{key[:40]} must be a whole number, given {value!r:.40}.")
    names = {number: name.strip()[:64] or f"Label {number}" for number, name in sorted(pairs)}
    bad = [number for number, _ in pairs if not 0 <= number <= 65535]
    if bad or len(names) != len(pairs) or len(set(names.values())) != len(names):
        raise InputError(f"{where}.labels must give each name a number of its own from 0 to 65535.")
    names.pop(0, None)
    if not names:
        raise InputError(f"{where}.labels names nothing but the background.")
    return names


def _channels(about: dict[str, Any], where: str) -> tuple[str, ...]:
    # The key of version 1, and of the Decathlon, is 'modality'.
    key = "channel_names" if "channel_names" in about else "modality"
    names = about.get(key)
    if not isinstance(names, dict) or not 1 <= len(names) <= 64:
        raise InputError(f"{where}.channel_names must name 1 to 64 channels.", hint="For example {'0': 'CT'}.")
    if set(names) != {str(n) for n in range(len(names))} or not all(isinstance(v, str) for v in names.values()):
        raise InputError(f"{where}.{key} must number its channels '0', '1', ..., given {sorted(names)[:5]}.")
    return tuple(names[str(n)].strip()[:64] or "image" for n in range(len(names)))


def _listed(root: Path, given: Any, where: str) -> list[CaseFiles]:
    """Return the cases that dataset.json lists itself, each with its files' paths."""
    if not isinstance(given, dict) or not given:
        raise InputError(f"{where}.dataset must name at least one case.")
    found = []
    for case, entry in sorted(given.items()):
        images = entry.get("images") if isinstance(entry, dict) else None
        label = entry.get("label") if isinstance(entry, dict) else None
        texts = [*images, label] if isinstance(images, list) and images else [None]
        if not all(isinstance(text, str) and text and "\0" not in text for text in texts):
            raise InputError(f"{where}.dataset.{case[:40]} must name its 'images' and its 'label'.")
        paths = [root / text for text in texts if isinstance(text, str)]
        found.append(CaseFiles(case, subject_of(case), tuple(paths[:-1]), paths[-1]))
    return found
