"""medai.core.codec: values come back as they were sent, through files that hold no code."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medai.core import codec
from medai.core.errors import Cancelled, InputError, OutputError, WorkerError
from medai.core.geometry import Geometry
from medai.core.labelmap import Code, LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.qc import QCFlag, Severity
from medai.core.table import Column, Table
from medai.core.volume import Volume

GRID = Geometry.from_spacing((2, 3, 4), (0.1, 1 / 3, 2.5), (-7.1, 0, 1e-9), [[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, -1]])
FLAG = QCFlag("FOV_CLIPPED", Severity.WARNING, "m", math.nan, 3.0, "Left")
TEXT = st.text(max_size=6)  # with "$", half surrogate pairs, zero characters, everything
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ARRAYS = hnp.arrays(
    hnp.scalar_dtypes() | hnp.unicode_string_dtypes(),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
)


def sent(value: Any, folder: Path, copy: bool = False) -> Any:
    """Send a value through real JSON text and real files."""
    text = json.dumps(codec.encode(value, folder), allow_nan=False)
    return codec.decode(json.loads(text), folder, copy=copy)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        # Bytes, because NaN and -0.0 must survive too.
        return a.dtype == b.dtype and a.shape == b.shape and np.array(a).tobytes() == np.array(b).tobytes()
    if isinstance(a, (list, tuple)):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, float):
        return isinstance(b, float) and repr(a) == repr(b)
    return type(a) is type(b) and bool(a == b)


@given(
    st.recursive(
        SCALARS | ARRAYS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.just("$"), inner, max_size=3),
        max_leaves=6,
    )
)
def test_any_nested_value_comes_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.mktemp("codec")
    assert same(value, sent(value, folder))
    assert same(value, codec.as_received(value))


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24).reshape(2, 3, 4).T,
        np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
        np.arange(24)[::-2],
        np.arange(24).reshape(2, 3, 4)[:, ::-1, ::2],
        np.broadcast_to(np.arange(4.0), (3, 4)),
        np.arange(6, dtype=">i4"),
        np.zeros((3, 0, 2)),
        np.array(5.0),
        np.array(["2020-01-01"], "M8[D]"),
    ],
    ids=range(9),
)
def test_any_memory_layout_comes_back(tmp_path: Path, array: npt.NDArray[Any], copy: bool) -> None:
    result = sent(array, tmp_path, copy)
    assert same(array, result)
    assert type(result) is np.ndarray


def test_an_array_larger_than_one_piece_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "CHUNK_BYTES", 1000)
    for array in (np.random.default_rng(0).normal(size=(17, 13, 5)), np.arange(9000).reshape(30, 300)[::2, ::3]):
        assert same(array, sent({"a": array}, tmp_path)["a"])
        for file in tmp_path.iterdir():
            file.unlink()


def volume(**changes: Any) -> Volume:
    array = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    return Volume(array, GRID, "MR", "1", "name ä", (FLAG,), {"kernel": "B30", "$": "x"}).replace(**changes)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4, 3), "f2"), np.zeros((2, 3, 4), bool)]
)
def test_a_volume_comes_back(tmp_path: Path, array: npt.NDArray[Any]) -> None:
    original = volume(array=array)
    copy = sent([original], tmp_path)[0]
    assert copy.digest() == original.digest()
    assert copy.geometry == original.geometry
    for name in ("modality", "unit", "name", "flags", "meta"):
        assert getattr(copy, name) == getattr(original, name)


def test_labels_come_back(tmp_path: Path) -> None:
    segments = (Segment(300, "a", (0.1, 0.2, 0.3), Code("1", "SCT", "x"), None, Code("2", "SCT", "y")), Segment(7, "b"))
    meta = {"model": {"id": "m"}, "n": [1]}
    original = LabelMap(np.arange(24).reshape(2, 3, 4) % 2 * 300, GRID, segments, (FLAG,), meta)
    copy = sent(original, tmp_path)
    assert copy.digest() == original.digest()
    assert (copy.segments, copy.flags, copy.geometry) == (original.segments, original.flags, original.geometry)
    assert dict(copy.meta) == meta
    assert copy.array.dtype == np.uint16


def test_a_table_and_a_grid_come_back(tmp_path: Path) -> None:
    table = Table(
        "t",
        (
            Column("name", ("a", None), "", "d"),
            Column("ml", (1.5, math.inf), "mL"),
            Column("n", (1, 2**70)),
            Column("ok", (True, False)),
        ),
    )
    assert sent(table, tmp_path) == table
    assert math.isnan(sent(Table("t", (Column("x", (math.nan,)),)), tmp_path).columns[0].values[0])
    assert sent(GRID, tmp_path) == GRID


def test_an_array_is_written_once_and_mapped(tmp_path: Path) -> None:
    original = volume()
    result = sent({"a": original, "b": original.array, "c": [original]}, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["inputs0.npy"]
    assert isinstance(result["b"].base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        result["b"][0, 0, 0] = 1


def test_a_copy_outlives_its_folder(tmp_path: Path) -> None:
    result = sent(volume(), tmp_path, copy=True)
    for file in tmp_path.iterdir():
        file.unlink()
    assert result.digest() == volume().digest()
    assert result.array.base is None or not isinstance(result.array.base, np.memmap)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [1, object()]}, r"inputs.a\[1\]: a value of type object"),
        ({"a": {1: 2}}, "inputs.a: every key must be text"),
        ({"a": {1, 2}}, "inputs.a: a value of type set"),
        ({"a": b"x"}, "inputs.a: a value of type bytes"),
        ({"a": 1j}, "inputs.a: a value of type complex"),
        ({"a": np.array([object()])}, "inputs.a: an array of type object"),
        ({"a": np.zeros(2, [("x", "u1")])}, "inputs.a: an array of type"),
        ({"a": lambda: 0}, "inputs.a: a value of type function"),
        ({"a": Path("x")}, "inputs.a: a value of type .*Path"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place(tmp_path: Path, value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        codec.encode(value, tmp_path)
    with pytest.raises(InputError, match=words):
        codec.as_received(value, "inputs")


def test_a_value_that_contains_itself_is_refused(tmp_path: Path) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InputError, match="nested more than"):
        codec.encode(loop, tmp_path)


def test_as_received_shares_memory_and_forbids_writing() -> None:
    array, image = np.zeros(3), volume()
    result = codec.as_received({"a": array, "v": image, "t": (1, np.int8(2))})
    assert np.shares_memory(result["a"], array)
    assert not result["a"].flags.writeable
    assert array.flags.writeable
    assert result["v"] is image
    assert result["t"] == [1, 2]


def test_writing_stops_within_a_piece_when_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class AfterTwo(CancelToken):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks > 2:
                self.cancel()
            super().check()

    monkeypatch.setattr(codec, "CHUNK_BYTES", 1024)
    with pytest.raises(Cancelled):
        codec.encode(np.zeros(100_000), tmp_path, cancel=AfterTwo())
    assert next(tmp_path.iterdir()).stat().st_size < 4096


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = open

    def on_full_disk(file: Any, mode: str) -> Any:
        return real("/dev/full", "wb")

    monkeypatch.setattr(codec, "open", on_full_disk, raising=False)
    with pytest.raises(OutputError, match="The temporary folder is full; 1 MiB were needed"):
        codec.encode(np.zeros(2**17), tmp_path)


@pytest.mark.parametrize(
    "name", ["../x.npy", "/etc/passwd", "a/b0.npy", "x.npy", "inputs0.npy\n", "inputs0.npz", 3, None, ["inputs0.npy"]]
)
def test_a_file_outside_the_folder_is_never_opened(tmp_path: Path, name: Any) -> None:
    np.save(tmp_path.parent / "x.npy", np.zeros(3))
    with pytest.raises(WorkerError, match="outside its folder"):
        codec.decode({"$": "array", "file": name}, tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        {"$": "pickle"},
        {"$": ["array"]},
        {"$": "array"},
        {"$": "array", "file": "missing0.npy"},
        {"$": "float", "value": "x"},
        {"$": "dict"},
        {"$": "volume"},
        {"$": "volume", "array": {"file": "missing0.npy"}, "geometry": {}, "flags": 3},
        {"$": "geometry", "shape": [1]},
        {"$": "table", "columns": 3},
    ],
)
def test_a_malformed_value_is_a_worker_error(tmp_path: Path, value: Any) -> None:
    with pytest.raises(WorkerError):
        codec.decode(value, tmp_path)


class _Canary:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path(self.path),))

    def __init__(self, path: str) -> None:
        self.path = path


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    evil = np.empty(1, object)
    evil[0] = _Canary(str(canary))
    np.save(tmp_path / "inputs0.npy", evil, allow_pickle=True)
    (tmp_path / "inputs1.npy").write_bytes(pickle.dumps(_Canary(str(canary))))
    for name in ("inputs0.npy", "inputs1.npy"):
        for copy in (False, True):
            with pytest.raises(WorkerError):
                codec.decode({"$": "array", "file": name}, tmp_path, copy=copy)
    assert not canary.exists()


@pytest.mark.parametrize("size", [0, 5, 100, 130, 1127])
def test_a_file_cut_short_is_a_worker_error(tmp_path: Path, size: int) -> None:
    encoded = codec.encode(np.zeros(125), tmp_path)
    file = tmp_path / "inputs0.npy"
    assert file.stat().st_size == 1128
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(WorkerError):
        codec.decode(encoded, tmp_path)
