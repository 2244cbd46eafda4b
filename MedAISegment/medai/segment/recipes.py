"""Recipes: saved pipelines that come with MedAI, one JSON file each in ``recipe_files``.

A recipe is nothing but a pipeline with a title and what it expects of an image.  Whoever copies its file and changes it
has a recipe of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.qc import QCFlag, Severity
from medai.core.settings import Settings, load_json_file
from medai.core.volume import Volume

from .hu import hu_flags
from .pipeline import PipelineStep, parse_pipeline

FOLDER = Path(__file__).parent / "recipe_files"


class Recipe(Settings):
    """A pipeline with a name and what it is for."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    title: str = Field(min_length=1, max_length=200)
    description: str = Field("", max_length=2000, description="What it does, for which images, and where it fails.")
    modality: Literal["", "CT", "MR", "PT", "MG", "CR", "DX", "US"] = Field(
        "", description="DICOM modality that it is made for; empty for any."
    )
    hounsfield: bool = Field(False, description="True if the image's values must be Hounsfield units.")
    pipeline: tuple[PipelineStep, ...] = Field(min_length=1, max_length=100)


def list_recipes() -> list[Recipe]:
    """Return the recipes that come with MedAI, sorted by id; their steps are not checked yet."""
    return [Recipe.parse(load_json_file(path), where=path.name) for path in sorted(FOLDER.glob("*.json"))]


def load_recipe(name: str) -> Recipe:
    """Return a shipped recipe by its id, or one from a JSON file, with every step's settings checked and complete.

    Raises
    ------
    SettingsError
        If there is none of that name, or a value does not fit; the message names the key's path.
    DependencyError
        If a step's package is missing.
    """
    shipped = {path.stem: path for path in FOLDER.glob("*.json")}
    if name not in shipped and Path(name).suffix.lower() != ".json":
        raise SettingsError(
            f"There is no recipe called {name!r}.", hint=f"Known: {', '.join(sorted(shipped))}; or give a .json file."
        )
    path = shipped.get(name, Path(name))
    recipe = Recipe.parse(load_json_file(path), where=path.name)
    steps = parse_pipeline([s.to_dict() for s in recipe.pipeline], where=f"{path.name}.pipeline").steps
    return recipe.model_copy(update={"pipeline": steps})


def expectation_flags(volume: Volume, modality: str, hounsfield: bool) -> tuple[QCFlag, ...]:
    """Compare an image with what a recipe or protocol expects.

    Returns
    -------
    tuple of QCFlag
        ``MODALITY_MISMATCH`` (an error, so that nothing is measured unless the user allows it) if the image says that
        it is of another modality; ``INT_RANGE_NOT_HU`` if it does not look like Hounsfield units.
    """
    flags: tuple[QCFlag, ...] = ()
    if modality and volume.modality and volume.modality != modality:
        flags += (
            QCFlag(
                "MODALITY_MISMATCH",
                Severity.ERROR,
                f"The recipe is made for {modality}, the image is {volume.modality}.",
                volume.modality,
                modality,
            ),
        )
    if hounsfield:
        flags += tuple(hu_flags(volume))
    return flags
