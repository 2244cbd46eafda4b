"""ONNX files: layouts, what is refused, and the same result in both libraries."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from medai.core.errors import ManifestError, ModelError, UnsafeModel
from medai.core.progress import CancelToken
from medai.segment.backends.warm import open_session, release
from medai.segment.formats import FORMATS
from medai.segment.formats._onnx_graph import read_graph
from medai.segment.inference.options import InferenceOptions
from medai.segment.models.reading import read_model

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

WEIGHT = np.random.default_rng(0).normal(size=(3, 2, 3, 3, 3)).astype(np.float32)
FIRST, LAST = (1, 2, 6, 8, 10), (1, 6, 8, 10, 2)


def write(file: Path, *, last=False, dynamic=False, domain="", external=False, extra=None) -> Path:
    """A convolution of 2 channels to 3 classes; channels last with transposes, as tf2onnx writes them."""
    h = onnx.helper
    conv = h.make_node("Conv", ["a" if last else "x", "w"], ["b" if last else "y"], pads=[1] * 6, domain=domain)
    nodes = [conv]
    if last:
        nodes.insert(0, h.make_node("Transpose", ["x"], ["a"], perm=[0, 4, 1, 2, 3]))
        nodes.append(h.make_node("Transpose", ["b"], ["y"], perm=[0, 2, 3, 4, 1]))
    sizes_in = list(LAST if last else FIRST)
    sizes_out = [*sizes_in[:-1], 3] if last else [1, 3, *sizes_in[2:]]
    if dynamic:
        sizes_in = ["n", None, None, None, 2] if last else ["n", 2, None, None, None]
        sizes_out = ["n", None, None, None, 3] if last else ["n", 3, None, None, None]
    graph = h.make_graph(
        nodes,
        "net",
        [h.make_tensor_value_info("x", onnx.TensorProto.FLOAT, sizes_in)],
        [h.make_tensor_value_info("y", onnx.TensorProto.FLOAT, sizes_out)],
        [onnx.numpy_helper.from_array(WEIGHT, "w")],
    )
    opsets = [h.make_opsetid("", 17)] + ([h.make_opsetid(domain, 1)] if domain else [])
    model = h.make_model(graph, opset_imports=opsets, ir_version=9)
    if external:
        onnx.save(model, str(file), save_as_external_data=True, location="w.bin", size_threshold=0)
    else:
        onnx.save(model, str(file))
    return file


def entry(file: Path) -> dict:
    data = file.read_bytes()
    return {"path": file.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def describe_in(folder: Path, file: Path, *, files=(), settings=None, channels=2) -> Path:
    words = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "x")
    manifest = {
        "format": "onnx",
        "id": "net",
        "version": "1.0.0",
        "description": {**words, "limits": ["x"]},
        "network": {"name": "onnx", "settings": settings or {}},
        "prepare": {"channels": [{}] * channels},
        "window": [6, 8, 10],
        "labels": [{"label": 1, "name": "A"}, {"label": 2, "name": "B"}],
        "weights": [entry(file)],
        "files": [entry(f) for f in files],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def source_of(folder: Path):
    return FORMATS.create("onnx").networks(read_model(folder))[0]


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_both_layouts_in_both_libraries_give_what_torch_gives(tmp_path, backend, last, dynamic):
    pytest.importorskip(backend)
    folder = describe_in(tmp_path, write(tmp_path / "net.onnx", last=last, dynamic=dynamic))
    source = source_of(folder)
    assert source.channels_last is last
    assert source.load(CancelToken()) is None
    x = torch.from_numpy(np.random.default_rng(1).normal(size=FIRST).astype(np.float32))
    options = InferenceOptions(backend=backend, precision="f32", device="cpu")
    session = open_session(source, FIRST, options, reduced=True, cancel=CancelToken())
    found = session(x)
    expected = torch.nn.functional.conv3d(x, torch.from_numpy(WEIGHT), padding=1)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-4)
    assert session.facts["backend"] == backend
    release()


def test_a_file_without_a_manifest_shows_a_template_of_its_sizes(tmp_path):
    file = write(tmp_path / "net.onnx", last=True)
    with pytest.raises(ManifestError, match=r"manifest\.json") as error:
        FORMATS.create("onnx").describe(file, cancel=CancelToken())
    text = error.value.hint
    template = json.loads(text[text.index("{") :])
    assert template["network"]["settings"] == {"layout": "channels_last"}
    assert template["window"] == [6, 8, 10]
    assert len(template["prepare"]["channels"]) == 2
    assert len(template["labels"]) == 2
    assert template["weights"] == [entry(file)]


def test_operators_of_other_libraries_are_refused_by_name(tmp_path):
    folder = describe_in(tmp_path, write(tmp_path / "net.onnx", domain="my.ops"))
    with pytest.raises(UnsafeModel, match=r"my\.ops::Conv"):
        FORMATS.create("onnx").describe(folder, cancel=CancelToken())
    with pytest.raises(UnsafeModel, match=r"my\.ops::Conv"):
        source_of(folder).load(CancelToken())


def test_operators_hidden_in_a_branch_are_found(tmp_path):
    h = onnx.helper
    out = [h.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])]
    branch = h.make_graph([h.make_node("Evil", [], ["y"], domain="bad")], "b", [], out)
    outer = h.make_graph(
        [h.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
        "g",
        [h.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])],
        out,
    )
    onnx.save(h.make_model(outer), str(tmp_path / "net.onnx"))
    assert read_graph(tmp_path / "net.onnx").foreign == {"bad::Evil"}


def test_weights_in_a_second_file_must_be_named_in_the_manifest(tmp_path):
    file = write(tmp_path / "net.onnx", external=True)
    with pytest.raises(UnsafeModel, match=r"w\.bin"):
        source_of(describe_in(tmp_path, file)).load(CancelToken())
    source = source_of(describe_in(tmp_path, file, files=[tmp_path / "w.bin"]))
    assert source.load(CancelToken()) is None
    (tmp_path / "w.bin").write_bytes(b"x" * (tmp_path / "w.bin").stat().st_size)
    with pytest.raises(ModelError, match=r"w\.bin"):
        source.load(CancelToken())


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("external", [False, True])
def test_the_bytes_that_were_checked_are_the_bytes_that_run(tmp_path, backend, external):
    """Row 41: between the check and the library's reading, another program changes the files."""
    pytest.importorskip(backend)
    (tmp_path / "model").mkdir()
    file = write(tmp_path / "model" / "net.onnx", external=external)
    beside = [tmp_path / "model" / "w.bin"] if external else []
    found = source_of(describe_in(tmp_path / "model", file, files=beside))

    def files(cancel):
        good = found.files(cancel)
        for changed in (file, *beside):
            changed.write_bytes(b"x" * changed.stat().st_size)
        return good

    source = dataclasses.replace(found, files=files)
    options = InferenceOptions(device="cpu", backend=backend, precision="f32")
    session = open_session(source, FIRST, options, reduced=False, cancel=CancelToken())
    image = torch.from_numpy(np.random.default_rng(1).normal(size=FIRST).astype(np.float32))
    wanted = torch.conv3d(image, torch.from_numpy(WEIGHT), padding=1)
    assert torch.allclose(session(image), wanted, atol=1e-4)
    release()


@pytest.mark.parametrize("place", ["../w.bin", "/etc/w.bin", "a\\w.bin", "C:w.bin", ""])
def test_weights_outside_the_folder_are_refused(tmp_path, place):
    file = write(tmp_path / "net.onnx", external=True)
    model = onnx.load(str(file), load_external_data=False)
    for item in model.graph.initializer[0].external_data:
        if item.key == "location":
            item.value = place
    file.write_bytes(model.SerializeToString())
    with pytest.raises(UnsafeModel, match="outside"):
        source_of(describe_in(tmp_path, file)).load(CancelToken())


def test_channels_that_do_not_fit_are_refused(tmp_path):
    folder = describe_in(tmp_path, write(tmp_path / "net.onnx"), channels=1)
    with pytest.raises(ManifestError, match="1 channels and 3 classes"):
        FORMATS.create("onnx").describe(folder, cancel=CancelToken())


def test_sizes_that_fit_both_ways_need_the_manifests_word(tmp_path):
    file = write(tmp_path / "net.onnx", last=True)
    model = onnx.load(str(file))
    for port in (model.graph.input[0], model.graph.output[0]):
        for dim in port.type.tensor_type.shape.dim:
            dim.Clear()
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ManifestError, match="first or last"):
        source_of(describe_in(tmp_path, file))
    assert source_of(describe_in(tmp_path, file, settings={"layout": "channels_last"})).channels_last
    with pytest.raises(ManifestError, match="layout"):
        source_of(describe_in(tmp_path, file, settings={"layout": "sideways"}))


RUBBISH = b"\x08\x01\x3a\x03\x0a\x7f\x00"  # a graph whose node ends behind it


@pytest.mark.parametrize("data", [b"", b"\x08", b"\xff" * 30, b"PK\x03\x04 not a graph", bytes(200), RUBBISH])
def test_rubbish_is_refused(tmp_path, data):
    (tmp_path / "net.onnx").write_bytes(data)
    with pytest.raises(ModelError):
        read_graph(tmp_path / "net.onnx")


def test_truncated_files_are_refused(tmp_path):
    data = write(tmp_path / "net.onnx").read_bytes()
    for length in range(1, len(data) - 1, 37):
        (tmp_path / "net.onnx").write_bytes(data[:length])
        with pytest.raises(ModelError):
            read_graph(tmp_path / "net.onnx")
