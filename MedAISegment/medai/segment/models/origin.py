"""Where an installed model came from, kept beside it; and which file an address gave the first time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from medai.core.atomic import write_text
from medai.core.errors import ChecksumError, SettingsError
from medai.core.settings import Settings, load_json_file

from .records import add_record, read_records, today

FILE = "installed.json"
SEEN_FILE = "downloads.json"
Kind = Literal["folder", "file", "url", "catalogue"]


class Origin(Settings):
    """Where a model came from."""

    kind: Kind
    name: str = Field(max_length=500, description="Address, or name of the file or folder; never a path.")
    sha256: str | None = Field(None, description="Of the archive or file that was installed; null for a folder.")
    vouched: str = Field("", description="Who says that it was the right file.")
    trusted: bool = Field(False, description="True if somebody said to trust it in spite of a check.")
    date: str = Field(default_factory=today)


class Seen(Settings):
    """What an address gave when it was first used."""

    url: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    date: str


def write_origin(folder: Path, origin: Origin) -> None:
    """Write where the model in a folder came from."""
    write_text(folder / FILE, json.dumps(origin.to_dict(), indent=2) + "\n")


def read_origin(folder: Path) -> Origin | None:
    """Return where a model came from; None for one that was not installed, or whose note was damaged."""
    try:
        return Origin.parse(load_json_file(folder / FILE), where=FILE)
    except SettingsError:
        return None


def require_same(root: Path, url: str, sha256: str) -> None:
    """Refuse a file if the same address gave another one before.

    Raises
    ------
    ChecksumError
        If it did.
    """
    for seen in read_records(root, SEEN_FILE, Seen):
        if seen.url == url and seen.sha256 != sha256:
            raise ChecksumError(
                f"The address gave a file with SHA-256 {seen.sha256[:12]}... on {seen.date}, now one with "
                f"{sha256[:12]}....",
                hint="If its publisher says that it was changed, install with --trust.",
            )


def record_seen(root: Path, url: str, sha256: str) -> None:
    """Keep what an address gave."""
    known = [seen for seen in read_records(root, SEEN_FILE, Seen) if seen.url == url and seen.sha256 == sha256]
    if not known:
        add_record(root, SEEN_FILE, Seen(url=url, sha256=sha256, date=today()))
