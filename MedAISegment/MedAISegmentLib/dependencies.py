"""Python packages are ensured at the click that needs them, never when a module is loaded.

PyTorch comes only through the PyTorch extension, which picks the build that fits the computer; everything else goes
through ``slicer.packaging``, which asks the user first.  Slicer's own packages are protected by constraints.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import tempfile
from pathlib import Path

from slicer.i18n import tr as _

RESOURCES = Path(__file__).resolve().parent.parent / "Resources"
REQUIREMENTS = RESOURCES / "MedAISegmentRequirements.txt"
REQUIREMENTS_DEEP = RESOURCES / "MedAISegmentRequirementsDeep.txt"
REQUIREMENTS_ATLAS = RESOURCES / "MedAISegmentRequirementsAtlas.txt"
REQUIREMENTS_MODELS = RESOURCES / "MedAISegmentRequirementsModels.txt"
CONSTRAINTS = RESOURCES / "MedAISegmentConstraints.txt"
TORCH_RANGE = ">=2.6,<2.14"


class Declined(Exception):
    """The user did not want anything installed."""


def ensure(*, deep: bool = False, atlas: bool = False) -> None:
    """Make the library's packages importable, asking the user before anything is installed.

    Parameters
    ----------
    deep : bool
        PyTorch and MONAI are needed too.
    atlas : bool
        The brain template is needed too.

    Raises
    ------
    Declined
        If the user said no.
    medai.core.errors.DependencyError
        If a package is still missing afterwards.
    """
    _ensureListed(REQUIREMENTS)
    if deep:
        _ensureTorch()
        _ensureListed(REQUIREMENTS_DEEP)
    if atlas:
        _ensureListed(REQUIREMENTS_ATLAS)


def ensureExtras(names: tuple[str, ...]) -> None:
    """Make the packages importable that models of some formats need, asking the user before anything is installed.

    Parameters
    ----------
    names : tuple of str
        Import names, with or without a smallest version; what no requirement file lists is left alone.

    Raises
    ------
    Declined, medai.core.errors.DependencyError
        As :func:`ensure`.
    """
    wanted = {_distribution(name) for name in names}
    _ensureListed(REQUIREMENTS_MODELS, wanted)


def pinned(lines: list[str]) -> list[str]:
    """Return constraint lines with every package that is installed held at exactly its version.

    The shipped file names what must not move; which version that is, only this Slicer knows.
    """
    held = []
    for line in lines:
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        name = text.split("<")[0].split(">")[0].split("=")[0].split("!")[0].strip()
        try:
            held.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            held.append(text)
    return held


def _distribution(name: str) -> str:
    """Return the name under which a package is installed, from the one under which it is imported."""
    return name.split(">")[0].split("<")[0].split("=")[0].strip().replace("_", "-").lower()


def _ensureListed(file: Path, wanted: set[str] | None = None) -> None:
    """Ensure what a requirement file lists; only the packages ``wanted`` if given."""
    from medai.core.errors import DependencyError

    try:
        from slicer.packaging import load_requirements, pip_ensure
    except ImportError:
        raise DependencyError(
            _("This Slicer cannot install Python packages for MedAI."), hint=_("Use Slicer 5.12 or newer.")
        ) from None
    requirements = load_requirements(file)
    if wanted is not None:
        requirements = [item for item in requirements if _distribution(item.name) in wanted]
        if not requirements:
            return
    with tempfile.TemporaryDirectory(prefix="medai-") as folder:
        constraints = Path(folder) / "constraints.txt"
        held = pinned(CONSTRAINTS.read_text(encoding="utf-8").splitlines())
        constraints.write_text("\n".join(held) + "\n", encoding="utf-8")
        try:
            pip_ensure(requirements, constraints=constraints, requester="MedAI")
        except RuntimeError as error:  # what pip_ensure raises when the user declines
            raise Declined(str(error)) from None
        except Exception as error:
            raise DependencyError(
                _("Python packages that MedAI needs could not be installed ({kind}).").format(
                    kind=type(error).__name__
                ),
                hint=_("See the Python console for pip's output, check the network, and try again."),
            ) from error
    importlib.invalidate_caches()
    missing = [item.name for item in requirements if not _installed(item.name)]
    if missing:
        raise DependencyError(
            _("MedAI needs Python packages that are not installed: {names}.").format(names=", ".join(missing)),
            hint=_("Press Apply again and allow the installation."),
        )


def _ensureTorch() -> None:
    from medai.core.errors import DependencyError

    if importlib.util.find_spec("torch") is not None:
        return
    try:
        import PyTorchUtils
    except ImportError:
        raise DependencyError(
            _("The U-Net needs PyTorch, and Slicer's PyTorch extension is not installed."),
            hint=_("Install 'PyTorch' in the Extensions Manager and restart Slicer; thresholds work without it."),
        ) from None
    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH_RANGE)
    except Exception as error:
        raise DependencyError(
            _("PyTorch could not be installed ({kind}).").format(kind=type(error).__name__),
            hint=_("Open the module 'PyTorch Utils', install PyTorch there, and try again."),
        ) from error
    if torch is None:
        raise Declined("PyTorch")


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
