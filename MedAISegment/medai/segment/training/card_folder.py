"""Rewriting the card of a model folder from its stored files and from new assessments."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medai.core.atomic import atomic_path, ensure_folder, write_text
from medai.core.errors import InputError, ManifestError, OutputError, SettingsError
from medai.core.settings import load_json_file

from ..assessment.crossed import cross_validation
from ..assessment.result import FILE, Assessment, metrics_of
from ..assessment.write import PICTURES, write_json
from ..manifest import Manifest
from ..models.reading import read_model
from .card import model_card
from .recipe import Recipe

CARD = "MODEL_CARD.md"
FOLDS = "cross_validation.json"
PICTURE_FOLDER = "assessment"
_SCHEMA = "medai.cross-validation/1"


def rewrite_card(folder: str | Path, assessments: Sequence[str | Path] = ()) -> Path:
    """Write a model's card anew.

    The assessment of these weights is stored as ``assessment.json`` with its pictures below ``assessment/``, those of
    other weights as ``cross_validation.json``, and the manifest's ``metrics`` follow the assessment.  What is not given
    is taken from these files.

    Parameters
    ----------
    folder : path
        A model folder that training wrote, with ``recipe.json``, ``split.json`` and ``training.json``.
    assessments : sequence of path
        Files that ``medai models measure`` wrote: of this model's weights, of the folds of its cross-validation in
        their order, or both; also the ``cross_validation.json`` of a training in folds.

    Returns
    -------
    Path
        The card.

    Raises
    ------
    InputError
        If a file is missing or damaged, two assessments are of these weights, or the folds are no cross-validation.
    ManifestError
        If the manifest cannot be used.
    OutputError
        If a file cannot be written.
    """
    root = Path(folder)
    manifest = read_model(root).manifest
    recipe, history, split = (_stored(root, name) for name in ("recipe.json", "training.json", "split.json"))
    own, source, folds = _sorted(root, manifest, [Path(path) for path in assessments])
    if own is None and (root / FILE).is_file():
        own = Assessment.read(root / FILE)
        if own.model["weights_sha256"] != manifest.weights_sha256:
            raise InputError(
                f"{root.name}/{FILE} is of other weights than the model's.", hint="Measure the model again."
            )
        if str(own.data["chosen"]).endswith("made-image"):
            own = None  # on images that training made: the stored metrics say what that means
    if not folds and (root / FOLDS).is_file():
        folds = _read_folds(root / FOLDS)
    if folds:
        cross_validation(folds)
    if own is not None and source is not None:
        own = _take_pictures(own, source, root / PICTURE_FOLDER)
    if own is not None:
        manifest = manifest.model_copy(update={"metrics": metrics_of(own)})
    pictures = f"{PICTURE_FOLDER}/" if own and (root / PICTURE_FOLDER / PICTURES[0][0]).is_file() else None
    try:
        parsed = Recipe.parse(recipe, where="recipe.json")
    except SettingsError as error:
        raise InputError(f"{root.name}/{error.message}") from None
    text = model_card(manifest, parsed, history, split, assessment=own, folds=folds, pictures=pictures)
    if own is not None:
        if source is not None:
            write_json(root / FILE, own.to_dict())
        _write_metrics(root / "manifest.json", manifest)
    if folds and assessments:
        write_json(root / FOLDS, {"schema": _SCHEMA, "folds": [fold.to_dict() for fold in folds]})
    write_text(root / CARD, text)
    return root / CARD


def _sorted(
    root: Path, manifest: Manifest, paths: list[Path]
) -> tuple[Assessment | None, Path | None, list[Assessment]]:
    """Return the assessment of these weights, its folder if that is another one than the model's, and the others."""
    own: Assessment | None = None
    source: Path | None = None
    folds: list[Assessment] = []
    for path in paths:
        if path.name == FOLDS:
            folds += _read_folds(path)
            continue
        found = Assessment.read(path / FILE if path.is_dir() else path)
        if found.model["weights_sha256"] != manifest.weights_sha256:
            folds.append(found)
        elif own is not None:
            raise InputError("Two assessments are of this model's weights.", hint="Give one of them.")
        else:
            own, source = found, (path if path.is_dir() else path.parent)
            if root.resolve() == source.resolve():
                source = None  # the stored one
    if len(folds) == 1:
        raise InputError(
            f"The assessment in {paths[0].parent.name!r} is of other weights than the model's; "
            "a cross-validation has two such assessments at least.",
            hint="Measure this model, or give every fold.",
        )
    return own, source, folds


def _take_pictures(found: Assessment, source: Path, target: Path) -> Assessment:
    """Copy the pictures of an assessment; those that are not there are no longer named."""
    staging = Path(tempfile.mkdtemp(prefix=".medai-", dir=ensure_folder(target.parent)))
    try:
        ensure_folder(staging / "worst")
        for name, _, _ in PICTURES:
            _copy(source / name, staging / name)
        worst = {
            label: [
                {**item, "picture": item["picture"] if _copy_named(source, staging, item["picture"]) else ""}
                for item in items
            ]
            for label, items in found.worst.items()
        }
        shutil.rmtree(target, ignore_errors=True)
        if (staging / PICTURES[0][0]).is_file():
            staging.chmod(0o755)
            staging.rename(target)
    except OSError as error:
        raise OutputError(f"Cannot write {target.name!r}: {error.strerror}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return found.replace(worst=worst)


def _copy_named(source: Path, target: Path, name: str) -> bool:
    """Copy a worst case's picture; an assessment can name no file outside its folder of pictures."""
    parts = Path(name).parts
    return len(parts) == 2 and parts[0] == "worst" and parts[1] != ".." and _copy(source / name, target / name)


def _copy(source: Path, target: Path) -> bool:
    if not source.is_file() or source.is_symlink() or source.suffix != ".png":
        return False
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    return True


def _stored(root: Path, name: str) -> Any:
    if not (root / name).is_file():
        raise InputError(
            f"The model {root.name!r} has no {name}, so its card cannot be written.",
            hint="Cards are written for models that 'medai train' made.",
        )
    try:
        return load_json_file(root / name)
    except SettingsError as error:
        raise InputError(f"{root.name}/{error.message}") from None


def _read_folds(path: Path) -> list[Assessment]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("folds"), list):
        raise InputError(f"{path.parent.name}/{path.name} holds no folds.", hint="Give the folds' assessments.")
    return [Assessment.from_dict(fold, where=path.name) for fold in value["folds"]]


def _write_metrics(path: Path, manifest: Manifest) -> None:
    """Replace the metrics of a stored manifest; every other value stays as it is written there."""
    value = load_json_file(path)
    if not isinstance(value, dict):
        raise ManifestError(f"{path.parent.name}/{path.name} holds no object.")
    if value.get("metrics") != manifest.metrics:
        write_json(path, {**value, "metrics": manifest.metrics})
