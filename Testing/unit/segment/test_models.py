"""The model store: manifests, checksums, weights that do not fit, files that would run code."""

import hashlib
import json
import pickle
import shutil

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("safetensors")

from safetensors.torch import load_file, save  # noqa: E402

from medai.core.errors import ChecksumError, ManifestError, ModelError, SettingsError  # noqa: E402
from medai.segment.manifest import Manifest  # noqa: E402
from medai.segment.models import ModelStore, load_network, read_model, shipped_roots, unload_networks  # noqa: E402


@pytest.fixture
def folder(tiny_model, tmp_path):
    unload_networks()
    return shutil.copytree(tiny_model, tmp_path / "tiny")


def edit(folder, change):
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text("utf-8"))
    change(manifest)
    file.write_text(json.dumps(manifest), "utf-8")


def replace_weights(folder, data):
    (folder / "weights.safetensors").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    edit(folder, lambda m: m["weights"][0].update(bytes=len(data), sha256=digest))


def test_a_stored_model_gives_the_numbers_of_the_trained_one(folder):
    network = load_network(read_model(folder))
    stored = load_file(folder / "weights.safetensors")
    assert {v.dtype for v in stored.values()} == {torch.float16}
    state = network.state_dict()
    assert all(torch.equal(state[name], value.float()) for name, value in stored.items())
    assert load_network(read_model(folder)) is network


def test_the_store_lists_finds_and_reports_broken_models(folder, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "manifest.json").write_text("{}", "utf-8")
    store = ModelStore([tmp_path])
    assert [m.id for m in store.list()] == ["tiny"]
    assert "bad/manifest.json.id" in store.broken()["bad"]
    assert store.find("tiny").folder == folder
    assert store.find(str(folder)).id == "tiny"
    with pytest.raises(ModelError, match="no model called 'nope'"):
        store.find("nope")
    with pytest.raises(ManifestError, match="bad"):
        store.find("bad")


def test_the_shipped_models_folder_is_found():
    assert [root.name for root in shipped_roots()] == ["MedAISegmentModels"]


def test_changed_weights_are_refused(folder):
    file = folder / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(ChecksumError, match="SHA-256"):
        load_network(read_model(folder))
    file.write_bytes(bytes(data[:-4]))
    with pytest.raises(ChecksumError, match="bytes"):
        load_network(read_model(folder))
    file.unlink()
    with pytest.raises(ChecksumError, match="cannot be read"):
        load_network(read_model(folder))


def test_weights_of_another_network_are_refused_by_name(folder):
    edit(folder, lambda m: m["network"]["settings"].update(filters=[4, 16, 8]))
    with pytest.raises(ModelError, match=r"shape .* expected"):
        load_network(read_model(folder))
    edit(folder, lambda m: m["network"]["settings"].update(filters=[4, 8, 8, 8]))
    with pytest.raises(ModelError, match=r"is missing.*and \d+ more"):
        load_network(read_model(folder))


def test_nan_weights_are_refused(folder):
    state = load_file(folder / "weights.safetensors")
    next(iter(state.values())).view(-1)[0] = float("nan")
    replace_weights(folder, save(state))
    with pytest.raises(ModelError, match="NaN"):
        load_network(read_model(folder))


def test_a_pickle_is_refused_and_not_run(folder, tmp_path):
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    replace_weights(folder, pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_network(read_model(folder))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("network", lambda m: m["network"].update(name="os.system")),
        ("network settings", lambda m: m["network"]["settings"].update(filters=[4, 8])),
        ("weights.path", lambda m: m["weights"][0].update(path="../../etc/passwd")),
        ("labels", lambda m: m.update(labels=[])),
        ("surprise", lambda m: m.update(surprise=1)),
        ("labels share", lambda m: m["labels"].append(m["labels"][0])),
        ("sha256", lambda m: m["weights"][0].update(sha256="x")),
    ],
)
def test_manifests_that_do_not_fit_are_refused(folder, key, change):
    edit(folder, change)
    with pytest.raises(ManifestError):
        load_network(read_model(folder))


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"no manifest\.json"):
        read_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prepare": {"orientation": "RRS"}}, "does not name each"),
        ({"prepare": {"spacing": [1, 0, 1]}}, "greater than 0 mm"),
        ({"prepare": {"percentiles": [99, 1]}}, "rise from 0 to 100"),
        ({"window": [16, 0, 16]}, "at least 1 voxel"),
        ({"window": [4096, 4096, 4096]}, "voxels at most"),
        ({"network": {"name": "unet3d", "settings": {"out_channels": 2}}}, "out_channels must be 3"),
        ({"prepare": {"channels": [{"normalise": [{"method": "clip", "low": 0}]}]}}, "region cannot have prepare.chan"),
        ({"prepare": {"grid": "edges", "crop": "body"}}, "region cannot have prepare.grid, prepare.crop"),
        ({"inference": {"regions": [1, 2, 2]}}, "region cannot have inference.regions"),
        ({"postprocess": [{"step": "fill_holes"}]}, "region cannot have postprocess"),
    ],
)
def test_a_manifest_that_would_only_fail_while_it_runs_is_refused(tiny_model, change, message):
    value = json.loads((tiny_model / "manifest.json").read_text("utf-8"))
    with pytest.raises(SettingsError, match=message):
        Manifest.parse({**value, **change})
