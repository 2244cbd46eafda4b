"""What nnU-Net does to an image before its network sees it, as the settings that MedAI's own preparation takes."""

from __future__ import annotations

from typing import Any

from medai.core.errors import ManifestError

from ..inference.prepare import ChannelEntry, Normalise, PrepareSettings
from ._nnunet_labels import modality_of
from ._nnunet_plans import Configuration, Plans

ANISOTROPY = 3.0
"""nnU-Net's own threshold above which the coarsest axis is treated apart."""
SMALLEST_SD = 1e-8
SPLINE = "resample_data_or_seg_to_shape"
TORCH = "resample_torch_fornnunet"
NONE = "no_resampling_data_or_seg_to_shape"
READER_ORIENTATION = {"NibabelIOWithReorient": "RAS", "SimpleITKIOWithReorient": "RAS"}
"""Readers that bring every image to one orientation; the others take the file's own."""
_IGNORED = {"num_threads", "memefficient_seg_resampling"}


def prepare_settings(
    plans: Plans, configuration: Configuration, channels: tuple[str, ...], orientation: str, where: str
) -> PrepareSettings:
    """Return orientation, spacing, crop, normalisation and resampling.

    nnU-Net transposes the image as its reader gives it, crops to what is not 0, normalises, and resamples last
    (``DefaultPreprocessor``).

    Parameters
    ----------
    orientation : str
        Directions in which I, J, K of the training files grow.

    Raises
    ------
    ManifestError
        If a function, an argument of one, or a normalisation is not one that MedAI reproduces.
    """
    flat = len(configuration.patch_size) == 2
    interpolate, anisotropy = _resampling(configuration, where)
    # nnU-Net's spacing is along K, J, I after the transposition; slices of a 2D network keep their distance.
    sizes = (1.0, *configuration.spacing) if flat else configuration.spacing
    return PrepareSettings(
        orientation=transposed(orientation, plans.transpose_forward),
        spacing=None if interpolate is None else (sizes[2], sizes[1], sizes[0]),
        keep_slices=flat,
        grid="edges",
        interpolate="cubic" if interpolate == "cubic" else "linear",
        anisotropy=anisotropy,
        crop="nonzero",
        normalise_first=True,
        channels=_channels(plans, configuration, channels, where),
    )


def transposed(orientation: str, axes: tuple[int, int, int]) -> str:
    """Return the orientation of an array (K, J, I) after ``transpose(axes)``; letters are those of I, J, K."""
    letters = orientation[::-1]
    return "".join(letters[axis] for axis in axes)[::-1]


def _channels(
    plans: Plans, configuration: Configuration, names: tuple[str, ...], where: str
) -> tuple[ChannelEntry, ...]:
    schemes, masks = configuration.normalization_schemes, configuration.use_mask_for_norm
    if len(schemes) != len(names) or len(masks) != len(names):
        raise ManifestError(
            f"{where}: dataset.json names {len(names)} channels, normalization_schemes has {len(schemes)} and "
            f"use_mask_for_norm {len(masks)} entries."
        )
    found = []
    for index, (name, scheme, mask) in enumerate(zip(names, schemes, masks, strict=True)):
        steps = _steps(plans, scheme, mask, index, where)
        found.append(ChannelEntry(name=name, modality=modality_of(name), normalise=steps))
    return tuple(found)


def _steps(plans: Plans, scheme: str, mask: bool, index: int, where: str) -> tuple[Normalise, ...]:
    if scheme == "NoNormalization":
        return ()
    if scheme == "ZScoreNormalization":
        return (Normalise(method="zscore", over="filled" if mask else "image"),)
    if scheme == "RescaleTo01Normalization":
        return (Normalise(method="range"),)
    if scheme == "RGBTo01Normalization":
        return (Normalise(method="shift_scale", sd=255.0),)
    if scheme == "CTNormalization":
        known = plans.intensities.get(str(index))
        if known is None:
            raise ManifestError(f"{where}: CTNormalization of channel {index} needs the training images' intensities.")
        return (
            Normalise(method="clip", low=known.percentile_00_5, high=known.percentile_99_5),
            Normalise(method="shift_scale", mean=known.mean, sd=max(known.std, SMALLEST_SD)),
        )
    raise ManifestError(f"{where}.normalization_schemes: {scheme!r} is not one that MedAI reproduces.")


def _resampling(configuration: Configuration, where: str) -> tuple[str | None, float]:
    """Return (how images are interpolated or None for not at all, anisotropy threshold or 0)."""
    data = _function(configuration.resampling_fn_data, configuration.resampling_fn_data_kwargs,
                     f"{where}.resampling_fn_data", is_seg=False)  # fmt: skip
    labels = _function(configuration.resampling_fn_probabilities, configuration.resampling_fn_probabilities_kwargs,
                       f"{where}.resampling_fn_probabilities", is_seg=False)  # fmt: skip
    if labels[0] == "cubic":
        raise ManifestError(f"{where}.resampling_fn_probabilities: order 3 is not reproduced, only order 1.")
    if (data[0] is None) != (labels[0] is None) or data[1] != labels[1]:
        raise ManifestError(
            f"{where}: images and probabilities are resampled by different rules ({data} and {labels}), which is not "
            "reproduced."
        )
    if configuration.previous_stage is not None:
        before = _function(configuration.resampling_fn_seg, configuration.resampling_fn_seg_kwargs,
                           f"{where}.resampling_fn_seg", is_seg=True)  # fmt: skip
        if configuration.resampling_fn_seg != SPLINE or before[0] != "linear" or before[1] != data[1]:
            raise ManifestError(
                f"{where}.resampling_fn_seg: a previous stage's labels are resampled by {SPLINE!r} of order 1 and with "
                "the images' rules only."
            )
    return data


def _function(name: str, kwargs: dict[str, Any], where: str, *, is_seg: bool) -> tuple[str | None, float]:
    given = {key: value for key, value in kwargs.items() if key not in _IGNORED}
    if given.pop("is_seg", False) is not is_seg:
        raise ManifestError(f"{where}_kwargs.is_seg must be {str(is_seg).lower()}.")
    if name == NONE:
        return None, 0.0
    if name not in (SPLINE, TORCH):
        raise ManifestError(f"{where}: {name!r} is not a resampling that MedAI reproduces.")
    separate = given.pop("force_separate_z", False if name == SPLINE else None)
    threshold = given.pop("separate_z_anisotropy_threshold", ANISOTROPY)
    if name == SPLINE:
        order, coarse = given.pop("order", 3), given.pop("order_z", 0)
        known = {1: "linear", 3: "cubic"}.get(order) if type(order) is int else None
        if known is None:
            raise ManifestError(f"{where}_kwargs.order is {order!r:.20}; only 1 and 3 are reproduced.")
        if coarse != 0 and separate is not False:
            raise ManifestError(f"{where}_kwargs.order_z is {coarse!r:.20}; only 0 is reproduced.")
    else:
        known = "linear"
        if (mode := given.pop("mode", "linear")) != "linear":
            raise ManifestError(f"{where}_kwargs.mode is {mode!r:.20}; only 'linear' is reproduced.")
        if (mode := given.pop("aniso_axis_mode", "nearest-exact")) != "nearest-exact" and separate is not False:
            raise ManifestError(f"{where}_kwargs.aniso_axis_mode is {mode!r:.20}; only 'nearest-exact' is reproduced.")
    if given:
        raise ManifestError(f"{where}_kwargs: the argument {sorted(given)[0]!r:.40} is not known.")
    if separate is True or separate not in (None, False):
        raise ManifestError(f"{where}_kwargs.force_separate_z is {separate!r:.20}; only null and false are reproduced.")
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or threshold < 1:
        raise ManifestError(f"{where}_kwargs.separate_z_anisotropy_threshold must be a number from 1 on.")
    return known, 0.0 if separate is False else float(threshold)
