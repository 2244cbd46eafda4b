"""Which models there are, for the panel: those that can be used, and the others with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _


@dataclass(frozen=True)
class ModelEntry:
    """One line of the list of models.

    Parameters
    ----------
    id, title : str
        The library's name for it (a folder's name if its manifest cannot be read), and the name for people.
    info : ModelInfo, optional
        What the library knows of it; None if its manifest cannot be read.
    reason : str
        Why it cannot be used at all; empty if it can.
    needs : tuple of str
        Import names of packages that must be installed before it can run.
    own : bool
        The user has added it, so it can be removed.
    """

    id: str
    title: str
    info: Any
    reason: str
    needs: tuple[str, ...]
    own: bool

    @property
    def hasAtlas(self) -> bool:
        """Whether the atlas tells where its structure lies."""
        return (
            self.info is not None and self.info.manifest.region is not None and bool(self.info.manifest.region.mni152)
        )

    @property
    def hasSides(self) -> bool:
        """Whether a box for it is on the left or on the right."""
        return self.info is not None and self.info.manifest.region is not None


def modelEntries() -> list[ModelEntry] | None:
    """Return every model of the store, usable ones first; None if the packages that read them are not installed yet."""
    try:
        from medai.segment.models import ModelStore
    except ImportError:
        return None
    store = ModelStore()
    entries = []
    for model in store.list():
        reason, needs = _format(model.manifest.format)
        entries.append(ModelEntry(model.id, model.title, model, reason, needs, store.is_own(model)))
    own = {path.name for path in store.user.glob("*")} if store.user.is_dir() else set()
    for folder, reason in store.broken().items():
        entries.append(ModelEntry(folder, folder, None, reason, (), folder in own))
    return sorted(entries, key=lambda entry: bool(entry.reason))


def originOf(entry: ModelEntry) -> str:
    """Return where a model comes from, for people."""
    return _("added by you") if entry.own else _("comes with MedAI")


def _format(name: str) -> tuple[str, tuple[str, ...]]:
    """Return why models of a format cannot be used, and the packages that are missing for it."""
    from medai.core.registry import missing_reason
    from medai.segment.formats import FORMATS

    found = {cls.name: cls for cls in FORMATS.classes()}
    if name not in found:
        broken = {item.name: item.reason for item in FORMATS.unavailable()}
        return broken.get(name) or _("its format {name} is not known").format(name=repr(name)), ()
    return "", tuple(package for package in found[name].requires if missing_reason(package))
