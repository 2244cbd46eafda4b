"""torchvision, if it is there and works: it is optional, and a build beside another PyTorch fails when it is loaded."""

from __future__ import annotations

import importlib
from types import ModuleType

from medai.core.errors import DependencyError

SLICER = (
    "In Slicer: install the extension 'PyTorch', open its module 'PyTorch Utils' and press the button that installs "
    "PyTorch; it fetches a torch and a torchvision that fit each other."
)


def torchvision_library() -> ModuleType:
    """Return the package ``torchvision`` with its detection models loaded and its compiled operators tried.

    Raises
    ------
    DependencyError
        If torch or torchvision is missing, or torchvision is broken: it raises while it is imported (a RuntimeError if
        its compiled part was built for another torch), or its operators are not there.  The hint says which release
        fits and how to get it in Slicer.
    """
    for name in ("torch", "torchvision"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise _broken(name, error) from error
            raise DependencyError(
                f"Mask R-CNN needs the package {name}, which is not installed.", hint=_hint()
            ) from None
        except Exception as error:
            raise _broken(name, error) from error
    import torch

    try:
        importlib.import_module("torchvision.models.detection")
        library = importlib.import_module("torchvision")
        # Some releases load without their compiled part and fail at the first box.
        box = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
        library.ops.nms(box, torch.ones(1), 0.5)
        library.ops.roi_align(torch.ones(1, 1, 4, 4), [box], output_size=1)
    except Exception as error:
        raise _broken("torchvision", error) from error
    return library


def missing_reason() -> str:
    """Return why Mask R-CNN cannot be used here, or nothing if it can."""
    try:
        torchvision_library()
    except DependencyError as error:
        return str(error)
    return ""


def fitting_release(torch_version: str) -> str:
    """Return the torchvision release that belongs to a torch release, or nothing if that is not known.

    Both have come out together since torch 2.0 and torchvision 0.15, one minor release at a time.

    Examples
    --------
    >>> fitting_release("2.6.0+cpu")
    '0.21'
    """
    parts = torch_version.split("+")[0].split(".")
    if len(parts) < 2 or parts[0] != "2" or not parts[1].isdigit():
        return ""
    return f"0.{int(parts[1]) + 15}"


def _broken(name: str, error: BaseException) -> DependencyError:
    first = str(error).strip().split("\n")[0][:120]
    return DependencyError(
        f"The installed package {name} does not work ({type(error).__name__}: {first.rstrip('.')}).", hint=_hint()
    )


def _hint() -> str:
    try:
        import torch

        version = torch.__version__
    except Exception:
        return f"pip install torch torchvision, both of one source. {SLICER}"
    fitting = fitting_release(version)
    wanted = f"torchvision {fitting}.*" if fitting else "the torchvision of the same date"
    return f"torch {version} goes with {wanted}, and both must be CPU builds or both CUDA builds. {SLICER}"
