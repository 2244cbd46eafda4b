"""The model store: which models are here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from medai.core.errors import ManifestError, MedAIError, ModelError

from .info import ModelInfo
from .reading import read_model
from .roots import shipped_roots

Models = list[ModelInfo]


class ModelStore:
    """Models in a list of folders, each model one sub-folder with a ``manifest.json``.

    Parameters
    ----------
    roots : iterable of path, optional
        The folders; the models that are shipped if not given.
    """

    def __init__(self, roots: Iterable[str | Path] | None = None) -> None:
        self.roots = [Path(r) for r in roots] if roots is not None else shipped_roots()

    def list(self) -> Models:
        """Return the valid models, sorted by id; see :meth:`broken` for the others."""
        return self._scan()[0]

    def broken(self) -> dict[str, str]:
        """Return folder name -> reason of every folder whose manifest cannot be used."""
        return self._scan()[1]

    def find(self, name: str) -> ModelInfo:
        """Return the model of an id, or of a folder's path.

        Raises
        ------
        ModelError
            If there is none.
        ManifestError
            If the folder's manifest cannot be used.
        """
        if "/" in name or "\\" in name or name in (".", "..") or Path(name).is_dir():
            return read_model(Path(name))
        models, broken = self._scan()
        for model in models:
            if model.id == name:
                return model
        if name in broken:
            raise ManifestError(broken[name])
        known = ", ".join(m.id for m in models) or "none"
        raise ModelError(f"There is no model called {name!r}.", hint=f"Known: {known}.")

    def _scan(self) -> tuple[Models, dict[str, str]]:
        found: dict[str, ModelInfo] = {}
        broken: dict[str, str] = {}
        for root in self.roots:
            for file in sorted(root.glob("*/manifest.json")):
                try:
                    model = read_model(file.parent)
                except MedAIError as error:
                    broken[file.parent.name] = str(error)
                else:
                    found.setdefault(model.id, model)
        return [found[key] for key in sorted(found)], broken
