"""What an ONNX file takes, gives, uses and refers to, read without any library that would run it."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medai.core.errors import ModelError, UnsafeModel

from ._protobuf import fields, messages, text, whole

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Operator sets of the ONNX standard; all others need a library of their own to run."""
MAX_BYTES = 2**31
FLOAT = 1
DEEPEST = 16


@dataclass(frozen=True)
class Port:
    """An input or output: its name, its number format and its sizes, None where they are open."""

    name: str
    type: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxGraph:
    """What matters of an ONNX file.

    Parameters
    ----------
    inputs, outputs : tuple of Port
        Without the weights.
    external : frozenset of str
        Files with weights, relative to the ONNX file.
    foreign : frozenset of str
        Operators that are not of the standard, as ``domain::name``.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    external: frozenset[str]
    foreign: frozenset[str]


def read_graph(file: Path) -> OnnxGraph:
    """Read an ONNX file.

    Raises
    ------
    ModelError
        If it is no ONNX file, or larger than ONNX allows (2 GiB).
    """
    try:
        size = file.stat().st_size
        if not 0 < size < MAX_BYTES:
            raise ModelError(f"{file.name} has {size} bytes, an ONNX file has between 1 and {MAX_BYTES}.")
        with open(file, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return parse_graph(mapped, file.name)
    except OSError as error:
        raise ModelError(f"{file.name} cannot be read: {error.strerror}.") from None


def parse_graph(content: bytes | mmap.mmap, name: str) -> OnnxGraph:
    """Read an ONNX file's bytes; raises as :func:`read_graph`."""
    data = memoryview(content)
    try:
        return _graph(data)
    except (ValueError, UnicodeDecodeError, IndexError) as error:
        reason = type(error).__name__
    finally:
        _release(data)
    # Raised here, because the first error's traceback points into the file, which could then not be closed.
    raise ModelError(f"{name} is no ONNX file ({reason}).")


def check_graph(graph: OnnxGraph, file: Path, allowed: set[str]) -> None:
    """Refuse operators that are not of the standard, and files outside the model.

    Parameters
    ----------
    graph : OnnxGraph
    file : Path
        Where it was read.
    allowed : set of str
        Files that the manifest names, relative to the ONNX file's folder.

    Raises
    ------
    UnsafeModel
        With the name of the operator or file.
    """
    if graph.foreign:
        names = ", ".join(sorted(graph.foreign)[:5])
        raise UnsafeModel(f"{file.name} uses operators that are not of the ONNX standard: {names}.")
    for name in sorted(graph.external):
        parts = PurePosixPath(name).parts
        inside = bool(parts) and not name.startswith("/") and not set("\\:\0") & set(name) and ".." not in parts
        if not inside or not (file.parent / name).resolve().is_relative_to(file.parent.resolve()):
            raise UnsafeModel(f"{file.name} refers to the file {name!r} outside the model's folder.")
        if str(PurePosixPath(name)) not in allowed:
            raise UnsafeModel(f"{file.name} refers to the file {name!r}, which its manifest does not name.")


def _release(data: memoryview) -> None:
    try:
        data.release()
    except BufferError:
        pass  # an error's traceback still points into the file; it goes with the error


def _graph(data: memoryview) -> OnnxGraph:
    graphs = messages(data, 7)
    if len(graphs) != 1 or whole(data, 1) is None:
        raise ValueError("it has no graph")
    external: set[str] = set()
    foreign: set[str] = set()
    functions = messages(data, 25)
    own = {(text(f, 10), text(f, 1)) for f in functions}
    for graph in (graphs[0], *(g for training in messages(data, 20) for n in (1, 2) for g in messages(training, n))):
        _walk(graph, own, external, foreign, 0)
    for function in functions:
        _walk_nodes(messages(function, 7), own, external, foreign, 0)
    weights = {text(tensor, 8) for tensor in messages(graphs[0], 5)}
    inputs = tuple(port for port in map(_port, messages(graphs[0], 11)) if port.name not in weights)
    return OnnxGraph(inputs, tuple(map(_port, messages(graphs[0], 12))), frozenset(external), frozenset(foreign))


def _walk(graph: memoryview, own: set[tuple[str, str]], external: set[str], foreign: set[str], depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError("too many graphs in graphs")
    for tensor in messages(graph, 5):
        _tensor(tensor, external)
    for sparse in messages(graph, 15):
        _sparse(sparse, external)
    _walk_nodes(messages(graph, 1), own, external, foreign, depth)


def _walk_nodes(
    nodes: list[memoryview], own: set[tuple[str, str]], external: set[str], foreign: set[str], depth: int
) -> None:
    for node in nodes:
        domain, operator = text(node, 7), text(node, 4)
        if domain not in DOMAINS and (domain, operator) not in own:
            foreign.add(f"{domain}::{operator}")
        for attribute in messages(node, 5):
            for number, value in fields(attribute):
                if not isinstance(value, memoryview):
                    continue
                if number in (5, 10):
                    _tensor(value, external)
                elif number in (22, 23):
                    _sparse(value, external)
                elif number in (6, 11):
                    _walk(value, own, external, foreign, depth + 1)


def _sparse(sparse: memoryview, external: set[str]) -> None:
    for number in (1, 2):
        for tensor in messages(sparse, number):
            _tensor(tensor, external)


def _tensor(tensor: memoryview, external: set[str]) -> None:
    for entry in messages(tensor, 13):
        if text(entry, 1) == "location":
            external.add(text(entry, 2))


def _port(info: memoryview) -> Port:
    tensors = [tensor for kind in messages(info, 2) for tensor in messages(kind, 1)]
    if not tensors:
        return Port(text(info, 1), 0, ())
    shape = messages(tensors[0], 2)
    sizes = [whole(dim, 1) for dim in messages(shape[0], 1)] if shape else []
    return Port(text(info, 1), whole(tensors[0], 1) or 0, tuple(n if n and n > 0 else None for n in sizes))
