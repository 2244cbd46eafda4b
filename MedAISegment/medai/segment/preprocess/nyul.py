"""Standardisation of MR intensities by landmarks of the histogram (Nyul and Udupa)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.atomic import write_text
from medai.core.errors import InputError, SettingsError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.settings import Settings, load_json_file
from medai.core.volume import Volume

from ..colour import by_component
from ..inside import inside_mask
from ._base import Filter
from ._region import RegionSettings, region_mask
from ._statistics import Mask, percentiles
from ._values import Reals, map_values, real_type

PERCENTS = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
"""The landmarks of Nyul, Udupa and Zhang (2000): the deciles and the ends of the range of interest."""
LARGEST = 1e30


def _check(percents: Sequence[float], values: Sequence[float]) -> None:
    if len(percents) != len(values):
        raise ValueError(f"there are {len(percents)} percents and {len(values)} values; each percent needs its value")
    if len(percents) < 2 or any(b <= a for a, b in itertools.pairwise(percents)):
        raise ValueError("percents must be at least two and ascend")
    if percents[0] < 0 or percents[-1] > 100:
        raise ValueError("percents must lie from 0 to 100")
    if any(b < a for a, b in itertools.pairwise(values)) or values[0] == values[-1]:
        raise ValueError("the standard's values must ascend")
    if max(abs(values[0]), abs(values[-1])) > LARGEST:
        raise ValueError(f"the standard's values must lie within {LARGEST:g} on both sides of 0")


class NyulStandard(Settings):
    """Where the landmarks of every image are moved to."""

    percents: tuple[float, ...] = Field(
        PERCENTS, max_length=101, title="Percentiles", description="Ascending, 0 to 100.",
        json_schema_extra={"unit": "%"},
    )  # fmt: skip
    values: tuple[float, ...] = Field(
        max_length=101, title="Standard", description="Value of each percentile on the standard scale."
    )

    @model_validator(mode="after")
    def _fits(self) -> NyulStandard:
        _check(self.percents, self.values)
        return self

    def save(self, path: str | Path) -> None:
        """Write the standard as a JSON file, in one step."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> NyulStandard:
        """Read a standard that :meth:`save` wrote; raises :class:`SettingsError` if it is none."""
        return cls.parse(load_json_file(path), where=Path(path).name)


class NyulSettings(RegionSettings):
    """The standard to bring the image to: given here, or in a file."""

    region: Literal["image", "nonzero", "above_mean"] = Field(
        "above_mean",
        title="Statistics from",
        description="All voxels, those that are not 0, or those brighter than the mean, which leaves out the air;"
        " the same as for the fit of the standard.",
    )
    standard: tuple[float, ...] = Field(
        (), max_length=101, title="Standard", description="Value of each percentile on the standard scale."
    )
    percents: tuple[float, ...] = Field(
        PERCENTS, max_length=101, title="Percentiles", description="Percentiles that 'standard' belongs to, ascending.",
        json_schema_extra={"unit": "%"},
    )  # fmt: skip
    standard_file: str = Field(
        "",
        max_length=4096,
        title="Standard's file",
        description="JSON file that holds the standard, as a fit saved it.",
    )

    @model_validator(mode="after")
    def _fits(self) -> NyulSettings:
        if self.standard and self.standard_file:
            raise ValueError("give either standard or standard_file")
        if self.standard:
            _check(self.percents, self.standard)
        return self


class Nyul(Filter):
    """Piecewise linear map that moves the image's percentiles to those of a standard.

    Nyul, Udupa and Zhang, IEEE Trans. Med. Imaging 19, 143 (2000).  The standard comes from :func:`fit_nyul` over many
    images of one sequence.  Between two landmarks the map is linear; beyond the first and the last it goes on with the
    slope of the outermost interval.  Landmarks that fall on one value of the image count as one, with the mean of
    their standard values.  Percentiles are values of the image (NumPy's ``inverted_cdf``).  The result is float32
    (float64 stays float64).  NaN is not counted and stays.  Each channel of a colour image is moved alone.
    """

    name = "nyul"
    title = "Histogram standardisation (Nyul)"
    group = "Normalise"
    uses_labels = "optional"
    Settings = NyulSettings

    def apply_with(
        self,
        value: Volume,
        labels: LabelMap | None,
        settings: NyulSettings,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
    ) -> Volume:
        """Standardise a scalar or colour volume.

        Raises
        ------
        SettingsError
            If no standard is given, or its file holds none.
        InputError
            If all landmarks have one value, or the region is empty or holds no finite value.
        """
        standard = _standard(settings)
        inside = inside_mask(labels, settings.inside)

        def one(array: npt.NDArray[Any], part: ProgressFn) -> npt.NDArray[Any]:
            marks = _landmarks(array, inside, settings.region, standard.percents, cancel)
            curve = _piecewise(marks, standard.values)
            return map_values(array, curve, real_type(array), progress=part, cancel=cancel, message=self.title)

        return value.replace(array=by_component(value.array, one, progress), unit="")


def _standard(settings: NyulSettings) -> NyulStandard:
    if settings.standard_file:
        return NyulStandard.load(settings.standard_file)
    if not settings.standard:
        raise SettingsError(
            "nyul.standard: no standard is given.",
            hint="Fit one to several images with fit_nyul and give its values or its file.",
        )
    return NyulStandard(percents=settings.percents, values=settings.standard)


def fit_nyul(
    volumes: Iterable[Volume],
    labels: Sequence[LabelMap | None] | None = None,
    *,
    percents: Sequence[float] = PERCENTS,
    low: float = 0.0,
    high: float = 100.0,
    region: str = "above_mean",
    inside: str = "",
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> NyulStandard:
    """Return the standard of several images of one sequence.

    Of each image the first and the last landmark are moved to ``low`` and ``high`` and those between linearly along;
    the standard is their mean over the images (Nyul, Udupa and Zhang 2000, training step).

    Parameters
    ----------
    volumes : iterable of Volume
        Scalar images, read one at a time.
    labels : sequence of LabelMap, optional
        For ``inside``: one for each volume.
    percents : sequence of float
        The landmarks, ascending.
    low, high : float
        Ends of the standard scale, in units of their own.
    region : {"image", "nonzero", "above_mean"}
        Voxels that count; use the same for :class:`Nyul`.
    inside : str
        Name of the segment that counts; empty for all.

    Raises
    ------
    InputError
        If there is no image, or one's first and last landmark are equal.
    SettingsError
        If the percents or the ends do not ascend.
    """
    token = cancel or CancelToken()
    start = {"percents": list(percents), "values": [float(n) for n in range(len(percents))]}
    wanted = NyulStandard.parse(start, where="fit_nyul")
    if not low < high:
        raise SettingsError(f"fit_nyul: low {low:g} must be smaller than high {high:g}.")
    found: list[Reals] = []
    for number, volume in enumerate(volumes):
        token.check()
        volume.require_scalar("A Nyul standard")
        mask = inside_mask(labels[number] if labels else None, inside)
        marks = np.asarray(_landmarks(volume.array, mask, region, wanted.percents, token))
        if marks[0] == marks[-1]:
            raise InputError(f"Image {number + 1}: its first and last landmark are both {marks[0]:g}.")
        found.append(low + (high - low) * (marks - marks[0]) / (marks[-1] - marks[0]))
        progress(1.0 - 1.0 / (number + 2), f"Image {number + 1}")
    if not found:
        raise InputError("A Nyul standard needs at least one image, given none.")
    progress(1.0, "Nyul standard")
    return NyulStandard(percents=wanted.percents, values=tuple(float(v) for v in np.mean(found, axis=0)))


def _landmarks(
    array: npt.NDArray[Any], inside: Mask | None, region: str, percents: Sequence[float], cancel: CancelToken
) -> list[float]:
    return percentiles(array, percents, region_mask(array, inside, region, cancel), cancel=cancel)


def _piecewise(marks: Sequence[float], values: Sequence[float]) -> Any:
    """Return the map from an image's landmarks to the standard's values."""
    sources, place = np.unique(np.asarray(marks), return_inverse=True)
    if sources.size < 2:
        raise InputError(f"All landmarks of the image are {marks[0]:g}: there is nothing to standardise.")
    targets = np.bincount(place, weights=np.asarray(values)) / np.bincount(place)
    with np.errstate(over="ignore"):
        slopes = np.diff(targets) / np.diff(sources)
    if not np.isfinite(slopes).all():
        raise InputError(
            f"The landmarks from {sources[0]:g} to {sources[-1]:g} lie too close together for the standard's values.",
            hint="Multiply the image by a constant first.",
        )
    first, last = float(slopes[0]), float(slopes[-1])

    def curve(given: Reals) -> Reals:
        found = np.interp(given, sources, targets)
        found = np.where(given < sources[0], targets[0] + first * (given - sources[0]), found)
        return np.asarray(np.where(given > sources[-1], targets[-1] + last * (given - sources[-1]), found))

    return curve
