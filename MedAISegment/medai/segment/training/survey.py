"""One look at every file of a data set: what the checks judge and what the fingerprint counts, one case in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medai.core.errors import MedAIError
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap, read_volume
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.resample import reorient_array
from medai.core.volume import Volume

from ..inference.source import Source
from .dataset import CaseFiles, DataSet
from .voxel_facts import Inside, LabelFacts, Values, inside, label_facts, values

ORIENTATION = "RAS"
"""Everything is measured in this orientation, so that it does not depend on how a file is stored."""
LARGEST = 1e15
"""As :data:`medai.segment.inference.prepared.LARGEST`: squares of larger values do not fit into 32 bits."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a case: a code of :mod:`~medai.segment.training.checks` and what distinguishes this case."""

    code: str
    detail: str = ""


@dataclass(frozen=True)
class CaseFacts:
    """What was found in a case's files.

    Parameters
    ----------
    troubles : tuple of Trouble
        Empty if the case can be trained on.
    geometry : Geometry, optional
        Of the first image, in RAS order; None if it cannot be read.
    stored : str
        Orientation in the file.
    modality : str
        DICOM modality, if the file knows it.
    images : tuple of Values
        For each channel.
    inside : tuple of Inside
        Values where there is a label, for each channel; empty if there is none, or no statistics were asked for.
    labels : tuple of LabelFacts
        For each label that occurs; components are 0 without statistics.
    kept : float
        Share of the image in the box around everything that is not 0.
    """

    files: CaseFiles
    troubles: tuple[Trouble, ...] = ()
    geometry: Geometry | None = None
    stored: str = ""
    modality: str = ""
    images: tuple[Values, ...] = ()
    inside: tuple[Inside, ...] = ()
    labels: tuple[LabelFacts, ...] = ()
    kept: float = 1.0


@dataclass(frozen=True)
class Survey:
    """The facts of every case of a data set, in its order."""

    dataset: DataSet
    cases: tuple[CaseFacts, ...]
    statistics: bool = True


@dataclass
class _Found:
    troubles: list[Trouble] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)
    labels: LabelMap | None = None

    def add(self, code: str, detail: str = "") -> None:
        self.troubles.append(Trouble(code, detail))


def survey(
    dataset: DataSet,
    *,
    statistics: bool = True,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Survey:
    """Read every file once.

    Parameters
    ----------
    statistics : bool
        Also count what a fingerprint needs: percentiles, components.

    Returns
    -------
    Survey
        A case whose files cannot be used carries its troubles; nothing is raised for it.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    token = cancel or CancelToken()
    facts = []
    for number, files in enumerate(dataset.cases):
        progress(number / len(dataset.cases), f"checking {files.case}")
        token.check()
        facts.append(look(files, statistics=statistics, cancel=token))
    progress(1.0, f"{len(facts)} cases checked")
    return Survey(dataset, tuple(facts), statistics)


def look(files: CaseFiles, *, statistics: bool, cancel: CancelToken) -> CaseFacts:
    """Return what is in the files of one case; see :func:`survey`."""
    found = _Found()
    for path in files.images:
        cancel.check()
        _read_image(path, found)
    cancel.check()
    _read_labels(files, found)
    if len(found.volumes) != len(files.images):
        return CaseFacts(files, tuple(found.troubles))
    first = found.volumes[0]
    sources = [Source.of(volume, ORIENTATION) for volume in found.volumes]
    images = []
    for path, source in zip(files.images, sources, strict=True):
        measured = values(source, percentiles=statistics, cancel=cancel)
        images.append(measured)
        if measured.not_finite:
            found.add("values_not_finite", f"{measured.not_finite} voxels of {path.name!r}")
        elif max(abs(measured.low), abs(measured.high)) > LARGEST:
            found.add("values_too_large", f"{measured.low:.3g} to {measured.high:.3g} in {path.name!r}")
        elif measured.low == measured.high:
            found.add("image_constant", f"{measured.low:g} everywhere in {path.name!r}")
    labels = found.labels
    counted: tuple[LabelFacts, ...] = ()
    if labels is not None:
        counted = label_facts(
            reorient_array(labels.array, labels.geometry, ORIENTATION)[0],
            labels.geometry.voxel_volume_mm3,
            components=statistics,
            cancel=cancel,
        )
        if not counted:
            found.add("labels_empty")
    within: tuple[Inside, ...] = ()
    kept = 1.0
    if statistics and all(trouble.code == "labels_empty" for trouble in found.troubles) and labels is not None:
        array = reorient_array(labels.array, labels.geometry, ORIENTATION)[0]
        within = tuple(inside(source, array, cancel) for source in sources) if counted else ()
        kept = _kept(Source([source.channels[0] for source in sources], sources[0].grid), cancel)
    return CaseFacts(
        files, tuple(found.troubles), sources[0].grid, first.geometry.orientation, first.modality, tuple(images),
        within, counted, kept,
    )  # fmt: skip


def _read_image(path: Path, found: _Found) -> None:
    if not path.exists():
        found.add("image_missing", repr(path.name))
        return
    try:
        volume = read_volume(path)
        volume.require_scalar("Training")
    except MedAIError as error:
        found.add("image_unreadable", error.message.rstrip("."))
        return
    if found.volumes and not found.volumes[0].geometry.same_as(volume.geometry):
        found.add("images_apart", difference(found.volumes[0].geometry, volume.geometry))
    found.volumes.append(volume)


def _read_labels(files: CaseFiles, found: _Found) -> None:
    path = files.labels
    if path is None or not path.exists():
        found.add("labels_missing", "" if path is None else repr(path.name))
        return
    try:
        labels = read_labelmap(path)
    except MedAIError as error:
        found.add("labels_not_whole" if _is_fractional(path) else "labels_unreadable", error.message.rstrip("."))
        return
    if found.volumes and not found.volumes[0].geometry.same_as(labels.geometry):
        found.add("labels_apart", difference(found.volumes[0].geometry, labels.geometry))
        return
    found.labels = labels


def _is_fractional(path: Path) -> bool:
    """Tell whether a file that is no label map is an image that can be read: then its values are the reason."""
    try:
        return read_volume(path).components == 1
    except MedAIError:
        return False


def _kept(source: Source, cancel: CancelToken) -> float:
    box = source.nonzero_box(cancel)
    if box is None:
        return 1.0
    share = 1.0
    for part, size in zip(box, source.shape, strict=True):
        share *= (part.stop - part.start) / size
    return share


def difference(image: Geometry, other: Geometry) -> str:
    """Say in few words how a grid differs from the image's."""
    if image.size != other.size:
        return f"{_times(other.size)} voxels, the image {_times(image.size)}"
    if any(abs(a - b) > 1e-4 * a for a, b in zip(image.spacing, other.spacing, strict=True)):
        return f"voxels of {_times(other.spacing)} mm, the image's {_times(image.spacing)} mm"
    if image.orientation != other.orientation:
        return f"stored as {other.orientation}, the image as {image.orientation}"
    return f"up to {image.difference_mm(other):.3g} mm away from the image's voxels"


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(f"{n:g}" for n in numbers)
