"""What the user may choose when a model runs; what a model needs is in its manifest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medai.core.settings import Settings

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "f32", "f16", "bf16"]


class InferenceOptions(Settings):
    """Where and how a model runs."""

    device: Device = Field("auto", title="Device", description="Where the network runs; auto: CUDA, Apple GPU, CPU.")
    backend: Literal["auto", "torch", "openvino", "onnxruntime"] = Field(
        "auto", title="Backend", description="Which library runs the network; auto takes the fastest that is installed."
    )
    precision: Precision = Field(
        "auto",
        title="Precision",
        description="Number format inside the network; auto: half where the device has it and the model allows it.",
    )
    mirror: bool | None = Field(
        None, title="Mirroring", description="Average over mirrored images; as the model says if not given."
    )
    overlap: float | None = Field(
        None,
        ge=0,
        lt=1,
        title="Overlap",
        description="Share of a window covered again; the model's own if not given.",
    )
    crop_body: bool | None = Field(
        None,
        title="Crop to the body",
        description="Run only in the box around the body; if not given: for CT, where the air outside is not 0.",
    )
    batch: int | None = Field(
        None, ge=1, le=64, title="Batch", description="Windows at a time; chosen by the device if not given."
    )
    members: tuple[int, ...] | None = Field(
        None, title="Members", description="Numbers of the ensemble's members to run, from 0; all if not given."
    )
    uncertainty: Literal["none", "entropy", "ensemble", "dropout"] = Field(
        "none",
        title="Uncertainty",
        description=(
            "entropy: of the probabilities. ensemble: also agreement and mutual information over mirrorings and "
            "members. dropout: the same over repeated runs with dropout switched on."
        ),
    )
    samples: int = Field(8, ge=2, le=64, title="Samples", description="Runs with dropout.")
    seed: int = Field(0, ge=0, title="Seed", description="Of the random numbers of dropout.")
