"""medai.core.registry: row 49 of the bad inputs; a new member is one file."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medai.core.errors import DependencyError, SettingsError
from medai.core.registry import Member, Registry, Unavailable, missing_reason

_numbers = itertools.count()
GOOD = """
from medai.core.registry import Member
class {cls}(Member):
    name = "{name}"
    title = "{name}"
    requires = {requires}
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry[Member]]:
    """Write a package of member files and return a registry over it."""

    def build(**files: str) -> Registry[Member]:
        package = f"members_{next(_numbers)}"
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        return Registry("filter", package, Member)

    monkeypatch.syspath_prepend(tmp_path)
    return build


def member(name: str, requires: tuple[str, ...] = ()) -> str:
    return GOOD.format(cls=name.title(), name=name, requires=requires)


def test_a_new_file_is_a_new_member(make: Callable[..., Registry[Member]]) -> None:
    registry = make(b_file=member("beta"), a_file=member("alpha"))
    assert registry.names() == ["alpha", "beta"]
    assert [cls.name for cls in registry.classes()] == ["alpha", "beta"]
    assert registry.get("beta").title == "beta"
    assert registry.create("beta").name == "beta"
    assert registry.unavailable() == []


def test_nothing_is_imported_before_it_is_asked_for(make: Callable[..., Registry[Member]]) -> None:
    registry = make(one="raise RuntimeError('imported')")
    assert registry.package not in sys.modules
    assert registry.names() == []


def test_private_files_bases_and_foreign_classes_are_no_members(make: Callable[..., Registry[Member]]) -> None:
    registry = make(
        _private=member("hidden"),
        base="from medai.core.registry import Member\nclass Base(Member):\n    pass\n",
        user=member("real") + "from medai.core.step import Step\nclass Other:\n    name = 'other'\n",
    )
    assert registry.names() == ["real"]


def test_an_alias_is_not_a_second_member(make: Callable[..., Registry[Member]]) -> None:
    assert make(one=member("real") + "Alias = Real\n").names() == ["real"]


def test_two_members_of_one_name_are_a_programming_error(make: Callable[..., Registry[Member]]) -> None:
    with pytest.raises(RuntimeError, match="two filters are called 'same'"):
        make(one=member("same"), two=member("same")).names()


def test_a_missing_package_is_a_reason_and_no_import_error(make: Callable[..., Registry[Member]]) -> None:
    registry = make(one=member("good"), two=member("needy", ("no_such_package",)))
    assert registry.names() == ["good"]
    assert registry.unavailable() == [Unavailable("needy", "the package no_such_package is not installed")]
    with pytest.raises(DependencyError, match="The filter 'needy' is not available: the package no_such_package"):
        registry.get("needy")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("raise OSError('libcudart.so: cannot open shared object file')", "OSError: libcudart.so"),
        ("import numpy; numpy.no_such_name", "AttributeError"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_imported_takes_no_other_away(
    make: Callable[..., Registry[Member]], text: str, words: str
) -> None:
    registry = make(one=member("good"), broken=text)
    assert registry.names() == ["good"]
    (found,) = registry.unavailable()
    assert found.name == "broken"
    assert words in found.reason
    with pytest.raises(DependencyError, match="The filter 'broken' is not available"):
        registry.get("broken")


def test_an_unknown_name_lists_the_known_ones(make: Callable[..., Registry[Member]]) -> None:
    with pytest.raises(SettingsError, match="There is no filter called 'x'") as caught:
        make(one=member("good")).get("x")
    assert caught.value.hint == "Known: good."


@pytest.mark.parametrize(
    ("requirement", "reason"),
    [
        ("numpy", ""),
        ("numpy>=1.0", ""),
        ("numpy >= 1.26", ""),
        ("numpy>=99.1", r"the package numpy is too old: [\d.]+ is installed, 99.1 or newer is needed"),
        ("pytest>=8", ""),
        ("no_such_package>=1", "the package no_such_package is not installed"),
        ("no_such_package.inner", "the package no_such_package.inner is not installed"),
        ("json>=3", ""),  # in the standard library: no version to compare
        ("_pytest>=999", "the package _pytest is too old"),  # its distribution has another name
    ],
)
def test_requirements(requirement: str, reason: str) -> None:
    found = missing_reason(requirement)
    assert re.match(reason, found)
    assert bool(found) is bool(reason)


@pytest.mark.parametrize(
    ("installed", "wanted", "enough"),
    [
        ("2.10", "2.9", True),
        ("2.9", "2.10", False),
        ("2.0", "2", True),
        ("2", "2.0.0", True),
        ("2.6.1+cpu", "2.6", True),
        ("2.6.0rc1", "2.6", True),
        ("1.99.99", "2", False),
    ],
)
def test_versions_compare_as_numbers(
    monkeypatch: pytest.MonkeyPatch, installed: str, wanted: str, enough: bool
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: installed)
    assert (missing_reason(f"numpy>={wanted}") == "") is enough
