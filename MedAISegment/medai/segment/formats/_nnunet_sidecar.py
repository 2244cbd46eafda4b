"""medai.json: what people may add to a model folder of nnU-Net, which says little about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from medai.core.errors import ManifestError, SettingsError
from medai.core.settings import Settings, load_json_file

from ..anatomy import color_of
from ..manifest import CodeEntry, LabelEntry

FILE = "medai.json"


class LabelNote(Settings):
    """More about one label; what is not given stays as nnU-Net has it."""

    label: int = Field(ge=1, le=65535)
    name: str | None = Field(None, min_length=1, max_length=64)
    color: tuple[float, float, float] | None = Field(None, description="Red, green, blue from 0 to 1.")
    category: CodeEntry | None = None
    type: CodeEntry | None = None


class Sidecar(Settings):
    """The whole of medai.json."""

    use: str = Field("", max_length=240, description="Trainer's folder to use where there are several.")
    id: str = Field("", pattern=r"^([a-z0-9][a-z0-9-]{0,62})?$")
    title: str = Field("", max_length=120)
    version: str = Field("1.0.0", pattern=r"^\d+\.\d+\.\d+$")
    summary: str = ""
    intended_use: str = ""
    limits: tuple[str, ...] = ()
    training_data: str = ""
    licence: str = ""
    citation: str = ""
    modality: str = Field("", max_length=16, description="DICOM modality of the images.")
    orientation: str = Field("", pattern="^([LRPAIS]{3})?$", description="In which I, J, K of the training files grow.")
    labels: tuple[LabelNote, ...] = Field((), max_length=4096)


def read_sidecar(folders: tuple[Path, ...]) -> tuple[Sidecar, Path | None]:
    """Return the first medai.json of the folders, or an empty one.

    Raises
    ------
    ManifestError
        If it has wrong values; each key is named.
    """
    for folder in folders:
        file = folder / FILE
        if file.is_file():
            try:
                found = Sidecar.parse(load_json_file(file, where=FILE), where=FILE)
            except SettingsError as error:
                raise ManifestError(error.message, hint=error.hint) from None
            if found.orientation and sorted("LRPAIS".index(c) // 2 for c in found.orientation) != [0, 1, 2]:
                raise ManifestError(
                    f"{FILE}.orientation must name each of L/R, P/A, I/S once, given {found.orientation!r}."
                )
            return found, file
    return Sidecar(), None


def label_entries(names: dict[int, str], sidecar: Sidecar) -> tuple[LabelEntry, ...]:
    """Return the labels with colours and codes.

    Raises
    ------
    ManifestError
        If medai.json speaks of a label that the model has not.
    """
    notes = {note.label: note for note in sidecar.labels}
    unknown = sorted(set(notes) - set(names))
    if unknown:
        raise ManifestError(f"{FILE}.labels names the label {unknown[0]}, which the model has not.")
    entries = []
    for label, name in names.items():
        values: dict[str, Any] = {"label": label, "name": name, "color": color_of(label)}
        if label in notes:
            values.update({k: v for k, v in notes[label].model_dump().items() if v is not None})
        entries.append(LabelEntry.parse(values, where=f"label {label}"))
    return tuple(entries)
