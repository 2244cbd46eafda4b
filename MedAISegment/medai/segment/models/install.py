"""Installing a model: made in a private folder, checked, and published by one rename, or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from medai.core.errors import ChecksumError, ModelError
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.scratch import remove

from ..manifest import Manifest
from .contents import changed, entries, stage, with_entries
from .describe import MANIFEST, describe, needs_trust
from .download import Patience
from .info import ModelInfo
from .licence import needs_acceptance, record_acceptance, require_acceptance, text_digest
from .lock import held
from .origin import record_seen, write_origin
from .reading import read_model
from .source import Fetched, Source, fetch, resolve
from .staging import explained, staging
from .trust import record_trust, require_trust

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Wishes:
    """What the user said about an installation.

    Parameters
    ----------
    id : str, optional
        Another id than the model's own.
    accept_licence : bool
        The licence is accepted, which is recorded.
    trust : bool
        Files that carry a program, or are others than their manifest says, are trusted, which is recorded.
    replace : bool
        Another model under the same id is replaced.
    """

    id: str | None = None
    accept_licence: bool = False
    trust: bool = False
    replace: bool = False


def install(
    text: str,
    root: Path,
    wishes: Wishes | None = None,
    *,
    shipped: Collection[str] = (),
    patience: Patience | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> ModelInfo:
    """Install a model into ``root`` and return it; nothing is left behind if that fails.

    Parameters
    ----------
    text : str
        A folder, a file, an address, or an id of the catalogue.
    root : Path
        The user's models' folder; made if missing.
    shipped : collection of str
        Ids that come with MedAI: they are hidden by a model of the user only with ``replace``.

    Raises
    ------
    ModelError
        If it is no model, its id is taken, or (code LICENCE) its licence must be accepted first.
    ManifestError, ChecksumError, UnsafeModel, DependencyError
        If its description, its files or its format are refused.
    OutputError
        If it cannot be stored, or another run is installing it; the owner is named.
    Cancelled
        If somebody asked to stop.
    """
    told, token = wishes or Wishes(), cancel or CancelToken()
    if told.id is not None:
        _check_id(told.id)
    source = resolve(text, root)
    known = told.id or (source.entry.id if source.entry else None)
    with staging(root) as work, ExitStack() as stack:
        if known:
            stack.enter_context(_lock(root, known))
        fetched = fetch(
            source,
            root,
            work,
            accepted=told.accept_licence,
            trust=told.trust,
            patience=patience,
            progress=sub_progress(progress, 0.0, 0.8),
            cancel=token,
        )
        token.check()
        model = _named(describe(fetched.path, cancel=token), known, source)
        if not known:
            _check_id(model.id)
            stack.enter_context(_lock(root, model.id))
        if model.id in shipped and not told.replace:
            raise ModelError(
                f"A model with the id {model.id!r} comes with MedAI.",
                hint="Choose another with --id, or use --replace.",
            )
        new, final = work / "model", root / model.id
        new.mkdir()
        try:
            manifest, others = _fill(new, model, fetched, told, root, sub_progress(progress, 0.8, 0.98), token)
            asked = _licence_digest(new, manifest, source)
            if asked and not told.accept_licence:
                require_acceptance(root, manifest.id, manifest.description.licence, asked)
            is_there = _is_there(final, manifest, replace=told.replace)
            token.check()
            # From here on nothing stops but a disk that fails: what the user said is kept just before the model is.
            _record(root, manifest, others, asked, told)
            if source.downloaded and fetched.origin.sha256:
                record_seen(root, source.url, fetched.origin.sha256)
            if not is_there:
                _publish(new, final, work)
            done = read_model(final)
        except OSError as error:
            raise explained(error, "The model cannot be stored") from None
    progress(1.0, "installed")
    return done


def _fill(
    new: Path, model: ModelInfo, fetched: Fetched, told: Wishes, root: Path, progress: ProgressFn, token: CancelToken
) -> tuple[Manifest, list[str]]:
    """Put everything into the new folder; return the manifest in it and the files that were others than it said."""
    manifest, wanted = model.manifest, entries(model.manifest)
    if needs_trust(manifest.format) and not told.trust:
        for entry in manifest.weights:
            require_trust(entry.sha256, _called(manifest), root)
    actual = stage(model.folder, new, manifest, move=fetched.private, progress=progress, cancel=token)
    others = changed(wanted, actual)
    if others and not told.trust:
        found, stated = actual[others[0]], wanted[others[0]]
        raise ChecksumError(
            f"{others[0]} has {found.bytes} bytes and SHA-256 {found.sha256[:12]}..., its manifest says "
            f"{stated.bytes} bytes and {stated.sha256[:12]}....",
            hint="Get the model again; --trust takes it as it is, and that is recorded.",
        )
    if others:
        manifest = with_entries(manifest, actual)
    (new / MANIFEST).write_text(json.dumps(manifest.to_dict(), indent=2) + "\n", encoding="utf-8")
    write_origin(new, fetched.origin.model_copy(update={"trusted": bool(others)}))
    return manifest, others


def _licence_digest(new: Path, manifest: Manifest, source: Source) -> str:
    """Return the digest of the licence's text if it must be accepted; empty otherwise."""
    licence = manifest.description.licence
    forced = source.entry is not None and source.entry.accept_licence
    return text_digest(new, licence) if forced or needs_acceptance(licence, downloaded=source.downloaded) else ""


def _record(root: Path, manifest: Manifest, others: list[str], asked: str, told: Wishes) -> None:
    if asked and told.accept_licence:
        record_acceptance(root, manifest.id, manifest.version, manifest.description.licence, asked)
    named = entries(manifest)
    for path in others:
        record_trust(named[path].sha256, f"{manifest.id}: {path}, which is not as its manifest says", root)
    if told.trust and needs_trust(manifest.format):
        for entry in manifest.weights:
            record_trust(entry.sha256, _called(manifest), root)


def _called(manifest: Manifest) -> str:
    return f"the {manifest.format} model {manifest.id!r}"


def _named(model: ModelInfo, known: str | None, source: Source) -> ModelInfo:
    """Return the model under the id that was asked for, with what the catalogue knows better than its files."""
    change: dict[str, object] = {"id": known} if known else {}
    entry = source.entry
    if entry is not None:
        about = model.manifest.description
        better = {"title": entry.title, "licence": entry.licence, "citation": entry.citation or about.citation}
        better["modality"] = about.modality or entry.modality
        change["description"] = about.model_copy(update=better)
    if not change:
        return model
    manifest = Manifest.parse(model.manifest.model_copy(update=change).to_dict(), where="manifest")
    return ModelInfo(manifest.id, manifest.description.title, model.folder, manifest)


def _is_there(final: Path, manifest: Manifest, *, replace: bool) -> bool:
    """Tell whether this very model is installed already; refuse if another one is and shall not be replaced."""
    old = _old(final)
    if old.exists() and not final.exists():
        old.rename(final)  # a process was killed between the two renames of _publish
    if not final.exists() and not final.is_symlink():
        return False
    try:
        if not final.is_symlink() and read_model(final).manifest == manifest:
            return True
    except ModelError:
        pass  # what is there is broken: it may be replaced
    if not replace:
        raise ModelError(
            f"Another model is installed as {manifest.id!r}.",
            hint="Use --replace to replace it, or --id to install this one under another id.",
        )
    return False


def _publish(new: Path, final: Path, work: Path) -> None:
    old = _old(final)
    if not final.exists() and not final.is_symlink():
        new.rename(final)
        return
    remove(old)
    final.rename(old)
    try:
        new.rename(final)
    except OSError:
        old.rename(final)
        raise
    old.rename(work / "old")


def _old(final: Path) -> Path:
    return final.with_name(f".old-{final.name}")


def _lock(root: Path, name: str) -> AbstractContextManager[None]:
    return held(root, f"model-{name}", f"the model {name!r}")


def _check_id(name: str) -> None:
    if not ID.fullmatch(name) or name in _RESERVED:
        raise ModelError(
            f"{name!r:.80} cannot be a model's id.", hint="Use small letters, digits and hyphens, 63 at most."
        )
