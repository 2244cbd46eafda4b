"""Files that carry a program of their own are used only after somebody said so, and the saying is kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from medai.core.errors import UnsafeModel
from medai.core.settings import Settings

from .records import add_record, read_records, today
from .roots import user_root

FILE = "trusted-files.json"


class Trust(Settings):
    """Somebody's word that a file may be used."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="The file, whatever it is called.")
    what: str = Field(min_length=1, max_length=200, description="What was trusted, for people.")
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="When, UTC.")


def trusted(root: Path | None = None) -> dict[str, Trust]:
    """Return SHA-256 -> the latest record of everything that was trusted."""
    return {record.sha256: record for record in read_records(_root(root), FILE, Trust)}


def is_trusted(sha256: str, root: Path | None = None) -> bool:
    """Tell whether a file of this SHA-256 was trusted."""
    return sha256 in trusted(root)


def require_trust(sha256: str, what: str, root: Path | None = None) -> None:
    """Refuse a file unless it was trusted.

    Parameters
    ----------
    sha256 : str
        Of the bytes that are about to be used.
    what : str
        What it is, for the message: ``the TorchScript file 'net.ts'``.
    root : Path, optional
        The folder that keeps the record; the user's models' folder if not given.

    Raises
    ------
    UnsafeModel
        Code TRUST, if nobody trusted it.
    """
    if not is_trusted(sha256, root):
        raise UnsafeModel(
            f"Nobody has trusted {what} yet (SHA-256 {sha256[:12]}...): it can carry a program of its own.",
            hint="Only if its source is known to you: install the model with --trust.",
            code="TRUST",
        )


def record_trust(sha256: str, what: str, root: Path | None = None) -> Trust:
    """Keep the user's word that a file may be used, and return the record.

    Parameters
    ----------
    sha256 : str
        Of the file.
    what : str
        What the user was told, for the record.
    root : Path, optional
        The user's models folder, if not the usual one.
    """
    place = _root(root)
    if sha256 in (known := trusted(place)):
        return known[sha256]
    record = Trust.parse({"sha256": sha256, "what": what[:200], "date": today()}, where="trust")
    add_record(place, FILE, record)
    return record


def _root(root: Path | None) -> Path:
    return user_root() if root is None else root
