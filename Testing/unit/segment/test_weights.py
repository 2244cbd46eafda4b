"""Reading weights: only arrays come out, whatever the file holds; a network is filled only if everything fits."""

import io
import json
import logging
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save  # noqa: E402

from medai.core.errors import ModelError, UnsafeModel  # noqa: E402
from medai.segment.models.weights import fill, read_checkpoint, read_weights  # noqa: E402


class Bomb:
    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return (os.system, (f"echo hit > '{self.canary}'",))


def saved(value, **options):
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def small():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.BatchNorm3d(2))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("w.safetensors", lambda state: save(state)),
        ("w.pt", lambda state: saved(state)),
        ("w.pth", lambda state: saved({"state_dict": state, "epoch": 3, "dice": np.float64(0.5)})),
        ("w.ckpt", lambda state: saved({"network_weights": OrderedDict(state), "optimizer_state": {"lr": [1e-3]}})),
        ("w.bin", lambda state: saved({"model": {k: torch.nn.Parameter(v, False) for k, v in state.items()}})),
    ],
)
def test_weights_come_out_as_they_were_stored(name, write):
    state = {k: v.clone() for k, v in small().state_dict().items()}
    found = read_weights(write(state), name)
    assert list(found) == list(state) or set(found) == set(state)
    assert all(type(v) is torch.Tensor and torch.equal(v, state[k]) for k, v in found.items())


def test_numbers_of_numpy_become_python_numbers():
    numbers = [np.float64(0.25), np.float32(-1.5), np.int64(-7), np.uint8(200), np.bool_(True)]
    found = read_checkpoint(saved({"n": numbers, "w": torch.ones(2)}), "c.pth")
    assert found["n"] == [0.25, -1.5, -7, 200, True]
    assert [type(n) for n in found["n"]] == [float, float, int, int, bool]
    with pytest.raises(UnsafeModel, match=r"multiarray\.scalar"):
        read_checkpoint(saved({"n": numbers}), "c.pth", allow=())
    with pytest.raises(ValueError, match="no stand-in"):
        read_checkpoint(saved({}), "c.pth", allow={"os.system"})


def bad_files(canary):
    """Names and bytes of files that run a command if they are read by a trusting reader."""
    bomb = Bomb(canary)
    state = {"w": torch.ones(2), "x": bomb}
    inside = saved(state)
    swapped = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({"w": torch.ones(2)}))) as source, zipfile.ZipFile(swapped, "w") as target:
        for entry in source.infolist():
            new = pickle.dumps(bomb, 0) if entry.filename.endswith("data.pkl") else source.read(entry)
            target.writestr(entry.filename, new)
    return {
        "zip.pt": inside,
        "zip.pth": saved(state, pickle_protocol=4),
        "deep.ckpt": saved({"state_dict": {"w": torch.ones(2)}, "callbacks": [{"x": bomb}]}),
        "legacy.pth": saved(state, _use_new_zipfile_serialization=False),
        "bare.pkl": pickle.dumps(state["x"], 2),
        "bare4.pkl": pickle.dumps(state["x"], 4),
        "ascii.pkl": pickle.dumps(state["x"], 0),
        "swapped.pt": swapped.getvalue(),
        "named.safetensors": inside,
    }


def two_in_one(good: bytes, bad: bytes) -> bytes:
    """Return a zip file in which Python sees ``good`` and PyTorch, which believes the stated offset, sees ``bad``."""

    def parts(data: bytes) -> tuple[bytes, bytes]:
        size, offset = struct.unpack("<II", data[-10:-2])
        return data[:offset], data[offset : offset + size]

    (bad_files_, bad_table), (good_files, good_table) = parts(bad), parts(good)
    assert len(bad_table) == len(good_table)
    shift = len(bad_files_) - len(good_files)
    moved, position = bytearray(good_table), 0
    while position < len(moved):
        lengths = struct.unpack("<HHH", moved[position + 28 : position + 34])
        old = struct.unpack("<I", moved[position + 42 : position + 46])[0]
        moved[position + 42 : position + 46] = struct.pack("<I", old + shift)
        position += 46 + sum(lengths)
    end = good[-22:-10] + struct.pack("<II", len(good_table), len(bad_files_)) + b"\0\0"
    return bad_files_ + bad_table + good_files + bytes(moved) + end


def test_a_file_that_python_and_torch_read_differently_is_refused(tmp_path):
    """The description that was looked through must be the one that is loaded."""
    bomb = Bomb(tmp_path / "canary")
    members = {"data.pkl": pickle.dumps({}, 2), "version": b"3\n", "byteorder": b"little", "x": b""}

    def packed(**more: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as target:
            for name, value in {**members, **more}.items():
                target.writestr(f"archive/{name.replace('_', '.')}", value)
        return out.getvalue()

    evil = pickle.dumps({"x": bomb}, 2)
    double = two_in_one(packed(), packed(**{"data.pkl": evil}, x=bytes(100)))
    with zipfile.ZipFile(io.BytesIO(double)) as seen:
        assert seen.read("archive/data.pkl") == members["data.pkl"]
    with pytest.raises(pickle.UnpicklingError, match="system"):
        torch.load(io.BytesIO(double), weights_only=True)  # torch sees the other one
    for data in (double, packed(**{"DATA.PKL": evil}), b"PK" + bytes(510) + packed(), packed() + bytes(9)):
        with pytest.raises(ModelError):
            read_checkpoint(data, "w.pt")
    assert read_checkpoint(packed(), "w.pt") == {}


READ = """
import json, pathlib, sys
import torch
import os
torch.serialization.add_safe_globals([os.system, eval, exec])
from medai.segment.models.weights import read_checkpoint, read_weights
out = {}
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for read in (read_weights, read_checkpoint):
        try:
            read(file.read_bytes(), file.name)
            out[file.name] = "read"
        except Exception as error:
            out.setdefault(file.name, [type(error).__name__, str(error)])
if sys.argv[2:]:
    torch.load(pathlib.Path(sys.argv[1]) / "zip.pt", weights_only=False)
print(json.dumps(out))
"""


def test_malicious_files_are_refused_by_name_and_never_run(tmp_path):
    """Row 40, in a process whose environment tells torch to run anything."""
    canary, folder = tmp_path / "canary", tmp_path / "files"
    folder.mkdir()
    for name, data in bad_files(canary).items():
        (folder / name).write_bytes(data)
    env = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    command = [sys.executable, "-c", READ, str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert not canary.exists()
    assert set(found) == set(bad_files(canary))
    for name, (kind, message) in found.items():
        if name.endswith(".safetensors"):
            assert (kind, message) == ("ModelError", f"{name} is not a safetensors file.")
        else:
            assert kind == "UnsafeModel"
            assert f"{os.system.__module__}.system" in message
    # The same bytes do run where they are trusted: the test would notice.
    subprocess.run([*command, "trust"], env=env, capture_output=True, check=True)
    assert canary.exists()


def test_other_files_are_refused_with_a_reason(tmp_path):
    good = saved({"w": torch.ones(1000)})
    script = io.BytesIO()
    torch.jit.save(torch.jit.trace(small().eval(), torch.zeros(1, 1, 4, 4, 4)), script)
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as target:
        target.writestr("readme.txt", "hello")
    for data, words in [
        (b"", "not a file of safetensors"),
        (b"\x89PNG....", "not a file of safetensors"),
        (good[:-300], "damaged zip"),
        (b"PK" + good[2:400], "damaged zip"),
        (script.getvalue(), "TorchScript program"),
        (packed.getvalue(), "compressed"),
        (other.getvalue(), r"no data\.pkl"),
        (saved([torch.ones(2)]), "holds a list"),
        (saved({"epoch": 3}), "no state dict; its keys are 'epoch'"),
        (saved({"w": torch.ones(1).expand(1 << 40)}), "larger than the memory"),
        (saved({"w": torch.ones(2).to_sparse()}), "_rebuild_sparse_tensor"),
    ]:
        with pytest.raises(ModelError, match=words):
            read_weights(data, "w.pt")


def test_a_network_takes_weights_with_the_prefix_of_a_wrapper(caplog):
    network, state = small(), {k: v + 1 for k, v in small().state_dict().items()}
    for prefix in ("", "module.", "_orig_mod.module.", "network."):
        with caplog.at_level(logging.INFO):
            caplog.clear()
            fill(network, {prefix + k: v for k, v in state.items()}, "tiny")
        assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
        assert not network.training
        assert [r.args[1] for r in caplog.records] == ([prefix] if prefix else [])
    # MONAI's UNet has layers that are called "model." themselves: the prefix stays where it belongs.
    inner = torch.nn.ModuleDict({"model": small()})
    fill(inner, {f"model.{k}": v for k, v in state.items()}, "tiny")
    fill(inner, {f"model.model.{k}": v for k, v in state.items()}, "tiny")
    assert torch.equal(inner.state_dict()["model.0.weight"], state["0.weight"])


def test_mismatches_are_named_five_at_most_and_nothing_is_changed():
    network = small()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    state = dict(before)
    state["0.weight"] = torch.zeros(2, 4, 3, 3, 3)
    state["0.bias"] = torch.zeros(2, dtype=torch.int64)
    del state["1.weight"]
    state["extra"] = torch.zeros(1)
    with pytest.raises(ModelError) as caught:
        fill(network, state, "tiny")
    for words in ("1.weight is missing", "extra is unknown", "0.weight has shape (2, 4, 3, 3, 3), expected (2, 1,",
                  "0.bias has the type torch.int64"):  # fmt: skip
        assert words in caught.value.message
    with pytest.raises(ModelError, match=r"and 9 more"):
        fill(network, {f"other.{n}": torch.zeros(1) for n in range(7)}, "tiny")
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused_by_name(value):
    state = small().state_dict()
    state["1.bias"] = torch.tensor([0.0, value], dtype=torch.float16)
    with pytest.raises(ModelError, match=r"1\.bias hold NaN or infinity"):
        fill(small(), state, "tiny")


def test_a_layer_with_two_names_may_be_stored_once_or_twice_but_not_differently():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(2, 2)
            self.second = self.first

    state = {k: v + 1 for k, v in Twice().state_dict().items()}
    for part in ("first", "second", ""):
        network = fill(Twice(), {k: v for k, v in state.items() if k.startswith(part)}, "twice")
        assert torch.equal(network.first.weight, state["first.weight"])
    with pytest.raises(ModelError, match=r"second\.bias differs from first\.bias"):
        fill(Twice(), {**state, "second.bias": state["first.bias"] + 1}, "twice")
