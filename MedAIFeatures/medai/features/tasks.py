"""Feature extraction as a task that a worker process can run."""

from __future__ import annotations

from typing import Any

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.volume import Volume

from .service import extract as _extract


def extract(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Measure the segments of an image; see :func:`medai.features.extract`.

    Parameters
    ----------
    inputs : dict
        ``volume``: Volume; ``labels``: LabelMap.
    settings : dict
        Of :class:`~medai.features.settings.ExtractSettings`.

    Returns
    -------
    dict
        ``features``: what :meth:`FeatureTable.to_dict` gives; ``table``: the long form as a Table.

    Raises
    ------
    InputError
        If an input is missing or of another kind; and all errors of :func:`medai.features.extract`.
    """
    volume, labels = inputs.get("volume"), inputs.get("labels")
    if not isinstance(volume, Volume) or not isinstance(labels, LabelMap):
        raise InputError("Feature extraction needs the inputs 'volume' (an image) and 'labels' (a segmentation).")
    found = _extract(volume, labels, settings, progress=progress, cancel=cancel)
    return {"features": found.to_dict(), "table": found.to_table()}
