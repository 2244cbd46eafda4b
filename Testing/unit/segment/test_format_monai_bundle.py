"""MONAI bundles against MONAI itself: the same input, the same logits, the same labels."""

import copy
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("nibabel")

from medai.core.geometry import Geometry  # noqa: E402
from medai.core.progress import CancelToken, no_progress  # noqa: E402
from medai.core.volume import Volume  # noqa: E402
from medai.segment.formats import FORMATS  # noqa: E402
from medai.segment.inference.options import InferenceOptions  # noqa: E402
from medai.segment.models.info import ModelInfo  # noqa: E402

LIMIT = 1e-4
"""Largest difference of logits in f32."""

NETWORKS = {
    "UNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8, 16], "strides": [2, 2],
             "num_res_units": 2, "norm": "batch"},
    "BasicUNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "features": [4, 4, 8, 8, 8, 4]},
    "SegResNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "init_filters": 8, "blocks_down": [1, 1],
                  "blocks_up": [1], "dropout_prob": 0.2},
    "DynUNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "kernel_size": [3, 3, [3, 3, 1]],
                "strides": [1, 2, [2, 2, 1]], "upsample_kernel_size": [2, [2, 2, 1]], "filters": [4, 8, 8],
                "norm_name": "instance", "res_block": True},
}  # fmt: skip


def step(name, **arguments):
    return {"_target_": name, "keys": "image", **arguments}


CT = [
    step("LoadImaged"),
    step("EnsureChannelFirstd"),
    step("Orientationd", axcodes="RAS"),
    step("Spacingd", pixdim=[1.5, 1.2, 2.0], mode="bilinear"),
    step("ScaleIntensityRanged", a_min=-57, a_max=164, b_min=0, b_max=1, clip=True),
    step("EnsureTyped"),
]
AFTER = [
    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
    {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
     "nearest_interp": False, "to_tensor": True},
    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_dtype": "$torch.int16"},
]  # fmt: skip


def config(network, preprocessing=CT, inferer=None, postprocessing=AFTER):
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing},
        "inferer": inferer
        or {"_target_": "SlidingWindowInferer", "roi_size": [24, 16, 16], "sw_batch_size": 4, "overlap": 0.5},
        "postprocessing": {"_target_": "Compose", "transforms": postprocessing},
        "handlers": [{"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'",
                      "load_dict": {"model": "@network"}}],
        "run": ["$@evaluator.run()"],
    }  # fmt: skip


def metadata(inputs=1, outputs=3):
    return {
        "version": "0.2.1",
        "name": "Tiny bundle",
        "description": "For tests.",
        "copyright": "Copyright (c) Nobody",
        "intended_use": "Tests only",
        "references": ["A. Author, A paper, 2020."],
        "network_data_format": {
            "inputs": {"image": {"modality": "CT", "channel_def": {str(n): f"in {n}" for n in range(inputs)}}},
            "outputs": {"pred": {"channel_def": {str(n): f"class {n}" for n in range(outputs)}}},
        },
    }


def monai_network(name, arguments):
    """Build MONAI's own network with fixed random weights; batch statistics away from 0 and 1."""
    import monai.networks.nets as nets

    torch.manual_seed(5)
    network = getattr(nets, name)(**arguments)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith("running_mean"):
                value.uniform_(-0.2, 0.2)
            elif key.endswith("running_var"):
                value.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture
def bundle(tmp_path):
    """Write a bundle folder; returns the folder and MONAI's own network."""

    def write(name, arguments, inputs=1, outputs=3, **parts):
        network = monai_network(name, arguments)
        folder = tmp_path / "tiny_bundle"
        for sub in ("configs", "models"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), folder / "models/model.pt")
        values = config({"_target_": name, **arguments}, **parts)
        (folder / "configs/inference.json").write_text(json.dumps(values), "utf-8")
        (folder / "configs/metadata.json").write_text(json.dumps(metadata(inputs, outputs)), "utf-8")
        return folder, network

    return write


def image(shape=(21, 30, 27), channels=1, flip=True, spacing=(1.0, 0.9, 1.7)):
    """Return a smooth image with some noise on an LPS-like, slightly oblique grid."""
    rng = np.random.default_rng(3)
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    parts = [
        200 * np.sin(3 * k + c) * np.cos(2 * j) * (1 - i**2) + 30 * rng.normal(size=shape) for c in range(channels)
    ]
    array = np.stack(parts, -1).astype(np.float32)
    affine = np.diag([*spacing, 1.0])
    if flip:
        affine[0, 0] *= -1
        affine[1, 1] *= -1
        angle = np.deg2rad(4)
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        affine = turn @ affine
    affine[:3, 3] = (12.0, -7.0, 31.5)
    return Volume(array if channels > 1 else array[..., 0], Geometry(shape, affine), "CT")


def monai_input(volume):
    from monai.data import MetaTensor

    array = volume.array if volume.array.ndim == 4 else volume.array[..., None]
    tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 1, 0)))
    return {"image": MetaTensor(tensor, affine=torch.as_tensor(volume.geometry.ijk_to_ras))}


def monai_prepared(volume, transforms):
    """Run MONAI's transforms of a configuration by name."""
    import monai.transforms as t

    data = monai_input(volume)
    for entry in transforms:
        arguments = {key: value for key, value in entry.items() if key != "_target_"}
        if entry["_target_"] not in ("LoadImaged", "EnsureChannelFirstd"):
            data = getattr(t, entry["_target_"])(**arguments)(data)
    return data["image"]


def described(folder):
    manifest = FORMATS.create("monai_bundle").describe(folder, cancel=CancelToken())
    return ModelInfo(manifest.id, manifest.description.title, folder, manifest)


def prepared(volume, manifest):
    from medai.segment.inference.prepared import prepare

    return prepare(volume, manifest.prepare, progress=no_progress, cancel=CancelToken())


def our_logits(model, array):
    """Run the engine in f32 with torch on the CPU."""
    from medai.segment.backends import warm
    from medai.segment.inference.stream import WindowRun

    options = InferenceOptions(device="cpu", backend="torch", precision="f32", batch=2)
    sources = FORMATS.create(model.manifest.format).networks(model)
    run = WindowRun(array, sources, model.manifest, options, progress=no_progress, cancel=CancelToken())
    scores = torch.cat([slab.scores.clone() for slab in run], dim=1).numpy()
    warm.release()
    return scores


def monai_logits(network, tensor, roi, **arguments):
    from monai.inferers import sliding_window_inference

    with torch.inference_mode():
        return sliding_window_inference(tensor[None].as_tensor(), roi, 2, network, **arguments)[0].numpy()


@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize("name", NETWORKS)
def test_input_and_logits_are_those_of_monai(bundle, name, mode):
    # BasicUNet halves four times; its window is larger than the image, which is padded.
    roi = [32, 32, 16] if name == "BasicUNet" else [16, 16, 12]
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": roi, "overlap": 0.25, "mode": mode, "sigma_scale": 0.15}
    folder, network = bundle(name, NETWORKS[name], inferer=inferer)
    model, volume = described(folder), image()
    theirs = monai_prepared(volume, CT)
    ours = prepared(volume, model.manifest)
    assert ours.array.shape == tuple(theirs.shape)
    assert np.abs(ours.array - theirs.numpy()).max() <= 2e-5
    expected = monai_logits(network, theirs, roi, overlap=0.25, mode=mode, sigma_scale=0.15)
    found = our_logits(model, ours.array)
    assert np.ptp(expected) > 0.1
    assert np.abs(found - expected).max() <= LIMIT
    # The engine alone, on exactly the same input.
    assert np.abs(our_logits(model, theirs.numpy()) - expected).max() <= LIMIT


@pytest.mark.parametrize(
    "chain",
    [
        [step("NormalizeIntensityd", nonzero=True), step("ScaleIntensityd", minv=-1.0, maxv=1.0)],
        [step("ScaleIntensityd"), step("NormalizeIntensityd")],
        [step("ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=0, b_max=1, clip=True)],
        [step("NormalizeIntensityd", subtrahend=40.0, divisor=150.0)],
        [step("ScaleIntensityRanged", a_min=-100, a_max=240, clip=False)],
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_values_are_changed_as_by_monai_before_or_after_the_spacing(bundle, chain, first):
    space = [step("Spacingd", pixdim=[1.3, 1.3, 1.3])]
    transforms = [*CT[:2], step("Orientationd", axcodes="LPS"), *(chain + space if first else space + chain)]
    folder, _ = bundle("UNet", NETWORKS["UNet"], preprocessing=transforms)
    manifest = described(folder).manifest
    volume = image()
    theirs, ours = monai_prepared(volume, transforms).numpy(), prepared(volume, manifest).array
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-4 * max(1.0, np.abs(theirs).max())
    assert manifest.prepare.normalise_first is first


def test_the_crop_to_the_foreground_is_that_of_monai(bundle):
    transforms = [*CT[:-1], step("CropForegroundd", source_key="image")]
    folder, network = bundle("UNet", NETWORKS["UNet"], preprocessing=transforms)
    model = described(folder)
    plain = image()
    array = np.full(plain.array.shape, -1000.0, dtype=np.float32)
    array[4:17, 8:26, 5:20] = plain.array[4:17, 8:26, 5:20]
    volume = Volume(array, plain.geometry, "CT")
    theirs, ours = monai_prepared(volume, transforms), prepared(volume, model.manifest)
    assert ours.array.shape == tuple(theirs.shape)
    assert ours.array.size < 0.5 * prepared(volume, model.manifest.model_copy(
        update={"prepare": model.manifest.prepare.model_copy(update={"crop": "none"})})).array.size  # fmt: skip
    assert np.abs(ours.array - theirs.numpy()).max() <= 2e-5
    # The grid still says where the voxels lie: the array's axes are MONAI's first, second and third.
    corner = ours.grid.ijk_to_ras @ np.array([0, 0, 0, 1.0])
    assert np.allclose(corner[:3], theirs.affine[:3, 3], atol=1e-3)
    expected = monai_logits(network, theirs, (24, 16, 16), overlap=0.5)
    assert np.abs(our_logits(model, ours.array) - expected).max() <= LIMIT


def test_several_channels_and_regions_that_are_painted_over_one_another(bundle):
    """As in the brain tumour bundle: four images, three overlapping regions, nested choices."""
    arguments = {"init_filters": 8, "in_channels": 4, "out_channels": 3, "blocks_down": [1, 1], "blocks_up": [1]}
    transforms = [step("LoadImaged"), step("NormalizeIntensityd", nonzero=True, channel_wise=True)]
    paint = "$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))"
    after = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
        {"_target_": "Lambdad", "keys": "pred", "func": paint},
    ]
    folder, network = bundle("SegResNet", arguments, 4, 3, preprocessing=transforms, postprocessing=after)
    (folder / "medai.json").write_text('{"orientation": "RAS"}', "utf-8")
    model = described(folder)
    entry = model.manifest.inference
    assert (entry.activation, entry.regions, entry.order) == ("sigmoid", (2, 1, 4), (1, 0, 2))
    assert {x.label: x.name for x in model.manifest.labels} == {1: "class 0", 2: "class 1", 4: "class 2"}
    assert [c.name for c in model.manifest.prepare.channels] == ["in 0", "in 1", "in 2", "in 3"]
    volume = image((20, 24, 28), channels=4, flip=False)
    theirs, ours = monai_prepared(volume, transforms), prepared(volume, model.manifest).array
    assert np.abs(ours - theirs.numpy()).max() <= 1e-4
    expected = monai_logits(network, theirs, (24, 16, 16), overlap=0.5)
    found = our_logits(model, ours)
    assert np.abs(found - expected[[1, 0, 2]]).max() <= LIMIT
    # Painting in the manifest's order gives what the bundle's function gives.
    x = torch.from_numpy(expected > 0).float()
    theirs = torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))[0].numpy()
    painted = np.zeros(theirs.shape, dtype=np.int64)
    for channel, label in enumerate(entry.regions):
        painted[found[channel] > 0] = label
    assert np.mean(painted == theirs) >= 0.999
    assert len(np.unique(theirs)) >= 3


def test_slices_of_a_2d_network_are_those_of_monai(bundle):
    from monai.inferers import SliceInferer

    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "channels": [4, 8], "strides": [2]}
    inferer = {"_target_": "SliceInferer", "roi_size": [16, 12], "spatial_dim": 2}
    transforms = [*CT[:3], step("ScaleIntensityd")]
    folder, network = bundle("UNet", arguments, preprocessing=transforms, inferer=inferer)
    model, volume = described(folder), image()
    assert (model.manifest.window, model.manifest.inference.dims) == ((1, 16, 12), 2)
    assert model.manifest.prepare.orientation == "ARS"
    theirs, ours = monai_prepared(volume, transforms), prepared(volume, model.manifest)
    assert np.abs(ours.array - theirs.numpy().transpose(0, 3, 1, 2)).max() <= 1e-5
    with torch.inference_mode():
        expected = SliceInferer(spatial_dim=2, roi_size=(16, 12))(theirs[None].as_tensor(), network)[0].numpy()
    assert np.abs(our_logits(model, ours.array) - expected.transpose(0, 3, 1, 2)).max() <= LIMIT


def test_labels_on_the_image_are_those_of_monai_taken_back(bundle):
    """From the image to labels on its own grid, against MONAI's Invertd of the probabilities and arg-max."""
    import monai.transforms as t
    from monai.data import MetaTensor

    from medai.segment.backends import warm
    from medai.segment.inference.run import run_model

    transforms = copy.deepcopy(CT)
    transforms[4].update(a_min=-300, a_max=300)
    folder, network = bundle("DynUNet", NETWORKS["DynUNet"], preprocessing=transforms)
    model, volume = described(folder), image((26, 40, 44), flip=False, spacing=(1.2, 1.1, 1.6))
    options = {"device": "cpu", "backend": "torch", "precision": "f32", "crop_body": False}
    ours = run_model(model, volume, options).labels
    warm.release()
    chain = t.Compose([getattr(t, e["_target_"])(**{k: v for k, v in e.items() if k != "_target_"})
                       for e in transforms[2:]])  # fmt: skip
    data = chain(monai_input(volume))
    scores = monai_logits(network, data["image"], (24, 16, 16), overlap=0.5)
    data["pred"] = MetaTensor(torch.softmax(torch.from_numpy(scores), 0), meta=data["image"].meta)
    back = t.Invertd(keys="pred", transform=chain, orig_keys="image", nearest_interp=False, to_tensor=True)(data)
    theirs = torch.argmax(back["pred"], 0).numpy().transpose(2, 1, 0)
    assert {s.name for s in ours.segments} == {"class 1", "class 2"}
    assert len(np.unique(theirs)) == 3
    assert np.mean(ours.array == theirs) >= 0.98


def test_a_bundle_with_only_a_script_needs_trust_and_then_gives_the_same_logits(bundle, tmp_path, monkeypatch):
    from medai.core.errors import ManifestError, UnsafeModel
    from medai.segment.models import record_trust

    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "models"))
    folder, network = bundle("UNet", NETWORKS["UNet"])
    (folder / "models/model.pt").unlink()
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 24, 16, 16)), folder / "models/model.ts")
    with pytest.raises(ManifestError, match=r"metadata\.json\.in_channels"):
        described(folder)
    meta = metadata()
    for which, count in (("inputs", 1), ("outputs", 3)):
        next(iter(meta["network_data_format"][which].values()))["num_channels"] = count
    (folder / "configs/metadata.json").write_text(json.dumps(meta), "utf-8")
    model, volume = described(folder), image()
    assert model.manifest.format == "torchscript"
    array = prepared(volume, model.manifest).array
    with pytest.raises(UnsafeModel, match="trust"):
        our_logits(model, array)
    record_trust(model.manifest.weights[0].sha256, "the test's own script")
    expected = monai_logits(network, monai_prepared(volume, CT), (24, 16, 16), overlap=0.5)
    assert np.abs(our_logits(model, array) - expected).max() <= LIMIT
