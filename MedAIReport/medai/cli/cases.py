"""What ``medai segment`` works on: one image, the frames of a 4D image, or every image of a folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")
"""nnU-Net's file names: ``CASE_0000.nii.gz`` is the first channel of CASE."""


@dataclass(frozen=True)
class Case:
    """One image to segment.

    Parameters
    ----------
    name : str
        File name without suffix.
    files : tuple of Path
        One file for each channel.
    frame : int, optional
        Frame of a 4D image.
    out : Path
        The label map to write.
    """

    name: str
    files: tuple[Path, ...]
    frame: int | None
    out: Path

    def read(self, series_uid: str | None) -> Any:
        """Return the image, its channels as components."""
        from medai.core.io import read_volume
        from medai.segment.channels import stacked

        return stacked([read_volume(file, series_uid=series_uid, frame=self.frame) for file in self.files])

    def beside(self, word: str) -> Path:
        """Return the path of another output of this case: ``seg.nii.gz`` gives ``seg_entropy.nii.gz``."""
        from medai.core.io.formats import split_name

        stem, suffix = split_name(self.out)
        return self.out.with_name(f"{stem}_{word}{suffix.removeprefix('.seg')}")


def find_cases(
    image: Path, channels: Sequence[Path], out: Path, frame: int | None, all_frames: bool
) -> tuple[list[Case], bool]:
    """Return the cases, and whether they came from a folder of images (then ``out`` is a folder).

    A folder that holds image files other than DICOM is a folder of images; any other folder is a DICOM series.

    Raises
    ------
    SettingsError
        If options contradict each other.
    InputError
        If a folder mixes single images and channels, or two images would be written to one file.
    """
    from medai.core.errors import SettingsError
    from medai.core.io import count_frames
    from medai.core.io.formats import split_name

    if all_frames and frame is not None:
        raise SettingsError("Give either --frame or --all-frames.")
    files = _images(image) if image.is_dir() else []
    if files:
        if channels or frame is not None or all_frames:
            raise SettingsError("--channel, --frame and --all-frames belong to one image, not to a folder of images.")
        return _folder(files, out), True
    if all_frames:
        count = count_frames(image)
        stem, suffix = split_name(out)
        digits = len(str(count - 1))
        outs = [out.with_name(f"{stem}_{n:0{digits}d}{suffix}") for n in range(count)]
        return [Case(path.name, (image, *channels), n, path) for n, path in enumerate(outs)], False
    return [Case(split_name(image)[0], (image, *channels), frame, out)], False


def _images(folder: Path) -> list[Path]:
    from medai.core.io.formats import format_of

    found = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    return [file for file in found if format_of(file) not in ("", "dicom")]


def _folder(files: Sequence[Path], out: Path) -> list[Case]:
    from medai.core.errors import InputError
    from medai.core.io.formats import split_name

    groups: dict[str, list[tuple[str, Path]]] = {}
    for file in files:
        stem = split_name(file)[0]
        match = CHANNEL.match(stem)
        case, channel = (match["case"], match["channel"]) if match else (stem, "")
        groups.setdefault(case, []).append((channel, file))
    cases = []
    for name, members in sorted(groups.items()):
        numbers = [channel for channel, _ in members]
        wanted = [f"{n:04d}" for n in range(len(members))]
        if numbers not in ([""], wanted):
            raise InputError(
                f"The images of {name!r} do not go together: {', '.join(file.name for _, file in members)}.",
                hint="Name channels CASE_0000, CASE_0001, ..., and keep one format of each image.",
            )
        cases.append(Case(name, tuple(file for _, file in members), None, out / f"{name}_seg.nii.gz"))
    return cases
