"""What the worker process runs for this package."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from medai.core.progress import CancelToken, ProgressFn

from .pipeline import apply_filters, run
from .preview import preview as preview_slab


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


def predict(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Run a model and return its maps of uncertainty too.

    Parameters
    ----------
    inputs : dict
        ``{"volume": Volume}``; its components are the model's channels.
    settings : dict
        ``{"model": id or folder, "options": {...}}``; options are the other settings of the step ``unet``.

    Returns
    -------
    dict
        ``{"labels": LabelMap, "info": dict, "maps": {name: Volume}}``.
    """
    from .segmenters.unet import UNetSettings
    from .segmenters.unet import predict as run_network

    values = {"model": settings["model"], **settings.get("options", {})}
    parsed = UNetSettings.parse(values, where="options")
    found = run_network(inputs["volume"], parsed, progress=progress, cancel=cancel)
    return {"labels": found.labels, "info": dict(found.labels.meta), "maps": dict(found.maps)}


def release(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Give the memory of loaded models back; returns ``{"released": number of models}``."""
    from .backends.warm import release as release_sessions

    return {"released": release_sessions()}


def install_model(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Install a model among the user's; see :meth:`medai.segment.models.ModelStore.install`.

    Parameters
    ----------
    settings : dict
        ``{"source": folder, file, address or id of the catalogue}``, and ``"id"``, ``"accept_licence"``, ``"trust"``,
        ``"replace"`` as the store takes them.

    Returns
    -------
    dict
        ``{"id": str, "title": str, "licence": str}``.
    """
    from .models import ModelStore

    wishes = {key: settings[key] for key in ("id", "accept_licence", "trust", "replace") if key in settings}
    model = ModelStore().install(settings["source"], **wishes, progress=progress, cancel=cancel)
    return {"id": model.id, "title": model.title, "licence": model.manifest.description.licence}


def remove_model(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Remove a model of the user, ``{"id": ...}``, and forget it if it is loaded; returns ``{"id": str}``."""
    from .backends.warm import release as release_sessions
    from .models import ModelStore

    ModelStore().remove(settings["id"], cancel=cancel)
    release_sessions()
    return {"id": settings["id"]}


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


def preview(
    inputs: dict[str, Any], settings: dict[str, Any], *, progress: ProgressFn, cancel: CancelToken
) -> dict[str, Any]:
    """Run a pipeline on a few slices; see :func:`medai.segment.preview.preview`.

    Parameters
    ----------
    inputs : dict
        ``{"volume": Volume}`` (a slab), and ``"labels": LabelMap`` on its grid to start from if there are any.
    settings : dict
        ``{"pipeline": [...], "axis": 0, "position": 4, "window": [low, high] or None}``.

    Returns
    -------
    dict
        The fields of :class:`medai.segment.preview.Preview`.
    """
    window = settings.get("window")
    found = preview_slab(
        inputs["volume"],
        settings.get("pipeline", []),
        settings["axis"],
        settings["position"],
        labels=inputs.get("labels"),
        window=None if window is None else (window[0], window[1]),
        progress=progress,
        cancel=cancel,
    )
    return {field.name: getattr(found, field.name) for field in fields(found)}
