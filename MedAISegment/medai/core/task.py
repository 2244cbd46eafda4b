"""Tasks: functions that may be run by name in another process.

A task is a public function of a module inside ``medai``, named ``"medai.package.module:function"``, of the form
``f(inputs, settings, *, progress, cancel) -> dict``.  The name is all that crosses to the other process, and nothing
outside ``medai`` can be named.
"""

from __future__ import annotations

import errno
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import Cancelled, DependencyError, MedAIError, OutOfMemory, OutputError, SettingsError
from .progress import CancelToken, ProgressFn

TaskFn = Callable[..., dict[str, Any]]

_NAME = re.compile(r"medai(\.[a-z][a-z0-9_]*)+:[a-z][a-z0-9_]*")
_OUT_OF_MEMORY = (
    "bad_alloc", "bad allocation", "can't allocate memory", "failed to allocate memory", "not enough memory",
    "out of memory",
)  # fmt: skip


def find_task(name: str) -> TaskFn:
    """Return the function of a task.

    Raises
    ------
    SettingsError
        If the name is not that of a task inside ``medai``.
    DependencyError
        If its module needs a package that is missing.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r:.80} is not the name of a task.", hint="Expected medai.package.module:function.")
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise SettingsError(f"There is no task {name!r}: the module does not exist.") from None
        raise _missing_package(error) from error
    function = getattr(module, function_name, None)
    if not inspect.isfunction(function) or not function.__module__.startswith("medai."):
        raise SettingsError(f"There is no task {name!r}: the module has no such function.")
    if not {"progress", "cancel"} <= set(inspect.signature(function).parameters):
        raise SettingsError(f"{name!r} is a function, but not a task: it takes no progress and cancel.")
    return function


def run_task(
    name: str, inputs: Mapping[str, Any], settings: Mapping[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Run a task so that nothing but a :class:`MedAIError` or :class:`Cancelled` comes out.

    An unexpected exception becomes a :class:`MedAIError` of code ``INTERNAL``, whose ``__cause__`` it is; its message
    names the exception's type only, because other texts may hold patient data.

    Parameters
    ----------
    name : str
        See :func:`find_task`.
    inputs, settings : mapping
        What the task takes.
    progress, cancel
        Passed on to the task.
    """
    try:
        cancel.check()
        outputs = find_task(name)(inputs, settings, progress=progress, cancel=cancel)
        cancel.check()
        if not isinstance(outputs, dict):
            raise TypeError(f"a task returns a dict, not {type(outputs).__name__}")
        return outputs
    except (MedAIError, Cancelled):
        raise
    except (Exception, SystemExit) as error:
        raise translated(error, name) from error


def translated(error: BaseException, what: str) -> MedAIError:
    """Return the :class:`MedAIError` that stands for an exception of another kind.

    Parameters
    ----------
    error : BaseException
        What was caught.
    what : str
        Name of the task that failed, for the message.
    """
    if isinstance(error, MedAIError):
        return error
    if isinstance(error, ImportError):
        return _missing_package(error)
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY):
        return OutOfMemory(
            "There is not enough memory for this step.",
            hint="Close other programs, crop or coarsen the image, or choose a smaller patch.",
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return OutputError("A disk is full.", hint="Free some space on the output's and the temporary folder's disk.")
    return MedAIError(
        f"An unexpected error ({type(error).__name__}) stopped {what}.",
        hint="Nothing was changed. Please report this with the log.",
        code="INTERNAL",
    )


def _missing_package(error: ImportError) -> DependencyError:
    name = (error.name or "").partition(".")[0]
    return DependencyError(
        f"The package {name} is missing or does not work." if name else "A package is missing or does not work.",
        hint="Install or repair it.",
    )
