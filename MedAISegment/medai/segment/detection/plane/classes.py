"""classes.csv: which class each instance of a data set is, where there is more than one."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from medai.core.errors import InputError

from ...manifest import LabelEntry

FILE = "classes.csv"
COLUMNS = ("image", "instance", "class")
MAX_BYTES = 64 << 20


def read_classes(folder: Path, classes: Sequence[LabelEntry]) -> Mapping[str, Mapping[int, int]]:
    """Return the class (1 for the recipe's first) of each instance, by image and value in its mask.

    With one class no file is needed, and nothing is returned.

    Raises
    ------
    InputError
        If the file is missing, has other columns, names an instance twice or a class that the recipe does not know;
        the line is named.
    """
    if len(classes) == 1:
        return {}
    file = folder / FILE
    if not file.is_file():
        raise InputError(
            f"The recipe has {len(classes)} classes, and {folder.name!r} has no {FILE}.",
            hint=f"Write one with the columns {', '.join(COLUMNS)}: one line for each instance of a mask.",
        )
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"{FILE} is larger than {MAX_BYTES >> 20} MiB.")
    numbers = {entry.name: index for index, entry in enumerate(classes, start=1)}
    found: dict[str, dict[int, int]] = {}
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if set(reader.fieldnames or ()) != set(COLUMNS):
                raise InputError(f"{FILE} has the columns {reader.fieldnames}, expected {', '.join(COLUMNS)}.")
            for line, row in enumerate(reader, start=2):
                image, instance, name = (str(row[column] or "").strip() for column in COLUMNS)
                if name not in numbers:
                    raise InputError(
                        f"{FILE}, line {line}: the class {name!r} is not in the recipe.",
                        hint=f"Known: {', '.join(numbers)}.",
                    )
                if not (instance.isascii() and instance.isdigit() and 1 <= int(instance) <= 65535):
                    raise InputError(f"{FILE}, line {line}: {instance!r} is no instance, a number from 1 to 65535.")
                of_image = found.setdefault(image, {})
                if int(instance) in of_image:
                    raise InputError(f"{FILE}, line {line}: instance {instance} of {image!r} has a class already.")
                of_image[int(instance)] = numbers[name]
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{FILE} is no CSV text in UTF-8.") from None
    return found
