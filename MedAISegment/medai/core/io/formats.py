"""Which file name is which format; ``.nii.gz`` counts as one suffix."""

from __future__ import annotations

from pathlib import Path

from medai.core.errors import InputError

SUFFIXES: dict[str, str] = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".mha": "meta",
    ".mhd": "meta",
    ".png": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".tif": "picture",
    ".tiff": "picture",
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".ima": "dicom",
}
"""Lower-case suffix to format name."""

WRITABLE = (".nii", ".nii.gz", ".nrrd", ".mha")
"""Suffixes that the writers take."""


def split_name(path: str | Path) -> tuple[str, str]:
    """Split a file name into its stem and its lower-case suffix.

    ``brain.nii.gz`` gives ``("brain", ".nii.gz")`` and ``a.seg.nrrd`` gives ``("a", ".seg.nrrd")``; a name such as
    ``1.2.840.5`` (a DICOM UID) has no known suffix and stays whole.
    """
    name = Path(path).name
    lower = name.lower()
    known = [*SUFFIXES, *(".seg" + s for s in (".nrrd", ".nhdr"))]
    for suffix in sorted(known, key=len, reverse=True):
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], suffix
    return name, ""


def stem(path: str | Path) -> str:
    """Return the file name without its suffix; see :func:`split_name`."""
    return split_name(path)[0]


def format_of(path: str | Path) -> str:
    """Return ``nifti``, ``nrrd``, ``meta``, ``picture`` or ``dicom`` by suffix; empty if the suffix says nothing."""
    suffix = split_name(path)[1]
    return SUFFIXES.get(suffix.removeprefix(".seg"), "")


def writable_suffix(path: str | Path) -> str:
    """Return the suffix if an image can be written to it.

    Raises
    ------
    InputError
        If no writer takes this suffix.
    """
    suffix = split_name(path)[1]
    if suffix.removeprefix(".seg") not in WRITABLE:
        raise InputError(
            f"Images cannot be written as {suffix or 'a file without suffix'!r}.", hint=f"Use {', '.join(WRITABLE)}."
        )
    return suffix
