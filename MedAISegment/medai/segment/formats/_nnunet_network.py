"""nnU-Net's description of its network, translated name by name: no name of a file is ever imported."""

from __future__ import annotations

from typing import Any

from medai.core.errors import ManifestError, SettingsError

from ..manifest import NetworkEntry
from ..networks._nnunet import NnUNetSettings
from ..networks.nnunet_plain import PlainSettings
from ..networks.nnunet_residual import ResidualSettings

_PLACES = ("unet", "residual_unet")
CLASSES = {
    f"dynamic_network_architectures.architectures.{place}.{name}": name
    for place in _PLACES
    for name in ("PlainConvUNet", "ResidualEncoderUNet")
}
_ACTIVATIONS = {"LeakyReLU": "leaky_relu", "ReLU": "relu", "GELU": "gelu", "SiLU": "silu", "ELU": "elu"}
_BASIC_BLOCK = "dynamic_network_architectures.building_blocks.residual.BasicBlockD"


def network_entry(
    values: dict[str, Any], *, trainer: str, dims: int, inputs: int, outputs: int, where: str
) -> NetworkEntry:
    """Return the allow-listed network of a configuration.

    Parameters
    ----------
    values : dict
        The configuration, in the present form (``architecture``) or that of the first releases (``UNet_class_name``).
    trainer : str
        nnU-Net's trainer; ``nnUNetTrainerBN`` builds batch norm whatever the plans say.

    Raises
    ------
    ManifestError
        If a class, a layer or an argument is not on the list; its name is in the message.
    """
    given = values["architecture"] if "architecture" in values else _from_old(values, dims, where)
    place = f"{where}.architecture"
    if not isinstance(given, dict) or not isinstance(given.get("arch_kwargs"), dict):
        raise ManifestError(f"{place} must hold network_class_name and arch_kwargs.")
    named = given.get("network_class_name")
    if not isinstance(named, str) or named not in CLASSES:
        raise ManifestError(
            f"{place}.network_class_name is {named!r:.120}, which MedAI does not build.",
            hint="PlainConvUNet and ResidualEncoderUNet are.",
        )
    if "Primus" in trainer:
        raise ManifestError(f"The trainer {trainer!r:.80} builds a network of its own, which MedAI does not build.")
    residual = CLASSES[named] == "ResidualEncoderUNet"
    settings = _settings(_Arguments(given["arch_kwargs"], f"{place}.arch_kwargs"), dims, residual)
    if trainer == "nnUNetTrainerBN":
        settings.update(norm="batch", norm_eps=1e-5, norm_affine=True)
    settings.update(spatial_dims=dims, in_channels=inputs, out_channels=outputs)
    kind: type[NnUNetSettings] = ResidualSettings if residual else PlainSettings
    try:
        checked = kind.parse(settings, where=f"{place}.arch_kwargs")
    except SettingsError as error:
        raise ManifestError(error.message, hint="This is not what nnU-Net v2 writes.") from None
    return NetworkEntry(name="nnunet_residual" if residual else "nnunet_plain", settings=checked.to_dict())


class _Arguments:
    """Arguments that are taken one by one; whatever is left at the end is not known."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        self.left, self.where = dict(values), where

    def take(self, name: str, default: Any = None) -> Any:
        return self.left.pop(name, default)

    def whole(self, name: str) -> int:
        value = self.left.pop(name, None)
        if type(value) is not int or not 1 <= value <= 8192:
            raise self.wrong(name, value)
        return value

    def wrong(self, name: str, value: Any) -> ManifestError:
        return ManifestError(f"{self.where}.{name} is {value!r:.80}, which MedAI does not build.")

    def finish(self) -> None:
        if self.left:
            name, value = sorted(self.left.items())[0]
            raise self.wrong(f"{name:.40}", value)


def _settings(arguments: _Arguments, dims: int, residual: bool) -> dict[str, Any]:
    levels = arguments.whole("n_stages")
    settings: dict[str, Any] = {
        "features": _per_level(arguments, "features_per_stage", levels),
        "kernels": _sizes(arguments, "kernel_sizes", levels, dims),
        "strides": _sizes(arguments, "strides", levels, dims),
        "blocks": _per_level(arguments, "n_blocks_per_stage" if residual else "n_conv_per_stage", levels),
        "decoder": _per_level(arguments, "n_conv_per_stage_decoder", levels - 1),
        "bias": arguments.take("conv_bias", False),
    }
    conv = arguments.take("conv_op")
    if conv not in _names("conv", f"Conv{dims}d"):
        raise arguments.wrong("conv_op", conv)
    _norm(arguments, settings, dims)
    _activation(arguments, settings)
    _dropout(arguments, settings, dims)
    arguments.take("deep_supervision")  # its outputs are used in training only
    if residual:
        if (block := arguments.take("block", _BASIC_BLOCK)) != _BASIC_BLOCK:
            raise arguments.wrong("block", block)
        if (width := arguments.take("bottleneck_channels")) is not None:
            raise arguments.wrong("bottleneck_channels", width)
        settings["stem"] = arguments.take("stem_channels") or 0
    else:
        settings["activation_first"] = arguments.take("nonlin_first", False)
    arguments.finish()
    return settings


def _names(module: str, name: str) -> tuple[str, ...]:
    """Return the ways in which PyTorch spells a layer."""
    return f"torch.nn.modules.{module}.{name}", f"torch.nn.{name}"


def _per_level(arguments: _Arguments, name: str, levels: int) -> Any:
    value = arguments.take(name)
    return [value] * levels if type(value) is int else value


def _sizes(arguments: _Arguments, name: str, levels: int, dims: int) -> Any:
    value = arguments.take(name)
    if type(value) is int:
        value = [value] * levels
    return [[n] * dims if type(n) is int else n for n in value] if isinstance(value, list) else value


def _details(arguments: _Arguments, name: str) -> _Arguments:
    value = arguments.take(name)
    if value is not None and not isinstance(value, dict):
        raise arguments.wrong(name, value)
    return _Arguments(value or {}, f"{arguments.where}.{name}")


def _norm(arguments: _Arguments, settings: dict[str, Any], dims: int) -> None:
    name = arguments.take("norm_op")
    details = _details(arguments, "norm_op_kwargs")
    instance = name in _names("instancenorm", f"InstanceNorm{dims}d")
    batch = name in _names("batchnorm", f"BatchNorm{dims}d")
    if name is None:
        settings["norm"] = "none"
        return
    if not instance and not batch:
        raise arguments.wrong("norm_op", name)
    settings["norm"] = "instance" if instance else "batch"
    settings["norm_eps"] = details.take("eps", 1e-5)
    settings["norm_affine"] = details.take("affine", batch)
    details.take("momentum")  # how training updates running statistics
    if (track := details.take("track_running_stats", batch)) is not batch:
        raise details.wrong("track_running_stats", track)
    details.finish()


def _activation(arguments: _Arguments, settings: dict[str, Any]) -> None:
    name = arguments.take("nonlin")
    details = _details(arguments, "nonlin_kwargs")
    known = {spelled: value for key, value in _ACTIVATIONS.items() for spelled in _names("activation", key)}
    if not isinstance(name, str) or name not in known:
        raise arguments.wrong("nonlin", name)
    settings["activation"] = known[name]
    if known[name] == "leaky_relu":
        settings["negative_slope"] = details.take("negative_slope", 0.01)
    details.take("inplace")
    details.finish()


def _dropout(arguments: _Arguments, settings: dict[str, Any], dims: int) -> None:
    name = arguments.take("dropout_op")
    details = _details(arguments, "dropout_op_kwargs")
    if name is None:
        return
    if name not in _names("dropout", f"Dropout{dims}d"):
        raise arguments.wrong("dropout_op", name)
    settings["dropout"] = details.take("p", 0.5)
    details.take("inplace")
    details.finish()


def _from_old(values: dict[str, Any], dims: int, where: str) -> dict[str, Any]:
    """Return the present form of what the first releases of version 2 wrote."""
    name = values.get("UNet_class_name")
    if name not in ("PlainConvUNet", "ResidualEncoderUNet"):
        raise ManifestError(f"{where}.UNet_class_name is {name!r:.80}, which MedAI does not build.")
    down = values.get("n_conv_per_stage_encoder")
    base, largest = values.get("UNet_base_num_features"), values.get("unet_max_num_features")
    if not isinstance(down, list) or not 2 <= len(down) <= 12 or type(base) is not int or type(largest) is not int:
        raise ManifestError(
            f"{where} must hold n_conv_per_stage_encoder, UNet_base_num_features and unet_max_num_features."
        )
    arguments = {
        "n_stages": len(down),
        "features_per_stage": [min(base << level, largest) for level in range(len(down))],
        "conv_op": f"torch.nn.Conv{dims}d",
        "kernel_sizes": values.get("conv_kernel_sizes"),
        "strides": values.get("pool_op_kernel_sizes"),
        "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage": down,
        "n_conv_per_stage_decoder": values.get("n_conv_per_stage_decoder"),
        "conv_bias": True,
        "norm_op": f"torch.nn.InstanceNorm{dims}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "torch.nn.LeakyReLU",
    }
    return {"network_class_name": f"dynamic_network_architectures.architectures.unet.{name}", "arch_kwargs": arguments}
