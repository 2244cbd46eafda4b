"""What a data set is like: sizes, voxels, values, labels; as numbers that a plan is made from and a card can show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from medai.core.atomic import write_text
from medai.core.errors import InputError
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.settings import Settings

from ..formats._nnunet_labels import modality_of
from .checks import check_dataset, require_trainable
from .dataset import DataSet
from .survey import CaseFacts, Survey, survey
from .voxel_facts import PERCENTS, Values

MAX_BYTES = 256 * 1024 * 1024
AIR = -200.0
"""Values below this occur in CT (air is -1000 HU), not in MR or PET."""
Triple = tuple[float, float, float]


class Numbers(Settings):
    """Values of a channel; the SD divides by n."""

    mean: float
    sd: float = Field(ge=0)
    low: float
    high: float
    percentile_00_5: float
    median: float
    percentile_99_5: float


class Spread(Settings):
    """Percentiles over the cases, along I, J, K in RAS order (right, anterior, superior)."""

    p10: Triple
    median: Triple
    p90: Triple


class LabelPrint(Settings):
    """A label in one case."""

    label: int
    volume_ml: float = Field(ge=0)
    components: int = Field(ge=0, description="Parts that touch by no face, edge or corner.")


class CasePrint(Settings):
    """One case."""

    case: str
    subject: str
    shape: tuple[int, int, int] = Field(description="Voxels along K, J, I in RAS order.")
    spacing: Triple = Field(description="mm along I, J, K in RAS order.")
    orientation: str = Field(description="Directions in which I, J, K grow in the file.")
    kept: float = Field(1.0, ge=0, le=1, description="Share of the image in the box around everything that is not 0.")
    image: tuple[Numbers, ...] = Field(description="Each channel's values over the whole image.")
    inside: tuple[Numbers, ...] = Field((), description="Each channel's values where there is a label.")
    labels: tuple[LabelPrint, ...] = ()


class LabelSummary(Settings):
    """A label over all cases."""

    label: int
    name: str
    cases: int = Field(ge=0)
    subjects: int = Field(ge=0)
    volume_ml: tuple[float, float, float] = Field(description="Smallest, median, largest where it occurs.")
    components: tuple[int, int] = Field(description="Median and largest number of parts.")


class Fingerprint(Settings):
    """A data set in numbers."""

    channels: tuple[str, ...] = Field(min_length=1)
    modalities: tuple[str, ...] = Field(description="DICOM modality of each channel, guessed; empty if unknown.")
    subjects: int = Field(ge=1)
    spacing: Spread = Field(description="Voxel size in mm.")
    extent_mm: Spread = Field(description="Size of the image in mm.")
    voxels: Spread = Field(description="Size of the image in voxels.")
    anisotropy: float = Field(ge=1, description="Largest over smallest of the median spacing.")
    kept: float = Field(ge=0, le=1, description="Median share of the image in the box around what is not 0.")
    inside: tuple[Numbers, ...] = Field(
        description="Each channel's values inside the labels over all cases, each case counting alike (nnU-Net)."
    )
    labels: tuple[LabelSummary, ...] = Field(min_length=1)
    cases: tuple[CasePrint, ...] = Field(min_length=1)

    def write(self, path: str | Path) -> None:
        """Write the fingerprint as JSON, atomically.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        write_text(path, json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Fingerprint:
        """Read a fingerprint.

        Raises
        ------
        InputError
            If the file cannot be read or holds something else.
        """
        file = Path(path)
        try:
            if file.stat().st_size > MAX_BYTES:
                raise InputError(f"{file.name!r} is larger than {MAX_BYTES} bytes; a fingerprint was expected.")
            return cls.model_validate_json(file.read_bytes())
        except OSError as error:
            raise InputError(f"{file.name!r} cannot be read: {error.strerror or 'unknown reason'}.") from None
        except ValidationError:
            raise InputError(f"{file.name!r} holds no fingerprint of a data set.", hint="Make it anew.") from None


def fingerprint(
    dataset: DataSet,
    *,
    surveyed: Survey | None = None,
    allow_empty: bool = False,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Fingerprint:
    """Measure a data set.

    Grey values inside the labels are those of nnU-Net's fingerprint (Isensee et al., Nature Methods 18, 203, 2021):
    pooled over the cases with the same weight for each.  nnU-Net draws as many voxels of each case at random; here each
    case gives evenly spaced order statistics, so that nothing depends on chance.

    Parameters
    ----------
    dataset : DataSet
    surveyed : Survey, optional
        Of the same data set with statistics, if its files were read already.
    allow_empty : bool
        As in :func:`~medai.segment.training.checks.check_dataset`.

    Raises
    ------
    InputError, GeometryError
        If the data set cannot be trained on; every affected case is named.
    Cancelled
        If somebody asked to stop.
    """
    seen = surveyed
    if seen is None or not seen.statistics:
        seen = survey(dataset, progress=progress, cancel=cancel)
    require_trainable(check_dataset(dataset, surveyed=seen, allow_empty=allow_empty))
    cases = tuple(_case(facts) for facts in seen.cases)
    spacing = _spread([case.spacing for case in cases])
    sizes = [case.shape[::-1] for case in cases]
    lengths = [
        [n * mm for n, mm in zip(size, case.spacing, strict=True)] for size, case in zip(sizes, cases, strict=True)
    ]
    return Fingerprint(
        channels=dataset.channels,
        modalities=tuple(_modality(name, n, seen.cases) for n, name in enumerate(dataset.channels)),
        subjects=len(set(dataset.subjects.values())),
        spacing=spacing,
        extent_mm=_spread(lengths),
        voxels=_spread(sizes),
        anisotropy=max(1.0, max(spacing.median) / min(spacing.median)),
        kept=float(np.median([case.kept for case in cases])),
        inside=tuple(_pooled(seen.cases, n) for n in range(len(dataset.channels))),
        labels=_labels(dataset, seen.cases),
        cases=cases,
    )


def _case(facts: CaseFacts) -> CasePrint:
    assert facts.geometry is not None  # the checks have passed
    return CasePrint(
        case=facts.files.case,
        subject=facts.files.subject,
        shape=facts.geometry.shape,
        spacing=tuple(round(float(mm), 6) for mm in facts.geometry.spacing),
        orientation=facts.stored,
        kept=facts.kept,
        image=tuple(_numbers(image) for image in facts.images),
        inside=tuple(_pooled([facts], n) for n in range(len(facts.inside))),
        labels=tuple(
            LabelPrint(label=found.label, volume_ml=found.volume_ml, components=found.components)
            for found in facts.labels
        ),
    )


def _numbers(image: Values) -> Numbers:
    low, middle, high = image.percentiles
    return Numbers(
        mean=image.mean, sd=image.sd, low=image.low, high=image.high,
        percentile_00_5=low, median=middle, percentile_99_5=high,
    )  # fmt: skip


def _pooled(cases: Sequence[CaseFacts], channel: int) -> Numbers:
    """Return the values inside the labels; a case without any label does not count."""
    parts = [facts.inside[channel] for facts in cases if facts.inside]
    means = np.asarray([part.mean for part in parts])
    squares = np.asarray([part.sd**2 + part.mean**2 for part in parts])
    low, middle, high = np.percentile(np.concatenate([part.sketch for part in parts]).astype(np.float64), PERCENTS)
    mean = float(means.mean())
    return Numbers(
        mean=mean,
        sd=float(np.sqrt(max(float(squares.mean()) - mean**2, 0.0))),
        low=min(part.low for part in parts),
        high=max(part.high for part in parts),
        percentile_00_5=float(low),
        median=float(middle),
        percentile_99_5=float(high),
    )


def _spread(rows: Sequence[Sequence[float]]) -> Spread:
    found = np.percentile(np.asarray(rows, dtype=np.float64), (10, 50, 90), axis=0)
    i, j, k = ([float(value) for value in column] for column in found.T)
    return Spread(p10=(i[0], j[0], k[0]), median=(i[1], j[1], k[1]), p90=(i[2], j[2], k[2]))


def _modality(name: str, channel: int, cases: Sequence[CaseFacts]) -> str:
    """Guess by the channel's name, then by what the files say, then by values that only CT has."""
    named = modality_of(name)
    told = {facts.modality for facts in cases}
    if named or (len(cases[0].images) == 1 and len(told) == 1 and told != {""}):
        return named or told.pop()
    # Half a percent of the voxels below, not one voxel: resampled MR may fall a little under 0.
    return "CT" if float(np.median([facts.images[channel].percentiles[0] for facts in cases])) < AIR else ""


def _labels(dataset: DataSet, cases: Sequence[CaseFacts]) -> tuple[LabelSummary, ...]:
    found = []
    for label in sorted(set(dataset.labels) | {item.label for facts in cases for item in facts.labels}):
        parts = [(facts.files.subject, item) for facts in cases for item in facts.labels if item.label == label]
        volumes = [item.volume_ml for _, item in parts]
        components = [item.components for _, item in parts]
        found.append(
            LabelSummary(
                label=label,
                name=dataset.labels.get(label, f"Label {label}"),
                cases=len(parts),
                subjects=len({subject for subject, _ in parts}),
                volume_ml=(min(volumes), float(np.median(volumes)), max(volumes)),
                components=(int(np.median(components)), max(components)),
            )
        )
    return tuple(found)
