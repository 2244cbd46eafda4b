"""Small lists of facts that outlive a run, one JSON file each in the user's models' folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TypeVar

from medai.core.atomic import ensure_folder, write_text
from medai.core.errors import ModelError, SettingsError
from medai.core.settings import Settings, load_json_file, plain_json

from .lock import held

R = TypeVar("R", bound=Settings)
_SECONDS = 5.0


def read_records(root: Path, name: str, kind: type[R]) -> list[R]:
    """Return the records of the file ``name`` in ``root``; none if there is no such file.

    Raises
    ------
    ModelError
        If the file was damaged: what it recorded is not guessed.
    """
    file = root / name
    if not file.exists():
        return []
    try:
        values = load_json_file(file)
        if not isinstance(values, list):
            raise SettingsError(f"{name}: a list is expected.")
        return [kind.parse(value, where=f"{name}[{index}]") for index, value in enumerate(values)]
    except SettingsError as error:
        raise ModelError(
            f"The record of models cannot be read: {error.message}", hint="Correct the file, or delete it to forget."
        ) from None


def add_record(root: Path, name: str, record: R) -> None:
    """Append a record to the file ``name`` in ``root``, atomically; one that is there already is not repeated.

    Raises
    ------
    OutputError
        If the file cannot be written; it is as before then.
    """
    ensure_folder(root)
    with held(root, name.replace(".", "-"), f"the file {name!r}", wait=_SECONDS):
        records = read_records(root, name, type(record))
        if record not in records:
            values = [plain_json(r.to_dict()) for r in (*records, record)]
            write_text(root / name, json.dumps(values, indent=2) + "\n")


def today() -> str:
    """Return the date in UTC as YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime())
