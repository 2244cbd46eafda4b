"""Model folders of nnU-Net version 2."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pydantic

from medai.core.errors import ManifestError, SettingsError
from medai.core.progress import CancelToken
from medai.core.settings import digest_json

from ..inference.network import NetworkSource
from ..manifest import Description, FileEntry, InferenceEntry, Manifest, NetworkEntry
from ..models.hashing import hash_file
from ..models.info import ModelInfo
from ..models.reading import verify_file
from ._base import ModelFormat
from ._nnunet_checkpoint import Facts, read_bytes, read_facts
from ._nnunet_folder import DATASET, PLANS, checkpoints, choose, sibling, trainer_folders
from ._nnunet_labels import Labels, modality_of, read_channels, read_labels
from ._nnunet_network import network_entry
from ._nnunet_plans import read_configuration, read_json, read_plans
from ._nnunet_prepare import READER_ORIENTATION, prepare_settings
from ._nnunet_sidecar import Sidecar, label_entries, read_sidecar

if TYPE_CHECKING:
    import torch

CITATION = "Isensee et al., nnU-Net, Nature Methods 18, 203 (2021)."
_OWN_TRAINER = re.compile(
    r"nnUNetTrainer(_?(\d+epochs?|NoMirroring|onlyMirror01|DASegOrd0|DA5|DA5Segord0|DA5ord0|NoDA|BN|CELoss|DiceLoss|"
    r"Adam\w*|Adan\w*|VanillaAdam\w*|CosAnneal|NoDeepSupervision|Topk10Loss(LS01)?|DiceTopK10Loss|noDummy2DDA|warmup|"
    r"DiceCELoss_noSmooth|probabilisticOversampling(_\d+)?|1500ep))*"
)


class NnUNetFormat(ModelFormat):
    """A trainer's folder with plans, data set and folds; a data set's folder with one model or a cascade."""

    name = "nnunet"
    title = "nnU-Net v2 folder"
    requires = ("torch", "dynamic_network_architectures")
    looks_for = "a folder with plans.json, dataset.json and fold_0/checkpoint_final.pth"

    def recognise(self, path: Path) -> bool:
        """Tell whether a trained model of nnU-Net lies here, or up to two folders further down."""
        return bool(trainer_folders(path))

    def describe(self, path: Path, *, cancel: CancelToken) -> Manifest:
        """Return the manifest; the first fold's checkpoint is read for trainer, configuration and mirroring.

        Raises
        ------
        ManifestError
            If several models lie here, or one asks for what MedAI does not reproduce; its name is in the message.
        UnsafeModel
            If the checkpoint holds anything but arrays and plain values.
        """
        first, file = read_sidecar((path,))
        stage = choose(path, first.use)
        sidecar, file = (first, file) if file is not None else read_sidecar((stage,))
        return _Stage(path, stage, sidecar, file, cancel).manifest()

    def networks(self, model: ModelInfo) -> tuple[NetworkSource, ...]:
        """Return one network per fold."""
        entry = model.manifest.network
        return tuple(_source(model.folder, weights, entry) for weights in model.manifest.weights)


def _source(folder: Path, weights: FileEntry, entry: NetworkEntry) -> NetworkSource:
    def load(cancel: CancelToken) -> torch.nn.Module:
        from ..models.weights import fill, read_weights
        from ..networks import build_network

        data = verify_file(folder, weights)
        cancel.check()
        state = read_weights(data, weights.path)
        del data
        cancel.check()
        try:
            network = build_network(entry.name, dict(entry.settings))
        except SettingsError as error:
            raise ManifestError(f"{weights.path}: {error.message}", hint=error.hint) from None
        return fill(network, state, weights.path)

    key = hashlib.sha256(f"{weights.sha256}:{digest_json(entry.to_dict())}".encode("ascii")).hexdigest()
    return NetworkSource(key, weights.path.split("/")[-2].replace("_", " "), "torch", load)


class _Stage:
    """One trainer's folder; a cascade has two."""

    def __init__(self, root: Path, folder: Path, sidecar: Sidecar, file: Path | None, cancel: CancelToken) -> None:
        self.root, self.folder, self.sidecar, self.file, self.cancel = root, folder, sidecar, file, cancel
        self.plans = read_plans(folder / PLANS, PLANS)
        self.dataset = read_json(folder / DATASET, DATASET)

    def manifest(self) -> Manifest:
        weights, facts = self._weights()
        configuration, values = read_configuration(self.plans, facts.configuration, PLANS)
        where = f"{PLANS}.configurations.{facts.configuration}"
        dims = len(configuration.patch_size)
        if facts.mirror_axes and facts.mirror_axes[-1] >= dims:
            raise ManifestError(f"{self.folder.name}: the checkpoint mirrors axes that a {dims}D network has not.")
        channels = read_channels(self.dataset, DATASET)
        labels = read_labels(self.dataset, DATASET)
        previous = self._previous(configuration.previous_stage)
        extra = len(labels.names) if previous is not None else 0
        reader = self.plans.image_reader_writer
        orientation = self.sidecar.orientation or READER_ORIENTATION.get(reader, "RAS")
        network = network_entry(
            values, trainer=facts.trainer, dims=dims, inputs=len(channels) + extra,
            outputs=len(labels.regions) or len(labels.names) + 1, where=where,
        )  # fmt: skip
        inference = InferenceEntry(
            dims=3 if dims == 3 else 2,
            overlap=0.5,
            placement="even",
            floor="nnunet",
            mirror_axes=tuple(axis + 3 - dims for axis in facts.mirror_axes),
            mirror=bool(facts.mirror_axes),
            activation="sigmoid" if labels.regions else "softmax",
            regions=labels.regions,
        )
        patch = configuration.patch_size
        name = self.plans.dataset_name or str(self.dataset.get("name", "")) or self.folder.parent.name
        try:
            return Manifest(
                format="nnunet",
                id=self.sidecar.id or _slug(f"{name}-{facts.configuration}"),
                version=self.sidecar.version,
                description=self._description(name, facts, labels, channels, reader),
                network=network,
                prepare=prepare_settings(self.plans, configuration, channels, orientation, where),
                window=(patch[0], patch[1], patch[2]) if dims == 3 else (1, patch[0], patch[1]),
                inference=inference,
                labels=label_entries(labels.names, self.sidecar),
                weights=weights,
                files=tuple(self._entry(f) for f in (self.folder / PLANS, self.folder / DATASET, self.file) if f),
                previous=previous,
            )
        except (pydantic.ValidationError, SettingsError) as error:
            text = error.message if isinstance(error, SettingsError) else error.errors()[0]["msg"].rstrip(".") + "."
            raise ManifestError(f"{self.folder.name}: {text}") from None

    def _weights(self) -> tuple[tuple[FileEntry, ...], Facts]:
        files = checkpoints(self.folder)
        data = read_bytes(files[0][1], self.cancel)
        facts = read_facts(data, f"{files[0][0]}/{files[0][1].name}")
        digest = hashlib.sha256(data).hexdigest()
        del data
        entries = [self._entry(files[0][1], digest)] + [self._entry(file) for _, file in files[1:]]
        return tuple(entries), facts

    def _previous(self, name: str | None) -> Manifest | None:
        if name is None:
            return None
        folder = sibling(self.folder, name)
        if self.folder == self.root or folder not in trainer_folders(self.root):
            raise ManifestError(
                f"{self.folder.name!r} is the second stage of a cascade, but the model of the first one "
                f"({folder.name!r}) is not in the folder that was given.",
                hint="Give the data set's folder, which holds both.",
            )
        shared = self.sidecar.model_copy(update={"id": "", "title": ""})
        first = _Stage(self.root, folder, shared, self.file, self.cancel)
        if first.dataset.get("labels") != self.dataset.get("labels"):
            raise ManifestError(f"{self.folder.name}: the two stages of the cascade have different labels.")
        return first.manifest()

    def _entry(self, file: Path, digest: str = "") -> FileEntry:
        path = file.relative_to(self.root).as_posix()
        try:
            size = file.stat().st_size
            digest = digest or hash_file(file, cancel=self.cancel)
        except OSError as error:
            raise ManifestError(f"{path} cannot be read: {error.strerror}.") from None
        try:
            return FileEntry(path=path, bytes=size, sha256=digest)
        except pydantic.ValidationError:
            raise ManifestError(
                f"{path!r:.120}: the file is empty, or its path has characters that a model's path may not have.",
                hint="Use letters, digits, spaces and . _ + - in names.",
            ) from None

    def _description(
        self, name: str, facts: Facts, labels: Labels, channels: tuple[str, ...], reader: str
    ) -> Description:
        s, told = self.sidecar, self.dataset
        limits = [*s.limits, *labels.notes]
        if not s.orientation and reader not in READER_ORIENTATION:
            limits.append(
                "nnU-Net does not store how its training files were oriented: they are assumed to have been stored in "
                "the order right, anterior, superior (RAS); 'orientation' in medai.json says otherwise."
            )
        if not _OWN_TRAINER.fullmatch(facts.trainer):
            limits.append(
                f"It was trained by {facts.trainer[:80]}, which is not part of nnU-Net: its network is assumed to be "
                "the one in plans.json."
            )
        limits.append("Validated by its makers at most; MedAI knows nothing about its accuracy.")
        modalities = {modality_of(channel) for channel in channels}
        cases = told.get("numTraining")
        title = s.title or f"{name.replace('_', ' ')} ({facts.configuration})"
        return Description(
            title=title[:120],
            summary=s.summary or _text(told, "description") or f"nnU-Net model for {', '.join(labels.names.values())}.",
            intended_use=s.intended_use or "Research; as its makers intended it.",
            limits=tuple(limits),
            training_data=s.training_data or (f"{name}: {cases} images." if type(cases) is int else f"{name}."),
            licence=s.licence or _text(told, "licence") or _text(told, "license") or "Not stated in the folder.",
            citation=s.citation or _text(told, "reference") or CITATION,
            modality=s.modality or (modalities.pop() if len(modalities) == 1 else ""),
        )


def _text(values: dict[str, object], key: str) -> str:
    value = values.get(key)
    return value.strip()[:2000] if isinstance(value, str) else ""


def _slug(text: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return words[:63].strip("-") or "nnunet"
