"""manifest.json: what a model folder says about itself, checked before anything in it is used."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from medai.core.labelmap import Code, Segment
from medai.core.settings import Settings

from .anatomy import LEFT, RIGHT
from .domain import DomainLimit
from .inference.prepare import PrepareSettings

Side = Literal["", "left", "right"]
MAX_WINDOW = 2**25
"""Voxels of a window, more than 320 x 320 x 320; the layers of larger ones fit into no computer's memory."""


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
        """Return the value type that label maps carry; ``Left`` or ``Right`` before a name becomes the modifier."""
        return Segment(
            self.label,
            self.name,
            self.color,
            self.category.to_code() if self.category else None,
            self.type.to_code() if self.type else None,
            {"Left": LEFT, "Right": RIGHT}.get(self.name.partition(" ")[0]),
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


class LocatorHint(Settings):
    """A model of whole images that finds the structure, and what it must find to be believed."""

    model: str = Field(min_length=1, max_length=64, description="Id of the model.")
    labels: dict[Side, str] = Field(min_length=1, max_length=3, description="Its label of the structure, by side.")
    inside: tuple[str, ...] = Field(
        (), max_length=256, description="Its labels that together surround the structure, such as all of the brain."
    )
    inside_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Least share of the voxels around (within 10 mm of a centroid) that 'inside' covers.",
    )
    volume_ml: tuple[float, float] = Field(
        (0.1, 1e6), description="Volume of the structure by this model outside of which it was not found."
    )
    border_cm2: float = Field(
        0.0, ge=0, description="Area in which the structure may meet the border of the image before it counts as cut."
    )
    distance_mm: tuple[float, float] | None = Field(
        None, description="Distance between the left and the right centroid, for structures with two sides."
    )
    tilt_deg: float = Field(
        45.0, gt=0, lt=90, description="Largest angle between the line from left to right and the patient's own."
    )


class RegionHint(Settings):
    """Where the structure lies, for models that were trained on crops."""

    size_mm: tuple[float, float, float] = Field(description="Box along R, A, S in mm.")
    centroid: tuple[float, float, float] = Field(
        (0.5, 0.5, 0.5), description="Where in the box the structure's centroid lies, as a share along R, A, S."
    )
    mni152: dict[Side, tuple[float, float, float]] = Field(
        default_factory=dict, description="Centroid in MNI152 space, RAS mm, by side."
    )
    locator: LocatorHint | None = Field(None, description="Which model finds the structure in a whole image.")
    repeat_shift_mm: tuple[float, float, float] = Field(
        (5.0, 5.0, 5.0), description="Shift along R, A, S of the second box of the domain's measure repeat_dice."
    )


class FileEntry(Settings):
    """A file of the model and its checksum."""

    path: str = Field(
        pattern=r"^[A-Za-z0-9_. +-]+(/[A-Za-z0-9_. +-]+)*$",
        max_length=240,
        description="Path inside the model's folder, with / between folders.",
    )
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        if any(set(part) == {"."} for part in value.split("/")):
            raise ValueError(f"the path {value!r} leaves the model's folder")
        return value


class NetworkEntry(Settings):
    """An allow-listed network and its plain settings."""

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)


class InferenceEntry(Settings):
    """How windows are laid, what the network's output means, and what may be done to it."""

    dims: Literal[2, 3] = Field(3, description="2: the network reads slices along K, windows have one slice.")
    context: int = Field(
        0, ge=0, le=16, description="2.5D: slices on each side that a 2D network reads as more channels."
    )
    overlap: float = Field(0.5, ge=0, lt=1, description="Share of a window that the next one covers again.")
    placement: Literal["fixed", "even"] = Field(
        "fixed",
        description="fixed: constant step, the last window moved back (MONAI). even: steps of equal size (nnU-Net).",
    )
    blend: Literal["gaussian", "constant"] = "gaussian"
    sigma: float = Field(0.125, gt=0, le=1, description="SD of the Gaussian weight as a share of the window.")
    floor: Literal["monai", "nnunet"] = Field("monai", description="Whose smallest weight is used at the corners.")
    mirror_axes: tuple[Literal[0, 1, 2], ...] = Field((), description="Axes (K, J, I = 0, 1, 2) allowed for mirroring.")
    mirror: bool = Field(False, description="Mirror by default (test-time augmentation over all axes above).")
    activation: Literal["softmax", "sigmoid", "none"] = Field(
        "softmax", description="What makes probabilities of the network's output; none: it gives probabilities."
    )
    regions: tuple[int, ...] = Field(
        (),
        max_length=1024,
        description=(
            "If given, each output channel is a region of its own (probability above 0.5), painted with this label in "
            "this order, later over earlier; 0 paints background. Otherwise the largest channel wins and channel 0 is "
            "background, channel n the n-th label."
        ),
    )
    order: tuple[int, ...] = Field(
        (),
        max_length=1024,
        description="If given, the network's output channels are put into this order before anything else is done.",
    )
    reduced_precision: bool = Field(
        True, description="False: never run in half precision unless asked, because the result would change."
    )


class PostEntry(Settings):
    """A label operation of the registry that belongs to the model."""

    step: str = Field(min_length=1, max_length=64)
    settings: dict[str, Any] = Field(default_factory=dict)


class Manifest(Settings):
    """The whole of manifest.json; also what a model of another format is described by."""

    schema_version: Literal[1] = 1
    format: str = Field("medai", pattern=r"^[a-z0-9_]{1,32}$", description="Name in the registry of model formats.")
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    description: Description
    network: NetworkEntry
    prepare: PrepareSettings
    window: tuple[int, int, int] = Field(description="Sliding window in voxels along K, J, I.")
    region: RegionHint | None = Field(None, description="None for models that take the whole image.")
    inference: InferenceEntry = Field(default_factory=InferenceEntry)
    labels: tuple[LabelEntry, ...] = Field(min_length=1)
    postprocess: tuple[PostEntry, ...] = Field((), max_length=16, description="Label operations after the network.")
    weights: tuple[FileEntry, ...] = Field(min_length=1, max_length=64, description="One file per ensemble member.")
    files: tuple[FileEntry, ...] = Field((), max_length=256, description="Every other file that the result depends on.")
    previous: Manifest | None = Field(
        None, description="Stage that runs before: its labels become one more input channel per label."
    )
    domain: tuple[DomainLimit, ...] = Field(
        (), max_length=64, description="What results on images of its kind look like; a flag is set outside."
    )
    metrics: dict[str, Any] = Field(default_factory=dict)

    @field_validator("weights", mode="before")
    @classmethod
    def _one_file_or_several(cls, value: Any) -> Any:
        # One entry, as in the first manifests, or a list; strict validation takes only a tuple from here.
        return (value,) if isinstance(value, (dict, FileEntry)) else tuple(value) if isinstance(value, list) else value

    @property
    def classes(self) -> int:
        """Channels of the network's output."""
        return len(self.inference.regions) or len(self.labels) + 1

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights; of the members' SHA-256 in order if there are several."""
        if len(self.weights) == 1:
            return self.weights[0].sha256
        return hashlib.sha256("".join(w.sha256 for w in self.weights).encode("ascii")).hexdigest()

    @property
    def inputs(self) -> int:
        """Image channels that the network reads, without a previous stage's labels."""
        return len(self.prepare.channels) or 1

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Manifest:
        if len({x.label for x in self.labels}) != len(self.labels) or len({x.name for x in self.labels}) != len(
            self.labels
        ):
            raise ValueError("two labels share a number or a name")
        if min(self.window) < 1:
            raise ValueError(f"each size of the window must be at least 1 voxel, given {self.window}")
        if math.prod(self.window) > MAX_WINDOW:
            raise ValueError(f"the window may have {MAX_WINDOW} voxels at most, given {self.window}")
        if self.inference.dims == 2 and self.window[0] != 1:
            raise ValueError(f"the window of a 2D network has one slice (1, J, I), given {self.window}")
        if self.inference.context and self.inference.dims != 2:
            raise ValueError("only a 2D network has context slices")
        unknown = {n for n in self.inference.regions if n} - {x.label for x in self.labels}
        if unknown:
            raise ValueError(f"inference.regions name labels that are not there: {sorted(unknown)[:5]}")
        names = {x.name for x in self.labels}
        if any(set(limit.labels) - names for limit in self.domain):
            wrong = sorted({name for limit in self.domain for name in limit.labels} - names)
            raise ValueError(f"domain names labels that are not there: {wrong[:5]}")
        if self.region is None and any(limit.measure == "repeat_dice" for limit in self.domain):
            raise ValueError("domain: repeat_dice is measured for models with a region only")
        if self.inference.order and sorted(self.inference.order) != list(range(self.classes)):
            raise ValueError(f"inference.order must name each of the {self.classes} output channels once")
        if self.network.settings.get("out_channels", self.classes) != self.classes:
            what = "the regions" if self.inference.regions else "the labels and the background"
            raise ValueError(f"network.settings.out_channels must be {self.classes}: {what}")
        return self

    @model_validator(mode="after")
    def _a_region_is_all_that_is_done(self) -> Manifest:
        """Refuse what :func:`~medai.segment.inference.located.run_located` would pass over without a word."""
        prepare, usual = self.prepare, PrepareSettings()
        names = ("channels", "grid", "interpolate", "anisotropy", "crop", "normalise_first")
        wrong = [f"prepare.{name}" for name in names if getattr(prepare, name) != getattr(usual, name)]
        wrong += ["inference.regions"] if self.inference.regions else []
        wrong += [name for name in ("postprocess", "previous") if getattr(self, name)]
        if self.region is not None and wrong:
            raise ValueError(f"a model with a region cannot have {', '.join(wrong)}")
        return self
