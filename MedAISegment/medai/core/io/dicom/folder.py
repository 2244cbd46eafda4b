"""Which files of a folder are DICOM: special files are not opened, and no image is dropped silently."""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path

from medai.core.errors import InputError, TruncatedFile

from .header import Header, has_mark, read_header

MAX_FILES = 200_000
MAX_DEPTH = 32
_DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}
_SIDE_SUFFIXES = {
    ".txt", ".md", ".json", ".csv", ".tsv", ".xml", ".log", ".ini", ".yml", ".yaml", ".html", ".pdf", ".jpg", ".png",
    ".nii", ".gz", ".zip", ".py", ".nrrd", ".mha", ".lnk", ".inf", ".exe", ".cfg", ".bval", ".bvec",
}  # fmt: skip
_SIDE_NAMES = {"license", "readme", "thumbs.db", "version", "lockfile"}
MARK_END = 132


def find_files(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Return the regular files below a folder, sorted, and how many entries were skipped for which reason.

    Links to folders are not followed, so loops end; FIFOs, devices and sockets are not opened.

    Raises
    ------
    InputError
        If there are more than 200,000 files.
    """
    found: list[Path] = []
    skipped: Counter[str] = Counter()
    base = str(folder)
    for place, folders, names in os.walk(base, followlinks=False):
        linked = [n for n in folders if os.path.islink(os.path.join(place, n))]
        skipped["link to a folder"] += len(linked)
        deep = place[len(base) :].count(os.sep) >= MAX_DEPTH
        skipped["folder too deep"] += len(folders) if deep else 0
        folders[:] = [] if deep else sorted(n for n in folders if n not in linked and not n.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            try:
                status = path.stat()
            except OSError:
                skipped["broken link"] += 1
                continue
            if not stat.S_ISREG(status.st_mode):
                skipped["special file"] += 1
            elif name.startswith("."):
                skipped["hidden file"] += 1
            else:
                found.append(path)
        if len(found) > MAX_FILES:
            raise InputError(f"The folder {folder.name!r} holds more than {MAX_FILES} files.", hint="Give a subfolder.")
    return found, +skipped


def scan(folder: Path) -> tuple[list[Header], Counter[str]]:
    """Read the headers of all DICOM images below a folder.

    Returns
    -------
    headers : list of Header
    skipped : Counter
        Reasons why other entries were left out, with counts.

    Raises
    ------
    InputError
        If a DICOM file is damaged: a slice is never dropped silently.
    """
    files, skipped = find_files(folder)
    headers: list[Header] = []
    for path in files:
        suffix = path.suffix.lower()
        if path.name.upper() == "DICOMDIR":
            # its references are paths chosen by whoever wrote the medium: the files themselves are read instead
            skipped["DICOMDIR"] += 1
            continue
        size = path.stat().st_size
        side = suffix in _SIDE_SUFFIXES or path.stem.lower() in _SIDE_NAMES
        if size < MARK_END and not side:
            raise TruncatedFile(
                f"The file {path.name!r} in the DICOM folder has only {size} bytes.",
                hint="Copy or export it again, or remove it from the folder.",
            )
        if size < MARK_END or not (has_mark(path) or suffix in _DICOM_SUFFIXES):
            skipped["not DICOM"] += 1
            continue
        header = read_header(path)
        if header is None:
            skipped["DICOM without image"] += 1
        else:
            headers.append(header)
    return headers, skipped
