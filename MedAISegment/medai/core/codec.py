"""Values that go between processes: JSON, with every array in a memory-mapped ``.npy`` file; never a pickle.

JSON values stay as they are, tuples become lists, numpy numbers become Python's.  Everything else is an object with the
key ``$`` that says what it is.
"""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .errors import InputError, OutputError, WorkerError
from .geometry import Geometry
from .labelmap import LabelMap, Segment
from .progress import CancelToken
from .qc import QCFlag
from .table import Column, Table
from .volume import Volume

CHUNK_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 64

_TAG = "$"
_FILE = re.compile(r"[a-z]+[0-9]+\.npy")
_ARRAY_KINDS = "biufcUSMm"

Array = npt.NDArray[Any]


def encode(value: Any, folder: Path, *, prefix: str = "inputs", cancel: CancelToken | None = None) -> Any:
    """Return ``value`` as JSON and write its arrays into ``folder``; an array that occurs twice is written once.

    Parameters
    ----------
    value : dict, list, JSON value, numpy array, Volume, LabelMap, Geometry or Table
        Nested as wanted; dict keys are text.
    folder : Path
        An existing private folder.
    prefix : str
        What the value is called in messages and in the files' names: lower-case letters.
    cancel : CancelToken, optional
        Polled every 8 MiB.

    Raises
    ------
    InputError
        For other types; the message names the value's place.
    OutputError
        If the folder's disk is full.
    Cancelled
        If somebody asked to stop; the caller removes the folder.
    """
    written: dict[tuple[Any, ...], str] = {}

    def store(array: Array) -> Any:
        key = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)
        if key not in written:
            written[key] = f"{prefix}{len(written)}.npy"
            _write_array(folder / written[key], array, cancel or CancelToken())
        return {_TAG: "array", "file": written[key]}

    return _encode(value, store, prefix, 0)


def decode(value: Any, folder: Path, *, copy: bool = False) -> Any:
    """Rebuild what :func:`encode` wrote.

    Parameters
    ----------
    value : JSON value
        What :func:`encode` returned.
    folder : Path
        Where the arrays are.
    copy : bool
        Copy the arrays into memory, so that the folder may go.  If False they are read-only views of the files.

    Raises
    ------
    WorkerError
        If the value or a file is not what :func:`encode` makes.
    """
    try:
        return _decode(value, lambda name: _read_array(folder, name, copy))
    except WorkerError:
        raise
    except Exception as error:
        raise WorkerError(f"The data exchanged with the worker cannot be read ({type(error).__name__}).") from error


def as_received(value: Any, where: str = "value") -> Any:
    """Return what :func:`decode` would give on the other side, without writing or copying an array.

    So a task behaves the same in this process and in another one: it gets lists for tuples and read-only arrays.

    Raises
    ------
    InputError
        As :func:`encode` does.
    """
    kept: list[Any] = []

    def store(item: Any) -> Any:
        kept.append(_frozen(item) if isinstance(item, np.ndarray) else item)
        return {_TAG: "array", "file": len(kept) - 1}

    return _decode(
        _encode(value, store, where, 0, whole=(Volume, LabelMap, Geometry, Table)), lambda index: kept[index]
    )


def _encode(value: Any, store: Callable[[Any], Any], where: str, depth: int, whole: tuple[type, ...] = ()) -> Any:
    if isinstance(value, whole):
        return store(value)
    if depth > MAX_DEPTH:
        raise InputError(f"{where:.200}: nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_TAG: "float", "value": str(float(value))}
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _ARRAY_KINDS:
            raise InputError(f"{where}: an array of type {value.dtype} cannot be sent between processes.")
        return store(value)
    if isinstance(value, (list, tuple)):
        return [_encode(item, store, f"{where}[{index}]", depth + 1, whole) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise InputError(f"{where}: every key must be text.")
        items = {str(k): _encode(item, store, f"{where}.{k:.60}", depth + 1, whole) for k, item in value.items()}
        return {_TAG: "dict", "items": items} if _TAG in items else items
    if isinstance(value, Volume):
        fields = {
            "modality": value.modality, "unit": value.unit, "name": value.name, "meta": dict(value.meta),
            "flags": [flag.to_dict() for flag in value.flags],
        }  # fmt: skip
        return {
            **_encode(fields, store, where, depth + 1),
            **{_TAG: "volume", "array": store(value.array), "geometry": value.geometry.to_dict()},
        }
    if isinstance(value, LabelMap):
        return {
            _TAG: "labelmap",
            "array": store(value.array),
            "geometry": value.geometry.to_dict(),
            "segments": [segment.to_dict() for segment in value.segments],
            "flags": [flag.to_dict() for flag in value.flags],
            "meta": _encode(dict(value.meta), store, f"{where}.meta", depth + 1),
        }
    if isinstance(value, Geometry):
        return {_TAG: "geometry", **value.to_dict()}
    if isinstance(value, Table):
        columns = [
            {
                "name": column.name, "unit": column.unit, "description": column.description,
                "values": _encode(column.values, store, f"{where}.{column.name:.60}", depth + 1),
            }
            for column in value.columns
        ]  # fmt: skip
        return {_TAG: "table", "name": value.name, "columns": columns}
    raise InputError(
        f"{where}: a value of type {type(value).__name__} cannot be sent between processes.",
        hint="Send arrays, volumes, label maps, tables and JSON values.",
    )


def _decode(value: Any, load: Callable[[Any], Array]) -> Any:
    if isinstance(value, list):
        return [_decode(item, load) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_TAG)
    if kind is None:
        return {key: _decode(item, load) for key, item in value.items()}
    if kind == "dict":
        return {key: _decode(item, load) for key, item in value["items"].items()}
    if kind == "float":
        return float(value["value"])
    if kind == "array":
        return load(value["file"])
    if kind == "geometry":
        return Geometry.from_dict(value)
    if kind == "table":
        columns = [
            Column(c["name"], tuple(_decode(c["values"], load)), c["unit"], c["description"]) for c in value["columns"]
        ]
        return Table(value["name"], tuple(columns))
    if kind in ("volume", "labelmap"):
        array = load(value["array"]["file"])
        geometry = Geometry.from_dict(value["geometry"])
        flags = tuple(QCFlag.from_dict(flag) for flag in value["flags"])
        if kind == "labelmap":
            segments = tuple(Segment.from_dict(item) for item in value["segments"])
            return LabelMap(array, geometry, segments, flags, _decode(value["meta"], load))
        return Volume(
            array, geometry, value["modality"], value["unit"], value["name"], flags, _decode(value["meta"], load)
        )
    raise WorkerError(f"The data exchanged with the worker holds an unknown kind of value, {kind!r:.40}.")


def _write_array(file: Path, array: Array, cancel: CancelToken) -> None:
    header = np.lib.format.header_data_from_array_1_0(array)
    try:
        with open(file, "xb") as stream:
            np.lib.format.write_array_header_2_0(stream, header)
            _write_values(stream, array.T if header["fortran_order"] else array, cancel)
    except OSError as error:
        reason = "is full" if error.errno == errno.ENOSPC else f"cannot be used ({error.strerror or 'unknown reason'})"
        raise OutputError(
            f"The temporary folder {reason}; {array.nbytes / 2**20:.0f} MiB were needed.",
            hint="Free some space, or name another temporary folder.",
        ) from error


def _write_values(stream: BinaryIO, array: Array, cancel: CancelToken) -> None:
    # Piece by piece: a cancel request does not wait for a large array, and a strided one is never copied as a whole.
    if array.flags.c_contiguous:
        data = array.reshape(-1).view(np.uint8).data if array.size and array.dtype.itemsize else memoryview(b"")
        for start in range(0, len(data), CHUNK_BYTES):
            cancel.check()
            stream.write(data[start : start + CHUNK_BYTES])
        return
    rows = max(1, CHUNK_BYTES // max(1, array.nbytes // len(array))) if array.size else 1
    for start in range(0, len(array), rows):
        cancel.check()
        stream.write(np.ascontiguousarray(array[start : start + rows]).reshape(-1).view(np.uint8).data)


def _read_array(folder: Path, name: Any, copy: bool) -> Array:
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise WorkerError("The data exchanged with the worker names a file outside its folder.")
    mapped = np.lib.format.open_memmap(folder / name, mode="r")
    if mapped.dtype.kind not in _ARRAY_KINDS:
        raise WorkerError(f"The data exchanged with the worker holds an array of type {mapped.dtype}.")
    return np.array(mapped, subok=False) if copy else np.asarray(mapped)


def _frozen(array: Array) -> Array:
    view = np.asarray(array).view()
    view.setflags(write=False)
    return view
