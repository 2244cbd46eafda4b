"""Models of one structure: find where it lies, look there, and keep what else was found on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from medai.core.errors import DependencyError, InputError, MedAIError, ModelError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from ..inference.locate import atlas_regions
from ..inference.located import Regions, run_located
from ..inference.locator import Found, has_segments, locate, named_locator, regions_from, unions
from ..inference.result import Result
from ..merge import merged
from ..models import ModelStore
from ..models.info import ModelInfo

Way = Literal["segments", "locator"]

if TYPE_CHECKING:
    from .unet import UNetSettings


def predict_in_regions(
    model: ModelInfo, value: Volume, labels: LabelMap | None, settings: UNetSettings, *, progress: ProgressFn,
    cancel: CancelToken,
) -> Result:  # fmt: skip
    """Run a model whose manifest has a region.

    Raises
    ------
    InputError
        If the regions cannot be found in the way that was asked for.
    ModelError
        If the locator was asked for and is not installed.
    """
    value.require_scalar("This model")
    wanted = _wanted(model, labels, settings)
    regions: Regions
    everything: LabelMap | None = None
    start, why = 0.0, ""
    if wanted == "segments":
        regions = regions_from(_required(labels), model.manifest, cancel=cancel)
        everything = labels
    elif wanted == "locator":
        start = 0.7
        part = sub_progress(progress, 0.0, 0.6)
        found, everything = locate(
            _locator(model, cancel), value, model.manifest, settings.options(), progress=part, cancel=cancel
        )
        regions = found
        if settings.regions == "auto" and any(flag.severity is Severity.ERROR for flag in found.flags):
            instead = _by_atlas(found, value, model, progress=sub_progress(progress, 0.6, start), cancel=cancel)
            if instead is not None:
                regions, everything = instead, None
                why = f"what the model {named_locator(model.manifest.region)!r} found in this image is not plausible"
    else:
        regions = wanted
    result = run_located(
        model, value, regions, settings.options(), recentre=settings.recentre,
        largest_component=settings.largest_component is not False, progress=sub_progress(progress, start, 1.0),
        cancel=cancel,
    )  # fmt: skip
    if not settings.keep_located:
        return result
    labelled = result.labels
    if everything is None:
        flags = (*labelled.flags, *_nothing_to_keep(model, settings, why))
        return Result(labelled.replace(flags=flags), result.maps, result.facts)
    cancel.check()
    return Result(merged(labelled, unions(everything, settings.keep_located), "under"), result.maps, result.facts)


def _wanted(model: ModelInfo, labels: LabelMap | None, settings: UNetSettings) -> Regions | Way:
    """Return how the regions are found; ``auto`` takes the first way that is open here."""
    hint = model.manifest.region
    if hint is None:
        return "image"
    if settings.regions != "auto":
        return settings.regions
    if has_segments(labels, hint.locator):
        return "segments"
    if hint.locator is not None and _installed(hint.locator.model):
        return "locator"
    return "atlas" if hint.mni152 else "image"


def _installed(name: str) -> bool:
    try:
        ModelStore().find(name)
    except MedAIError:
        return False
    return True


def _locator(model: ModelInfo, cancel: CancelToken) -> ModelInfo:
    name = named_locator(model.manifest.region)
    if not name:
        raise InputError(
            f"The model {model.id!r} names no model that finds its structure.",
            hint="Use regions 'atlas' or 'image', or give the boxes.",
        )
    try:
        return ModelStore().find(name, cancel=cancel)
    except DependencyError:
        raise
    except ModelError as error:
        raise ModelError(
            f"The model {name!r}, which finds the structure for {model.id!r}, cannot be used: {error.message}",
            hint=f"Install {name!r}, use regions 'atlas', or give the boxes.",
        ) from None


def _required(labels: LabelMap | None) -> LabelMap:
    if labels is None:
        raise InputError(
            "Regions from segments need segments made before, and there are none.",
            hint="Put the model that finds the structure before this step, or use regions 'locator'.",
        )
    return labels


def _by_atlas(
    found: Found, value: Volume, model: ModelInfo, *, progress: ProgressFn, cancel: CancelToken
) -> Found | None:
    """Return the atlas' regions instead of a locator's that are not to be believed; None if it finds none either.

    The locator's flags stay as warnings: they are about its own segments, of which nothing is used.
    """
    hint = model.manifest.region
    if hint is None or not hint.mni152:
        return None
    facts = dict(found.facts)
    try:
        regions = atlas_regions(value, model.manifest, facts, progress=progress, cancel=cancel)
    except (InputError, DependencyError, ImportError):
        return None
    flags = tuple(
        replace(flag, severity=Severity.WARNING) if flag.severity is Severity.ERROR else flag for flag in found.flags
    )
    return Found(tuple(regions), (), flags, facts)


def _nothing_to_keep(model: ModelInfo, settings: UNetSettings, why: str) -> list[QCFlag]:
    """Say of each segment that was to be kept why it is not there."""
    locator = named_locator(model.manifest.region)
    why = why or "the regions were found without a model of the whole image"
    if settings.regions == "auto" and locator and not _installed(locator):
        why = f"the model {locator!r}, which finds it, is not installed"
    return [
        QCFlag("PARTIAL_RUN", Severity.WARNING, f"{name} was not segmented: {why}.", affects=name)
        for name in settings.keep_located
    ]
