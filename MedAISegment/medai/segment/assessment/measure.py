"""Running a model over cases with label maps, one case at a time, so that nothing is lost if it is stopped."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medai.core.atomic import ensure_folder
from medai.core.errors import Cancelled, InputError, MedAIError, ModelError, SettingsError
from medai.core.io import read_labelmap, read_volume, write_labelmap
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.qc import QCFlag, Severity
from medai.core.settings import digest_json
from medai.core.task import translated
from medai.core.version import VERSION
from medai.core.volume import Volume

from ..channels import stacked
from ..evaluate import compare
from ..manifest import Manifest
from ..models import ModelStore
from ..models.hashing import hash_file
from ..segmenters.unet import UNet
from ..training.dataset import CaseFiles
from .result import Assessment
from .rows import Row, RowFile
from .settings import MeasureSettings

ROWS = "finished.jsonl"
MASKS = "masks"
_REVISION = 1
"""Part of each row's key: another number makes all rows anew, after a change of what they hold."""
_SOFTWARE = ("torch", "monai", "numpy", "scipy", "SimpleITK")


def measure_model(
    model: str | Path,
    cases: Sequence[CaseFiles],
    *,
    settings: MeasureSettings | dict[str, Any] | None = None,
    out: str | Path | None = None,
    data: dict[str, Any] | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Assessment:
    """Segment each case with a model and compare the result with its label map, label value by label value.

    Parameters
    ----------
    model : str or path
        Id of a model, or a model's folder or file.
    cases : sequence of CaseFiles
        Each with a label map.  A case that cannot be read, segmented or compared has rows of status ``failed`` with
        the reason, and the others go on.
    settings : MeasureSettings or dict, optional
        All defaults if not given.
    out : path, optional
        Folder for the results as they come: a line for each finished case and ``masks/CASE.nii.gz``.  A second run
        with the same weights, settings and files takes finished cases from there; failed ones are tried again.
    data : dict, optional
        What :class:`Assessment` says of the data; counted from the cases if not given.

    Returns
    -------
    Assessment
        Without ``outside`` and ``worst``.

    Raises
    ------
    InputError
        If there are no cases, or two of one name.
    ModelError
        If the model is missing or broken.
    OutputError
        If ``out`` cannot be written.
    Cancelled
        If somebody asked to stop; what is finished stays in ``out``.
    """
    token = cancel or CancelToken()
    chosen = MeasureSettings.parse(settings, where="measure")
    _require(cases)
    info = ModelStore().find(str(model), cancel=token)
    # A path without a separator could be the id of another model.
    name = info.id if str(model) == info.id else str(Path(model).resolve())
    store = _Store(Path(out)) if out is not None else None
    finished = store.rows.read() if store else {}
    rows: list[Row] = []
    for index, files in enumerate(cases):
        token.check()
        part = sub_progress(progress, index / len(cases), (index + 1) / len(cases))
        part(0.0, f"measuring {files.case}")
        key = _key(info.manifest, chosen, files, token)
        known = finished.get(key) if store and store.mask(files.case).is_file() else None
        if known is None:
            known, labels = _one(name, info.manifest, files, chosen, part, token)
            if store is not None and labels is not None:
                write_labelmap(labels, store.mask(files.case), cancel=token)
                store.rows.add(key, known)
        rows += known
    progress(1.0, "measured")
    about = {
        "name": "", "chosen": "given", "cases": len(cases), "subjects": len({c.subject for c in cases}),
        "seen_in_training": None, **(data or {}),
    }  # fmt: skip
    return Assessment(
        model={
            "id": info.id, "title": info.title, "version": info.manifest.version,
            "weights_sha256": info.manifest.weights_sha256,
        },
        data=about, settings=chosen, rows=tuple(rows), software=software(),
    )  # fmt: skip


def read_image(files: CaseFiles) -> Volume:
    """Return a case's image; several files are its channels."""
    return stacked([read_volume(path) for path in files.images])


def segmented(
    model: str, image: Volume, settings: MeasureSettings, *, progress: ProgressFn, cancel: CancelToken
) -> LabelMap:
    """Return what the model makes of an image, run as the settings say; raises as :class:`UNet`."""
    return UNet().run(image, {"model": model, **settings.running()}, progress=progress, cancel=cancel)


def file_stem(case: str) -> str:
    """Return a case's name as the beginning of a file name: letters, digits, ``.``, ``_`` and ``-`` alone.

    A name that holds others gets a part of its hash, so that two cases never share a file.

    Examples
    --------
    >>> file_stem("sub-01")
    'sub-01'
    >>> file_stem("../a")
    '_a-61b4c9'
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", case)[:80]
    if plain == case and not case.startswith("."):
        return plain
    return f"{plain}-{hashlib.sha256(case.encode('utf-8', 'replace')).hexdigest()[:6]}".lstrip(".")


def warnings_of(flags: Sequence[QCFlag]) -> tuple[str, ...]:
    """Return the codes of the flags that a reader must not pass over, sorted."""
    return tuple(sorted({flag.code for flag in flags if flag.severity != Severity.INFO}))


def software() -> dict[str, str]:
    """Return the versions of the packages that the numbers hang on."""
    found = {}
    for name in _SOFTWARE:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class _Store:
    """The folder of results."""

    def __init__(self, folder: Path) -> None:
        self.folder = ensure_folder(folder)
        ensure_folder(folder / MASKS)
        self.rows = RowFile(folder / ROWS)

    def mask(self, case: str) -> Path:
        return self.folder / MASKS / f"{file_stem(case)}.nii.gz"


def _require(cases: Sequence[CaseFiles]) -> None:
    if not cases:
        raise InputError("There are no cases to measure the model on.", hint="Check the data set and the choice.")
    names = [files.case for files in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"Two cases are called {twice[0]!r}.", hint="Give each case its own name.")


def _key(manifest: Manifest, settings: MeasureSettings, files: CaseFiles, cancel: CancelToken) -> str:
    """Return a digest of all that a case's rows hang on."""

    def digest(path: Path | None) -> str:
        try:
            return hash_file(path, cancel=cancel) if path is not None else ""
        except OSError:
            return ""

    # What the manifest says for people alone does not count: a new text must not cost the time of a new run.
    used = {key: value for key, value in manifest.to_dict().items() if key not in ("description", "metrics", "version")}
    about = manifest.description.to_dict()
    judged = {key: about[key] for key in ("modality", "side", "spacing_range_mm", "volume_range_ml")}
    return digest_json({
        "medai": VERSION, "revision": _REVISION, "model": used, "judged": judged, "settings": settings.running(),
        "case": files.case, "subject": files.subject,
        "files": [digest(path) for path in (*files.images, files.labels)],
    })  # fmt: skip


def _one(
    model: str, manifest: Manifest, files: CaseFiles, settings: MeasureSettings, progress: ProgressFn,
    cancel: CancelToken,
) -> tuple[list[Row], LabelMap | None]:  # fmt: skip
    """Return a case's rows and labels; rows of status ``failed`` and None if it cannot be done."""
    try:
        reference = read_labelmap(files.label_file)
        image = read_image(files)
        image.geometry.require_same(reference.geometry, "label map")
        labels = segmented(model, image, settings, progress=sub_progress(progress, 0.0, 0.9), cancel=cancel)
        scores = compare(labels, reference, {"match": "labels"}, case=files.case, cancel=cancel)
    except (Cancelled, ModelError, SettingsError):
        raise  # no case would fare better
    except Exception as error:
        known = error if isinstance(error, MedAIError) else translated(error, f"the case {files.case}")
        return [
            Row(case=files.case, subject=files.subject, label=e.label, name=e.name, status="failed", reason=str(known))
            for e in manifest.labels
        ], None
    names = {segment.label: segment.name for segment in labels.segments}
    flags = warnings_of((*image.flags, *labels.flags))
    return [
        Row.of(score, subject=files.subject, name=names[score.label], flags=flags)
        for score in scores
        if score.label in names
    ], labels
