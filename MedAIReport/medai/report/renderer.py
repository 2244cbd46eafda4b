"""What a renderer is: a report in, one file out."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from medai.core.atomic import atomic_path
from medai.core.registry import Member, Registry

from .model import Report


class Renderer(Member):
    """A rendering of a report.

    A subclass sets ``name``, ``title`` and ``suffix`` and implements :meth:`encode`.  It reads nothing but the report,
    shows each quantity's ``text`` as it is, and shows the banner on every page.
    """

    suffix: ClassVar[str] = ""
    """Of the file's name, for example ``.html``."""

    @abstractmethod
    def encode(self, report: Report) -> bytes:
        """Return the whole file.

        Raises
        ------
        ReportError
            If the report cannot be shown in this form.
        """

    def write(self, report: Report, path: str | Path) -> Path:
        """Write the file atomically and return its path.

        Raises
        ------
        OutputError
            If it cannot be written; an old file is unchanged then.
        ReportError
            If the report cannot be shown in this form.
        """
        target = Path(path)
        with atomic_path(target) as temporary:
            temporary.write_bytes(self.encode(report))
        return target


RENDERERS: Registry[Renderer] = Registry("renderer", "medai.report.renderers", Renderer)


def render(report: Report, name: str, path: str | Path) -> Path:
    """Write a report with the renderer called ``name`` and return the file's path.

    Parameters
    ----------
    report : Report
        The report; never changed.
    name : str
        A member of :data:`RENDERERS`.
    path : str or Path
        The file to write.

    Raises
    ------
    SettingsError
        If there is no such renderer.
    DependencyError
        If its package is missing.
    OutputError
        If the file cannot be written; an old file is unchanged then.
    """
    return RENDERERS.create(name).write(report, path)
