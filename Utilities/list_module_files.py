#!/usr/bin/env python3
"""Write the file lists of the three modules' CMakeLists.txt from the files on disk.

Slicer installs exactly what ``MODULE_PYTHON_SCRIPTS`` and ``MODULE_PYTHON_RESOURCES`` name.  The lists stay static text
that CMake and a reader understand without this script; only the lines between two markers are rewritten.

    python Utilities/list_module_files.py            # rewrite
    python Utilities/list_module_files.py --check    # exit code 1 if a list and the disk differ
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")
END = "  # [end of list]"
LISTS = {"scripts": "  # [list: scripts]", "resources": "  # [list: resources]"}
IGNORED_NAMES = {"CMakeLists.txt", "__pycache__"}
IGNORED_SUFFIXES = {".pyc", ".pyo", ".orig", ".rej"}


def module_files(folder: Path) -> dict[str, list[str]]:
    """Return the POSIX paths of one module's scripts (``.py``) and resources (the rest), sorted, relative to it.

    Hidden files, byte code, editors' leftovers and ``CMakeLists.txt`` do not belong to a module.
    """
    found: dict[str, list[str]] = {"scripts": [], "resources": []}
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") or part in IGNORED_NAMES for part in relative.parts):
            continue
        if path.suffix in IGNORED_SUFFIXES or path.name.endswith("~"):
            continue
        found["scripts" if path.suffix == ".py" else "resources"].append(relative.as_posix())
    return {kind: sorted(paths, key=_order) for kind, paths in found.items()}


def _order(path: str) -> tuple[int, str]:
    # Files before folders, as a reader of the list expects; the same on every machine and locale.
    return (path.count("/") > 0, path)


def rewrite(text: str, files: dict[str, list[str]], where: str) -> str:
    """Return ``text`` with the lines between the markers replaced.

    Raises
    ------
    ValueError
        If a marker is missing, or a path holds a character that CMake would read as syntax.
    """
    for kind, begin in LISTS.items():
        odd = [path for path in files[kind] if set(path) & set(' ;|"\\$#()')]
        if odd:
            raise ValueError(f"{where}: CMake cannot list {odd[0]!r}; rename the file")
        head, found, rest = text.partition(begin + "\n")
        _, closed, tail = rest.partition(END + "\n")
        if not found or not closed:
            raise ValueError(f"{where}: the markers {begin.strip()!r} and {END.strip()!r} are missing")
        text = head + found + "".join(f"  {path}\n" for path in files[kind]) + closed + tail
    return text


def main(arguments: list[str] | None = None) -> int:
    """Rewrite or check the lists; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if a list is out of date")
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).resolve().parent.parent, help="root of the checkout"
    )
    options = parser.parse_args(arguments)
    stale = []
    for module in MODULES:
        target = options.root / module / "CMakeLists.txt"
        try:
            old = target.read_text(encoding="utf-8")
            new = rewrite(old, module_files(target.parent), f"{module}/CMakeLists.txt")
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            return 2
        if new == old:
            continue
        stale.append(module)
        if not options.check:
            target.write_bytes(new.encode("utf-8"))
    if stale and options.check:
        print(
            f"out of date: {', '.join(stale)}/CMakeLists.txt; run python Utilities/list_module_files.py",
            file=sys.stderr,
        )
        return 1
    print(f"rewritten: {', '.join(stale)}" if stale else "the lists match the files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
