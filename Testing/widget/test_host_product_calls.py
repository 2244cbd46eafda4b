"""What PySide6 allows and PythonQt does not, and the stand-in cannot see at run time: looked for in the source.

PythonQt's C++ methods take no keyword arguments, and enum members are reached through the class, not through the enum.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*ROOT.glob("MedAI*/MedAI*.py"), *ROOT.glob("MedAI*/MedAI*Lib/**/*.py")])


def dotted(node):
    """`qt.QMessageBox.Ok` as a list of names; what is not a plain chain of names begins with ''."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    names.append(node.id if isinstance(node, ast.Name) else "")
    return names[::-1]


def complaints(source):
    """What would not work in Slicer, as (line, reason)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            names = dotted(node.func)
            of_qt = names[0] in ("qt", "ctk") or "ui" in names[:-1]
            if of_qt and node.keywords:
                found.append((node.lineno, f"{'.'.join(names)} gets a keyword argument"))
            if names[-1] == "exec" and len(names) > 1:
                found.append((node.lineno, "exec() is called exec_() in Slicer"))
        if isinstance(node, ast.Attribute):
            names = dotted(node)
            if names[0] == "qt" and len(names) > 3:
                found.append((node.lineno, f"{'.'.join(names)} goes through the name of an enum"))
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [getattr(node, "module", None) or "", *[alias.name for alias in node.names]]
            if any(module.split(".")[0] in ("PySide6", "PyQt5", "PyQt6", "medai_host") for module in modules):
                found.append((node.lineno, "imports a binding of Qt that Slicer has not"))
    return found


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("qt.QPushButton(text='x')", 1),
        ("self.ui.box.setRange(minimum=1, maximum=2)", 1),
        ("qt.QMessageBox.StandardButton.Ok", 1),
        ("dialog.exec()", 1),
        ("from PySide6 import QtWidgets", 1),
        ("import medai_host.modules", 1),
        ("qt.QMessageBox.Ok | qt.Qt.AlignLeft; self.ui.box.setRange(1, 2); exec('1'); slicer.util.f(a=1)", 0),
    ],
)
def test_the_search_finds_what_it_looks_for(source, count):
    assert len(complaints(source)) == count


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_slicer_face_uses_qt_as_pythonqt_has_it(path):
    assert complaints(path.read_text(encoding="utf-8")) == []


def test_there_are_files_to_look_at():
    assert {"MedAISegment.py", "MedAIFeatures.py", "MedAIReport.py"} <= {path.name for path in FILES}
