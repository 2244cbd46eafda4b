"""What a model does with images that it is not made for: whether a mask comes out, and whether anything warns of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medai.core.errors import Cancelled, MedAIError, ModelError, SettingsError
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.qc import Severity
from medai.core.task import translated

from ..models import ModelStore
from .inputs import OutsideInput
from .measure import segmented, warnings_of
from .outside_row import OutsideRow
from .settings import MeasureSettings


def measure_outside(
    model: str | Path,
    inputs: Sequence[OutsideInput],
    *,
    settings: MeasureSettings | dict[str, Any] | None = None,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> tuple[OutsideRow, ...]:
    """Run a model on inputs outside its domain and record what came out.

    Parameters
    ----------
    model : str or path
        Id of a model, or a model's folder or file.
    inputs : sequence of OutsideInput
        See :mod:`medai.segment.assessment.inputs`.
    settings : MeasureSettings or dict, optional
        How the model runs; all defaults if not given.

    Returns
    -------
    tuple of OutsideRow
        One for each input, in their order; no input stops the others.

    Raises
    ------
    ModelError
        If the model is missing or broken.
    Cancelled
        If somebody asked to stop.
    """
    token = cancel or CancelToken()
    chosen = MeasureSettings.parse(settings, where="measure")
    info = ModelStore().find(str(model), cancel=token)
    name = info.id if str(model) == info.id else str(Path(model).resolve())
    rows = []
    for index, item in enumerate(inputs):
        token.check()
        part = sub_progress(progress, index / len(inputs), (index + 1) / len(inputs))
        part(0.0, f"outside the domain: {item.name}")
        rows.append(_row(name, item, chosen, part, token))
    progress(1.0, "measured")
    return tuple(rows)


def _row(
    model: str, item: OutsideInput, settings: MeasureSettings, progress: ProgressFn, cancel: CancelToken
) -> OutsideRow:
    def without(status: Any, error: MedAIError) -> OutsideRow:
        return OutsideRow(name=item.name, what=item.what, status=status, volumes_ml={}, message=str(error))

    try:
        image = item.make()
    except MedAIError as error:
        return without("refused" if item.given else "not made", error)
    try:
        labels = segmented(model, image, settings, progress=progress, cancel=cancel)
    except (Cancelled, ModelError, SettingsError):
        raise
    except MedAIError as error:
        return without("refused", error)
    except Exception as error:
        return without("failed", translated(error, f"the input {item.name!r}"))
    flags = (*image.flags, *labels.flags)
    told = dict.fromkeys(flag.message for flag in flags if flag.severity != Severity.INFO)
    volumes = {name: round(value, 6) for name, value in labels.volumes_ml().items()}
    return OutsideRow(
        name=item.name, what=item.what, status="segmented", volumes_ml=volumes, flags=warnings_of(flags),
        message=" ".join(told),
    )  # fmt: skip
