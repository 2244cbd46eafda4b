"""MONAI bundles: configuration and weights read as data, mapped from lists of known names; nothing is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic

from medai.core.errors import ManifestError, SettingsError
from medai.core.progress import CancelToken

from ..inference.network import NetworkSource
from ..inference.prepare import ChannelEntry, PrepareSettings
from ..manifest import FileEntry, InferenceEntry, Manifest, NetworkEntry, PostEntry
from ..models.hashing import hash_file
from ..models.info import ModelInfo
from ..networks._monai import MonaiSettings
from ._base import ModelFormat
from ._bundle_after import After, read_postprocessing
from ._bundle_config import Config, plain
from ._bundle_meta import Metadata, label_names, slug
from ._bundle_names import target_of
from ._bundle_network import network_entry
from ._bundle_prepare import Preprocessing, read_preprocessing
from ._bundle_read import METADATA, config_file, read_values, weights_path
from ._bundle_windows import Windows, read_inferer
from ._nnunet_sidecar import FILE, label_entries, read_sidecar
from ._state_dict import state_dict_sources


class MonaiBundleFormat(ModelFormat):
    """A folder of MONAI's Model Zoo: ``configs`` and ``models``."""

    name = "monai_bundle"
    title = "MONAI bundle"
    requires = ("torch", "monai>=1.4")
    looks_for = "a folder with configs/metadata.json, configs/inference.json and models/model.pt (MONAI bundle)"

    def recognise(self, path: Path) -> bool:
        """Tell whether metadata and a configuration are there."""
        return (path / METADATA).is_file() and config_file(path) is not None

    def describe(self, path: Path, *, cancel: CancelToken) -> Manifest:
        """Return the manifest of a bundle.

        Raises
        ------
        ManifestError
            If the bundle is malformed, or asks for what MedAI cannot reproduce; its name is in the message.
        UnsafeModel
            If a value that is needed is an expression that would have to be executed; it is in the message.
        """
        return _Bundle(path, cancel).manifest()

    def networks(self, model: ModelInfo) -> tuple[NetworkSource, ...]:
        """Return the network."""
        return state_dict_sources(model)


class _Bundle:
    """One bundle, read part by part."""

    def __init__(self, folder: Path, cancel: CancelToken) -> None:
        name = config_file(folder)
        if name is None:
            raise ManifestError(f"The folder {folder.name!r} has no configs/inference.json or .yaml.")
        self.folder, self.cancel, self.name = folder, cancel, name
        self.meta = Metadata(read_values(folder, METADATA))
        self.config = Config(read_values(folder, name), name.split("/")[-1], {"bundle_root": "."})
        self.sidecar, self.sidecar_file = read_sidecar((folder,))
        self.limits: list[str] = []

    def manifest(self) -> Manifest:
        where = self.config.where
        weights = weights_path(self.folder, self.config)
        scripted = weights.endswith(".ts")
        network, settings = self._script() if scripted else self._network()
        before = read_preprocessing(self._transforms("preprocessing"), f"{where}: preprocessing", settings.in_channels)
        windows = read_inferer(self.config.get("inferer"), f"{where}: inferer", settings.spatial_dims)
        after = read_postprocessing(
            self._transforms("postprocessing"), f"{where}: postprocessing", settings.out_channels
        )
        labels, regions, order = self._labels(after, settings)
        if scripted and order:
            raise ManifestError(f"{where}: a TorchScript network's channels cannot be painted in another order.")
        if windows.padding != "constant":
            self.limits.append(
                f"An image smaller than the window is padded with zeros, not by {windows.padding} as in the bundle."
            )
        entries = label_entries(labels, self.sidecar)
        names = {entry.label: entry.name for entry in entries}
        try:
            return Manifest(
                # Its own format checks a program before it is loaded, and asks for trust.
                format="torchscript" if scripted else "monai_bundle",
                id=self.sidecar.id or slug(self.meta.text("name") or self.folder.resolve().name),
                version=self.meta.version,
                description=self.meta.description(self.folder, self.sidecar, self.limits),
                network=network,
                prepare=self._prepare(before, windows, settings),
                window=windows.window,
                inference=InferenceEntry(
                    dims=settings.spatial_dims,
                    overlap=windows.overlap,
                    placement="fixed",
                    blend=windows.blend,
                    sigma=windows.sigma,
                    floor="monai",
                    activation=after.activation,
                    regions=regions,
                    order=order,
                ),
                labels=entries,
                postprocess=tuple(
                    PostEntry(
                        step="largest_components",
                        settings={
                            "segments": [names[c] for c in kept.classes if c in names],
                            "number": kept.number,
                            "connectivity": kept.connectivity,
                        },
                    )
                    for kept in after.kept
                ),
                weights=(self._entry(weights),),
                files=tuple(self._entry(name) for name in self._other_files()),
            )
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise ManifestError(f"{where}: {first['msg'].removeprefix('Value error, ')}.") from None

    def _network(self) -> tuple[NetworkEntry, MonaiSettings]:
        key = "network_def" if self.config.has("network_def") else "network"
        return network_entry(self.config.get(key), f"{self.config.where}: {key}")

    def _script(self) -> tuple[NetworkEntry, MonaiSettings]:
        """Return what is known about a TorchScript network: axes by the inferer, channels by the metadata."""
        inferer = self.config.get("inferer")
        dims = 2 if isinstance(inferer, dict) and str(inferer.get("_target_", "")).endswith("SliceInferer") else 3
        counts = {"in_channels": self.meta.channels("inputs"), "out_channels": self.meta.channels("outputs")}
        try:
            settings = MonaiSettings.parse({"spatial_dims": dims, **counts}, where=METADATA)
        except SettingsError as error:
            raise ManifestError(error.message, hint="Its network_data_format must give num_channels.") from None
        return NetworkEntry(name="torchscript", settings={"out_channels": settings.out_channels}), settings

    def _transforms(self, key: str) -> Any:
        """Return the list in a Compose; values in it may still be code that nobody needs."""
        found = self.config.get(key)
        where = f"{self.config.where}: {key}"
        if isinstance(found, dict):
            if target_of(found, where, "monai.transforms") != "Compose":
                raise ManifestError(f"{where}: a Compose of transforms was expected.")
            found = found.get("transforms")
        return plain(found) if not isinstance(found, list) else found

    def _labels(self, after: After, settings: MonaiSettings) -> tuple[dict[int, str], tuple[int, ...], tuple[int, ...]]:
        """Return label -> name, the regions' labels in the order of painting, and the order of the channels."""
        count = settings.out_channels
        names = self.meta.channel_names("outputs", count)
        if not after.regions:
            return label_names(names[1:], list(range(1, count))), (), ()
        paint = after.paint or (((0, 1),) if count == 1 else ())
        if sorted(channel for channel, _ in paint) != list(range(count)):
            raise ManifestError(
                f"{self.config.where}: the network's {count} output channels may overlap, and the bundle does not say "
                "which one wins.",
                hint="A Lambdad with nested torch.where(x[[channel]] > 0, label, ...) after AsDiscreted says it.",
            )
        order = tuple(channel for channel, _ in paint)
        labels = [label for _, label in paint]
        found = label_names([names[channel] for channel in order], labels) if 0 not in labels else {}
        if len(found) != count:
            raise ManifestError(
                f"{self.config.where}: each output channel must have a label of its own, given {labels}."
            )
        return dict(sorted(found.items())), tuple(labels), () if order == tuple(range(count)) else order

    def _prepare(self, before: Preprocessing, windows: Windows, settings: MonaiSettings) -> PrepareSettings:
        codes = self.sidecar.orientation if not before.axcodes else before.axcodes
        if not codes:
            raise ManifestError(
                f"{self.config.where}: preprocessing has no Orientationd: the network read images as they were stored, "
                "which differs from file to file.",
                hint=f'Say how the training images were stored: {{"orientation": "RAS"}} in {FILE} beside configs.',
            )
        # The network's axes in the order K, J, I; slices lie along K.
        axes = windows.axes
        sizes = [before.pixdim[axis] for axis in axes]
        keep_slices = settings.spatial_dims == 2 and sizes[0] is None and None not in sizes[1:]
        if None in sizes and not keep_slices and sizes != [None, None, None]:
            raise ManifestError(f"{self.config.where}: Spacingd changes some axes only: pixdim {before.pixdim}.")
        k, j, i = (size or 1.0 for size in sizes)
        names = before.names or tuple(self.meta.channel_names("inputs", settings.in_channels))
        return PrepareSettings(
            orientation="".join(codes[axis] for axis in reversed(axes)),
            spacing=None if sizes == [None, None, None] else (i, j, k),
            keep_slices=keep_slices,
            grid="centres",
            interpolate="linear",
            crop="positive" if before.crop else "none",
            normalise_first=before.values_first,
            channels=tuple(
                ChannelEntry(
                    name=name[:64], modality=self.meta.modality if settings.in_channels == 1 else "", normalise=chain
                )
                for name, chain in zip(names, before.chains, strict=True)
            ),
        )

    def _other_files(self) -> list[str]:
        return [METADATA, self.name, *([self.sidecar_file.name] if self.sidecar_file else [])]

    def _entry(self, name: str) -> FileEntry:
        path = self.folder / name
        try:
            return FileEntry(path=name, bytes=path.stat().st_size, sha256=hash_file(path, cancel=self.cancel))
        except OSError as error:
            raise ManifestError(f"{name} cannot be read: {error.strerror}.") from None
        except pydantic.ValidationError:
            raise ManifestError(f"{name!r:.120}: the file is empty, or its path has unusual characters.") from None
