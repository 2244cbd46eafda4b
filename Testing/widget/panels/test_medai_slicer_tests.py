"""What CTest runs in Slicer, Testing/Python/*.py, runs here too."""

from __future__ import annotations

import importlib.util
import unittest

import pytest


def test_files_of_testing_python_pass(load_module, repo):
    for name in ("MedAISegment", "MedAIFeatures", "MedAIReport"):
        load_module(name)
    files = sorted((repo / "Testing" / "Python").glob("*.py"))
    assert files
    for file in files:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        suite = unittest.defaultTestLoader.loadTestsFromModule(module)
        assert suite.countTestCases() > 0
        outcome = unittest.TestResult()
        suite.run(outcome)
        for _case, trace in outcome.failures + outcome.errors:
            pytest.fail(trace)


def test_every_file_of_testing_python_is_registered(repo):
    text = (repo / "Testing" / "Python" / "CMakeLists.txt").read_text(encoding="utf-8")
    for file in (repo / "Testing" / "Python").glob("*.py"):
        assert f"slicer_add_python_unittest(SCRIPT {file.name})" in text
