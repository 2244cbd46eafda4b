"""All measures of agreement for one pair of segments, and what they are where something is empty."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.resample import resample_labels

from .matching import MatchedBy, Pair, matched_by, pair_up
from .overlap import Overlap, count_pairs
from .settings import EvaluateSettings
from .surface import Mask, distances, flat, steps_of

METRICS: dict[str, tuple[str, str]] = {
    "dice": ("1", "Dice similarity coefficient, which is F1: 2 TP / (2 TP + FP + FN)."),
    "iou": ("1", "Intersection over union (Jaccard): TP / (TP + FP + FN)."),
    "precision": ("1", "TP / (TP + FP)."),
    "recall": ("1", "Recall, which is sensitivity: TP / (TP + FN)."),
    "specificity": ("1", "TN / (TN + FP) over the whole grid."),
    "accuracy": ("1", "(TP + TN) / all voxels of the grid."),
    "surface_dice": ("1", "Share of both surfaces, by area, within the tolerance of the other."),
    "hd_mm": ("mm", "Hausdorff distance: the largest distance between the surfaces."),
    "hd95_mm": ("mm", "The larger of the two directed 95th percentiles of distances between the surfaces."),
    "assd_mm": ("mm", "Mean of all distances between the surfaces, both directions together."),
    "volume_error_ml": ("mL", "Predicted minus reference volume."),
    "volume_error_percent": ("%", "100 (predicted - reference) / reference."),
}
"""Measure -> (UCUM unit, description)."""

REASONS = {
    "scored": "",
    "prediction_empty": "the prediction is empty",
    "reference_empty": "the reference is empty",
    "both_empty": "both are empty",
    "only_in_reference": "the prediction has no such segment",
    "only_in_prediction": "the reference has no such segment",
}
"""Status -> why something is None."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Agreement for one segment of one case; an undefined number is None and ``reason`` says why.

    ====================  =========  =========  ======  ===========  ==========  ==========  ========  =======
    status                Dice, IoU  precision  recall  specificity  surface D.  HD, ASSD    error mL  error %
    ====================  =========  =========  ======  ===========  ==========  ==========  ========  =======
    ``scored``            number     number     number  number       number      number      number    number
    ``prediction_empty``  0          None       0       1            0           None        -ref      -100
    ``reference_empty``   0          0          None    number       0           None        +pred     None
    ``both_empty``        None       None       None    1            None        None        0         None
    ``only_in_reference`` as ``prediction_empty``: a segment that the prediction lacks is a miss, not a gap
    ``only_in_prediction`` None, but for the predicted volume: the reference does not tell where it should be
    ====================  =========  =========  ======  ===========  ==========  ==========  ========  =======

    Accuracy goes with specificity.  The two ``only_in`` statuses come with matching by names or codes; a label value
    that occurs on one side only is an empty label on the other.

    Parameters
    ----------
    case : str
        Which case.
    label : int
        The reference's label value; the prediction's if the reference has no such segment.
    name, predicted_name : str
        The segment's name in the reference and in the prediction, empty where there is none.
    status : str
        See the table.
    matched_by, key : str
        What the two were matched by, and the name, codes or label that they share.
    dice, iou, precision, recall, specificity, accuracy : float or None
        See :class:`medai.segment.evaluation.overlap.Overlap`.
    surface_dice : float or None
        Normalised surface Dice at the tolerance of the settings, over surface elements weighted by area
        (Nikolov et al., arXiv:1809.04430).
    hd_mm, hd95_mm, assd_mm : float or None
        Distances between the surfaces in mm; see :class:`medai.segment.evaluation.surface.Distances`.
    reference_ml, predicted_ml : float
        Volumes in mL.
    volume_error_ml, volume_error_percent : float or None
        Predicted minus reference, and that over the reference.
    reason : str
        Why something is None.
    """

    case: str
    label: int
    name: str
    predicted_name: str
    status: str
    matched_by: MatchedBy
    key: str
    dice: float | None = None
    iou: float | None = None
    precision: float | None = None
    recall: float | None = None
    specificity: float | None = None
    accuracy: float | None = None
    surface_dice: float | None = None
    hd_mm: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    reference_ml: float
    predicted_ml: float
    volume_error_ml: float | None = None
    volume_error_percent: float | None = None
    reason: str = ""

    @property
    def segment(self) -> str:
        """The name to show: the reference's, or else the prediction's."""
        return self.name or self.predicted_name

    def to_dict(self) -> dict[str, Any]:
        """Return the score as JSON-ready values."""
        return asdict(self)


def compare(
    predicted: LabelMap,
    reference: LabelMap,
    settings: EvaluateSettings | dict[str, Any] | None = None,
    *,
    case: str = "",
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> list[Score]:
    """Compare two label maps segment by segment.

    Parameters
    ----------
    predicted, reference : LabelMap
        On one grid, unless ``settings.resample`` is set.
    settings : EvaluateSettings or dict, optional
        All defaults if not given.
    case : str
        Name for the result.

    Returns
    -------
    list of Score
        One for each segment of either, empty ones included: the reference's by increasing label, then those that only
        the prediction has.

    Raises
    ------
    GeometryError
        If the grids differ and ``settings.resample`` is not set; both are shown.
    InputError
        If segments cannot be matched as asked; see :func:`medai.segment.evaluation.matching.pair_up`.
    SettingsError
        If the settings are not valid.
    Cancelled
        If somebody asked to stop.
    """
    chosen = EvaluateSettings.parse(settings, where="evaluate")
    token = cancel or CancelToken()
    token.check()
    if chosen.resample and not reference.geometry.same_as(predicted.geometry):
        predicted = resample_labels(predicted, reference.geometry)
    reference.geometry.require_same(predicted.geometry, "prediction's")
    by = matched_by(predicted, reference, chosen.match)
    pairs = pair_up(predicted, reference, by)
    labels = [(p.predicted.label if p.predicted else 0, p.reference.label if p.reference else 0) for p in pairs]
    overlaps = count_pairs(predicted.array, reference.array, labels, cancel=token)
    scores = []
    for index, (pair, overlap) in enumerate(zip(pairs, overlaps, strict=True)):
        progress(index / len(pairs), f"{case} {index + 1} of {len(pairs)}".strip())
        scores.append(_score(predicted, reference, pair, overlap, by, chosen, case, token))
    progress(1.0, case)
    return scores


def _score(
    predicted: LabelMap,
    reference: LabelMap,
    pair: Pair,
    overlap: Overlap,
    by: MatchedBy,
    settings: EvaluateSettings,
    case: str,
    token: CancelToken,
) -> Score:
    status = _status(pair, overlap, by)
    voxel_ml = reference.geometry.voxel_volume_mm3 / 1000
    known: dict[str, float | None] = {}
    if status != "only_in_prediction":
        known = {name: getattr(overlap, name)() for name in ("dice", "iou", "precision", "recall")}
        known |= {"specificity": overlap.specificity(), "accuracy": overlap.accuracy()}
        known["volume_error_ml"] = (overlap.predicted - overlap.reference) * voxel_ml
        if overlap.reference:
            known["volume_error_percent"] = 100 * (overlap.predicted - overlap.reference) / overlap.reference
            known["surface_dice"] = 0.0
        elif overlap.predicted:
            known["surface_dice"] = 0.0
    if overlap.predicted and overlap.reference and overlap.box is not None and pair.predicted and pair.reference:
        masks: tuple[Mask, Mask] = (
            predicted.array[overlap.box] == pair.predicted.label,
            reference.array[overlap.box] == pair.reference.label,
        )
        flattened, steps = flat(masks, steps_of(reference.geometry), reference.geometry.shape)
        area = distances(*flattened, steps, "surfels", cancel=token)
        chosen = area if settings.surface == "surfels" else distances(*flattened, steps, "voxels", cancel=token)
        known["surface_dice"] = area.within(settings.tolerance_mm)
        known |= {"hd_mm": chosen.hausdorff(), "hd95_mm": chosen.percentile(95), "assd_mm": chosen.average()}
    return Score(
        case=case,
        label=(pair.reference or pair.predicted).label,  # type: ignore[union-attr]
        name=pair.reference.name if pair.reference else "",
        predicted_name=pair.predicted.name if pair.predicted else "",
        status=status,
        matched_by=by,
        key=pair.key,
        reference_ml=overlap.reference * voxel_ml,
        predicted_ml=overlap.predicted * voxel_ml,
        reason=REASONS[status],
        **known,
    )


def _status(pair: Pair, overlap: Overlap, by: MatchedBy) -> str:
    if by != "labels" and pair.reference is None:
        return "only_in_prediction"
    if by != "labels" and pair.predicted is None:
        return "only_in_reference"
    if overlap.predicted and overlap.reference:
        return "scored"
    if overlap.predicted:
        return "reference_empty"
    return "prediction_empty" if overlap.reference else "both_empty"
