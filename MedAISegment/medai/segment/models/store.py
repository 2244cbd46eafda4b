"""The model store: which models are here, and bringing, checking and removing them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from medai.core.errors import ManifestError, MedAIError, ModelError
from medai.core.progress import CancelToken, ProgressFn, no_progress

from .contents import entries, problems, size_on_disk
from .describe import describe
from .download import Patience
from .info import ModelInfo
from .install import Wishes, install
from .reading import read_model
from .removal import remove
from .roots import shipped_roots, user_root

Models = list[ModelInfo]
Texts = list[str]


class ModelStore:
    """Models in a list of folders, each model one sub-folder with a ``manifest.json``.

    Parameters
    ----------
    roots : iterable of path, optional
        The folders, the first one first; if not given, ``user`` and then those of the models that come with MedAI.
    user : path, optional
        Where models are installed; :func:`user_root` if not given.
    """

    def __init__(self, roots: Iterable[str | Path] | None = None, *, user: str | Path | None = None) -> None:
        self.user = user_root() if user is None else Path(user)
        if roots is None:
            self.roots = [self.user, *shipped_roots()]
        else:
            self.roots = [Path(r) for r in roots]
            if user is not None and self.user not in self.roots:
                self.roots.insert(0, self.user)

    def list(self) -> Models:
        """Return the valid models, sorted by id; see :meth:`broken` for the others."""
        return self._scan()[0]

    def broken(self) -> dict[str, str]:
        """Return folder name -> reason of every folder whose manifest cannot be used."""
        return self._scan()[1]

    def search(self, text: str) -> Models:
        """Return the models of which every word of ``text`` is in the id, title, summary, modality or a label."""
        return [model for model in self.list() if matches(text, words_of(model))]

    def find(self, name: str, *, cancel: CancelToken | None = None) -> ModelInfo:
        """Return the model of an id, or of a folder's or file's path.

        A path without ``manifest.json`` is described by the first format that recognises it, which reads its files.

        Raises
        ------
        ModelError
            If there is none.
        ManifestError
            If the folder's manifest cannot be used.
        DependencyError
            If a package that its format needs is missing.
        """
        if "/" in name or "\\" in name or name in (".", ".."):
            return describe(Path(name), cancel=cancel)
        models, broken = self._scan()
        for model in models:
            if model.id == name:
                return model
        if name and Path(name).exists():
            return describe(Path(name), cancel=cancel)
        if name in broken:
            raise ManifestError(broken[name])
        known = ", ".join(m.id for m in models) or "none"
        raise ModelError(f"There is no model called {name!r}.", hint=f"Known: {known}.")

    def install(
        self,
        source: str | Path,
        *,
        id: str | None = None,
        accept_licence: bool = False,
        trust: bool = False,
        replace: bool = False,
        patience: Patience | None = None,
        progress: ProgressFn = no_progress,
        cancel: CancelToken | None = None,
    ) -> ModelInfo:
        """Install a model among the user's; see :func:`medai.segment.models.install.install`.

        Parameters
        ----------
        source : str or path
            A folder, a file (zip, wheel, ONNX, TorchScript), an address, or an id of the catalogue.
        """
        shipped = [m.id for root in self.roots if root != self.user for m in ModelStore([root]).list()]
        wishes = Wishes(id, accept_licence, trust, replace)
        return install(
            str(source), self.user, wishes, shipped=shipped, patience=patience, progress=progress, cancel=cancel
        )

    def remove(self, id: str, *, cancel: CancelToken | None = None) -> None:
        """Remove a model of the user, or a folder of theirs whose manifest is broken.

        Raises
        ------
        ModelError
            If there is none of that id, or it comes with MedAI.
        OutputError
            If it cannot be removed.
        """
        for model in self._own():
            if model.id == id:
                return remove(model.folder, self.user, cancel=cancel)
        if id in ModelStore([self.user]).broken():
            return remove(self.user / id, self.user, cancel=cancel)
        if any(model.id == id for model in self.list()):
            raise ModelError(f"The model {id!r} comes with MedAI and cannot be removed.")
        raise ModelError(
            f"You have no model called {id!r}.", hint=f"Yours: {', '.join(m.id for m in self._own()) or 'none'}."
        )

    def verify(self, id: str, *, progress: ProgressFn = no_progress, cancel: CancelToken | None = None) -> Texts:
        """Return what is wrong with a model's files, one sentence each; nothing if all are as the manifest says.

        Raises
        ------
        ModelError
            If there is no such model.
        """
        model = self.find(id, cancel=cancel)
        return problems(model.folder, model.manifest, progress=progress, cancel=cancel or CancelToken())

    def disk_use(self, id: str) -> int:
        """Return how many bytes a model takes.

        Raises
        ------
        ModelError
            If there is no such model.
        """
        return self.size_of(self.find(id))

    def size_of(self, model: ModelInfo) -> int:
        """Return how many bytes a model takes; of one that lies elsewhere, the files that belong to it."""
        if model.folder.parent in self.roots:
            return size_on_disk(model.folder)
        return sum(entry.bytes for entry in entries(model.manifest).values())

    def is_own(self, model: ModelInfo) -> bool:
        """Tell whether a model is the user's and may be removed."""
        return model.folder.parent == self.user

    def _own(self) -> Models:
        return ModelStore([self.user]).list()

    def _scan(self) -> tuple[Models, dict[str, str]]:
        found: dict[str, ModelInfo] = {}
        broken: dict[str, str] = {}
        for root in self.roots:
            for file in sorted(root.glob("*/manifest.json")):
                if file.parent.name.startswith("."):
                    continue  # being replaced just now
                try:
                    model = read_model(file.parent)
                except MedAIError as error:
                    broken[file.parent.name] = str(error)
                else:
                    found.setdefault(model.id, model)
        return [found[key] for key in sorted(found)], broken


def words_of(model: ModelInfo) -> str:
    """Return the text in which a model is searched."""
    about = model.manifest.description
    labels = [label.name for label in model.manifest.labels]
    return " ".join([model.id, model.title, about.summary, about.modality, model.manifest.format, *labels])


def matches(text: str, within: str) -> bool:
    """Tell whether every word of ``text`` is in another text, whatever the case; ``_`` and ``-`` are spaces."""
    plain = within.casefold().replace("_", " ").replace("-", " ")
    return all(word in plain for word in text.casefold().replace("_", " ").replace("-", " ").split())
