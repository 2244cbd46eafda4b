"""Reading an answer of a server so that Cancel never waits for it."""

from __future__ import annotations

import queue
import threading
from typing import Any

from medai.core.errors import Cancelled, ModelError
from medai.core.progress import CancelToken

from .request import Interrupted, send, translated

POLL_SECONDS = 0.2
_BLOCK = 1 << 18


class Stream:
    """An answer that a thread reads, so that Cancel need not wait for a name server, a proxy or a silent server.

    The thread only receives: nothing is written after the caller left.  It ends at the latest when the server has been
    silent for :data:`medai.segment.models.request.STALL_SECONDS`.
    """

    def __init__(self, url: str, headers: dict[str, str], host: str) -> None:
        self._items: queue.Queue[Any] = queue.Queue(maxsize=8)
        self._left = threading.Event()
        self._host = host
        threading.Thread(target=self._read, args=(url, headers), name="medai-download", daemon=True).start()

    def begin(self, token: CancelToken) -> tuple[int, Any]:
        """Return the status and the headers."""
        status, headers = self._take(token)
        return status, headers

    def next(self, token: CancelToken) -> bytes:
        """Return the next bytes; none at the end."""
        block: bytes = self._take(token)
        return block

    def close(self) -> None:
        """Leave: the thread ends by itself."""
        self._left.set()

    def _take(self, token: CancelToken) -> Any:
        while True:
            token.check()
            try:
                item = self._items.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            return item

    def _read(self, url: str, headers: dict[str, str]) -> None:
        try:
            with send(url, headers) as answer:
                self._put((answer.status, answer.headers))
                while block := answer.read1(_BLOCK):
                    self._put(block)
            self._put(b"")
        except Cancelled:
            return
        except (ModelError, Interrupted) as error:
            self._put_last(error)
        except Exception as error:
            self._put_last(translated(error, self._host))

    def _put(self, item: Any) -> None:
        while not self._left.is_set():
            try:
                return self._items.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
        raise Cancelled()

    def _put_last(self, error: Exception) -> None:
        try:
            self._put(error)
        except Cancelled:
            pass  # nobody listens any more
