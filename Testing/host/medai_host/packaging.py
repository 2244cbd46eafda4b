"""slicer.packaging: says what is missing, records what was asked, installs nothing."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from medai_host.state import RECORD, PackageRequest


def load_requirements(path: Any) -> list[Requirement]:
    """The requirements of a requirements.txt; comments and pip's options are left out."""
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def _as_list(requirements: Any) -> list[Requirement]:
    if isinstance(requirements, Requirement):
        return [requirements]
    if isinstance(requirements, str):
        try:
            return [Requirement(requirements)]
        except InvalidRequirement:
            return [Requirement(part) for part in requirements.split()]
    if isinstance(requirements, list):
        return [Requirement(item) if isinstance(item, str) else item for item in requirements]
    raise TypeError(f"Requirements are a text, a Requirement or a list, not a {type(requirements).__name__}.")


def _is_met(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        installed = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(installed, prereleases=True)


def pip_check(req: Any) -> bool:
    """Whether this Python meets the requirements (extras are not looked into)."""
    return all(_is_met(requirement) for requirement in _as_list(req))


def pip_ensure(
    requirements: Any,
    constraints: Any = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> None:
    """Record the request. Slicer would install what is missing, but not while it runs tests."""
    _record(
        "pip_ensure",
        requirements,
        constraints=constraints,
        skip_packages=skip_packages,
        prompt_install=prompt_install,
        prompt_restart=prompt_restart,
        requester=requester,
        skip_in_testing=skip_in_testing,
        show_progress=show_progress,
    )


def pip_install(
    requirements: Any,
    constraints: Any = None,
    no_deps_requirements: Any = None,
    skip_packages: list[str] | None = None,
    blocking: bool = True,
    show_progress: bool = True,
    requester: str | None = None,
    parent: Any = None,
    logCallback: Any = None,
    completedCallback: Any = None,
) -> None:
    """Record the request."""
    if completedCallback is not None and blocking:
        raise ValueError("completedCallback is for blocking=False.")
    _record("pip_install", requirements, constraints=constraints, blocking=blocking, requester=requester)
    if completedCallback is not None:
        completedCallback(0)


def _record(function: str, requirements: Any, **options: Any) -> None:
    wanted = _as_list(requirements)
    missing = tuple(str(r) for r in wanted if not _is_met(r))
    if options.get("constraints") is not None and not Path(options["constraints"]).is_file():
        raise FileNotFoundError(f"The constraints file '{Path(options['constraints']).name}' does not exist.")
    RECORD.packages.append(PackageRequest(function, tuple(str(r) for r in wanted), missing, options))
