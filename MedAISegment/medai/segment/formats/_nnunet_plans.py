"""nnU-Net's plans.json, read as data: the keys that decide a result, each checked; the others are not looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, ConfigDict, Field

from medai.core.errors import ManifestError, SettingsError
from medai.core.settings import Settings, load_json_file

S = TypeVar("S", bound=Settings)
LABEL_MANAGER = "LabelManager"
PREPROCESSOR = "DefaultPreprocessor"


class Lenient(Settings):
    """Known keys strictly, unknown keys not at all: nnU-Net writes many that only training uses."""

    model_config = ConfigDict(extra="ignore")


class Intensity(Lenient):
    """Grey values of the foreground over the training images."""

    mean: float
    std: float
    percentile_00_5: float
    percentile_99_5: float


class Plans(Lenient):
    """What holds for every configuration."""

    dataset_name: str = ""
    image_reader_writer: str = "SimpleITKIO"
    transpose_forward: tuple[int, int, int]
    label_manager: str = LABEL_MANAGER
    configurations: dict[str, dict[str, Any]]
    intensities: dict[str, Intensity] = Field(
        default_factory=dict,
        validation_alias=AliasChoices(
            "foreground_intensity_properties_per_channel", "foreground_intensity_properties_by_modality"
        ),
    )


class Configuration(Lenient):
    """One way to run: slices or blocks, at one spacing.  Sizes are along K, J, I of the transposed image."""

    preprocessor_name: str = PREPROCESSOR
    patch_size: tuple[int, ...] = Field(min_length=2, max_length=3)
    spacing: tuple[float, ...] = Field(min_length=2, max_length=3)
    normalization_schemes: tuple[str, ...] = Field(min_length=1, max_length=64)
    use_mask_for_norm: tuple[bool, ...] = Field(min_length=1, max_length=64)
    resampling_fn_data: str
    resampling_fn_data_kwargs: dict[str, Any] = Field(default_factory=dict)
    resampling_fn_seg: str
    resampling_fn_seg_kwargs: dict[str, Any] = Field(default_factory=dict)
    resampling_fn_probabilities: str
    resampling_fn_probabilities_kwargs: dict[str, Any] = Field(default_factory=dict)
    previous_stage: str | None = None


def read_json(file: Path, where: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises
    ------
    ManifestError
        If the file cannot be read or holds something else.
    """
    try:
        value = load_json_file(file, where=where)
    except SettingsError as error:
        raise ManifestError(error.message, hint=error.hint) from None
    if not isinstance(value, dict):
        raise ManifestError(f"{where} holds a {type(value).__name__}, an object was expected.")
    return value


def read_plans(file: Path, where: str) -> Plans:
    """Read plans.json.

    Raises
    ------
    ManifestError
        If a key is missing or wrong, or names a part of nnU-Net that MedAI does not reproduce.
    """
    plans = parsed(Plans, read_json(file, where), where)
    if sorted(plans.transpose_forward) != [0, 1, 2]:
        raise ManifestError(f"{where}.transpose_forward must name the axes 0, 1, 2 once each, given "
                            f"{list(plans.transpose_forward)}.")  # fmt: skip
    if plans.label_manager != LABEL_MANAGER:
        raise ManifestError(f"{where}.label_manager is {plans.label_manager!r}; only {LABEL_MANAGER!r} is reproduced.")
    return plans


def read_configuration(plans: Plans, name: str, where: str) -> tuple[Configuration, dict[str, Any]]:
    """Return a configuration with what it inherits, and its plain values (they hold the architecture).

    Raises
    ------
    ManifestError
        If it is not there, inherits in a circle, has wrong values, or names an unknown preprocessor.
    """
    values = _inherited(plans, name, where)
    place = f"{where}.configurations.{name}"
    found = parsed(Configuration, values, place)
    if found.preprocessor_name != PREPROCESSOR:
        raise ManifestError(
            f"{place}.preprocessor_name is {found.preprocessor_name!r}; only {PREPROCESSOR!r} is reproduced."
        )
    if len(found.spacing) != len(found.patch_size):
        raise ManifestError(
            f"{place}: patch_size has {len(found.patch_size)} numbers, spacing {len(found.spacing)}; both 2 or both 3 "
            "were expected."
        )
    if min(found.patch_size) < 1 or min(found.spacing) <= 0:
        raise ManifestError(f"{place}: each patch size and each spacing must be greater than 0.")
    return found, values


def parsed(model: type[S], values: dict[str, Any], where: str) -> S:
    """Validate values; a wrong one is the model's fault."""
    try:
        return model.parse(values, where=where)
    except SettingsError as error:
        raise ManifestError(error.message, hint="This is not what nnU-Net v2 writes.") from None


def _inherited(plans: Plans, name: str, where: str) -> dict[str, Any]:
    chain: list[dict[str, Any]] = []
    seen: list[str] = []
    step: Any = name
    while step is not None:
        if not isinstance(step, str) or step not in plans.configurations:
            known = ", ".join(sorted(plans.configurations)[:10]) or "none"
            raise ManifestError(f"{where} has no configuration {step!r}.", hint=f"It has: {known}.")
        if step in seen:
            raise ManifestError(f"{where}: the configurations {', '.join([*seen, step])} inherit in a circle.")
        seen.append(step)
        chain.append(plans.configurations[step])
        step = plans.configurations[step].get("inherits_from")
    values: dict[str, Any] = {}
    for part in reversed(chain):
        values.update(part)
    return values
