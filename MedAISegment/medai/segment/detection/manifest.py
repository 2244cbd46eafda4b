"""detector.json: what a detector's folder says about itself, checked before anything in it is used."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from medai.core.settings import Settings

from ..inference.prepare import PrepareSettings
from ..manifest import MAX_WINDOW, Description, FileEntry, LabelEntry

MANIFEST = "detector.json"


class RetinaNet3DSettings(Settings):
    """A small residual backbone, MONAI's feature pyramid and MONAI's RetinaNet heads.

    Level n of the backbone has ``features[n]`` channels and a stride of 2^(n + 1).  The heads look at the first
    ``levels`` levels; the others give context.
    """

    in_channels: int = Field(1, ge=1, le=16)
    features: tuple[int, ...] = Field((24, 32, 48), min_length=1, max_length=5)
    pyramid: int = Field(16, ge=8, le=256, multiple_of=8, description="Channels of the pyramid and the heads.")
    levels: int = Field(2, ge=1, le=5)

    @model_validator(mode="after")
    def _levels_exist(self) -> RetinaNet3DSettings:
        if self.levels > len(self.features):
            raise ValueError(f"{self.levels} levels need as many features, given {len(self.features)}")
        if any(n < 8 or n > 512 or n % 8 for n in self.features):
            raise ValueError(f"features must be multiples of 8 from 8 to 512, given {self.features}")
        return self

    @property
    def divisor(self) -> int:
        """What each size of a window must be a multiple of."""
        return int(2 ** len(self.features))


class DetectorNetwork(Settings):
    """An allow-listed network and its settings."""

    name: Literal["retinanet3d"] = "retinanet3d"
    settings: RetinaNet3DSettings = RetinaNet3DSettings()


class AnchorEntry(Settings):
    """Boxes that the network starts from, in voxels of the prepared image."""

    shapes: tuple[tuple[int, int, int], ...] = Field(
        ((2, 2, 2), (4, 4, 4), (6, 6, 6)),
        min_length=1,
        max_length=16,
        description="Sizes along K, J, I at the first level, even numbers (MONAI rounds half sizes); each further "
        "level has twice as large ones.",
    )

    @model_validator(mode="after")
    def _even(self) -> AnchorEntry:
        if any(n < 2 or n % 2 or n > 1024 for shape in self.shapes for n in shape):
            raise ValueError(f"anchor sizes must be even numbers from 2 to 1024, given {self.shapes}")
        return self


class Needs(Settings):
    """What a window must hold to be looked at: tissue in which the detector's findings lie, such as aerated lung."""

    low: float = Field(description="Smallest value, as prepared.")
    high: float = Field(description="Largest value, as prepared.")
    share: float = Field(gt=0, le=1, description="Share of the window's voxels between both that is enough.")


class SelectEntry(Settings):
    """Which windows are looked at, and which boxes are kept."""

    overlap: float = Field(0.25, ge=0, lt=1, description="Share of a window that the next one covers again.")
    score: float = Field(0.05, ge=0, lt=1, description="Boxes of a smaller score are dropped.")
    shown: float = Field(0.5, ge=0, le=1, description="Score from which a finding is worth showing.")
    nms: float = Field(0.2, ge=0, le=1, description="Of boxes with a larger intersection over union the best is kept.")
    most: int = Field(100, ge=1, le=10_000, description="Most findings in an image.")
    needs: Needs | None = Field(None, description="If given, other windows are passed over.")


class MaskEntry(Settings):
    """The second stage: a small U-Net on a crop around each box."""

    size: int = Field(32, ge=16, le=96, multiple_of=8, description="Voxels of the crop along each axis.")
    spacing_mm: float = Field(1.0, gt=0, le=10)
    features: tuple[int, int, int, int] = (8, 16, 32, 48)
    threshold: float = Field(0.5, gt=0, lt=1)

    @model_validator(mode="after")
    def _features_fit(self) -> MaskEntry:
        if any(n < 2 or n > 256 for n in self.features):
            raise ValueError(f"features must lie from 2 to 256, given {self.features}")
        return self


class DetectorManifest(Settings):
    """The whole of detector.json."""

    schema_version: Literal[1] = 1
    kind: Literal["detector3d"] = "detector3d"
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    version: str = Field("1.0.0", pattern=r"^\d+\.\d+\.\d+$")
    description: Description
    network: DetectorNetwork = DetectorNetwork()
    anchors: AnchorEntry = AnchorEntry()
    prepare: PrepareSettings
    window: tuple[int, int, int] = Field(description="Voxels along K, J, I.")
    select: SelectEntry = SelectEntry()
    labels: tuple[LabelEntry, ...] = Field(min_length=1, max_length=256)
    mask: MaskEntry | None = None
    weights: FileEntry
    mask_weights: FileEntry | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit(self) -> DetectorManifest:
        check_window(self.window, self.network.settings)
        if [entry.label for entry in self.labels] != list(range(1, len(self.labels) + 1)):
            raise ValueError("the labels must be numbered 1, 2, ... in order")
        if len({entry.name for entry in self.labels}) != len(self.labels):
            raise ValueError("two labels share a name")
        if (self.mask is None) != (self.mask_weights is None):
            raise ValueError("a mask stage needs mask and mask_weights, both or neither")
        check_prepare(self.prepare, self.network.settings)
        return self


def check_window(window: tuple[int, int, int], network: RetinaNet3DSettings) -> None:
    """Raise ValueError unless windows of this size fit the network."""
    if min(window) < 1 or any(n % network.divisor for n in window):
        raise ValueError(f"each size of the window must be a multiple of {network.divisor}, given {window}")
    if math.prod(window) > MAX_WINDOW:
        raise ValueError(f"the window may have {MAX_WINDOW} voxels at most, given {window}")


def check_prepare(prepare: PrepareSettings, network: RetinaNet3DSettings) -> None:
    """Raise ValueError unless crops of an image are prepared as the whole of it."""
    if len(prepare.channels) != network.in_channels:
        raise ValueError(f"prepare.channels must name {network.in_channels} channels, given {len(prepare.channels)}")
    if prepare.spacing is None or prepare.keep_slices:
        raise ValueError("prepare.spacing must be given for all axes")
    if prepare.crop in ("nonzero", "positive"):
        raise ValueError(f"prepare.crop must be none or body, given {prepare.crop!r}")
    for channel in prepare.channels:
        for step in channel.normalise:
            fixed = step.method in ("clip", "shift_scale") or (
                step.method == "range" and None not in (step.low, step.high)
            )
            if not fixed:
                raise ValueError("a detector's values are changed by fixed numbers only (clip, shift_scale, range)")
