"""manifest.json: what a model folder says about itself, checked before anything in it is used."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from medai.core.labelmap import Code, Segment
from medai.core.settings import Settings

from .inference.prepare import PrepareSettings

Side = Literal["", "left", "right"]


class CodeEntry(Settings):
    """A coded concept: value, scheme and meaning."""

    value: str = Field(min_length=1, max_length=64)
    scheme: str = Field(min_length=1, max_length=16)
    meaning: str = Field(min_length=1, max_length=64)

    def to_code(self) -> Code:
        """Return the value type that segments carry."""
        return Code(self.value, self.scheme, self.meaning)


class LabelEntry(Settings):
    """One class of a network's output."""

    label: int = Field(ge=1, le=65535)
    name: str = Field(min_length=1, max_length=64)
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    category: CodeEntry | None = None
    type: CodeEntry | None = None

    def to_segment(self) -> Segment:
        """Return the value type that label maps carry."""
        return Segment(
            self.label,
            self.name,
            self.color,
            self.category.to_code() if self.category else None,
            self.type.to_code() if self.type else None,
        )


class Description(Settings):
    """What people must know before they use a model."""

    title: str = Field(min_length=1, max_length=120)
    summary: str = Field(min_length=1)
    intended_use: str = Field(min_length=1)
    limits: tuple[str, ...] = Field(min_length=1, description="Known failure modes and what it was not validated for.")
    training_data: str = Field(min_length=1, description="Source, number of cases, population, licence.")
    licence: str = Field(min_length=1)
    citation: str = ""
    modality: str = Field("", description="DICOM modality the model expects, empty for any.")
    side: Side = Field("", description="The side that the training images show; the other side is mirrored.")
    spacing_range_mm: tuple[float, float] = Field((0.0, 1e6), description="Voxel sizes inside which it was tried.")
    volume_range_ml: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="Plausible volume per side in mL by label name; outside it a flag is set."
    )

    def mirrors(self, side: Side) -> bool:
        """Tell whether an image of this side is mirrored for the model: it was trained on the other side only."""
        return bool(side and self.side and side != self.side)


class RegionHint(Settings):
    """Where the structure lies, for models that were trained on crops."""

    size_mm: tuple[float, float, float] = Field(description="Box along R, A, S in mm.")
    centroid: tuple[float, float, float] = Field(
        (0.5, 0.5, 0.5), description="Where in the box the structure's centroid lies, as a share along R, A, S."
    )
    mni152: dict[Side, tuple[float, float, float]] = Field(
        default_factory=dict, description="Centroid in MNI152 space, RAS mm, by side."
    )


class FileEntry(Settings):
    """A file of the model and its checksum."""

    path: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Name inside the model's folder.")
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class NetworkEntry(Settings):
    """An allow-listed network and its plain settings."""

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Manifest(Settings):
    """The whole of manifest.json."""

    schema_version: Literal[1] = 1
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    description: Description
    network: NetworkEntry
    prepare: PrepareSettings
    window: tuple[int, int, int] = Field(description="Sliding window in voxels along K, J, I.")
    region: RegionHint | None = Field(None, description="None for models that take the whole image.")
    labels: tuple[LabelEntry, ...] = Field(min_length=1)
    weights: FileEntry
    metrics: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Manifest:
        if len({x.label for x in self.labels}) != len(self.labels) or len({x.name for x in self.labels}) != len(
            self.labels
        ):
            raise ValueError("two labels share a number or a name")
        if min(self.window) < 1:
            raise ValueError(f"each size of the window must be at least 1 voxel, given {self.window}")
        classes = len(self.labels) + 1
        if self.network.settings.get("out_channels", classes) != classes:
            raise ValueError(f"network.settings.out_channels must be {classes}: the labels and the background")
        return self
