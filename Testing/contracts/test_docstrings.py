"""Public names of ``medai`` are documented, and what the docstrings say about parameters and errors is true."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
# The two arguments of every long step; documented once, in medai.core.progress.
COMMON = {"self", "cls", "progress", "cancel"}
SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)


@dataclass(frozen=True)
class Public:
    where: str
    node: FunctionNode | ast.ClassDef
    doc: str

    def section(self, title: str) -> str | None:
        found = list(SECTION.finditer(self.doc))
        for index, match in enumerate(found):
            if match[1] == title:
                end = found[index + 1].start() if index + 1 < len(found) else len(self.doc)
                return self.doc[match.end() : end]
        return None

    def documented_names(self) -> list[str]:
        text = self.section("Parameters") or ""
        names: list[str] = []
        for line in re.findall(r"^([*\w][^\n:]*?)(?: :.*)?$", text, re.MULTILINE):
            names += [name.strip(" *") for name in line.split(",")]
        return names


def public(tree: ast.Module, where: str) -> Iterator[Public]:
    pending: list[tuple[str, ast.AST]] = [(where, tree)]
    while pending:
        prefix, parent = pending.pop()
        for node in ast.iter_child_nodes(parent):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith("_"):
                continue
            decorators = {ast.unparse(item) for item in node.decorator_list}
            if decorators & {"overload", "typing.overload", "override"} or any(".setter" in d for d in decorators):
                continue
            name = f"{prefix}:{node.name}"
            yield Public(name, node, ast.get_docstring(node) or "")
            if isinstance(node, ast.ClassDef):
                pending.append((name, node))


def parameters(node: FunctionNode) -> set[str]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {item.arg for item in every if item is not None} - COMMON


@pytest.fixture(scope="module")
def names(library_files: list[Path], repo: Path) -> list[Public]:
    found: list[Public] = []
    for path in library_files:
        if path.name.startswith("_") and path.name != "__init__.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        found += public(tree, str(path.relative_to(repo)))
    return found


def test_every_module_says_what_it_is(library_files: list[Path]) -> None:
    without = [
        str(path) for path in library_files if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert without == []


def test_every_public_name_is_documented(names: list[Public]) -> None:
    assert len(names) > 100
    assert [item.where for item in names if not item.doc] == []


def test_documented_parameters_exist(names: list[Public]) -> None:
    """Nowhere does a Parameters section name what the function does not take."""
    wrong = []
    for item in names:
        if isinstance(item.node, ast.ClassDef):
            continue
        stale = set(item.documented_names()) - COMMON - parameters(item.node)
        wrong += [f"{item.where}: {name}" for name in sorted(stale)]
    assert wrong == []


@pytest.fixture(scope="module")
def api(names: list[Public], library_files: list[Path], repo: Path) -> list[Public]:
    """What users and other layers call: names that a package's ``__init__`` offers, and ``medai.core``'s own files."""
    offered: set[str] = set()
    for path in library_files:
        if path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("medai.")):
                offered |= {alias.name for alias in node.names}
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                offered.add(node.name)
    core = re.compile(r"MedAISegment/medai/core/\w+\.py:")
    found = [item for item in names if core.match(item.where) or item.where.split(":")[1] in offered]
    assert len(found) > 60
    return found


def test_interfaces_document_their_parameters(api: list[Public]) -> None:
    """Three or more parameters: a Parameters section that names each, or a link to the place that has it."""
    sections = {
        item.where.rsplit(":", 1)[1] for item in api if item.section("Parameters") and item.where.count(":") > 1
    }
    missing = []
    for item in api:
        if isinstance(item.node, ast.ClassDef) or ":meth:" in item.doc or ":func:" in item.doc:
            continue
        own = parameters(item.node)
        if item.section("Parameters") is not None:
            missing += [f"{item.where}: {name}" for name in sorted(own - set(item.documented_names()))]
        elif len(own) >= 3 and not (item.where.count(":") > 1 and item.where.rsplit(":", 1)[1] in sections):
            missing.append(item.where)
    assert missing == []


def test_interfaces_document_their_errors(api: list[Public], repo: Path) -> None:
    """A function that raises one of our errors itself says so in its text, or links to the place that does."""
    tree = ast.parse((repo / "MedAISegment/medai/core/errors.py").read_text(encoding="utf-8"))
    errors = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    silent = []
    for item in api:
        if isinstance(item.node, ast.ClassDef) or ":meth:" in item.doc or ":func:" in item.doc:
            continue
        raised = {
            node.exc.func.id
            for node in ast.walk(item.node)
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
        }
        silent += [f"{item.where}: {name}" for name in sorted(raised & errors) if name not in item.doc]
    assert silent == []
