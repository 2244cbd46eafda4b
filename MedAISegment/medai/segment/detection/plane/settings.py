"""The settings of Mask R-CNN: what a training is, and how a trained model is used."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from medai.core.settings import Settings

from ...manifest import Description, LabelEntry

KIND = "detector2d"
"""How a model folder's detector.json names this kind of detector."""
Plane = Literal["auto", "axial", "coronal", "sagittal"]
SHOWN = 0.5
"""The score from which on an instance is shown by default."""
LEVELS = 5
"""Levels of torchvision's feature pyramid: four of the ResNet and a pooled one."""


class NetworkSettings(Settings):
    """The network: a ResNet with a feature pyramid, and torchvision's Mask R-CNN heads; nothing is downloaded.

    The widths' defaults are half of torchvision's and less: a quarter of the work, for small data sets and CPUs.
    """

    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    short_side: int = Field(256, ge=64, le=2048, description="Images are resized to this shorter side, in pixels.")
    long_side: int = Field(512, ge=64, le=4096, description="Unless the longer side would exceed this.")
    anchors: tuple[int, ...] = Field(
        (12, 24, 48, 96, 192), description="Side of the boxes that each pyramid level starts from, in resized pixels."
    )
    ratios: tuple[float, ...] = Field((0.5, 1.0, 2.0), min_length=1, max_length=7, description="Height over width.")
    pyramid_width: int = Field(128, ge=16, le=1024, multiple_of=2, description="Channels of the pyramid; all heads'.")
    head_width: int = Field(256, ge=16, le=4096, description="Width of the layers that judge a box.")
    mask_layers: int = Field(4, ge=1, le=16, description="Convolutions that draw a mask.")
    boxes: int = Field(64, ge=8, le=1024, description="Boxes of an image that a training step judges.")

    @model_validator(mode="after")
    def _fits(self) -> NetworkSettings:
        if len(self.anchors) != LEVELS or any(size < 1 for size in self.anchors):
            raise ValueError(f"anchors needs {LEVELS} positive sizes, given {self.anchors}")
        if any(ratio <= 0 for ratio in self.ratios):
            raise ValueError(f"each of ratios must be greater than 0, given {self.ratios}")
        if self.long_side < self.short_side:
            raise ValueError(f"long_side {self.long_side} is smaller than short_side {self.short_side}")
        return self


class ImageSettings(Settings):
    """How pixels become the network's input, 0 to 1 in three channels."""

    colour: Literal["grey", "rgb"] = Field(
        "grey", description="grey: a colour image is read by its luminance. rgb: a grey image is given three times."
    )
    window: tuple[float, float] | None = Field(
        None, description="Values that become 0 and 1, as for CT; None: the image's own percentiles below."
    )
    percentiles: tuple[float, float] = Field((0.5, 99.5), description="Of the whole image or volume.")
    plane: Plane = Field("auto", description="Slices that are looked at; auto: one slice as it lies, a volume axially.")

    @model_validator(mode="after")
    def _rising(self) -> ImageSettings:
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError(f"window must rise, given {self.window}")
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(f"percentiles must rise from 0 to 100, given {self.percentiles}")
        return self


class OptimiserSettings(Settings):
    """How the weights are moved."""

    epochs: int = Field(40, ge=1, le=100_000, description="Passes over the slices that hold instances.")
    batch: int = Field(2, ge=1, le=64, description="Slices per step.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Peak rate of AdamW; warm-up, then cosine to zero.")
    weight_decay: float = Field(1e-4, ge=0, le=1)
    warmup_steps: int = Field(50, ge=0)
    ema: float = Field(0.99, ge=0, lt=1, description="Decay of the averaged weights that are kept; 0 for none.")
    gradient_clip: float = Field(5.0, gt=0)
    empty_share: float = Field(
        0.1, ge=0, le=1, description="Slices without an instance that an epoch adds, as a share of those with one."
    )
    threads: int = Field(2, ge=1, le=256, description="CPU threads; another number changes sums in the last digits.")


class AugmentSettings(Settings):
    """Random changes of each slice; nothing is interpolated, so every instance keeps its pixels."""

    flip: float = Field(0.5, ge=0, le=1, description="Probability of a flip, along each axis.")
    turn: float = Field(0.5, ge=0, le=1, description="Probability of a swap of rows and columns.")
    brightness: float = Field(0.1, ge=0, le=1, description="Largest shift of the values, which run from 0 to 1.")
    contrast: float = Field(0.2, ge=0, lt=1, description="Largest relative change of the contrast.")
    noise: float = Field(0.03, ge=0, le=1, description="Largest SD of Gaussian noise.")


class MaskRcnnRecipe(Settings):
    """A training, complete: same recipe, data, versions and kind of machine give the same weights."""

    kind: Literal["detector2d"] = "detector2d"
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Folder name of the model.")
    description: Description
    labels: tuple[LabelEntry, ...] = Field(
        min_length=1, max_length=256, description="What an instance can be; if there is one, every instance is that."
    )
    network: NetworkSettings = NetworkSettings()
    image: ImageSettings = ImageSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    augment: AugmentSettings = AugmentSettings()
    smallest_instance: int = Field(4, ge=1, description="Instances of fewer pixels in a slice are not trained on.")
    held_back: int = Field(0, ge=0, description="Images that training never sees, chosen by the seed.")
    seed: int = Field(20261122, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _labels_fit(self) -> MaskRcnnRecipe:
        check_labels(self.labels)
        return self


def check_labels(labels: tuple[LabelEntry, ...]) -> None:
    """Raise ValueError unless the labels are numbered 1, 2, ... and have names of their own."""
    if [entry.label for entry in labels] != list(range(1, len(labels) + 1)):
        raise ValueError("the labels must be numbered 1, 2, ... in order")
    if len({entry.name for entry in labels}) != len(labels):
        raise ValueError("two labels share a name")


class LinkSettings(Settings):
    """How the instances of neighbouring slices become one object."""

    iou: float = Field(0.2, gt=0, le=1, description="Smallest overlap of two masks, intersection over union.")
    gap: int = Field(0, ge=0, le=16, description="Slices in which an object may be missed.")
    slices: int = Field(1, ge=1, description="An object that is seen in fewer slices is dropped.")


class MaskRcnnSettings(Settings):
    """How a trained Mask R-CNN is used."""

    model: str = Field(min_length=1, description="Model folder.")
    score: float | None = Field(None, ge=0, le=1, description="Smallest score of an instance; None: 0.5.")
    masks: bool = Field(True, description="False: boxes only.")
    mask: float = Field(0.5, gt=0, lt=1, description="A pixel belongs to an instance from this probability on.")
    overlap: float = Field(0.5, ge=0, le=1, description="Of two boxes of a class that overlap more, one is kept (IoU).")
    most: int = Field(100, ge=1, le=10_000, description="Most instances of a slice, the best ones.")
    smallest_pixels: int = Field(1, ge=1, description="Instances with fewer pixels of their own are dropped.")
    plane: Plane | None = Field(None, description="Slices to look at; None: those the model was trained on.")
    link: LinkSettings | None = Field(
        LinkSettings(), description="In a volume, join the instances of neighbouring slices; None: each slice alone."
    )
    device: Literal["", "cpu", "cuda"] = Field("", description="Empty: CUDA if there is one, else the CPU.")
    batch: int = Field(2, ge=1, le=64, description="Slices at once.")

    @property
    def shown(self) -> float:
        """The smallest score that counts."""
        return SHOWN if self.score is None else self.score
