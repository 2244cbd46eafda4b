"""What the worker process runs for this package."""

from __future__ import annotations

from typing import Any

from medai.core.progress import CancelToken, ProgressFn

from .pipeline import run


def segment(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Run a pipeline.

    Parameters
    ----------
    inputs : dict
        ``{"volume": Volume}``.
    settings : dict
        ``{"pipeline": [{"step": ..., "settings": {...}}, ...]}``.

    Returns
    -------
    dict
        ``{"labels": LabelMap, "info": dict}``; ``info`` is the label map's ``meta``.
    """
    labels = run(inputs["volume"], settings.get("pipeline", []), progress=progress, cancel=cancel)
    return {"labels": labels, "info": dict(labels.meta)}
