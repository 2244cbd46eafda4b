"""Loading a file from the internet: resumed where it broke, checked, stopped within two seconds, never half there."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medai.core.atomic import ensure_folder
from medai.core.errors import ChecksumError, ModelError
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress

from .hashing import hash_file
from .lock import held
from .request import Interrupted, check_url, failed
from .staging import explained
from .stream import POLL_SECONDS, Stream

_LARGEST = 16 << 30


@dataclass(frozen=True)
class Patience:
    """How often a broken connection is tried again; a try that brought something starts the count anew."""

    tries: int = 6
    first_pause: float = 0.5
    longest_pause: float = 10.0


def download(
    url: str,
    folder: Path,
    *,
    bytes: int | None = None,
    sha256: str | None = None,
    sha1: str | None = None,
    patience: Patience | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """Load a file and return its path in ``folder``; it is complete and checked.

    The name comes from the URL alone, so the next call for the same URL goes on where this one broke.  The server must
    confirm by its ETag or date that the file is still the same; otherwise it is loaded from the start.

    Parameters
    ----------
    url : str
        https; http only from this computer.
    folder : Path
        Where the parts and the file lie; made if missing.
    bytes, sha256, sha1 : optional
        What the file must be; without checksum only TLS vouches for it.

    Raises
    ------
    ModelError
        Code INTERRUPTED: no connection after all tries; what was loaded is kept.  Code DOWNLOAD: another try would not
        help (no such file, no valid certificate, an address that is not safe); nothing is kept.
    ChecksumError
        If the size or a checksum is another; what was loaded is removed.
    OutputError
        If it cannot be stored, or another run loads it right now.
    Cancelled
        If somebody asked to stop; what was loaded is removed.
    """
    token = cancel or CancelToken()
    check_url(url)
    ensure_folder(folder)
    key = hashlib.sha256(url.encode("utf-8")).hexdigest()[:24]
    part = _Part(folder / f"{key}.part", folder / f"{key}.json", url)
    with held(folder, key, "this download"):
        loading = _Loading(url, part, bytes, sub_progress(progress, 0.0, 0.95), token)
        try:
            loading.run(patience or Patience())
            checking = sub_progress(progress, 0.95, 1.0)
            for kind, wanted in (("sha256", sha256), ("sha1", sha1)):
                found = hash_file(part.path, kind=kind, progress=checking, cancel=token) if wanted else wanted
                if found != wanted:
                    raise ChecksumError(
                        f"The file that was loaded has {kind.upper()} {found}, expected {wanted}.",
                        hint="It was removed. Try again; if it stays so, do not use this source.",
                    )
            target = folder / f"{key}.file"
            part.path.replace(target)
            part.remove()
        except OSError as error:
            part.remove()
            raise explained(error, "The model cannot be stored") from None
        except ModelError as error:
            if error.code != "INTERRUPTED":
                part.remove()
            raise
        except BaseException:
            part.remove()
            raise
    progress(1.0, "loaded")
    return target


@dataclass
class _Part:
    """What was loaded so far, and what the server said it was."""

    path: Path
    facts: Path
    url: str

    def resumable(self) -> tuple[int, str]:
        """Return how many bytes are there, and the validator that the server gave; 0 if they are of no use."""
        try:
            known = json.loads(self.facts.read_text("utf-8"))
            size, validator = self.path.stat().st_size, known["validator"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0, ""
        usable = known.get("url") == self.url and isinstance(validator, str) and validator and validator.isascii()
        return (size, validator) if usable and size and validator.isprintable() else (0, "")

    def start(self, validator: str) -> None:
        """Forget what is there; the file's next bytes are its first."""
        self.path.write_bytes(b"")
        self.facts.write_text(json.dumps({"url": self.url, "validator": validator}), encoding="utf-8")

    def remove(self) -> None:
        for path in (self.path, self.facts):
            try:
                path.unlink(missing_ok=True)
            except OSError:
                pass  # the error that led here matters more


class _Loading:
    def __init__(self, url: str, part: _Part, size: int | None, progress: ProgressFn, token: CancelToken) -> None:
        self.url, self.part, self.size, self.progress, self.token = url, part, size, progress, token
        self.host = urllib.parse.urlsplit(url).hostname or ""
        self.total: int | None = size
        self.done = 0
        self.begun = time.monotonic()

    def run(self, patience: Patience) -> None:
        left, pause = patience.tries, patience.first_pause
        furthest = 0
        while True:
            try:
                return self._once()
            except Interrupted as error:
                # Counted from the furthest point: a server that always breaks off early is not asked for ever.
                if self.done > furthest:
                    left, pause, furthest = patience.tries, patience.first_pause, self.done
                left -= 1
                if left <= 0:
                    kept = f" {self.done / 1e6:.1f} MB are kept, the next try goes on there." if self.done else ""
                    raise ModelError(
                        f"The file cannot be loaded: {error}.",
                        hint=f"Check the connection and try again.{kept}",
                        code="INTERRUPTED",
                    ) from None
                self._say(f"{error}; trying again")
            self._wait(pause)
            pause = min(2 * pause, patience.longest_pause)

    def _once(self) -> None:
        offset, validator = self.part.resumable()
        headers = {"Range": f"bytes={offset}-", "If-Range": validator} if offset else {}
        stream = Stream(self.url, headers, self.host)
        try:
            status, answer = stream.begin(self.token)
            if status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._forget()
                raise Interrupted(f"{self.host} has less than was loaded before")
            offset = self._check_answer(status, answer, offset)
            self.done = offset
            counted, moment = offset, time.monotonic()
            with open(self.part.path, "ab") as sink:
                while block := stream.next(self.token):
                    self.done += len(block)
                    if self.done > min(self.total or _LARGEST, _LARGEST):
                        raise self._wrong_size(f"more than {self.total or _LARGEST}")
                    sink.write(block)
                    self._report(self.done - counted, time.monotonic() - moment)
        finally:
            stream.close()
        if self.total is not None and self.done < self.total:
            raise Interrupted(f"the connection to {self.host} broke after {self.done} of {self.total} bytes")
        self.part.facts.unlink(missing_ok=True)

    def _check_answer(self, status: int, answer: Any, offset: int) -> int:
        """Return at which byte the answer begins, with the file's size known if the server says it."""
        if answer.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise failed(f"{self.host} sends the file in another encoding than asked for")
        if answer.get_content_type() == "text/html":
            raise failed(
                f"{self.host} sends a web page instead of the file", "A log-in page or a proxy may be in between."
            )
        length = answer.get("Content-Length")
        length = int(length) if length is not None and length.isdecimal() else None
        if status == http.client.PARTIAL_CONTENT:
            begin, total = _content_range(answer.get("Content-Range", ""))
            if begin != offset:
                self._forget()
                raise Interrupted(f"{self.host} sends another part than asked for")
        else:
            offset, total = 0, length
            etag, date = answer.get("ETag", ""), answer.get("Last-Modified", "")
            # A weak ETag does not promise the same bytes (RFC 9110, 13.1.5).
            self.part.start(etag if etag and not etag.startswith("W/") else date)
        if total is not None:
            if (self.size is not None and total != self.size) or total > _LARGEST:
                raise self._wrong_size(str(total))
            self.total = total
        return offset

    def _forget(self) -> None:
        self.part.remove()
        self.done = 0

    def _wrong_size(self, found: str) -> ChecksumError:
        wanted = f"{self.size}" if self.size is not None else f"{self.total or _LARGEST} at most"
        return ChecksumError(
            f"{self.host} sends a file of {found} bytes, expected {wanted}.", hint="Do not use this source."
        )

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.token.check()
            time.sleep(min(left, POLL_SECONDS))

    def _report(self, received: int, seconds: float) -> None:
        if not self.total:
            return self._say(f"{self.done / 1e6:.1f} MB loaded")
        text = f"{self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB"
        if seconds > 1.0 and received:
            rest = (self.total - self.done) * seconds / received
            text += f", {rest:.0f} s left" if rest < 90 else f", {rest / 60:.0f} min left"
        self._say(text)

    def _say(self, text: str) -> None:
        self.progress(min(1.0, self.done / self.total) if self.total else 0.0, text)


def _content_range(text: str) -> tuple[int, int | None]:
    """Return the first byte and the whole size of ``bytes 5-9/10``; -1 if the text is not like that."""
    unit, _, rest = text.partition(" ")
    span, _, total = rest.partition("/")
    begin = span.partition("-")[0]
    if unit.strip().lower() != "bytes" or not begin.isdecimal():
        return -1, None
    return int(begin), int(total) if total.isdecimal() else None
