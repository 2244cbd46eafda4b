"""The one shape of every operation: ``run(value, settings, *, progress, cancel) -> value``."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

from .progress import CancelToken, ProgressFn, no_progress
from .registry import Member
from .settings import Settings

In = TypeVar("In")
Out = TypeVar("Out")


class Step(Member, Generic[In, Out]):
    """A registered operation from one immutable value to another.

    A subclass sets ``name``, ``title`` and ``Settings`` and implements :meth:`apply`.
    """

    def run(
        self,
        value: In,
        settings: Settings | dict[str, Any] | None = None,
        *,
        progress: ProgressFn = no_progress,
        cancel: CancelToken | None = None,
    ) -> Out:
        """Validate the settings and run the step.

        Parameters
        ----------
        value : Volume, LabelMap, ...
            Never changed.
        settings : dict or Settings, optional
            All defaults if not given.
        progress : callable
            Called as ``progress(fraction, message)``.
        cancel : CancelToken, optional
            Polled at least every second.

        Raises
        ------
        SettingsError
            If the settings are not valid.
        Cancelled
            If somebody asked to stop; nothing half-made is left.
        """
        parsed = self.Settings.parse(settings, where=self.name)
        token = cancel or CancelToken()
        token.check()
        result = self.apply(value, parsed, progress=progress, cancel=token)
        token.check()
        progress(1.0, self.title)
        return result

    @abstractmethod
    def apply(self, value: In, settings: Any, *, progress: ProgressFn, cancel: CancelToken) -> Out:
        """Do the work; ``settings`` is an instance of ``self.Settings``."""
