"""A protocol: what is asked of an image, as one JSON file that the report shows and that can be run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from medai.core.errors import SettingsError
from medai.core.settings import Settings, load_json_file
from medai.features.settings import ExtractSettings
from medai.features.volumetry import Derived
from medai.segment.pipeline import PipelineStep, parse_pipeline
from medai.segment.recipes import load_recipe

FOLDER = Path(__file__).parent / "protocols"


class Protocol(Settings):
    """A segmentation pipeline and what is measured in its segments.

    The pipeline is written out, or ``recipe`` names one of :mod:`medai.segment.recipes`; a loaded protocol always holds
    the complete pipeline, beside the recipe's name if it came from one.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    title: str = Field(min_length=1, max_length=200)
    question: str = Field("", max_length=500, description="What the user wants to know, in one sentence.")
    recipe: str = Field("", max_length=200, description="Id of a recipe whose pipeline this protocol runs.")
    modality: str = Field("", max_length=16, description="DICOM modality that it is made for; empty for any.")
    hounsfield: bool = Field(False, description="True if the image's values must be Hounsfield units.")
    pipeline: tuple[PipelineStep, ...] = Field((), max_length=100)
    features: dict[str, Any] = Field(default_factory=dict, description="Settings of the feature extraction.")
    derived: dict[str, Any] = Field(
        default_factory=dict, description="Totals of segments, pairs of left and right, and what they are related to."
    )


def shipped_protocols() -> list[str]:
    """Return the ids of the protocols that come with MedAI, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load_protocol(name: str) -> Protocol:
    """Return a shipped protocol by its id, or one from a JSON file; every step's settings are checked.

    Raises
    ------
    SettingsError
        If there is none, or a value does not fit; the message names the key's path.
    DependencyError
        If a step's package is missing.
    """
    if name in shipped_protocols():
        path = FOLDER / f"{name}.json"
    elif Path(name).suffix.lower() == ".json":
        path = Path(name)
    else:
        raise SettingsError(
            f"There is no protocol called {name!r}.",
            hint=f"Known: {', '.join(shipped_protocols())}; or give a .json file.",
        )
    protocol = Protocol.parse(load_json_file(path), where=path.name)
    if not protocol.pipeline and not protocol.recipe:
        raise SettingsError(f"{path.name}: a protocol has a recipe or a pipeline.", hint="Give one of them.")
    if not protocol.pipeline:
        recipe = load_recipe(protocol.recipe)
        expected = {"modality": recipe.modality, "hounsfield": recipe.hounsfield}
        protocol = protocol.model_copy(update={"pipeline": recipe.pipeline, **expected})
    steps = parse_pipeline([s.to_dict() for s in protocol.pipeline], where=f"{path.name}.pipeline").steps
    features = ExtractSettings.parse(protocol.features, where=f"{path.name}.features")
    derived = Derived.parse(protocol.derived, where=f"{path.name}.derived").to_dict() if protocol.derived else {}
    return protocol.model_copy(update={"pipeline": steps, "features": features.to_dict(), "derived": derived})
