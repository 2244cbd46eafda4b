"""What an installation of this project may bring."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = "medai-extension"
# `shap` needs the distribution `slicer`, whose import package overwrites Slicer's own.
FORBIDDEN = {"shap", "slicer"}

pytestmark = pytest.mark.usefixtures("installed_with_pip")


def chains() -> dict[str, tuple[str, ...]]:
    """Every distribution that our package with all its extras needs, each with the chain that brings it."""
    extras = tuple(metadata.metadata(OURS).get_all("Provides-Extra") or ())
    found: dict[str, tuple[str, ...]] = {}
    seen: set[tuple[str, str]] = set()
    pending: list[tuple[str, str, tuple[str, ...]]] = [(OURS, extra, (OURS,)) for extra in ("", *extras)]
    while pending:
        name, extra, chain = pending.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for line in lines:
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            child = canonicalize_name(requirement.name)
            found.setdefault(child, (*chain, child))
            pending += [(child, wanted, (*chain, child)) for wanted in ("", *sorted(requirement.extras))]
    return found


def test_nothing_brings_shap() -> None:
    found = chains()
    assert "numpy" in found
    assert "torch" in found, "extras are walked"
    assert {name: " -> ".join(found[name]) for name in FORBIDDEN & set(found)} == {}


def test_requirements_are_ranges() -> None:
    """An exact pin would fight with the versions that Slicer bundles."""
    lines = metadata.requires(OURS) or []
    assert lines
    assert [line for line in lines if re.search(r"===?(?!\s*['\"])", line.split(";")[0])] == []
    assert [line for line in lines if not Requirement(line).specifier and Requirement(line).name != OURS] == []


def test_no_requirement_is_an_address() -> None:
    assert [line for line in metadata.requires(OURS) or [] if Requirement(line).url] == []
