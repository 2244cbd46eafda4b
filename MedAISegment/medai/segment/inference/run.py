"""One model over one image: prepare, windows, labels back onto the image's grid, the model's own repairs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medai.core.errors import OutOfMemory, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress, rising, sub_progress
from medai.core.qc import QCFlag
from medai.core.volume import Volume

from ..formats import FORMATS
from ..manifest import Manifest
from ..models.info import ModelInfo
from .facts import model_facts
from .fallback import Attempt, attempts
from .measured import image_domain
from .network import NetworkSource
from .options import InferenceOptions
from .part import cut_to, inside_of
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
        plain = _for_stage(before, parsed)
        first = run_model(before, volume, plain, progress=sub_progress(progress, 0.0, share), cancel=token)
        labels_before, earlier = first.labels, [first.facts]
        flags += [flag for flag in first.labels.flags if flag.code == "DEVICE_FALLBACK"]
    if regions and parsed.crop_body is None:
        # A box chosen by the user may lie beside the body: then nothing is found there, and that is no error.
        parsed = parsed.model_copy(update={"crop_body": False})
    work = _Work(model, volume, parsed, token, sub_progress(progress, share, 0.97))
    input_ = work.prepare(labels_before)
    # Every box is looked at before the first is run: a wrong one must not cost the time of the others.
    parts = [cut_to(input_, region, manifest) for region in regions] or [input_]
    runs: list[_Run] = []
    joined = _Joined(volume.geometry)
    for index, part in enumerate(parts):
        written, run = work.predict(part, index, len(parts))
        runs.append(joined.add(written, run, regions[index]) if regions else run)
    labels, maps = (joined.labels, joined.maps) if regions else (written.labels, written.maps)
    del written
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
    if manifest.domain and not regions:  # what a box holds says nothing about the whole
        facts["domain"], judged = image_domain(found.replace(meta=facts), manifest)
        flags += judged
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


def _for_stage(model: ModelInfo, options: InferenceOptions) -> InferenceOptions:
    """Return a cascade's options for the stage before: what it cannot do, or has not, is left to its own manifest."""
    changes: dict[str, Any] = {"uncertainty": "none"}
    if options.mirror and not model.manifest.inference.mirror_axes:
        changes["mirror"] = None
    if options.members is not None:
        count = len(FORMATS.get(model.manifest.format)().networks(model))
        changes["members"] = tuple(n for n in options.members if 0 <= n < count) or None
    return options.model_copy(update=changes)


@dataclass(frozen=True)
class _Run:
    """What is told of one region's run; its arrays are not kept."""

    labels: dict[str, dict[str, Any]]
    facts: dict[str, Any]
    flags: tuple[QCFlag, ...]
    grid: Geometry

    def region_facts(self) -> dict[str, Any]:
        return {"side": "", "grid": self.grid.to_dict(), "labels": with_trust(self.labels)}


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

    def predict(self, part: Prepared, index: int, count: int) -> tuple[Written, _Run]:
        began = time.monotonic()
        start, stop = (0.15 + 0.85 * n / count for n in (index, index + 1))
        progress = rising(sub_progress(self.progress, start, stop))  # another attempt begins anew
        flag: QCFlag | None = None
        for attempt in attempts(self.manifest, self.options, part.grid.shape):
            flag = attempt.flag
            try:
                written, facts = self._try(part, attempt, progress)
            except (OutOfMemory, MemoryError):
                continue
            break
        facts = {
            **facts,
            "seconds": {"prepare": self.prepare_seconds, "windows_and_labels": round(time.monotonic() - began, 3)},
            "labels": written.how,
            "fallbacks": [flag.to_dict()] if flag else [],
        }
        return written, _Run(written.facts, facts, (flag,) if flag else (), part.grid)

    def _try(self, part: Prepared, attempt: Attempt, progress: ProgressFn) -> tuple[Written, dict[str, Any]]:
        """Run once.  A function of its own: nothing of a failed attempt holds memory while the next one runs."""
        entropy = self.options.uncertainty != "none"
        maps = ("agreement", "mutual_information") if self.options.uncertainty in ("ensemble", "dropout") else ()
        stream = WindowRun(
            part.array, self.sources, attempt.manifest, attempt.options, progress=progress, cancel=self.cancel
        )
        writer = LabelWriter(
            part.grid, self.volume.geometry, self.manifest, entropy=entropy, maps=maps, cancel=self.cancel
        )
        for slab in stream:
            writer.feed(slab)
        return writer.finish(), stream.facts


class _Joined:
    """The regions' labels and maps on the image's grid; a later region does not overwrite an earlier one."""

    def __init__(self, target: Geometry) -> None:
        self.target = target
        self.labels: np.ndarray[Any, Any] = np.zeros((0, 0, 0), dtype=np.uint8)
        self.maps: dict[str, np.ndarray[Any, Any]] = {}
        self._seen: np.ndarray[Any, Any] | None = None

    def add(self, written: Written, run: _Run, region: Region) -> _Run:
        """Take what lies inside a region; return its run with the voxels that it added."""
        where = inside_of(self.target, region)
        if self._seen is None:
            self._seen = np.zeros(self.target.shape, dtype=bool)
            self.labels = np.zeros(self.target.shape, dtype=written.labels.dtype)
            self.maps = {name: np.zeros(self.target.shape, dtype=array.dtype) for name, array in written.maps.items()}
        free = self.labels[where] == 0
        new = written.labels[where] * free
        self.labels[where] += new
        unseen = ~self._seen[where]
        for name, array in written.maps.items():
            np.copyto(self.maps[name][where], array[where], where=unseen)
        self._seen[where] = True
        found = np.bincount(new.reshape(-1), minlength=1 + max((f["label"] for f in run.labels.values()), default=0))
        return replace(run, labels={name: _kept(fact, int(found[fact["label"]])) for name, fact in run.labels.items()})


def _kept(fact: dict[str, Any], voxels: int) -> dict[str, Any]:
    """Return a label's numbers for a region that gave so many voxels; without any, its surroundings' mean nothing."""
    means = {} if voxels else {name: None for name in fact if name.startswith("mean_")}
    return {**fact, **means, "voxels": voxels}


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
