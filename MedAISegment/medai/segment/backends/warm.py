"""Networks stay loaded between runs, and give their memory back when asked or when nobody used them for a while."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from medai.core.errors import ChecksumError, ManifestError, ModelError, OutOfMemory, UnsafeModel
from medai.core.progress import CancelToken

from ..inference.network import NetworkSource
from ..inference.options import InferenceOptions
from . import BACKENDS
from ._base import Session
from ._choose import Choice, choose

if TYPE_CHECKING:
    import torch

__all__ = ["IDLE_SECONDS", "MAX_SESSIONS", "Choice", "choose", "open_session", "release"]

MAX_SESSIONS = 8
"""Networks kept at a time: an ensemble of five folds, and a cascade's first stage."""
SPARE_BYTES = 2 * 2**30
"""With less free memory than this, networks of earlier runs are given back before another one is loaded."""
IDLE_SECONDS = 600.0
"""After this time without a window, everything is given back."""
POLL_SECONDS = 0.1

Key = tuple[Any, ...]


@dataclass
class _Kept:
    """A loaded network; only one thread at a time may run it."""

    session: Session
    seconds: float
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept: OrderedDict[Key, _Kept] = OrderedDict()
_lock = threading.RLock()
_last_use = time.monotonic()
_timer: threading.Timer | None = None


def open_session(
    source: NetworkSource,
    shape: tuple[int, ...],
    options: InferenceOptions,
    *,
    reduced: bool,
    dropout: bool = False,
    cancel: CancelToken,
) -> Session:
    """Return a network that is ready for batches of ``shape``; loaded only if it is not loaded yet.

    Parameters
    ----------
    source : NetworkSource
        The network; sessions are found again by its key.
    shape : tuple of int
        (B, C, K, J, I), or (B, C, J, I) for a 2D network.
    options : InferenceOptions
        Device, backend and precision that the user asked for.
    reduced : bool
        The model allows half precision.
    dropout : bool
        Keep dropout layers random.
    cancel : CancelToken
        Loading runs in a thread; after a cancel it goes on there to its next stage and is dropped.

    Returns
    -------
    Session
        May be used for as long as the caller keeps it, also after :func:`release`.  Its facts also say ``warm`` (found
        loaded), ``load_seconds`` and, where the first choice could not run the network, ``fallback`` with the reason.

    Raises
    ------
    DeviceError
        If a device, backend or precision was asked for that is not here; ``OutOfMemory`` if it has too little memory.
    ModelError
        If the network cannot be loaded or run.
    Cancelled
        If the user asked to stop.
    """
    cancel.check()
    choice = choose(options, source.kind, reduced, dropout=dropout)
    explicit = options.backend != "auto"
    key = (source.key, choice.backend, choice.device, choice.precision, tuple(shape), dropout, explicit)
    with _lock:
        kept = _kept.get(key)
        if kept is not None:
            _kept.move_to_end(key)
            _touch()
            return _Handle(kept, warm=True)
    _make_room()
    started = time.monotonic()
    session = _in_thread(lambda: _open(source, tuple(shape), choice, explicit, dropout, cancel), cancel)
    kept = _Kept(session, time.monotonic() - started)
    with _lock:
        kept = _kept.setdefault(key, kept)
        while len(_kept) > MAX_SESSIONS:
            _kept.popitem(last=False)
        _touch()
        _watch()
    return _Handle(kept, warm=False)


def release() -> int:
    """Give the memory of all kept networks back; those that are still in use go when their users are done.

    Returns
    -------
    int
        How many networks were kept.
    """
    with _lock:
        count = len(_kept)
        _kept.clear()
    _collect()
    return count


class _Handle(Session):
    """One user's hold on a kept network."""

    def __init__(self, kept: _Kept, *, warm: bool) -> None:
        self._kept, self._session = kept, kept.session.for_one_user()
        self.facts = {**kept.session.facts, "warm": warm, "load_seconds": 0.0 if warm else round(kept.seconds, 3)}

    @property
    def device(self) -> str:
        """Torch device of batches and results."""
        return self._session.device

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the network, one thread at a time; see :meth:`Session.__call__`."""
        with self._kept.lock:
            _touch()
            return self._session(batch)


def _open(
    source: NetworkSource, shape: tuple[int, ...], choice: Choice, explicit: bool, dropout: bool, cancel: CancelToken
) -> Session:
    def attempt(backend: str, precision: str) -> Session:
        opener = BACKENDS.create(backend)
        return opener.open(source, shape, device=choice.device, precision=precision, dropout=dropout, cancel=cancel)

    try:
        return attempt(choice.backend, choice.precision)
    except OutOfMemory:
        if not release():
            raise
        return attempt(choice.backend, choice.precision)
    except ModelError as error:
        if explicit or choice.second is None or isinstance(error, (ChecksumError, ManifestError, UnsafeModel)):
            raise  # what is wrong with the files is wrong for every library
        session = attempt(choice.second.backend, choice.second.precision)
        session.facts["fallback"] = error.message
        return session


def _in_thread(work: Callable[[], Session], cancel: CancelToken) -> Session:
    """Run ``work`` in a thread and wait for it; stop waiting when the user cancels."""
    result: list[Session] = []
    failure: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # raised again in the caller's thread
            failure.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="medai-load", daemon=True).start()
    while not done.wait(POLL_SECONDS):
        cancel.check()
    cancel.check()
    if failure:
        raise failure[0]
    return result[0]


def _make_room() -> None:
    """Forget networks, the one unused for longest first, while memory is short."""
    import psutil

    while _kept and psutil.virtual_memory().available < SPARE_BYTES:
        with _lock:
            if _kept:
                _kept.popitem(last=False)
        _collect()


def _touch() -> None:
    global _last_use
    _last_use = time.monotonic()


def _watch() -> None:
    """Start the timer if it does not run."""
    global _timer
    with _lock:
        if _timer is None:
            _timer = threading.Timer(max(_last_use + IDLE_SECONDS - time.monotonic(), POLL_SECONDS), _idle)
            _timer.daemon = True
            _timer.start()


def _idle() -> None:
    global _timer
    with _lock:
        _timer = None
        if time.monotonic() - _last_use < IDLE_SECONDS:
            if _kept:
                _watch()
            return
    release()


def _collect() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
