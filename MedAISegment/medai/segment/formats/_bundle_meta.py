"""What a bundle's metadata.json says for people: names of channels and labels, use, licence, references."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..manifest import Description
from ._nnunet_sidecar import Sidecar

_MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR", "PET": "PT", "PT": "PT", "US": "US", "CBCT": "CT"}
_LICENCES = (
    ("Apache License", "Apache-2.0"),
    ("MIT License", "MIT"),
    ("Attribution-NonCommercial-ShareAlike 4.0", "CC-BY-NC-SA-4.0"),
    ("Attribution-NonCommercial 4.0", "CC-BY-NC-4.0"),
    ("Attribution-ShareAlike 4.0", "CC-BY-SA-4.0"),
    ("Attribution 4.0 International", "CC-BY-4.0"),
)
"""Words near the beginning of a licence's text -> its SPDX name."""
LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "docs/LICENSE")


class Metadata:
    """metadata.json; what is missing or of another type counts as empty.

    Parameters
    ----------
    values : dict
        The file's.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def text(self, key: str) -> str:
        """Return a text in one line, at most 2000 characters."""
        value = self.values.get(key)
        return " ".join(value.split())[:2000] if isinstance(value, str) else ""

    @property
    def version(self) -> str:
        """Version, ``0.0.0`` if it is not three numbers."""
        match = re.match(r"\d+\.\d+\.\d+", self.text("version"))
        return match.group() if match else "0.0.0"

    @property
    def modality(self) -> str:
        """DICOM modality of the first image, empty if not known."""
        return _MODALITIES.get(str(self._image("inputs").get("modality", "")).upper(), "")

    def channels(self, which: str) -> Any:
        """Return the number of channels of the input or output as it is written, None if it is not."""
        return self._image(which).get("num_channels")

    def channel_names(self, which: str, count: int) -> list[str]:
        """Return names of the input's or output's channels, empty where there is none.

        Parameters
        ----------
        which : {"inputs", "outputs"}
        """
        named = self._image(which).get("channel_def")
        found = named if isinstance(named, dict) else {}
        return [_clean(found.get(str(n))) for n in range(count)]

    def description(self, folder: Path, sidecar: Sidecar, limits: list[str]) -> Description:
        """Return the part of the manifest that is for people."""
        references = self.values.get("references")
        texts = [r for r in references if isinstance(r, str)] if isinstance(references, list) else []
        title = sidecar.title or self.text("name") or self.text("task") or folder.name
        source = ". ".join(filter(None, (self.text("data_source"), self.text("image_classes"))))
        return Description(
            title=title[:120] or "Bundle",
            summary=sidecar.summary or self.text("description") or "A MONAI bundle without a description.",
            intended_use=sidecar.intended_use or self.text("intended_use") or "Not stated by its makers.",
            limits=(
                *sidecar.limits,
                *limits,
                "Validated by its makers at most; MedAI knows nothing about its accuracy.",
            ),
            training_data=sidecar.training_data or source or "Not stated by its makers.",
            licence=sidecar.licence or licence_of(folder) or self._licence(),
            citation=sidecar.citation or " ".join(" ".join(t.split()) for t in texts)[:4000],
            modality=sidecar.modality or self.modality,
        )

    def _licence(self) -> str:
        copyright_ = self.text("copyright")
        return f"Not stated in the bundle ({copyright_[:150]})." if copyright_ else "Not stated in the bundle."

    def _image(self, which: str) -> dict[str, Any]:
        entry: Any = self.values.get("network_data_format")
        for key in (which, None):
            if not isinstance(entry, dict):
                return {}
            entry = entry.get(key) if key else next(iter(entry.values()), None)
        return entry if isinstance(entry, dict) else {}


def licence_of(folder: Path) -> str:
    """Return the SPDX name of the licence's text in a folder, or empty."""
    for name in LICENCE_FILES:
        try:
            with open(folder / name, encoding="utf-8", errors="replace") as stream:
                head = " ".join(stream.read(3000).split())
        except OSError:
            continue
        return next((spdx for words, spdx in _LICENCES if words.lower() in head.lower()), f"See {name}.")
    return ""


def label_names(names: list[str], labels: list[int]) -> dict[int, str]:
    """Return label -> name, distinct and never empty."""
    found: dict[int, str] = {}
    for name, label in zip(names, labels, strict=True):
        wanted = name or f"Label {label}"
        found[label] = wanted if wanted not in found.values() else f"{wanted[:50]} ({label})"
    return found


def slug(text: str) -> str:
    """Return a model's id made of a text."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-") or "bundle"


def _clean(value: Any) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in value).split()) if isinstance(value, str) else ""
    return text[:64].strip()
