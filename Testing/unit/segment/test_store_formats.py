"""Models of other programs through the store: packed as their publishers pack them, installed, loaded."""

import hashlib
import json
import pickle
import zipfile

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from medai.core.errors import Cancelled, ManifestError, UnsafeModel  # noqa: E402
from medai.core.progress import CancelToken  # noqa: E402
from medai.segment.formats import FORMATS  # noqa: E402
from medai.segment.models import ModelStore  # noqa: E402


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "models"))
    return ModelStore()


def load(store, name):
    """Return the first network of an installed model, loaded as the engine loads it."""
    model = store.find(name)
    return FORMATS.create(model.manifest.format).networks(model)[0].load(CancelToken())


def pack(folder, archive):
    """Zip a folder under its own name, as nnU-Net's and MONAI's publishers do, with what a Mac adds."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(folder.rglob("*")):
            opened.write(path, path.relative_to(folder.parent).as_posix())
        opened.writestr(f"__MACOSX/{folder.name}/._x", b"")
    return archive


def write_bundle(folder, weights):
    network = {
        "_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2],
    }  # fmt: skip
    steps = [{"_target_": n, "keys": "image"} for n in ("LoadImaged", "EnsureChannelFirstd", "EnsureTyped")]
    steps.insert(2, {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"})
    values = {
        "imports": ["$import os"],
        "bundle_root": ".",
        "network_def": network,
        "preprocessing": {"_target_": "Compose", "transforms": steps},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "overlap": 0.5},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            ],
        },
    }
    about = {
        "version": "0.5.9",
        "name": "Tiny",
        "description": "For tests.",
        "intended_use": "Tests",
        "network_data_format": {
            "inputs": {"image": {"modality": "CT", "channel_def": {"0": "image"}}},
            "outputs": {"pred": {"channel_def": {"0": "background", "1": "spleen"}}},
        },
    }
    for sub in ("configs", "models", "docs"):
        (folder / sub).mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(values), "utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(about), "utf-8")
    (folder / "docs" / "data_license.txt").write_text("Data: CC-BY-SA 4.0", "utf-8")
    (folder / "models" / "model.pt").write_bytes(b"")
    if isinstance(weights, bytes):
        (folder / "models" / "model.pt").write_bytes(weights)
    else:
        torch.save(weights, folder / "models" / "model.pt")
    return folder


def bundle_network():
    from monai.networks.nets.unet import UNet

    torch.manual_seed(1)
    return UNet(3, 1, 2, (4, 8), (2,)).eval()


def test_a_monai_bundle_is_installed_and_computes_what_monai_computes(store, tmp_path):
    network = bundle_network()
    folder = write_bundle(tmp_path / "spleen_bundle", network.state_dict())
    model = store.install(pack(folder, tmp_path / "spleen_bundle_v0.5.9.zip"), id="spleen")
    assert (model.id, model.manifest.format) == ("spleen", "monai_bundle")
    assert store.verify("spleen") == []
    assert (model.folder / "docs" / "data_license.txt").is_file()
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        assert torch.equal(load(store, "spleen")(image), network(image))


def test_a_folder_is_read_once_for_many_images_and_anew_when_it_changes(store, tmp_path, monkeypatch):
    from medai.segment.formats import monai_bundle

    hashed = []
    real = monai_bundle.hash_file
    monkeypatch.setattr(monai_bundle, "hash_file", lambda file, **more: hashed.append(file.name) or real(file, **more))
    folder = write_bundle(tmp_path / "tiny", bundle_network().state_dict())
    first = store.find(str(folder))
    assert hashed.count("model.pt") == 1
    assert store.find(str(folder)) == first
    assert hashed.count("model.pt") == 1
    weights = (folder / "models" / "model.pt").read_bytes()
    (folder / "models" / "model.pt").write_bytes(weights[:-1] + b"x")  # of the same size
    assert store.find(str(folder)).manifest.weights_sha256 != first.manifest.weights_sha256
    (folder / "medai.json").write_text('{"title": "Another"}', "utf-8")
    assert store.find(str(folder)).title == "Another"
    token = CancelToken()
    token.cancel()
    (folder / "medai.json").write_text("{}", "utf-8")
    with pytest.raises(Cancelled):
        store.find(str(folder), cancel=token)


def test_a_malicious_checkpoint_in_an_archive_is_never_run(store, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    folder = write_bundle(tmp_path / "evil", pickle.dumps(Bomb()))
    model = store.install(pack(folder, tmp_path / "evil.zip"), trust=True)
    with pytest.raises(UnsafeModel):
        load(store, model.id)
    assert not canary.exists()


def test_an_nnunet_export_is_installed_and_loads(store, tmp_path):
    pytest.importorskip("dynamic_network_architectures")
    network = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2, "features_per_stage": [4, 8], "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * 2, "strides": [[1, 1, 1], [2, 2, 2]], "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1], "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }  # fmt: skip
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    plans = {
        "dataset_name": "Dataset999_Test", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager", "experiment_planner_used": "ExperimentPlanner",
        "foreground_intensity_properties_per_channel": {"0": {
            "max": 400.0, "mean": 60.0, "median": 55.0, "min": -200.0, "percentile_00_5": -150.0,
            "percentile_99_5": 300.0, "std": 90.0,
        }},
        "configurations": {"3d_fullres": {
            "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
            "patch_size": [16, 16, 16], "median_image_size_in_voxels": [20, 20, 20], "spacing": [1.0, 1.0, 1.0],
            "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "resampling_fn_seg": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": resampling, "resampling_fn_seg_kwargs": {**resampling, "is_seg": True},
            "resampling_fn_probabilities_kwargs": {**resampling, "order": 1}, "batch_dice": False,
            "architecture": network,
        }},
    }  # fmt: skip
    dataset = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "spleen": 1}, "file_ending": ".nii.gz"}
    folder = tmp_path / "Dataset999_Test"
    trainer = folder / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (trainer / "fold_0" / "validation").mkdir(parents=True)
    (trainer / "plans.json").write_text(json.dumps(plans), "utf-8")
    (trainer / "dataset.json").write_text(json.dumps(dataset), "utf-8")
    (trainer / "fold_0" / "validation" / "patient_001.nii.gz").write_bytes(b"a prediction")
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    torch.manual_seed(2)
    given = PlainConvUNet(
        1, 2, [4, 8], torch.nn.Conv3d, [[3, 3, 3]] * 2, [[1, 1, 1], [2, 2, 2]], [1, 1], 2, [1], True,
        torch.nn.InstanceNorm3d, {"eps": 1e-5, "affine": True}, nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    ).eval()  # fmt: skip
    checkpoint = {
        "network_weights": given.state_dict(), "trainer_name": "nnUNetTrainer", "current_epoch": 1,
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "dataset_json": dataset},
    }  # fmt: skip
    torch.save(checkpoint, trainer / "fold_0" / "checkpoint_final.pth")
    model = store.install(pack(folder, tmp_path / "Dataset999_Test.zip"), id="nn")
    assert model.manifest.format == "nnunet"
    assert [label.name for label in model.manifest.labels] == ["spleen"]
    assert not list(model.folder.rglob("*.nii.gz")), "a training's predictions are not part of the model"
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        found = load(store, "nn")(image)
        found = found[0] if isinstance(found, (list, tuple)) else found
        assert torch.allclose(found, given(image), atol=1e-6)


def test_torchscript_loads_only_after_trust(store, tmp_path, engine_manifest):
    folder = tmp_path / "script"
    folder.mkdir()
    torch.jit.script(torch.nn.Conv3d(1, 3, 1)).save(str(folder / "net.ts"))
    data = (folder / "net.ts").read_bytes()
    entry = {"path": "net.ts", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    value = engine_manifest().to_dict() | {"format": "torchscript", "weights": [entry], "id": "script"}
    value["network"] = {"name": "torchscript", "settings": {}}
    (folder / "manifest.json").write_text(json.dumps(value), "utf-8")
    with pytest.raises(UnsafeModel, match="Nobody has trusted"):
        store.install(folder / "net.ts")
    assert not store.user.exists()
    store.install(folder / "net.ts", trust=True)
    assert load(store, "script")(torch.zeros(1, 1, 4, 4, 4)).shape == (1, 3, 4, 4, 4)
    (store.user / "trusted-files.json").unlink()
    with pytest.raises(UnsafeModel, match="Nobody has trusted"):
        load(store, "script")


def test_a_file_that_needs_a_manifest_says_so(store, tmp_path):
    torch.jit.script(torch.nn.Conv3d(1, 3, 1)).save(str(tmp_path / "lonely.ts"))
    with pytest.raises(ManifestError, match=r"manifest\.json beside it"):
        store.install(tmp_path / "lonely.ts", trust=True)
    assert not store.user.exists()
