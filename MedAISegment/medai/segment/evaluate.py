"""Agreement of two label maps: Dice, 95 % Hausdorff distance and volume error per label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError, MedAIError
from medai.core.io import read_labelmap
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress

Mask = npt.NDArray[np.bool_]
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True)
class Score:
    """Agreement for one label of one case; an undefined number is None and ``reason`` says why.

    Parameters
    ----------
    case, label : str, int
        Which case and which label value.
    dice : float or None
        2 |A and B| / (|A| + |B|); None if both are empty (Dice, Ecology 26, 297 (1945)).
    hd95_mm : float or None
        The larger of the two directed 95th percentiles of distances between border voxels, in mm
        (Huttenlocher et al., IEEE TPAMI 15, 850 (1993), with a percentile); None if one of them is empty.
    reference_ml, predicted_ml : float
        Volumes in mL.
    volume_error_percent : float or None
        100 (predicted - reference) / reference; None if the reference is empty.
    reason : str
        Why something is None.
    """

    case: str
    label: int
    dice: float | None
    hd95_mm: float | None
    reference_ml: float
    predicted_ml: float
    volume_error_percent: float | None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the score as JSON-ready values."""
        return asdict(self)


def compare(predicted: LabelMap, reference: LabelMap, *, case: str = "") -> list[Score]:
    """Compare two label maps label by label; labels match by value.

    Returns
    -------
    list of Score
        One for each label that occurs in either, in increasing order.

    Raises
    ------
    GeometryError
        If the grids differ; both are shown.
    """
    reference.geometry.require_same(predicted.geometry, "predicted")
    voxel_ml = reference.geometry.voxel_volume_mm3 / 1000
    counts = {k: v for k, v in reference.counts().items() if v} | {k: v for k, v in predicted.counts().items() if v}
    scores = []
    for label in sorted(counts):
        a, b = predicted.array == label, reference.array == label
        na, nb = int(a.sum()), int(b.sum())
        scores.append(
            Score(
                case,
                label,
                dice=2 * int((a & b).sum()) / (na + nb),
                hd95_mm=hausdorff95(a, b, reference.geometry.spacing_kji) if na and nb else None,
                reference_ml=nb * voxel_ml,
                predicted_ml=na * voxel_ml,
                volume_error_percent=100 * (na - nb) / nb if nb else None,
                reason="" if na and nb else f"the {'reference' if na else 'prediction'} is empty",
            )
        )
    return scores


def hausdorff95(a: Mask, b: Mask, spacing_kji: tuple[float, float, float]) -> float:
    """Return the 95 % Hausdorff distance in mm between the border voxels of two non-empty masks (K, J, I).

    A border voxel is one whose six neighbours are not all inside; outside the array is outside.
    """
    from scipy import ndimage

    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    grown = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    edges = []
    for mask in (a[grown], b[grown]):
        edges.append(mask & ~ndimage.binary_erosion(mask))
    directed = []
    for here, there in (edges, edges[::-1]):
        distance = ndimage.distance_transform_edt(~there, sampling=spacing_kji)
        directed.append(float(np.percentile(distance[here], 95)))
    return max(directed)


@dataclass(frozen=True)
class Evaluation:
    """Scores of all cases, and the cases that could not be compared.

    Parameters
    ----------
    scores : list of Score
        In the order of case and label.
    failures : dict of str to str
        Case -> reason.
    """

    scores: list[Score]
    failures: dict[str, str]


def evaluate_files(
    predicted: str | Path,
    reference: str | Path,
    *,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Evaluation:
    """Compare two files, or two folders of same-named files.

    A case of a folder that cannot be read or compared is listed under ``failures``; the others go on.

    Raises
    ------
    InputError
        If a file or folder is missing, or a name occurs in one folder only (all such names are listed).
    GeometryError
        If two files are given and their grids differ.
    """
    token = cancel or CancelToken()
    pred, ref = Path(predicted), Path(reference)
    if pred.is_dir() != ref.is_dir():
        raise InputError("Give two files, or two folders; not one of each.")
    if not ref.is_dir():
        return Evaluation(compare(read_labelmap(pred), read_labelmap(ref), case=_case(ref)), {})
    files = [{_case(p): p for p in sorted(folder.iterdir()) if p.is_file() and _case(p)} for folder in (pred, ref)]
    alone = sorted(set(files[0]) ^ set(files[1]))
    if alone or not files[0]:
        what = f"{len(alone)} names occur in one folder only: {', '.join(alone[:5])}" if alone else "both are empty"
        raise InputError(f"The folders cannot be compared: {what}.", hint="Give matching files the same name.")
    scores: list[Score] = []
    failures: dict[str, str] = {}
    for index, case in enumerate(sorted(files[0])):
        token.check()
        try:
            scores += compare(read_labelmap(files[0][case]), read_labelmap(files[1][case]), case=case)
        except MedAIError as error:
            failures[case] = str(error)
        progress((index + 1) / len(files[0]), case)
    return Evaluation(scores, failures)


def summarise(scores: Sequence[Score]) -> dict[int, dict[str, Any]]:
    """Return per label: cases, and mean, SD, median, minimum and maximum of each number over the cases that have it."""
    summary: dict[int, dict[str, Any]] = {}
    for label in sorted({s.label for s in scores}):
        rows = [s for s in scores if s.label == label]
        summary[label] = {"cases": len(rows)}
        for key in ("dice", "hd95_mm", "volume_error_percent"):
            values = [float(v) for s in rows if (v := getattr(s, key)) is not None and math.isfinite(v)]
            summary[label][key] = _spread(values)
    return summary


def _spread(values: list[float]) -> dict[str, float | int | None]:
    if not values:
        return {"n": 0, "mean": None, "sd": None, "median": None, "minimum": None, "maximum": None}
    array = np.asarray(values)
    return {
        "n": len(values),
        "mean": float(array.mean()),
        "sd": float(array.std(ddof=1)) if len(values) > 1 else 0.0,
        "median": float(np.median(array)),
        "minimum": float(array.min()),
        "maximum": float(array.max()),
    }


def _case(path: Path) -> str:
    if path.name.startswith("."):
        return ""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return ""
