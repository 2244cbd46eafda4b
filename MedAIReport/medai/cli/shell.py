"""What every command shares: progress bars, Ctrl-C, errors in one sentence, exit codes."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from medai.core.errors import Cancelled, InputError, MedAIError
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.redact import traceback_text
from medai.core.task import translated

RESEARCH_USE = "Research use only - not for diagnosis."
OK, COULD_NOT_START, SOME_FAILED = 0, 2, 3
_stopped = threading.Event()


@contextmanager
def bar(quiet: bool) -> Iterator[ProgressFn]:
    """Show a progress bar on standard error, unless ``quiet`` or standard error is not a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield no_progress
        return
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("starting", total=1.0)

        def progress(fraction: float, message: str = "") -> None:
            shown.update(task, completed=fraction, description=escape(message) or None)

        yield progress


def guarded(work: Callable[[CancelToken], Any], *, as_json: bool) -> Any:
    """Run a command's work; turn every error into one sentence and exit code 2.

    Ctrl-C asks the work to stop; a second one ends the program at once.  With ``as_json`` the error is written to
    standard output as ``{"error": {...}}``.
    """
    # What a library warns of goes to the log: people get results and sentences.
    logging.captureWarnings(True)
    token = CancelToken()
    before = signal.getsignal(signal.SIGINT)

    def stop(signum: int, frame: Any) -> None:
        token.cancel()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    signal.signal(signal.SIGINT, stop)
    try:
        return work(token)
    except Cancelled:
        _stopped.set()
        _fail({"type": "Cancelled", "code": "CANCELLED", "message": "Stopped.", "hint": ""}, as_json)
    except MedAIError as error:
        _fail(error.to_dict(), as_json)
    except OSError as error:
        # A name that is too long, a folder that may not be searched: even asking whether a path exists fails.
        reason = error.strerror or type(error).__name__
        _fail(InputError(f"A file or folder cannot be used: {reason}.", hint="Check the paths.").to_dict(), as_json)
    except Exception as error:
        logging.getLogger(__name__).debug("%s", traceback_text(error))
        _fail(translated(error, "the command").to_dict(), as_json)
    finally:
        signal.signal(signal.SIGINT, before)


def stopped() -> bool:
    """Tell whether a command of this process was stopped by Ctrl-C."""
    return _stopped.is_set()


def emit(value: Any) -> None:
    """Write JSON for programs to standard output; in ASCII, so that no terminal's encoding can refuse it."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def say(text: str = "") -> None:
    """Write a line for people to standard output; what its encoding lacks is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    text = _printable(text)
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _printable(text: str) -> str:
    # A control character in a name would move the terminal's cursor.
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def shown(value: float | None, digits: int) -> str:
    """Return a number for people, or ``-`` where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def _fail(error: dict[str, str], as_json: bool) -> None:
    import typer

    if as_json:
        emit({"error": error})
    else:
        text = f"medai: {error['message']}" + (f" {error['hint']}" if error["hint"] else "")
        encoding = sys.stderr.encoding or "utf-8"
        sys.stderr.write(_printable(text).encode(encoding, "backslashreplace").decode(encoding) + "\n")
    raise typer.Exit(COULD_NOT_START)
