"""Licences that people must agree to before a model is installed, and the record of their agreement."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pydantic import Field

from medai.core.errors import ModelError
from medai.core.settings import Settings

from .records import add_record, read_records, today

FILE = "accepted-licences.json"
PERMISSIVE = frozenset({
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "zlib", "unlicense", "cc0-1.0", "cc-by-4.0",
    "cc-by-3.0", "public domain",
})  # fmt: skip
"""Names (SPDX, lower case) of licences that allow every use and ask for nothing but credit."""
_LIMITED = re.compile(r"\bnc\b|non-?\s?commercial|academic|research|evaluation only|proprietary|all rights reserved")
_TEXTS = re.compile(r"(licen[cs]e|copying|notice|data_licen[cs]e)([._-].*)?", re.IGNORECASE)
_LARGEST = 1 << 20


class Acceptance(Settings):
    """A licence that the user of this computer accepted for one model."""

    model: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    version: str = Field(max_length=64)
    licence: str = Field(min_length=1)
    text_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the licence's text that came with the model.")
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="When, UTC.")


def needs_acceptance(licence: str, *, downloaded: bool) -> bool:
    """Tell whether somebody must agree to a licence before the model is installed.

    A permissive licence needs no agreement, one that limits the use does.  One that MedAI does not know needs it for a
    download; a model that is on the user's disk already came there by the user's own decision.
    """
    name = licence.strip().lower()
    if name in PERMISSIVE:
        return False
    return downloaded or bool(_LIMITED.search(name.replace("_", "-")))


def is_licence_text(name: str) -> bool:
    """Tell by a file's name whether it holds a licence's text."""
    return _TEXTS.fullmatch(name) is not None


def text_digest(folder: Path | None, licence: str) -> str:
    """Return the SHA-256 of the licence texts in a model's folder, or of the licence's name where there are none."""
    texts = []
    if folder is not None:
        for place in (folder, folder / "docs"):
            for path in sorted(place.iterdir()) if place.is_dir() else ():
                if path.is_file() and not path.is_symlink() and is_licence_text(path.name):
                    with open(path, "rb") as stream:
                        texts.append(stream.read(_LARGEST))
    return hashlib.sha256(b"\0".join(texts) or licence.encode("utf-8")).hexdigest()


def acceptances(root: Path) -> list[Acceptance]:
    """Return every acceptance on record."""
    return read_records(root, FILE, Acceptance)


def require_acceptance(root: Path, model: str, licence: str, text_sha256: str | None = None) -> None:
    """Refuse a model whose licence nobody accepted here.

    Parameters
    ----------
    text_sha256 : str, optional
        Digest of the licence's text; an acceptance of another text does not count.  Without it (nothing was loaded
        yet) the licence's name decides.

    Raises
    ------
    ModelError
        Code LICENCE; it names the licence and says how to accept it.
    """
    for record in acceptances(root):
        if record.model == model and record.licence == licence and text_sha256 in (None, record.text_sha256):
            return
    raise ModelError(
        f"The model {model!r} comes under the licence {licence!r}, which has not been accepted here.",
        hint="Read it; if you agree, install with --accept-licence.",
        code="LICENCE",
    )


def record_acceptance(root: Path, model: str, version: str, licence: str, text_sha256: str) -> Acceptance:
    """Keep that the user accepted a licence, and return the record."""
    value = {"model": model, "version": version, "licence": licence, "text_sha256": text_sha256, "date": today()}
    record = Acceptance.parse(value, where="acceptance")
    add_record(root, FILE, record)
    return record
