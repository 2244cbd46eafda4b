"""The one entry point: measure every segment of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from .families import FAMILIES
from .result import FeatureTable, FeatureValue
from .roi import Box, Roi, cut, find_boxes
from .settings import ExtractSettings

TINY_VOXELS = 27
"""A segment of fewer voxels than one 3 x 3 x 3 neighbourhood is flagged: its features describe the grid, not tissue."""


def extract(
    volume: Volume,
    labels: LabelMap,
    settings: ExtractSettings | dict[str, Any] | None = None,
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> FeatureTable:
    """Measure the segments of an image.

    Parameters
    ----------
    volume : Volume
        A scalar image, shape (K, J, I).
    labels : LabelMap
        On the image's grid (within 1e-3 mm).
    settings : ExtractSettings or dict, optional
        All families with their defaults if not given.
    progress : callable
        Called as ``progress(fraction, message)``, once a segment and family.
    cancel : CancelToken, optional
        Polled at least between families, and between slices inside a segment.

    Returns
    -------
    FeatureTable
        Segments in the order of ``labels.segments``, families in the order of the settings (sorted by default),
        features in the order of their definition.  Its flags are those of the image and the labels, then the new ones:
        MASK_EMPTY, MASK_TINY, FOV_CLIPPED, INT_CONSTANT, FEATURE_UNDEFINED for each segment, and INT_NAN for the image.

    Raises
    ------
    SettingsError, DependencyError
        If the settings are wrong or name a family that cannot run here.
    UnsupportedInput
        If a voxel has more than one value.
    GeometryError
        If the grids differ, or a family needs right angles and the grid has none.
    InputError
        If a segment contains NaN or infinity, is unknown, or if image or labels carry a quality flag of severity error
        that the settings do not allow.
    Cancelled
        If somebody asked to stop.
    """
    token = cancel or CancelToken()
    token.check()
    parsed = ExtractSettings.parse(settings, where="features").resolved()
    families = [FAMILIES.create(name) for name in parsed.families or {}]
    volume.require_scalar("Feature extraction")
    volume.geometry.require_same(labels.geometry, "segmentation")
    flags = list(dict.fromkeys((*volume.flags, *labels.flags)))
    _refuse_errors(flags, parsed)
    for family in families:
        family.check(volume)
    chosen = None if parsed.segments is None else dict.fromkeys(parsed.segments)
    segments = labels.segments if chosen is None else tuple(labels.segment(name) for name in chosen)
    boxes = find_boxes(labels)
    token.check()
    flags += [flag for flag in _check_finite(volume, labels, segments, boxes, token) if flag not in flags]

    rows: list[FeatureValue] = []
    done, steps = 0, max(1, len(segments) * len(families))
    for segment in segments:
        roi = cut(volume, labels, segment, boxes.get(segment.label), parsed.limits)
        found: list[FeatureValue] = []
        for family in families:
            progress(done / steps, f"{family.title}: {segment.name}")
            found += family.compute(roi, (parsed.families or {})[family.name], cancel=token)
            done += 1
        rows += found
        flags += _flags_of(roi, found)
    token.check()
    progress(1.0, "Features")
    return FeatureTable(tuple(rows), parsed.to_dict(), tuple(flags))


def _refuse_errors(flags: list[QCFlag], settings: ExtractSettings) -> None:
    errors = [flag for flag in flags if flag.severity is Severity.ERROR]
    if errors and not settings.allow_error_flags:
        raise InputError(
            f"The image is not measured because of its quality flag {errors[0].code}: {errors[0].message}",
            hint="Repair the image, or allow measuring in spite of quality errors (allow_error_flags).",
            code="QC_ERROR",
        )


def _check_finite(
    volume: Volume, labels: LabelMap, segments: tuple[Segment, ...], boxes: dict[int, Box], cancel: CancelToken
) -> list[QCFlag]:
    """Refuse NaN and infinity inside a segment; flag them elsewhere."""
    if volume.array.dtype.kind != "f":
        return []
    bad = 0
    for plane in volume.array:
        cancel.check()
        bad += plane.size - int(np.count_nonzero(np.isfinite(plane)))
    if not bad:
        return []
    for segment in segments:
        cancel.check()
        if not cut(volume, labels, segment, boxes.get(segment.label)).is_finite:
            raise InputError(
                f"The image has NaN or infinite voxels inside the segment {segment.name!r}; finite values are needed.",
                hint="Leave those voxels out of the segment, or repair the image.",
            )
    if any(flag.code == "INT_NAN" for flag in volume.flags):
        return []
    message = f"The image has {bad} NaN or infinite voxels, none inside a measured segment."
    return [QCFlag("INT_NAN", Severity.WARNING, message, measured=bad, limit=0)]


def _flags_of(roi: Roi, rows: list[FeatureValue]) -> list[QCFlag]:
    """Return what is doubtful about one segment."""
    name = roi.segment.name
    warning = Severity.WARNING
    if roi.is_empty:
        return [
            QCFlag("MASK_EMPTY", warning, f"The segment {name!r} has no voxels.", measured=0, limit=1, affects=name)
        ]
    flags = []
    if roi.voxels < TINY_VOXELS:
        message = f"The segment {name!r} has {roi.voxels} voxels; below {TINY_VOXELS} its features describe the grid."
        flags.append(QCFlag("MASK_TINY", warning, message, measured=roi.voxels, limit=TINY_VOXELS, affects=name))
    if roi.clipped:
        axes = ", ".join(roi.clipped)
        message = f"The segment {name!r} touches the image's border along {axes} and may be cut off."
        flags.append(QCFlag("FOV_CLIPPED", warning, message, measured=axes, affects=name))
    values = roi.array[roi.mask]
    if values.min() == values.max():
        message = f"All intensities of the segment {name!r} are equal."
        flags.append(QCFlag("INT_CONSTANT", warning, message, measured=float(values[0]), affects=name))
    undefined = [row.feature for row in rows if not row.defined]
    if undefined:
        message = f"{len(undefined)} of {len(rows)} features of the segment {name!r} are undefined; see their reasons."
        flags.append(
            QCFlag("FEATURE_UNDEFINED", Severity.INFO, message, measured=len(undefined), limit=0, affects=name)
        )
    return flags
