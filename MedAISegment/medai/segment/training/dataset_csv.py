"""Data sets as a table: one row per case, with the paths of its images and of its label map."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from medai.core.errors import InputError
from medai.core.io.formats import stem

from .dataset import CaseFiles, DataSet, named
from .dataset_folder import channel_names

MAX_BYTES = 64 * 1024 * 1024
IMAGE = "image"
KNOWN = ("case", "subject", "labels")


def read_table(file: Path) -> DataSet:
    """Return the cases of a CSV file (UTF-8; separated by comma, semicolon or tab).

    Columns: ``image``, or ``image_1``, ``image_2``, ... (or ``image_T1``, ``image_T2``, ...: names of the channels, in
    the columns' order); ``labels``; and if wanted ``case`` (else the name of the first image's file) and ``subject``
    (else the case).  Other columns are passed over.  A path that is not absolute starts from the file's folder.

    Raises
    ------
    InputError
        If it is no such table, a row has no image, or a case is there twice; the rows or cases are named.
    """
    rows = _rows(file)
    if not rows:
        raise InputError(
            f"{file.name!r} is empty.", hint="Its first row names the columns: case, subject, image, labels."
        )
    header = [cell.strip().lower() for cell in rows[0]]
    columns = _image_columns(header)
    if not columns or "labels" not in header:
        raise InputError(
            f"{file.name!r} needs the columns 'image' (or 'image_1', 'image_2', ...) and 'labels'; its first row has "
            f"{', '.join(repr(name)[:40] for name in header[:8])}.",
            hint="The columns 'case' and 'subject' may be added.",
        )
    double = sorted({name for name in header if header.count(name) > 1 and (name in KNOWN or name in columns)})
    if double:
        raise InputError(f"{file.name!r} has two columns called {double[0]!r}.", hint="Keep one of them.")
    cases, empty = [], []
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
        images = tuple(_path(file, row[name]) for name in columns if row.get(name))
        if len(images) != len(columns):
            empty.append(str(number))
            continue
        case = row.get("case") or stem(images[0])
        labels = _path(file, row["labels"]) if row.get("labels") else None
        cases.append(CaseFiles(case, row.get("subject") or case, images, labels))
    if empty:
        raise InputError(f"{file.name!r} names no image in {named(empty, 'row')}.", hint="Fill every image column.")
    names = [files.case for files in cases]
    double = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if double:
        raise InputError(
            f"{file.name!r} has more than one row for {named(double, 'case')}.",
            hint="Give each row its own name in the column 'case', and one 'subject' to rows of the same person.",
        )
    return DataSet(tuple(sorted(cases, key=lambda files: files.case)), {}, _names(columns), "csv")


def _rows(file: Path) -> list[list[str]]:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file.name!r} is larger than {MAX_BYTES} bytes; a table of cases was expected.")
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            f"{file.name!r} is not UTF-8 text; a data set is a folder or a CSV file.", hint="Save the table as UTF-8."
        ) from None
    except OSError as error:
        raise InputError(f"{file.name!r} cannot be read: {error.strerror or 'unknown reason'}.") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(f"{file.name!r} is no CSV table: {error}.", hint="Check its quotation marks.") from None


def _image_columns(header: list[str]) -> list[str]:
    if IMAGE in header:
        return [IMAGE]
    found = [name for name in header if name.startswith("image_") and len(name) > len("image_")]
    if all(_suffix(name).isdecimal() for name in found):
        return sorted(found, key=lambda name: int(_suffix(name)))
    return found


def _suffix(column: str) -> str:
    return column.removeprefix("image_")


def _names(columns: list[str]) -> tuple[str, ...]:
    if columns == [IMAGE] or all(_suffix(name).isdecimal() for name in columns):
        return channel_names(len(columns))
    return tuple(_suffix(name).upper()[:64] for name in columns)


def _path(file: Path, text: str) -> Path:
    if "\0" in text:
        raise InputError(f"{file.name!r} names a file with a zero character.", hint="Save the table as UTF-8.")
    return file.parent / Path(text).expanduser()
