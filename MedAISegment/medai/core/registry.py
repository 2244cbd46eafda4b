"""Registries filled by discovering one folder: a new member is one file, and no other file changes."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from .errors import DependencyError, SettingsError
from .settings import Settings


class Member(ABC):
    """Base of everything that lives in a registry.

    A member names itself, states its settings and the packages it needs.  Members import third-party packages inside
    their methods or at the top of their own file: both give "unavailable: reason" instead of an import error.
    """

    name: ClassVar[str] = ""
    """Machine name: lower case, never translated, for example ``gaussian``."""
    title: ClassVar[str] = ""
    """Name for people."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Import names of packages needed beyond numpy."""
    Settings: ClassVar[type[Settings]] = Settings

    @classmethod
    def unavailable_reason(cls) -> str:
        """Why this member cannot run here; empty if it can."""
        missing = [name for name in cls.requires if not _importable(name)]
        return f"the package {', '.join(missing)} is not installed" if missing else ""


M = TypeVar("M", bound=Member)


@dataclass(frozen=True)
class Unavailable:
    """A member that exists but cannot run here, and why."""

    name: str
    reason: str


class Registry(Generic[M]):
    """The members of one kind, found by importing every module of one package.

    Parameters
    ----------
    kind : str
        What a member is called in messages, for example ``segmenter``.
    package : str
        Import name of the folder to discover.
    base : type
        Class that members derive from; only classes with a ``name``, defined in the discovered file, count.
    """

    def __init__(self, kind: str, package: str, base: type[M]) -> None:
        self.kind = kind
        self.package = package
        self.base: Any = base
        self._members: dict[str, type[M]] | None = None
        self._broken: dict[str, str] = {}

    def _discover(self) -> dict[str, type[M]]:
        if self._members is None:
            members: dict[str, type[M]] = {}
            folder = importlib.import_module(self.package)
            for info in sorted(pkgutil.iter_modules(folder.__path__), key=lambda item: item.name):
                if info.name.startswith("_"):
                    continue
                try:
                    module = importlib.import_module(f"{self.package}.{info.name}")
                except ImportError as error:
                    self._broken[info.name] = f"it cannot be imported: {error}"
                    continue
                for value in vars(module).values():
                    if not (isinstance(value, type) and issubclass(value, self.base) and value.__module__ == module.__name__):
                        continue
                    if not value.name:
                        continue
                    if value.name in members:
                        raise RuntimeError(f"two {self.kind}s are called {value.name!r}")
                    members[value.name] = value
            self._members = members
        return self._members

    def names(self) -> list[str]:
        """Names of the members that can run here, sorted."""
        return sorted(name for name, cls in self._discover().items() if not cls.unavailable_reason())

    def unavailable(self) -> list[Unavailable]:
        """Members that cannot run here, each with its reason."""
        found = [Unavailable(name, reason) for name, reason in self._broken_after_discovery().items()]
        found += [Unavailable(n, c.unavailable_reason()) for n, c in self._discover().items() if c.unavailable_reason()]
        return sorted(found, key=lambda item: item.name)

    def _broken_after_discovery(self) -> dict[str, str]:
        self._discover()
        return self._broken

    def classes(self) -> Iterator[type[M]]:
        """Every discovered class, sorted by name, whether it can run here or not."""
        members = self._discover()
        return (members[name] for name in sorted(members))

    def get(self, name: str) -> type[M]:
        """Return the member called ``name``.

        Raises
        ------
        SettingsError
            If there is none of that name.
        DependencyError
            If it exists but cannot run here.
        """
        members = self._discover()
        if name not in members:
            if name in self._broken:
                raise DependencyError(f"The {self.kind} {name!r} is not available: {self._broken[name]}.")
            raise SettingsError(
                f"There is no {self.kind} called {name!r}.", hint=f"Known: {', '.join(sorted(members)) or 'none'}."
            )
        reason = members[name].unavailable_reason()
        if reason:
            raise DependencyError(
                f"The {self.kind} {name!r} is not available: {reason}.", hint="Install the missing package."
            )
        return members[name]

    def create(self, name: str) -> M:
        """Return a new instance of the member called ``name``; see :meth:`get`."""
        return self.get(name)()


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
