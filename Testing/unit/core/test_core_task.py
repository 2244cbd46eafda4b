"""medai.core.task: what may be named, and what may come out."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medai.core import selftest
from medai.core.errors import (
    Cancelled,
    DependencyError,
    InputError,
    MedAIError,
    OutOfMemory,
    OutputError,
    SettingsError,
)
from medai.core.progress import CancelToken, no_progress
from medai.core.task import find_task, run_task, translated


def test_a_task_is_found_by_its_name() -> None:
    assert find_task("medai.core.selftest:echo") is selftest.echo


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "medai.core.selftest",
        "medai.core.selftest:",
        "medai:echo",
        "medai.core.selftest:echo:x",
        "medai.core.selftest.echo",
        "medai.core.selftest:_echo",
        "medai.core._private:echo",
        "medai..core:echo",
        "medai.core.selftest:echo\n",
        "medai.core.selftest:echo()",
        "xmedai.core.selftest:echo",
        "medaix.core:echo",
        "",
        None,
        3,
        "x" * 10_000,
    ],
)
def test_what_is_no_name_of_a_task_is_refused(name: Any) -> None:
    with pytest.raises(SettingsError, match="is not the name of a task") as caught:
        find_task(name)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("medai.core.missing:echo", "the module does not exist"),
        ("medai.missing.tasks:echo", "the module does not exist"),
        ("medai.core.selftest:missing", "the module has no such function"),
        ("medai.core.selftest:os", "the module has no such function"),
        ("medai.core.provenance:metadata", "the module has no such function"),
        ("medai.core.errors:_x", "is not the name"),
        ("medai.core.atomic:contextmanager", "the module has no such function"),  # a function, but not ours
        ("medai.core.atomic:ensure_folder", "a function, but not a task"),
    ],
)
def test_what_is_no_task_is_refused(name: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        find_task(name)


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """Make a function a task for one test."""

    def put(function: Any) -> str:
        function.__module__ = "medai.core.selftest"
        monkeypatch.setattr(selftest, "defined", function, raising=False)
        return "medai.core.selftest:defined"

    return put


def run(name: str, cancel: CancelToken | None = None) -> dict[str, Any]:
    return run_task(name, {}, {}, progress=no_progress, cancel=cancel or CancelToken())


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (InputError("x"), InputError, "INPUT"),
        (MemoryError(), OutOfMemory, "OUT_OF_MEMORY"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemory, "OUT_OF_MEMORY"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), OutOfMemory, "OUT_OF_MEMORY"),
        (RuntimeError("itk::ERROR: Failed to allocate memory for image."), OutOfMemory, "OUT_OF_MEMORY"),
        (RuntimeError("std::bad_alloc"), OutOfMemory, "OUT_OF_MEMORY"),
        (ModuleNotFoundError("No module named 'monai'", name="monai.networks"), DependencyError, "DEPENDENCY"),
        (ImportError("libcudart.so"), DependencyError, "DEPENDENCY"),
        (ValueError("SECRET^JOHN"), MedAIError, "INTERNAL"),
        (FileNotFoundError(2, "No such file", "/data/SECRET/1.dcm"), MedAIError, "INTERNAL"),
        (OSError(28, "No space left", "/data/SECRET"), OutputError, "OUTPUT"),
        (SystemExit("SECRET"), MedAIError, "INTERNAL"),
        (RecursionError("SECRET"), MedAIError, "INTERNAL"),
    ],
)
def test_only_our_errors_come_out_and_they_tell_no_secret(
    define: Callable[[Any], str], error: BaseException, kind: type[MedAIError], code: str
) -> None:
    def task(inputs: Any, settings: Any, *, progress: Any, cancel: Any) -> dict[str, Any]:
        raise error

    with pytest.raises(MedAIError) as caught:
        run(define(task))
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert "SECRET" not in str(caught.value)
    assert caught.value is error or caught.value.__cause__ is error


def test_a_missing_package_is_named() -> None:
    error = translated(ModuleNotFoundError("x", name="monai.networks"), "t")
    assert error.message == "The package monai is missing or does not work."


@pytest.mark.parametrize("result", [None, [], 3, types.SimpleNamespace()])
def test_a_task_that_returns_no_dict_is_an_internal_error(define: Callable[[Any], str], result: Any) -> None:
    def task(inputs: Any, settings: Any, *, progress: Any, cancel: Any) -> Any:
        return result

    with pytest.raises(MedAIError) as caught:
        run(define(task))
    assert caught.value.code == "INTERNAL"


def test_a_task_whose_module_needs_a_missing_package(probe: Callable[[str], str]) -> None:
    # The missing package is called like the start of our own name.
    Path(sys.path[0], "medai", "probe", "needy.py").write_text("import med")
    with pytest.raises(DependencyError, match="The package med is missing"):
        find_task("medai.probe.needy:x")


def test_cancel_before_and_after_the_work(define: Callable[[Any], str]) -> None:
    token = CancelToken()

    def task(inputs: Any, settings: Any, *, progress: Any, cancel: CancelToken) -> dict[str, Any]:
        cancel.cancel()
        return {}

    with pytest.raises(Cancelled):
        run(define(task), token)
    with pytest.raises(Cancelled):
        run("medai.core.missing:x", token)  # not even looked for
