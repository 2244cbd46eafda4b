"""Which source file may import what: read from the syntax tree, so that nothing needs to be installed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# What Slicer's own Python always has (slicer.util itself works on numpy). The rest is ensured at the click that needs
# it, and `medai` with it, because it needs pydantic.
ALLOWED_AT_FILE_SCOPE = {"slicer", "vtk", "qt", "ctk", "numpy", "MedAISegmentLib", *sys.stdlib_module_names}
# `medai.core` may use these two at import; heavier packages are imported inside functions.
LIGHT = {"numpy", "pydantic", "medai", *sys.stdlib_module_names}


def imports(tree: ast.AST, *, file_scope: bool) -> Iterator[str]:
    """Top-level names of the packages that a file imports; with ``file_scope`` only what runs on import."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]
        for child in ast.iter_child_nodes(node):
            if file_scope and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if file_scope and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                pending.extend(child.orelse)
                continue
            pending.append(child)


def imported(path: Path, *, file_scope: bool = False) -> set[str]:
    return set(imports(ast.parse(path.read_text(encoding="utf-8"), str(path)), file_scope=file_scope))


@pytest.mark.parametrize(
    ("source", "file_scope", "expected"),
    [
        ("import torch.nn\n", True, {"torch"}),
        ("def f():\n    import torch\n", True, set()),
        ("def f():\n    import torch\n", False, {"torch"}),
        ("class A:\n    import torch\n", True, {"torch"}),
        ("try:\n    import torch\nexcept ImportError:\n    torch = None\n", True, {"torch"}),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import json\n", True, {"json"}),
        ("from . import a\nfrom .b import c\n", True, set()),
    ],
)
def test_the_reader_itself(source: str, file_scope: bool, expected: set[str]) -> None:
    assert set(imports(ast.parse(source), file_scope=file_scope)) == expected


def test_module_files_import_nothing_third_party_at_file_scope(module_files: list[Path]) -> None:
    helpers = [path for file in module_files for path in file.parent.glob("MedAI*Lib/*.py")]
    found = {path.name: imported(path, file_scope=True) - ALLOWED_AT_FILE_SCOPE for path in (*module_files, *helpers)}
    assert {name: names for name, names in found.items() if names} == {}


def test_slicer_and_vtk_only_in_the_scene_bridge(library_files: list[Path]) -> None:
    outside = [path for path in library_files if path.parent.name != "mrml" and "mrml" not in path.parts]
    assert [str(path) for path in outside if imported(path) & {"slicer", "vtk", "vtkmodules"}] == []
    assert len(outside) < len(library_files)


def test_nobody_in_the_library_imports_qt(library_files: list[Path]) -> None:
    names = {"qt", "ctk", "PySide6", "PyQt5", "PyQt6", "PythonQt", "qtpy"}
    assert [str(path) for path in library_files if imported(path) & names] == []


def test_core_is_light(library_files: list[Path]) -> None:
    core = [path for path in library_files if path.parts[path.parts.index("medai") + 1] == "core"]
    assert core
    heavy = {str(path): imported(path, file_scope=True) - LIGHT for path in core}
    assert {name: names for name, names in heavy.items() if names} == {}


def test_no_library_file_imports_a_test_or_a_module_file(library_files: list[Path]) -> None:
    names = {"pytest", "unittest", "hypothesis", "MedAISegment", "MedAIFeatures", "MedAIReport", "MedAISegmentLib"}
    assert [str(path) for path in library_files if imported(path) & names] == []
