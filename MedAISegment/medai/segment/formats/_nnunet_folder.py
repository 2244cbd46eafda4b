"""Where in a folder nnU-Net's models lie: a trainer's folder, a data set's folder, or what its export unpacks to."""

from __future__ import annotations

import re
from pathlib import Path

from medai.core.errors import ManifestError

PLANS, DATASET = "plans.json", "dataset.json"
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
"""Names of checkpoints, the better one first (the best one is that of the best epoch so far)."""
_FOLD = re.compile(r"fold_(\d{1,3}|all)")
_MOST = 1000


def trainer_folders(path: Path) -> list[Path]:
    """Return the folders below ``path`` that hold a trained model, at most two levels down, sorted.

    Only names of files are looked at; what cannot be read is not there.
    """
    if _is_trainer(path):
        return [path]
    children = _folders(path)
    found = [child for child in children if _is_trainer(child)]
    return found or [inner for child in children for inner in _folders(child) if _is_trainer(inner)]


def configuration_name(folder: Path) -> str:
    """Return the configuration that a trainer's folder is called after: ``TRAINER__PLANS__CONFIGURATION``."""
    return folder.name.rsplit("__", 1)[-1]


def sibling(folder: Path, configuration: str) -> Path:
    """Return the folder of another configuration of the same trainer and plans."""
    return folder.parent / "__".join([*folder.name.split("__")[:-1], configuration])


def choose(root: Path, use: str) -> Path:
    """Return the trainer's folder to use.

    Parameters
    ----------
    use : str
        Its name, if the folder's ``medai.json`` says; otherwise there must be one only, or a cascade's two stages.

    Raises
    ------
    ManifestError
        If there is none, or several; they are listed.
    """
    found = trainer_folders(root)
    names = [folder.relative_to(root).as_posix() for folder in found]
    if use:
        chosen = [f for f, name in zip(found, names, strict=True) if use in (name, f.name)]
        if len(chosen) == 1:
            return chosen[0]
        raise ManifestError(
            f"medai.json asks for the model {use!r:.120}, which is not there.", hint=f"There are: {_listed(names)}."
        )
    if not found:
        raise ManifestError(
            f"{root.name!r} holds no model of nnU-Net.",
            hint="A trainer's folder has plans.json, dataset.json and fold_0/checkpoint_final.pth.",
        )
    if len(found) == 2:
        stages = {configuration_name(folder): folder for folder in found}
        if set(stages) == {"3d_lowres", "3d_cascade_fullres"}:
            full = stages["3d_cascade_fullres"]
            if sibling(full, "3d_lowres") == stages["3d_lowres"]:
                return full
    if len(found) > 1:
        raise ManifestError(
            f"{root.name!r} holds {len(found)} models of nnU-Net: {_listed(names)}.",
            hint="Give the folder of one of them, or name it in medai.json: {\"use\": \"NAME\"}.",
        )  # fmt: skip
    return found[0]


def checkpoints(folder: Path) -> list[tuple[str, Path]]:
    """Return (fold, checkpoint) of every member of the ensemble.

    The numbered folds count, as for nnU-Net; ``fold_all`` only if there are none.  All members have the same kind of
    checkpoint.

    Raises
    ------
    ManifestError
        If there is no checkpoint that training finished or called the best.
    """
    folds = [child for child in _folders(folder) if _FOLD.fullmatch(child.name)]
    numbered = sorted((f for f in folds if f.name != "fold_all"), key=lambda f: int(f.name.removeprefix("fold_")))
    for group in (numbered, [f for f in folds if f.name == "fold_all"]):
        for name in CHECKPOINTS:
            found = [(fold.name, fold / name) for fold in group if (fold / name).is_file()]
            if found:
                return found[:64]
    raise ManifestError(f"{folder.name!r} has no fold with one of {', '.join(CHECKPOINTS)}.")


def _is_trainer(path: Path) -> bool:
    try:
        return (
            (path / PLANS).is_file()
            and (path / DATASET).is_file()
            and any(_FOLD.fullmatch(c.name) and any(c.glob("checkpoint_*.pth")) for c in _folders(path))
        )
    except OSError:
        return False


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))[:_MOST]
    except OSError:
        return []


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
