"""Our hippocampus network from safetensors, state dict and TorchScript, by PyTorch and OpenVINO: one result."""

import hashlib
import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("safetensors")

from medai.core.errors import DeviceError  # noqa: E402
from medai.core.geometry import Geometry  # noqa: E402
from medai.core.io import read_labelmap, read_volume  # noqa: E402
from medai.core.progress import CancelToken  # noqa: E402
from medai.core.volume import Volume  # noqa: E402
from medai.segment.backends.warm import choose  # noqa: E402
from medai.segment.inference.options import InferenceOptions  # noqa: E402
from medai.segment.inference.run import run_model  # noqa: E402
from medai.segment.models import ModelStore, load_network  # noqa: E402

OPTIONS = {"device": "cpu", "precision": "f32", "mirror": False}


def shipped():
    return ModelStore().find("hippocampus")


def whole_image(folder, weights, **changes):
    """A copy of our model's manifest that looks at the whole image, with weights of another kind."""
    manifest = json.loads((shipped().folder / "manifest.json").read_text("utf-8"))
    del manifest["region"], manifest["domain"]  # its limits are those of a region
    data = (folder / weights).read_bytes()
    manifest["weights"] = [{"path": weights, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]
    manifest.update(changes)
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return folder


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours") / "hippo"
    folder.mkdir()
    shutil.copy(shipped().folder / "weights.safetensors", folder)
    return whole_image(folder, "weights.safetensors")


def head(rng):
    from scipy.ndimage import gaussian_filter

    array = gaussian_filter(rng.normal(size=(40, 56, 44)), 2).astype(np.float32) * 100
    return Volume(array, Geometry.from_spacing(array.shape, (1, 1, 1)), modality="MR")


def segment(folder, volume, **more):
    return run_model(ModelStore().find(str(folder)), volume, {**OPTIONS, **more}, cancel=CancelToken()).labels


def same(first, second):
    assert [s.name for s in first.segments] == [s.name for s in second.segments]
    assert (first.array > 0).any()
    assert (first.array == second.array).mean() >= 0.9999


def test_a_state_dict(ours, tmp_path, rng):
    network = load_network(shipped())
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    folder = whole_image(tmp_path, "weights.pt")
    volume = head(rng)
    same(segment(ours, volume), segment(folder, volume))


def test_torchscript(ours, tmp_path, rng, monkeypatch):
    from medai.segment.models.trust import record_trust

    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "models"))
    folder = tmp_path / "script"
    folder.mkdir()
    with torch.inference_mode():
        scripted = torch.jit.trace(load_network(shipped()), torch.zeros(1, 1, 40, 56, 40), check_trace=False)
    torch.jit.save(scripted, folder / "model.pt")
    whole_image(folder, "model.pt", format="torchscript")
    record_trust(hashlib.sha256((folder / "model.pt").read_bytes()).hexdigest(), "test")
    volume = head(rng)
    same(segment(ours, volume), segment(folder, volume))


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_backends_agree(ours, rng, backend):
    pytest.importorskip("openvino")
    volume = head(rng)
    same(segment(ours, volume), segment(ours, volume, backend=backend))


def test_real_crops_keep_their_accuracy(ours, data_dir):
    """The numbers of the model card, on held-back cases: Dice near 0.90 and 0.88."""
    split = json.loads((shipped().folder / "split.json").read_text("utf-8"))
    pytest.importorskip("openvino")
    try:
        choose(InferenceOptions(device="cpu", precision="bf16"), "torch", True)
    except DeviceError as error:
        pytest.skip(f"no bfloat16 here: {error}")
    scores = []
    for case in split["held_back"][:6]:
        volume = read_volume(data_dir / "msd_hippocampus" / "images" / f"{case}.nii.gz")
        truth = read_labelmap(data_dir / "msd_hippocampus" / "labels" / f"{case}.nii.gz")
        for precision in ("f32", "bf16"):
            found = segment(ours, volume, precision=precision)
            for label in (1, 2):
                a, b = found.array == label, truth.array == label
                scores.append((precision, label, 2 * (a & b).sum() / (a.sum() + b.sum())))
    for precision in ("f32", "bf16"):
        assert np.mean([d for p, n, d in scores if (p, n) == (precision, 1)]) > 0.87
        assert np.mean([d for p, n, d in scores if (p, n) == (precision, 2)]) > 0.84
    plain, reduced = ([d for p, _, d in scores if p == precision] for precision in ("f32", "bf16"))
    assert abs(np.mean(plain) - np.mean(reduced)) < 0.001


def test_our_volumes_do_not_depend_on_the_processor(ours, rng):
    """The manifest forbids half precision by itself: a volume moves by a few percent with the box, which it can tip."""
    assert segment(ours, head(rng), precision="auto").meta["inference"]["precision"] == "f32"
