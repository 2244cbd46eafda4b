"""What is to be installed: a folder, a file, an address, or an entry of the catalogue."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from medai.core.errors import ModelError
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress

from .archive import extract
from .catalogue import CatalogueEntry, load_catalogue
from .describe import locate, recognised
from .download import Patience, download
from .hashing import hash_file
from .licence import needs_acceptance, require_acceptance
from .origin import Origin, require_same
from .request import check_url
from .staging import explained

_ARCHIVES = {".zip", ".whl"}
_DOWNLOADS = ".downloads"


@dataclass(frozen=True)
class Source:
    """Where a model is to come from: one of the three is set."""

    path: Path | None = None
    url: str = ""
    entry: CatalogueEntry | None = None

    @property
    def downloaded(self) -> bool:
        """True if it is not on this computer yet."""
        return self.path is None


@dataclass(frozen=True)
class Fetched:
    """A model's folder or file that is on this computer, and where it came from."""

    path: Path
    origin: Origin
    private: bool
    """True if it is a temporary copy, whose files may be moved."""


def resolve(text: str, root: Path) -> Source:
    """Return what a text names: an existing path, an address, or an id of the catalogue.

    Raises
    ------
    ModelError
        If it names nothing, or an address that is not safe, or an entry that MedAI cannot run.
    """
    if "://" in text:
        return Source(url=check_url(text))
    path = Path(text).expanduser()
    if path.exists():
        if not path.is_dir() and not path.is_file():
            # A device or pipe would be read for ever.
            raise ModelError(f"{path.name!r} is neither a file nor a folder.")
        return Source(path=path)
    for entry in load_catalogue(root):
        if entry.id == text:
            if entry.cannot_run:
                raise ModelError(f"MedAI cannot run {entry.id!r}: {entry.cannot_run}", hint="It was not loaded.")
            return Source(url=entry.url, entry=entry)
    raise ModelError(
        f"There is nothing to install called {path.name!r}: no folder, no file, no entry of the catalogue.",
        hint="medai models catalogue lists the entries.",
    )


def fetch(
    source: Source,
    root: Path,
    work: Path,
    *,
    accepted: bool,
    trust: bool,
    patience: Patience | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken,
) -> Fetched:
    """Return the model as a folder or file on this computer: loaded and unpacked where needed.

    Parameters
    ----------
    root : Path
        The user's models' folder.
    work : Path
        An empty private folder on the same file system.
    accepted : bool
        True if the user accepts the licence now.
    trust : bool
        True if the user trusts an address that gives another file than before.

    Raises
    ------
    ModelError, ChecksumError, OutputError, Cancelled
        See :func:`download` and :func:`extract`; code LICENCE if a licence must be accepted first.
    """
    entry = source.entry
    if source.path is not None and source.path.is_dir():
        return Fetched(locate(source.path), Origin(kind="folder", name=source.path.resolve().name), private=False)
    if source.path is not None:
        file, sha256 = source.path, hash_file(source.path, progress=sub_progress(progress, 0, 0.2), cancel=cancel)
        origin = Origin(kind="file", name=file.name, sha256=sha256)
    else:
        if entry is not None and not accepted and _must_accept(entry):
            require_acceptance(root, entry.id, entry.licence)
        file = _load(source, root, work, patience, sub_progress(progress, 0, 0.7), cancel)
        sha256 = hash_file(file, cancel=cancel)
        checked = entry is not None and entry.sha256 is not None
        if not checked and not trust:
            require_same(root, source.url, sha256)
        vouched = entry.vouched if entry is not None else "only the connection vouches for it"
        origin = Origin(kind="catalogue" if entry else "url", name=source.url, sha256=sha256, vouched=vouched)
    if file.suffix.lower() in _ARCHIVES and recognised(file) is None:
        # Formats whose files have no name of their own call the model after the folder.
        folder = work / "unpacked" / (_plain(file.stem) or "model")
        folder.mkdir(parents=True)
        extract(file, folder, progress=sub_progress(progress, 0.7, 1.0), cancel=cancel)
        return Fetched(locate(folder), origin, private=True)
    return Fetched(file, origin, private=source.downloaded)


def _must_accept(entry: CatalogueEntry) -> bool:
    return entry.accept_licence or needs_acceptance(entry.licence, downloaded=True)


def _load(
    source: Source, root: Path, work: Path, patience: Patience | None, progress: ProgressFn, cancel: CancelToken
) -> Path:
    entry, folder = source.entry, root / _DOWNLOADS
    try:
        loaded = download(
            source.url,
            folder,
            bytes=entry.bytes if entry else None,
            sha256=entry.sha256 if entry else None,
            sha1=entry.sha1 if entry else None,
            patience=patience,
            progress=progress,
            cancel=cancel,
        )
        target = work / "loaded" / _file_name(source.url)
        target.parent.mkdir()
        return loaded.replace(target)
    except OSError as error:
        raise explained(error, "The model cannot be stored") from None
    finally:
        try:
            folder.rmdir()
        except OSError:
            pass  # it holds what the next try goes on with


def _file_name(url: str) -> str:
    return _plain(urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition("/")[2]) or "model.zip"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", name)[-120:].strip(".")
