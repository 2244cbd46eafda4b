"""What nnU-Net's two U-Nets share: their settings as plain values, and the layers that these values stand for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from medai.core.settings import Settings

MAX_PARAMETERS = 2_000_000_000
"""Networks with more weights than this are refused before memory is taken for them; nnU-Net's largest has 0.2e9."""

Sizes = tuple[int, ...]


class NnUNetSettings(Settings):
    """Layout of a U-Net as nnU-Net v2's plans describe it; one entry per level, finest first.

    Source of the layout: Isensee et al., Nature Methods 18, 203 (2021); names and defaults of the package
    ``dynamic_network_architectures``.
    """

    spatial_dims: Literal[2, 3] = 3
    in_channels: int = Field(1, ge=1, le=1088, description="Image channels and labels of a previous stage.")
    out_channels: int = Field(2, ge=1, le=1024, description="Classes with the background, or regions.")
    features: tuple[int, ...] = Field(min_length=2, max_length=12, description="Channels per level.")
    kernels: tuple[Sizes, ...] = Field(description="Kernel size per level along K, J, I (2D: J, I).")
    strides: tuple[Sizes, ...] = Field(description="Down-sampling that leads to each level.")
    blocks: tuple[int, ...] = Field(description="Convolutions (or residual blocks) per level on the way down.")
    decoder: tuple[int, ...] = Field(description="Convolutions per level on the way up, coarsest first.")
    bias: bool = Field(True, description="Convolutions have a bias.")
    norm: Literal["instance", "batch", "none"] = "instance"
    norm_eps: float = Field(1e-5, gt=0, le=1)
    norm_affine: bool = True
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability; 0 builds no dropout layers.")
    activation: Literal["leaky_relu", "relu", "gelu", "silu", "elu"] = "leaky_relu"
    negative_slope: float = Field(0.01, ge=0, le=1, description="Of leaky ReLU.")

    @model_validator(mode="after")
    def _levels_fit(self) -> NnUNetSettings:
        levels = len(self.features)
        for name, entries, wanted in (
            ("kernels", self.kernels, levels),
            ("strides", self.strides, levels),
            ("blocks", self.blocks, levels),
            ("decoder", self.decoder, levels - 1),
        ):
            if len(entries) != wanted:
                raise ValueError(f"{name} has {len(entries)} entries, {wanted} expected for {levels} levels")
        for name, sizes, largest in (("kernels", self.kernels, 15), ("strides", self.strides, 16)):
            for size in sizes:
                if len(size) != self.spatial_dims or not all(1 <= n <= largest for n in size):
                    raise ValueError(f"{name} need {self.spatial_dims} sizes from 1 to {largest}, given {size}")
        if any(n % 2 == 0 for size in self.kernels for n in size):
            raise ValueError("kernel sizes must be odd")
        if not all(1 <= n <= 8192 for n in self.features):
            raise ValueError("features must lie between 1 and 8192")
        if not all(1 <= n <= 64 for n in (*self.blocks, *self.decoder)):
            raise ValueError("blocks and decoder must lie between 1 and 64")
        if self.parameters > MAX_PARAMETERS:
            raise ValueError(f"the network would have about {self.parameters:.2g} weights, at most 2e9 are built")
        return self

    @property
    def parameters(self) -> int:
        """Roughly how many weights the network has; never fewer than half of them."""
        total, before = 0, self.in_channels
        for width, kernel, blocks in zip(self.features, self.kernels, self.blocks, strict=True):
            voxels = 1
            for n in kernel:
                voxels *= n
            total += voxels * width * (before + width * (2 * blocks + 2))
            before = width
        return total + self.out_channels * sum(self.features)


def layers(settings: NnUNetSettings) -> dict[str, Any]:
    """Return the arguments that both networks of ``dynamic_network_architectures`` take, layer classes included."""
    from torch import nn

    two = settings.spatial_dims == 2
    norms: dict[str, Any] = {
        "instance": nn.InstanceNorm2d if two else nn.InstanceNorm3d,
        "batch": nn.BatchNorm2d if two else nn.BatchNorm3d,
        "none": None,
    }
    activations: dict[str, Any] = {
        "leaky_relu": nn.LeakyReLU,
        "relu": nn.ReLU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "elu": nn.ELU,
    }
    details: dict[str, dict[str, Any]] = {
        "leaky_relu": {"inplace": True, "negative_slope": settings.negative_slope},
        "gelu": {},
    }
    dropout: Any = (nn.Dropout2d if two else nn.Dropout3d) if settings.dropout else None
    return {
        "input_channels": settings.in_channels,
        "num_classes": settings.out_channels,
        "n_stages": len(settings.features),
        "features_per_stage": list(settings.features),
        "conv_op": nn.Conv2d if two else nn.Conv3d,
        "kernel_sizes": [list(k) for k in settings.kernels],
        "strides": [list(s) for s in settings.strides],
        "n_conv_per_stage_decoder": list(settings.decoder),
        "conv_bias": settings.bias,
        "norm_op": norms[settings.norm],
        "norm_op_kwargs": {"eps": settings.norm_eps, "affine": settings.norm_affine},
        "dropout_op": dropout,
        "dropout_op_kwargs": {"p": settings.dropout} if dropout else None,
        "nonlin": activations[settings.activation],
        "nonlin_kwargs": details.get(settings.activation, {"inplace": True}),
        "deep_supervision": False,
    }
