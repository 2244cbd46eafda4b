"""What the worker process runs for this package."""

from __future__ import annotations

from typing import Any

from medai.core.progress import CancelToken, ProgressFn

from .pipeline import apply_filters, run


def segment(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Run a pipeline that ends with segments.

    Parameters
    ----------
    inputs : dict
        ``{"volume": Volume}``, and ``"labels": LabelMap`` to start from if there are any.
    settings : dict
        ``{"pipeline": [{"step": ..., "settings": {...}}, ...]}``.

    Returns
    -------
    dict
        ``{"labels": LabelMap, "info": dict}``; ``info`` is the label map's ``meta``.
    """
    labels = run(
        inputs["volume"], settings.get("pipeline", []), labels=inputs.get("labels"), progress=progress, cancel=cancel
    )
    return {"labels": labels, "info": dict(labels.meta)}


def apply(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Run filters.

    Parameters
    ----------
    inputs, settings : dict
        As for :func:`segment`; every step is a filter.

    Returns
    -------
    dict
        ``{"volume": Volume}``.
    """
    volume = apply_filters(
        inputs["volume"], settings.get("pipeline", []), labels=inputs.get("labels"), progress=progress, cancel=cancel
    )
    return {"volume": volume}
