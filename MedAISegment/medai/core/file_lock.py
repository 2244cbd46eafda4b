"""The system's lock on an open file; it is freed when the process that holds it ends, however it ends."""

from __future__ import annotations

import sys
from typing import BinaryIO

if sys.platform == "win32":

    def try_lock(stream: BinaryIO, offset: int = 0) -> bool:
        """Lock a file for this process if nobody holds it, and tell whether that worked.

        Parameters
        ----------
        stream : binary stream
            Open for writing; the lock lasts until it is closed.
        offset : int
            The byte that stands for the lock.  Windows forbids others to read it, so choose one beyond any text.
        """
        import msvcrt

        try:
            stream.seek(offset)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
            stream.seek(0)
        except OSError:
            return False
        return True

else:

    def try_lock(stream: BinaryIO, offset: int = 0) -> bool:
        """Lock a file for this process if nobody holds it, and tell whether that worked.

        Parameters
        ----------
        stream : binary stream
            Open for writing; the lock lasts until it is closed.
        offset : int
            Only Windows locks single bytes.
        """
        import fcntl

        try:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
