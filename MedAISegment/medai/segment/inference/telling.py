"""Progress of a run in windows, with the time that is left."""

from __future__ import annotations

import time

from medai.core.progress import ProgressFn


class Telling:
    """Counts passes and tells windows.

    Parameters
    ----------
    progress : callable
    windows, passes : int
        Windows of the run, and passes over each.
    """

    def __init__(self, progress: ProgressFn, windows: int, passes: int) -> None:
        self._progress, self.windows, self._passes = progress, windows, passes
        self._done, self._began = 0, time.monotonic()
        progress(0.0, "loading the network")

    def ready(self) -> None:
        """Time is counted from here: loading a network says nothing about the windows' time."""
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since :meth:`ready`, without pauses."""
        return time.monotonic() - self._began

    def pause(self, seconds: float) -> None:
        """Leave out time that the caller took."""
        self._began += seconds

    def tell(self, passes: int) -> None:
        """Count passes, and say which window the run is at."""
        self._done += passes
        total = self.windows * self._passes
        left = self.seconds / self._done * (total - self._done)
        window = min(-(-self._done // self._passes), self.windows)
        self._progress(self._done / total, f"window {window} of {self.windows}, {_about(left)} left")

    def finish(self) -> None:
        """Say that every window is done."""
        self._progress(1.0, f"window {self.windows} of {self.windows}")


def _about(seconds: float) -> str:
    if seconds < 60:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"
