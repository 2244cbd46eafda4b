"""How a model is run when it is measured, and how intervals are made."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from medai.core.settings import Settings

from ..inference.options import Device, Precision


class MeasureSettings(Settings):
    """How the model runs and how the numbers are made; the defaults are those of every model card.

    The plain way to run (CPU, PyTorch, single precision) is the default, so that a card says the same whatever else is
    installed.
    """

    device: Device = Field("cpu", title="Device", description="Where the network runs.")
    backend: Literal["auto", "torch", "openvino", "onnxruntime"] = Field(
        "torch", title="Backend", description="Which library runs the network."
    )
    precision: Precision = Field("f32", title="Precision", description="Number format inside the network.")
    regions: Literal["auto", "atlas", "image"] = Field(
        "image", title="Regions", description="image: each image as a whole; atlas: both sides of a whole head."
    )
    mirror: bool | None = Field(None, title="Mirroring", description="As the model says if not given.")
    interval: Literal["percentile", "bca"] = Field("bca", title="Bootstrap interval")
    confidence: float = Field(0.95, gt=0.5, lt=1.0, title="Confidence", description="Level of the intervals.")
    resamples: int = Field(2000, ge=100, le=100_000, title="Resamples", description="Draws of the subjects.")
    seed: int = Field(0, ge=0, le=2**32 - 1, title="Seed", description="Of the draws and of generated inputs.")

    def running(self) -> dict[str, Any]:
        """Return what decides a case's labels, as settings of the step ``unet`` without the model."""
        names = ("device", "backend", "precision", "regions", "mirror")
        return {name: getattr(self, name) for name in names}
