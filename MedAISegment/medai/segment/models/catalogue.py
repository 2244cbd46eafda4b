"""Models that can be loaded from the internet: addresses, licences and checksums; users may add their own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from medai.core.errors import ManifestError, ModelError, SettingsError
from medai.core.settings import Settings, load_json_file

from .request import check_url

FILE = Path(__file__).parent / "catalogue_files" / "catalogue.json"
USER_FILE = "catalogue.json"


class CatalogueEntry(Settings):
    """A model that somebody else publishes."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="The id that it is installed under.")
    title: str = Field(min_length=1, max_length=120)
    summary: str = Field(min_length=1, max_length=500)
    format: str = Field(pattern=r"^[a-z0-9_]{1,32}$", description="Name in the registry of model formats.")
    modality: str = Field("", max_length=16, description="DICOM modality, empty for any.")
    labels: int | None = Field(None, ge=1, description="Structures that it finds; null if its publisher does not say.")
    version: str = Field("", max_length=32)
    url: str = Field(max_length=500)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="null: nobody published it.")
    sha1: str | None = Field(None, pattern="^[0-9a-f]{40}$", description="Checked if it is all that is published.")
    bytes: int | None = Field(None, ge=1)
    licence: str = Field(min_length=1, max_length=120, description="SPDX name where there is one.")
    licence_url: str = Field("", max_length=500)
    accept_licence: bool = Field(False, description="True if it must be accepted, whatever its name is.")
    homepage: str = Field("", max_length=500)
    citation: str = Field("", max_length=500)
    task: str = Field("", max_length=64, description="The publisher's own name or number.")
    cannot_run: str = Field("", max_length=300, description="Why MedAI cannot run it; empty if it should.")
    tags: tuple[str, ...] = Field((), max_length=16)

    @field_validator("url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        try:
            return check_url(value)
        except ModelError as error:
            raise ValueError(error.message) from None

    @property
    def vouched(self) -> str:
        """Who says that the file is the right one, for people."""
        if self.sha256:
            return "its SHA-256 is checked"
        if self.sha1:
            return (
                "its SHA-1 is checked (weak, but all that is published); its SHA-256 is recorded at the first install"
            )
        return "only the secure connection vouches for it; the first install records its SHA-256"


class Catalogue(Settings):
    """The whole file."""

    schema_version: Literal[1] = 1
    sources: tuple[str, ...] = Field((), description="Where addresses and checksums are from.")
    entries: tuple[CatalogueEntry, ...] = ()

    @model_validator(mode="after")
    def _ids_are_distinct(self) -> Catalogue:
        ids = [entry.id for entry in self.entries]
        if twice := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"two entries share the id {twice[0]!r}")
        return self


def load_catalogue(root: Path | None = None) -> tuple[CatalogueEntry, ...]:
    """Return the entries that come with MedAI, then those of ``catalogue.json`` in the user's models' folder.

    Parameters
    ----------
    root : Path, optional
        The user's models' folder; only what comes with MedAI if not given.

    Raises
    ------
    ManifestError
        If the user's file has wrong values (each key is named) or an id that is taken.
    """
    entries = _read(FILE).entries
    own = root / USER_FILE if root is not None else None
    if own is None or not own.exists():
        return entries
    added = _read(own).entries
    taken = {entry.id for entry in entries} & {entry.id for entry in added}
    if taken:
        raise ManifestError(
            f"The catalogue {USER_FILE} in the models' folder has the id {min(taken)!r}, which MedAI's own has too.",
            hint="Choose another id.",
        )
    return entries + added


def _read(file: Path) -> Catalogue:
    try:
        return Catalogue.parse(load_json_file(file), where=file.name)
    except SettingsError as error:
        raise ManifestError(error.message, hint=error.hint) from None
