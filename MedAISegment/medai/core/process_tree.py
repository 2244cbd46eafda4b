"""Ending a process with everything it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

REAP_SECONDS = 1.0


def new_group_arguments() -> dict[str, Any]:
    """Return the arguments of :class:`subprocess.Popen` that make the child the head of its own group.

    So Ctrl+C in a terminal reaches the owner only, and :func:`end_tree` can end what the child left behind.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def is_alive(process: psutil.Process) -> bool:
    """Return True unless the process has ended, also if nobody has asked for its exit status yet."""
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end_tree(child: subprocess.Popen[bytes], others: Iterable[psutil.Process] = ()) -> None:
    """End a child process, all its descendants and their descendants at once, and wait until they are gone.

    Parameters
    ----------
    child : Popen
        Started with :func:`new_group_arguments`, not waited for yet.
    others : iterable of psutil.Process
        More processes to end with theirs, for example one whose launcher is dead already.
    """
    import psutil

    victims: dict[int, psutil.Process] = {}
    roots = list(others)
    if child.returncode is None:
        try:
            roots.append(psutil.Process(child.pid))
        except psutil.NoSuchProcess:
            pass
    for root in roots:
        victims.update((process.pid, process) for process in _with_descendants(root))
    _kill_group(child)
    for process in victims.values():
        try:
            process.kill()
        except psutil.Error:
            pass
    # Not psutil.wait_procs: what is nobody's child any more may stay a zombie for ever where no init collects it.
    end = time.monotonic() + REAP_SECONDS
    while any(is_alive(process) for process in victims.values()) and time.monotonic() < end:
        time.sleep(0.01)
    try:
        child.wait(0.1)
    except subprocess.TimeoutExpired:
        pass  # stuck in the kernel; it dies as soon as it leaves it


def end_descendants() -> None:
    """End everything that this process started."""
    import psutil

    for process in _with_descendants(psutil.Process())[1:]:
        try:
            process.kill()
        except psutil.Error:
            pass


def _with_descendants(process: psutil.Process) -> list[psutil.Process]:
    import psutil

    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return [process]


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    # Only before the child is waited for: until then its number cannot belong to anybody else's group.
    if sys.platform == "win32" or child.returncode is not None:
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except OSError:
        pass  # the group is empty
