"""Registries filled by discovering one folder: a new member is one file, and no other file changes."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from .errors import DependencyError, SettingsError
from .settings import Settings


class Member(ABC):  # noqa: B024 (the registries' own bases add the abstract methods)
    """Base of everything that lives in a registry.

    A member names itself, states its settings and the packages it needs.  Members import third-party packages inside
    their methods or at the top of their own file: both give "unavailable: reason" instead of an import error.
    """

    name: ClassVar[str] = ""
    """Machine name: lower case, never translated, for example ``gaussian``."""
    title: ClassVar[str] = ""
    """Name for people."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Import names of packages needed beyond numpy, with a smallest version if it matters: ``"monai>=1.4"``."""
    Settings: ClassVar[type[Settings]] = Settings

    @classmethod
    def unavailable_reason(cls) -> str:
        """Why this member cannot run here; empty if it can."""
        return "; ".join(filter(None, map(missing_reason, cls.requires)))


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

    def __init__(self, kind: str, package: str, base: Any) -> None:
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
                except Exception as error:
                    # Not only ImportError: a half-installed torch raises OSError, one built for another numpy
                    # AttributeError.  One broken file must not take the others away.
                    self._broken[info.name] = f"it cannot be imported ({type(error).__name__}: {error})"
                    continue
                for cls in self._defined_in(module):
                    if members.setdefault(cls.name, cls) is not cls:
                        raise RuntimeError(f"two {self.kind}s are called {cls.name!r}")
            self._members = members
        return self._members

    def _defined_in(self, module: ModuleType) -> list[type[M]]:
        values: list[Any] = [value for value in vars(module).values() if isinstance(value, type)]
        own = [value for value in values if value.__module__ == module.__name__]
        return [value for value in own if issubclass(value, self.base) and value.name]

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


def missing_reason(requirement: str) -> str:
    """Why a package cannot be used; empty if it can.

    Parameters
    ----------
    requirement : str
        Import name, alone or with a smallest version: ``torch``, ``monai>=1.4``.  The package is not imported.
    """
    name, _, wanted = (part.strip() for part in requirement.partition(">="))
    if not _importable(name):
        return f"the package {name} is not installed"
    found = _installed_version(name) if wanted else None
    if found is not None and _numbers(found) < _numbers(wanted):
        return f"the package {name} is too old: {found} is installed, {wanted} or newer is needed"
    return ""


def _installed_version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        # The import name differs from the distribution's (skimage, scikit-image); this search is slow.
        owners = metadata.packages_distributions().get(name, [])
        return metadata.version(owners[0]) if owners else None


def _numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version, trailing zeros dropped: ``2.10.0rc1+cpu`` gives (2, 10)."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in match.group().split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
