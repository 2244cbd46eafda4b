"""One model over one image: prepare, windows, labels back onto the image's grid, the model's own repairs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medai.core.errors import OutOfMemory, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress, sub_progress
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from ..formats import FORMATS
from ..manifest import Manifest
from ..models.info import ModelInfo
from .facts import model_facts
from .fallback import attempts
from .network import NetworkSource
from .options import InferenceOptions
from .part import cut_to, keep_inside
from .prepared import Prepared, prepare, with_labels
from .quality import found_flags, image_flags
from .regions import Region
from .result import Result
from .stream import WindowRun
from .trust import trust_flags, with_trust
from .writer import LabelWriter, Written


def networks_of(model: ModelInfo, options: InferenceOptions) -> tuple[NetworkSource, ...]:
    """Return the members of a model's ensemble that the options choose.

    Raises
    ------
    SettingsError
        If a member is chosen that the model has not.
    """
    found = FORMATS.get(model.manifest.format)().networks(model)
    if options.members is None:
        return found
    wrong = [n for n in options.members if not 0 <= n < len(found)]
    if wrong or not options.members:
        raise SettingsError(
            f"members: the model {model.id!r} has the members 0 to {len(found) - 1}, given {list(options.members)}."
        )
    return tuple(found[n] for n in dict.fromkeys(options.members))


def run_model(
    model: ModelInfo,
    volume: Volume,
    options: InferenceOptions | dict[str, Any] | None = None,
    *,
    regions: Sequence[Region] = (),
    largest_component: bool = False,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Result:
    """Segment an image with a model of any format.

    Parameters
    ----------
    volume : Volume
        Never changed; its components are the model's channels, in the model's order.
    options : InferenceOptions or dict, optional
        Where and how; all automatic if not given.
    regions : sequence of Region
        Boxes to look into, with some surroundings as context; the labels outside are empty.  None: everywhere.
    largest_component : bool
        Keep the largest part of each segment, whatever the model's manifest asks for.

    Raises
    ------
    ModelError
        If the model's files do not fit its manifest.
    InputError
        If the image does not fit the model.
    DeviceError
        If a device or backend that was asked for is not here; OutOfMemory if nothing helped.
    """
    token = cancel or CancelToken()
    parsed = InferenceOptions.parse(options, where="options")
    manifest = model.manifest
    started = time.monotonic()
    flags = list(image_flags(volume, manifest, token))
    share = 0.0
    earlier: list[dict[str, Any]] = []
    labels_before = None
    if manifest.previous is not None:
        share = 0.35
        before = ModelInfo(manifest.previous.id, manifest.previous.description.title, model.folder, manifest.previous)
        plain = parsed.model_copy(update={"uncertainty": "none"})
        first = run_model(before, volume, plain, progress=sub_progress(progress, 0.0, share), cancel=token)
        labels_before, earlier = first.labels, [first.facts]
    work = _Work(model, volume, parsed, token, sub_progress(progress, share, 0.97))
    input_ = work.prepare(labels_before)
    parts = [cut_to(input_, region, manifest.window) for region in regions] or [input_]
    runs = [work.predict(part, index, len(parts)) for index, part in enumerate(parts)]
    labels, maps = _joined(runs, volume.geometry, regions)
    flags += [flag for run in runs for flag in run.flags]
    facts: dict[str, Any] = {
        "model": model_facts(model),
        "device": runs[-1].facts["device"],
        "inference": runs[-1].facts,
        "regions": [run.region_facts() for run in runs],
    }
    if earlier:
        facts["previous"] = earlier
    segments = tuple(entry.to_segment() for entry in manifest.labels)
    found = LabelMap(labels, volume.geometry, segments, (), facts)
    found = repaired(found, manifest, largest_component, progress=sub_progress(progress, 0.97, 1.0), cancel=token)
    flags += found_flags(found, manifest)
    for region in facts["regions"]:
        flags += trust_flags(region["labels"])
    facts["trust"] = lowest_trust(facts["regions"])
    facts["seconds_total"] = round(time.monotonic() - started, 3)
    found = found.replace(flags=tuple(dict.fromkeys(flags)), meta=facts)
    progress(1.0, "done")
    return Result(found, {name: _map(volume, name, array) for name, array in maps.items()}, facts)


def body_crop(volume: Volume, manifest: Manifest, options: InferenceOptions) -> bool:
    """Tell whether to run in the box around the body only: as asked, else for CT.

    There the box changes nothing but where the windows lie: voxels and their values are those of the whole image.
    """
    if options.crop_body is not None:
        return options.crop_body
    return "CT" in (volume.modality, manifest.description.modality) and manifest.inference.dims == 3


def repaired(
    labels: LabelMap, manifest: Manifest, largest_component: bool, *, progress: ProgressFn, cancel: CancelToken
) -> LabelMap:
    """Apply the manifest's label operations."""
    from ..postprocess import POSTPROCESS

    steps = [(entry.step, entry.settings) for entry in manifest.postprocess]
    if largest_component:
        steps.append(("largest_components", {}))
    for index, (name, settings) in enumerate(steps):
        part = sub_progress(progress, index / len(steps), (index + 1) / len(steps))
        labels = POSTPROCESS.get(name)().run(labels, settings, progress=part, cancel=cancel)
    return labels


@dataclass(frozen=True)
class _Run:
    written: Written
    facts: dict[str, Any]
    flags: tuple[QCFlag, ...]
    grid: Geometry

    def region_facts(self) -> dict[str, Any]:
        return {"side": "", "grid": self.grid.to_dict(), "labels": with_trust(self.written.facts)}


class _Work:
    """What stays the same from region to region."""

    def __init__(
        self, model: ModelInfo, volume: Volume, options: InferenceOptions, cancel: CancelToken, progress: ProgressFn
    ) -> None:
        self.manifest, self.volume, self.options = model.manifest, volume, options
        self.cancel, self.progress = cancel, progress
        self.sources = networks_of(model, options)

    def prepare(self, previous: LabelMap | None) -> Prepared:
        began = time.monotonic()
        manifest = self.manifest
        part = sub_progress(self.progress, 0.0, 0.15)
        crop = body_crop(self.volume, manifest, self.options)
        found = prepare(
            self.volume, manifest.prepare, crop_body=crop, keep_mask=previous is not None, progress=part,
            cancel=self.cancel,
        )  # fmt: skip
        if previous is not None and manifest.previous is not None:
            values = [entry.label for entry in manifest.previous.labels]
            found = with_labels(found, previous, values, cancel=self.cancel)
        self.prepare_seconds = round(time.monotonic() - began, 3)
        return found

    def predict(self, part: Prepared, index: int, count: int) -> _Run:
        began = time.monotonic()
        progress = sub_progress(self.progress, 0.15 + 0.85 * index / count, 0.15 + 0.85 * (index + 1) / count)
        entropy = self.options.uncertainty != "none"
        maps = ("agreement", "mutual_information") if self.options.uncertainty in ("ensemble", "dropout") else ()
        flag: QCFlag | None = None
        for attempt in attempts(self.manifest, self.options, part.grid.shape):
            flag = attempt.flag
            try:
                stream = WindowRun(
                    part.array, self.sources, attempt.manifest, attempt.options, progress=progress, cancel=self.cancel
                )
                writer = LabelWriter(
                    part.grid, self.volume.geometry, self.manifest, entropy=entropy, maps=maps, cancel=self.cancel
                )
                for slab in stream:
                    writer.feed(slab)
                written = writer.finish()
            except (OutOfMemory, MemoryError):
                continue
            break
        seconds = {"prepare": self.prepare_seconds, "windows_and_labels": round(time.monotonic() - began, 3)}
        facts = {
            **stream.facts,
            "seconds": seconds,
            "labels": written.how,
            "fallbacks": [flag.to_dict()] if flag else [],
        }
        return _Run(written, facts, (flag,) if flag else (), part.grid)


def _joined(
    runs: Sequence[_Run], target: Geometry, regions: Sequence[Region]
) -> tuple[np.ndarray[Any, Any], dict[str, np.ndarray[Any, Any]]]:
    """Lay the regions' labels over one another; a later region does not overwrite an earlier one."""
    if not regions:
        return runs[0].written.labels, runs[0].written.maps
    labels: np.ndarray[Any, Any] | None = None
    maps: dict[str, np.ndarray[Any, Any]] = {}
    for run, region in zip(runs, regions, strict=True):
        mine = keep_inside(run.written.labels, target, region)
        labels = mine if labels is None else np.where(labels == 0, mine, labels)
        for name, array in run.written.maps.items():
            inside = keep_inside(array, target, region)
            maps[name] = inside if name not in maps else np.where(inside != 0, inside, maps[name])
    assert labels is not None
    return labels, maps


def lowest_trust(regions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return each segment's trust; the lowest of the regions in which it was found."""
    found: dict[str, Any] = {}
    for region in regions:
        for name, fact in region["labels"].items():
            trust = fact["trust"]
            if trust is not None and (name not in found or trust["value"] < found[name]["value"]):
                found[name] = trust
    return found


def _map(volume: Volume, name: str, array: np.ndarray[Any, Any]) -> Volume:
    # Sums of weights are 1 up to rounding; a share is at most 1.
    np.clip(array, 0.0, None if name == "mutual_information" else 1.0, out=array)
    return Volume(array, volume.geometry, name=f"{volume.name} {name}".strip())
