"""``medai`` is one namespace package over three folders; nothing may break it, nothing may collide."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import medai.core
import medai.features
import medai.report

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")


def test_no_init_file_directly_in_medai(repo: Path) -> None:
    """One stray file would hide the other two portions."""
    strays = [module for module in MODULES if (repo / module / "medai" / "__init__.py").exists()]
    assert strays == []
    assert medai.__file__ is None
    assert len({Path(entry).resolve() for entry in medai.__path__}) >= 1


def test_every_folder_below_is_a_package(library_files: list[Path]) -> None:
    """A folder without ``__init__.py`` would be a second namespace that tools treat differently."""
    folders = {path.parent for path in library_files}
    assert sorted(str(folder) for folder in folders if not (folder / "__init__.py").is_file()) == []


def test_each_package_lives_in_one_module(repo: Path) -> None:
    counts = Counter(path.name for module in MODULES for path in (repo / module / "medai").iterdir() if path.is_dir())
    counts.pop("__pycache__", None)
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_path_occurs_in_two_modules(tracked: list[str]) -> None:
    """Slicer installs all modules into one folder: the second file would overwrite the first."""
    counts = Counter(
        path.split("/", 1)[1]
        for path in tracked
        if path.split("/", 1)[0] in MODULES and not path.endswith("CMakeLists.txt")
    )
    assert counts, "no module file in git"
    assert [path for path, count in counts.items() if count > 1] == []


def test_resources_carry_our_prefix(tracked: list[str]) -> None:
    """In Slicer's installed layout ``Resources/`` is shared by every extension's modules."""
    resources = [path.split("/", 1)[1] for path in tracked if path.startswith(MODULES) and "/Resources/" in path]
    assert resources, "no resource in git"
    shared = {"Resources", "UI", "Icons"}
    unprefixed = []
    for path in resources:
        first_own = next(part for part in path.split("/") if part not in shared)
        if not first_own.startswith("MedAI"):
            unprefixed.append(path)
    assert unprefixed == []
