"""A training data set: which files belong to which case and subject, whatever way they are laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medai.core.errors import InputError

Kind = Literal["folder", "csv", "nnunet"]


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Parameters
    ----------
    case : str
        Name, unique in the data set.
    subject : str
        The person; cases of one subject are never on two sides of a split.
    images : tuple of Path
        One file for each channel.
    labels : Path, optional
        The label map; None if there is none.
    """

    case: str
    subject: str
    images: tuple[Path, ...]
    labels: Path | None = None

    @property
    def label_file(self) -> Path:
        """The label map's file.

        Raises
        ------
        InputError
            If the case has none.
        """
        if self.labels is None:
            raise InputError(f"The case {self.case!r} has no label map.", hint="Give one, or leave the case out.")
        return self.labels


@dataclass(frozen=True)
class DataSet:
    """Cases, sorted by name, and what their source says about them.

    Parameters
    ----------
    cases : tuple of CaseFiles
        Each with as many images as there are channels.
    labels : dict of int to str
        Names of the labels without background; empty if the source has none.
    channels : tuple of str
        A name for each channel.
    kind : {"folder", "csv", "nnunet"}
        The source's layout.
    unmatched : tuple of str
        Label maps that no image belongs to.
    """

    cases: tuple[CaseFiles, ...]
    labels: Mapping[int, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ("image",)
    kind: Kind = "folder"
    unmatched: tuple[str, ...] = ()

    @property
    def subjects(self) -> dict[str, str]:
        """Case -> subject."""
        return {files.case: files.subject for files in self.cases}

    def only(self, names: Sequence[str]) -> DataSet:
        """Return the data set with the named cases alone.

        Raises
        ------
        InputError
            If a name is not there.
        """
        wanted = set(names)
        unknown = sorted(wanted - {files.case for files in self.cases})
        if unknown:
            raise InputError(f"The data set has no {named(unknown, 'case')}.", hint="Check the names.")
        kept = tuple(files for files in self.cases if files.case in wanted)
        return DataSet(kept, self.labels, self.channels, self.kind)


def open_dataset(path: str | Path) -> DataSet:
    """Find the cases of a data set; no voxel is read.

    Parameters
    ----------
    path : path
        One of these:

        - a folder with ``images`` and ``labels`` (or ``imagesTr`` and ``labelsTr``) whose files have the same names;
          images ``CASE_0000``, ``CASE_0001`` beside a label map ``CASE`` are channels; a name that starts with
          ``sub-NAME_`` belongs to the subject ``sub-NAME`` (BIDS), any other case is a subject of its own;
        - an nnU-Net data set: the same with ``dataset.json`` (version 1 or 2);
        - a CSV file with the columns ``image`` (or ``image_1``, ``image_2``, ...) and ``labels``, and if wanted
          ``case`` and ``subject``; paths start from the CSV's folder.

    Returns
    -------
    DataSet
        Cases without a label map and label maps without an image are kept, so that
        :func:`~medai.segment.training.checks.check_dataset` can name them all.

    Raises
    ------
    InputError
        If it is none of these, holds no images, names a case twice, or cases differ in their channels.
    UnsupportedInput
        If the labels are regions made of several labels, or the images are pictures.
    """
    from .dataset_csv import read_table
    from .dataset_folder import read_folder
    from .dataset_nnunet import read_nnunet

    root = Path(path)
    if not root.exists():
        raise InputError(f"There is no file or folder {root.name!r}.", hint="Check the path of the data set.")
    read: Callable[[Path], DataSet] = read_table
    if root.is_dir():
        described = (root / "dataset.json").is_file() and (root / "imagesTr").is_dir()
        read = read_nnunet if described else read_folder
    found = read(root)
    if not found.cases:
        raise InputError(f"{root.name!r} holds no cases.", hint="Check the path of the data set.")
    wrong = [files.case for files in found.cases if len(files.images) != len(found.channels)]
    if wrong:
        count = len(found.channels)
        raise InputError(
            f"Every case needs {count} {'image' if count == 1 else 'images'}, one for each channel; another number "
            f"{'has' if len(wrong) == 1 else 'have'} {named(wrong, 'case')}.",
            hint="Add the missing channels, or leave these cases out.",
        )
    return found


def named(items: Sequence[str], what: str) -> str:
    """Name the first five of many: ``2 cases: a, b``; ``7 cases: a, b, c, d, e and 2 more``.

    Examples
    --------
    >>> named(["a"], "case")
    '1 case: a'
    >>> named(list("abcdefg"), "case")
    '7 cases: a, b, c, d, e and 2 more'
    """
    more = f" and {len(items) - 5} more" if len(items) > 5 else ""
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}: {', '.join(items[:5])}{more}"
