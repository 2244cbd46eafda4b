"""MedAI's own model folders: one or several members, safetensors or state dicts, nothing unchecked."""

import hashlib
import json
import os
import shutil

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402

from medai.core.errors import Cancelled, ChecksumError, ManifestError, ModelError, UnsafeModel  # noqa: E402
from medai.core.progress import CancelToken  # noqa: E402
from medai.segment.formats import FORMATS  # noqa: E402
from medai.segment.models import load_network, read_model, unload_networks  # noqa: E402


@pytest.fixture
def folder(tiny_model, tmp_path):
    unload_networks()
    return shutil.copytree(tiny_model, tmp_path / "tiny")


def entry(folder, name):
    data = (folder / name).read_bytes()
    return {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def list_weights(folder, *names, **network):
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text("utf-8"))
    manifest["weights"] = [entry(folder, name) for name in names]
    manifest["network"].update(network)
    file.write_text(json.dumps(manifest), "utf-8")


def networks(folder):
    model = read_model(folder)
    return FORMATS.create(model.manifest.format).networks(model)


def test_a_folder_is_recognised_and_described_as_it_is_written(folder, tmp_path):
    ours = FORMATS.create("medai")
    assert ours.recognise(folder)
    assert not ours.recognise(tmp_path)
    assert not ours.recognise(folder / "manifest.json")
    assert ours.describe(folder, cancel=CancelToken()).to_dict() == json.loads((folder / "manifest.json").read_text())


def test_two_members_of_two_file_formats_are_two_networks(folder):
    state = load_file(folder / "weights.safetensors")
    (folder / "fold1").mkdir()
    torch.save({"state_dict": {f"module.{k}": v.float() + 0.5 for k, v in state.items()}}, folder / "fold1/model.pt")
    list_weights(folder, "weights.safetensors", "fold1/model.pt")
    first, second = networks(folder)
    assert (first.title, second.title, first.kind, second.kind) == ("member 0", "member 1", "torch", "torch")
    assert first.key != second.key
    a, b = (source.load(CancelToken()) for source in (first, second))
    for name, value in state.items():
        assert torch.equal(a.state_dict()[name], value.float())
        assert torch.equal(b.state_dict()[name], value.float() + 0.5)
    assert first.load(CancelToken()) is not a
    model = read_model(folder)
    assert torch.equal(load_network(model, member=1).state_dict()[name], b.state_dict()[name])
    with pytest.raises(ModelError, match="no PyTorch network with the number 2"):
        load_network(model, member=2)


def test_the_key_depends_on_weights_and_structure_only(folder):
    key = networks(folder)[0].key
    assert networks(folder)[0].key == key
    list_weights(folder, "weights.safetensors", settings={"filters": [4, 8, 8, 8], "out_channels": 3})
    other = networks(folder)[0].key
    state = load_file(folder / "weights.safetensors")
    next(iter(state.values())).view(-1)[0] += 1
    save_file(state, folder / "weights.safetensors")
    list_weights(folder, "weights.safetensors")
    assert len({key, other, networks(folder)[0].key}) == 3


def test_a_changed_member_is_refused_and_the_other_still_loads(folder):
    shutil.copy(folder / "weights.safetensors", folder / "second.safetensors")
    list_weights(folder, "weights.safetensors", "second.safetensors")
    (folder / "second.safetensors").write_bytes(b"x" * (folder / "second.safetensors").stat().st_size)
    first, second = networks(folder)
    assert not first.load(CancelToken()).training
    with pytest.raises(ChecksumError, match=r"second\.safetensors has SHA-256"):
        second.load(CancelToken())


def test_a_member_that_would_run_code_is_refused_with_the_name_of_the_model_and_file(folder):
    class Bomb:
        def __reduce__(self):
            return (os.system, (f"echo > '{folder / 'canary'}'",))

    torch.save({"state_dict": {}, "x": Bomb()}, folder / "model.pth")
    list_weights(folder, "model.pth")
    with pytest.raises(UnsafeModel, match=r"tiny: model\.pth asks for '(posix|nt)\.system'"):
        networks(folder)[0].load(CancelToken())
    assert not (folder / "canary").exists()


def test_loading_can_be_cancelled_and_unknown_networks_are_refused(folder):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        networks(folder)[0].load(token)
    list_weights(folder, "weights.safetensors", name="os.system")
    with pytest.raises(ManifestError, match=r"'os\.system' is not one that MedAI builds"):
        networks(folder)[0].load(CancelToken())
    list_weights(folder, "weights.safetensors", name="unet3d", settings={"filters": [0, 1, 2], "out_channels": 3})
    with pytest.raises(ManifestError, match=r"tiny: network\.settings\.filters"):
        networks(folder)[0].load(CancelToken())
