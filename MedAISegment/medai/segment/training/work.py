"""The work folder of a training: what is needed to go on after a stop, held by one training at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from medai.core.atomic import PREFIX, ensure_folder, write_text
from medai.core.errors import InputError, OutputError, SettingsError
from medai.core.file_lock import try_lock
from medai.core.settings import load_json_file

from .export import pretty
from .folds import SPLIT_FILE, Split
from .recipe import Recipe

STATE, RECIPE, LOG, EVENTS, MEASURED, LOCK = (
    "state.pt", "recipe.json", "log.csv", "tensorboard", "measured", "training.lock",
)  # fmt: skip
KNOWN = (STATE, RECIPE, SPLIT_FILE, LOG, EVENTS, MEASURED, LOCK)
"""Everything that a training puts there; nothing else is ever removed."""
# Texts for people, and threads that only prepare samples: a training goes on with others.
FREE = (("description",), ("id",), ("optimiser", "workers"))
_BEYOND = 1 << 30  # Windows forbids others to read the byte that is locked


@dataclass(frozen=True)
class Work:
    """An open work folder."""

    folder: Path

    @property
    def state(self) -> Path:
        """The checkpoint."""
        return self.folder / STATE

    @property
    def started(self) -> bool:
        """True if there is a checkpoint to go on from."""
        return self.state.is_file()


def default_work(out: str | Path) -> Path:
    """Return the usual work folder of a model folder: ``OUT.training`` beside it."""
    target = Path(out).absolute()
    return target.parent / f"{target.name}.training"


@contextmanager
def opened(folder: str | Path, recipe: Recipe, split: Split) -> Iterator[Work]:
    """Hold a work folder: make it, or find what a stopped training left in it.

    On leaving, a folder without a checkpoint is removed; call :func:`remove` when the model is complete.

    Raises
    ------
    InputError
        If it holds a training with another recipe or another split.
    OutputError
        If another training uses it, it holds something else, or it cannot be written to.
    """
    path = Path(folder)
    _require_ours(path)
    ensure_folder(path)
    stream = _locked(path)
    try:
        work = Work(path)
        for left in path.glob(f"{PREFIX}*"):
            left.unlink(missing_ok=True)  # half a checkpoint, from a kill while it was written
        if work.started:
            _require_same(path, recipe, split)
        write_text(path / RECIPE, pretty(recipe.to_dict()))
        split.write(path / SPLIT_FILE)
        yield work
    except BaseException:
        stream.close()
        if not (path / STATE).is_file():
            remove(path)
        raise
    finally:
        stream.close()


def remove(folder: str | Path) -> None:
    """Remove what a training put into its work folder, and the folder if nothing else is in it."""
    path = Path(folder)
    for name in KNOWN:
        part = path / name
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
    try:
        path.rmdir()
    except OSError:
        pass  # something of the user's is in it, or a second training that waits


def _require_ours(path: Path) -> None:
    try:
        strange = sorted(p.name for p in path.iterdir() if p.name not in KNOWN and not p.name.startswith(PREFIX))
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"The work folder {path.name!r} cannot be used: {error.strerror}.") from error
    if strange:
        raise OutputError(
            f"The work folder {path.name!r} holds something else: {strange[0]!r}.",
            hint="Choose a new folder, or one that a stopped training left.",
        )


def _locked(path: Path) -> BinaryIO:
    try:
        stream = open(path / LOCK, "ab+", buffering=0)  # noqa: SIM115 (open as long as the training runs)
    except OSError as error:
        raise OutputError(f"The work folder {path.name!r} cannot be written to: {error.strerror}.") from error
    if not try_lock(stream, _BEYOND):
        stream.close()
        raise OutputError(
            f"Another training uses the work folder {path.name!r}.",
            hint="Wait until it is done, or choose another folder.", code="BUSY",
        )  # fmt: skip
    return stream


def _require_same(path: Path, recipe: Recipe, split: Split) -> None:
    hint = "Give the same ones to go on; delete the folder to start again, or choose another."
    if not (path / RECIPE).is_file() or not (path / SPLIT_FILE).is_file():
        return  # a bare checkpoint: its own fingerprint says whether it belongs to this training
    try:
        old = load_json_file(path / RECIPE)
        before = Split.read(path / SPLIT_FILE)
    except SettingsError as error:
        raise InputError(f"The work folder {path.name!r} is damaged: {error.message}", hint=hint) from None
    changed = _differences(old, recipe.to_dict())
    if changed:
        raise InputError(
            f"The work folder {path.name!r} holds a training with another recipe; different: {', '.join(changed[:5])}.",
            hint=hint,
        )
    if (before.training, before.held_back) != (split.training, split.held_back):
        raise InputError(f"The work folder {path.name!r} holds a training with another split of the cases.", hint=hint)


def _differences(old: Any, new: Any, where: tuple[str, ...] = ()) -> list[str]:
    """Return the paths of the values that differ and that the weights depend on."""
    if where in FREE or old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            path
            for key in sorted({*old, *new})
            for path in _differences(old.get(key), new.get(key), (*where, key))
        ]  # fmt: skip
    return [".".join(where)]
