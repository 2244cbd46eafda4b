"""ONNX files with a manifest.json beside them; also the way in for TensorFlow and Keras models."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from medai.core.errors import ManifestError
from medai.core.progress import CancelToken

from ..inference.network import NetworkSource
from ..manifest import FileEntry, Manifest
from ..models.info import ModelInfo
from ..models.reading import verify_file
from ._base import ModelFormat
from ._onnx_graph import FLOAT, OnnxGraph, check_graph, parse_graph, read_graph
from ._own_manifest import manifest_beside, template

SUFFIXES = (".onnx",)
LAYOUTS = ("channels_first", "channels_last")


class OnnxFormat(ModelFormat):
    """A network as a graph of standard operators; OpenVINO or ONNX Runtime runs it.

    TensorFlow's networks take and give channels last; whether a file does is read from its sizes, or from
    ``network.settings.layout`` in the manifest (``channels_first``, ``channels_last``) where they do not tell.
    """

    name = "onnx"
    title = "ONNX"
    requires = ("torch",)
    looks_for = "an ONNX file (.onnx) with manifest.json beside it"

    def recognise(self, path: Path) -> bool:
        """Tell whether it is a file with ONNX's ending."""
        return path.suffix.lower() in SUFFIXES and path.is_file()

    def describe(self, path: Path, *, cancel: CancelToken) -> Manifest:
        """Return the manifest beside the file; the graph is read, the network is not loaded.

        Raises
        ------
        ManifestError
            If there is none (a template made from the file's inputs and outputs is in the hint), or it does not fit.
        ModelError
            If the file is no ONNX file; ``UnsafeModel`` if it uses operators of other libraries or other files.
        """
        cancel.check()
        text = "" if path.is_dir() else _template(path)
        manifest = manifest_beside(path, self.name, SUFFIXES, text)
        folder = path if path.is_dir() else path.parent
        for entry in manifest.weights:
            cancel.check()
            graph = read_graph(folder / entry.path)
            check_graph(graph, folder / entry.path, _others(manifest, entry))
            is_channels_last(graph, manifest, entry.path)
        return manifest

    def networks(self, model: ModelInfo) -> tuple[NetworkSource, ...]:
        """Return one network per file."""
        several = len(model.manifest.weights) > 1
        return tuple(
            _source(model, entry, f"member {number}" if several else model.id)
            for number, entry in enumerate(model.manifest.weights)
        )


def is_channels_last(graph: OnnxGraph, manifest: Manifest, name: str) -> bool:
    """Tell whether a network takes (B, K, J, I, C) instead of (B, C, K, J, I).

    Raises
    ------
    ManifestError
        If it does not take one float32 batch of the manifest's channels and give its classes, or the sizes fit both
        ways and the manifest does not say which.
    """
    if len(graph.inputs) != 1 or not graph.outputs:
        raise ManifestError(
            f"{name} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected 1 and 1."
        )
    given, found = graph.inputs[0], graph.outputs[0]
    rank = manifest.inference.dims + 2
    if given.type != FLOAT or len(given.shape) != rank:
        raise ManifestError(
            f"{name} takes {len(given.shape)} axes of the number format {given.type}, expected {rank} of float32 (1)."
        )
    layout = manifest.network.settings.get("layout")
    if layout is not None and layout not in LAYOUTS:
        raise ManifestError(f"network.settings.layout is {layout!r}, expected one of {', '.join(LAYOUTS)}.")
    channels = manifest.inputs * (2 * manifest.inference.context + 1)
    if manifest.previous is not None:
        channels = 0  # more channels come from the stage before; sizes are compared where they are known to fit
    sizes = {"channels_first": 1, "channels_last": -1}
    fits = [
        way
        for way, axis in sizes.items()
        if _may_be(given.shape[axis], channels)
        and (len(found.shape) != rank or _may_be(found.shape[axis], manifest.classes))
    ]
    if layout is not None:
        fits = [way for way in fits if way == layout]
    if not fits:
        raise ManifestError(
            f"{name} takes sizes {_words(given.shape)} and gives {_words(found.shape)}, which does not fit "
            f"{channels} channels and {manifest.classes} classes of the manifest."
        )
    if len(fits) == 2:
        sure = [way for way in fits if given.shape[sizes[way]] == channels and found.shape[sizes[way]]]
        if len(sure) != 1:
            raise ManifestError(
                f"The sizes in {name} do not tell whether channels come first or last.",
                hint="Set network.settings.layout to channels_first or channels_last in manifest.json.",
            )
        fits = sure
    return fits[0] == "channels_last"


def _source(model: ModelInfo, entry: FileEntry, title: str) -> NetworkSource:
    file = model.folder / entry.path
    last = is_channels_last(read_graph(file), model.manifest, entry.path)
    others = _others(model.manifest, entry)
    beside = {name: x for x in model.manifest.files if (name := _relative(x, entry)) in others}

    def files(cancel: CancelToken) -> dict[str, bytes]:
        data = verify_file(model.folder, entry)
        graph = parse_graph(data, file.name)
        check_graph(graph, file, others)
        found = {file.name: data}
        for name in sorted(str(PurePosixPath(x)) for x in graph.external):
            cancel.check()
            found[name] = verify_file(model.folder, beside[name])
        return found

    def load(cancel: CancelToken) -> None:
        files(cancel)

    text = ":".join(["onnx", str(last), entry.sha256, *(x.sha256 for x in beside.values())])
    return NetworkSource(hashlib.sha256(text.encode("ascii")).hexdigest(), title, "onnx", load, files, last)


def _others(manifest: Manifest, entry: FileEntry) -> set[str]:
    """Return the manifest's other files, relative to an ONNX file's folder."""
    return {name for x in manifest.files if (name := _relative(x, entry))}


def _relative(other: FileEntry, entry: FileEntry) -> str:
    folder = PurePosixPath(entry.path).parent
    path = PurePosixPath(other.path)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else ""


def _may_be(size: int | None, wanted: int) -> bool:
    return size is None or not wanted or size == wanted


def _words(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("?" if n is None else str(n) for n in shape) + ")"


def _template(file: Path) -> str:
    graph = read_graph(file)
    check_graph(graph, file, set(graph.external))
    given = graph.inputs[0].shape if graph.inputs else ()
    found = graph.outputs[0].shape if graph.outputs else ()
    # Channels are the smaller one of the two axes that can hold them.
    last = len(given) > 2 and given[-1] is not None and (given[1] is None or given[-1] < given[1])
    axis = -1 if last else 1
    space = given[1:-1] if last else given[2:]
    size = tuple(n or 96 for n in space)
    window = (size[0], size[1], size[2]) if len(size) == 3 else (1, *size) if len(size) == 2 else (96, 96, 96)
    channels = given[axis] if len(given) > 2 else None
    classes = found[axis] if len(found) > 2 else None
    return template(
        file,
        "onnx",
        channels=channels or 1,
        window=(window[0], window[1], window[2]),
        classes=classes or 2,
        layout=LAYOUTS[int(last)],
    )
