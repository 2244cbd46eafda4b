"""nnU-Net folders: what is recognised, what the manifest says, what is refused by name."""

import json
import pickle
import shutil

import pytest

from medai.core.errors import ChecksumError, ManifestError, ModelError, UnsafeModel
from medai.core.progress import CancelToken

torch = pytest.importorskip("torch")
pytest.importorskip("dynamic_network_architectures")

from medai.segment.formats import FORMATS  # noqa: E402
from medai.segment.models.info import ModelInfo  # noqa: E402


@pytest.fixture(scope="module")
def state(nnunet_folder, tmp_path_factory):
    return nnunet_folder(tmp_path_factory.mktemp("state") / "Dataset001_Toy", steps=1).train(0)


@pytest.fixture
def folder(nnunet_folder, tmp_path, state):
    made = nnunet_folder(tmp_path / "Dataset001_Toy")
    made.write(state)
    return made


def describe(path):
    return FORMATS.create("nnunet").describe(path, cancel=CancelToken())


def load(path, manifest=None):
    manifest = manifest or describe(path)
    source = FORMATS.create("nnunet").networks(ModelInfo(manifest.id, "x", path, manifest))[0]
    return source.load(CancelToken())


def change(file, keys, value):
    """Set a key of a JSON file; None takes it away."""
    content = json.loads(file.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    file.write_text(json.dumps(content))


def test_manifest_of_a_3d_model(folder):
    found = describe(folder.path)
    assert found.id == "dataset001-toy-3d-fullres"
    assert found.format == "nnunet"
    assert found.window == (16, 24, 24)
    assert found.description.modality == "CT"
    assert any("oriented" in text for text in found.description.limits)
    assert [x.name for x in found.labels] == ["left", "right", "core"]
    assert not found.inference.regions
    prepare = found.prepare
    assert (prepare.grid, prepare.interpolate, prepare.anisotropy) == ("edges", "cubic", 3.0)
    assert prepare.crop == "nonzero"
    assert prepare.normalise_first
    assert prepare.orientation == "RAS"
    clip, scale = prepare.channels[0].normalise
    assert (clip.low, clip.high, scale.mean, scale.sd) == (-150.0, 300.0, 60.0, 90.0)
    assert found.inference.mirror
    assert found.inference.mirror_axes == (0, 1, 2)
    assert (found.inference.placement, found.inference.floor, found.inference.overlap) == ("even", "nnunet", 0.5)
    assert [w.path for w in found.weights] == ["fold_0/checkpoint_final.pth"]
    assert {f.path for f in found.files} == {"plans.json", "dataset.json"}
    assert sum(p.numel() for p in load(folder.path, found).parameters()) > 1000


def test_2d_keeps_slices_and_shifts_the_mirrored_axes(nnunet_folder, tmp_path, state):
    flat = nnunet_folder(tmp_path / "Dataset001_Toy", "2d", spacing=(0.7, 0.9), mirror=(1,), transpose=(1, 0, 2))
    flat.write(state)
    found = describe(flat.path)
    assert found.inference.dims == 2
    assert found.window == (1, 24, 24)
    assert found.inference.mirror_axes == (2,)
    assert found.prepare.keep_slices
    assert found.prepare.spacing[:2] == (0.9, 0.7)
    assert found.prepare.orientation == "RSA"


@pytest.mark.parametrize(
    ("axes", "expected"),
    [((0, 1, 2), "RAS"), ((0, 2, 1), "ARS"), ((1, 0, 2), "RSA"), ((1, 2, 0), "SRA"), ((2, 0, 1), "ASR"),
     ((2, 1, 0), "SAR")],
)  # fmt: skip
def test_transposition_as_orientation(axes, expected):
    import numpy as np

    from medai.core.geometry import Geometry
    from medai.core.resample import reorient_array
    from medai.segment.formats._nnunet_prepare import transposed

    array = np.arange(24).reshape(2, 3, 4)
    assert transposed("RAS", axes) == expected
    assert np.array_equal(reorient_array(array, Geometry.from_spacing((2, 3, 4)), expected)[0], array.transpose(axes))


def test_old_plans_make_the_same_network(nnunet_folder, folder, tmp_path, state):
    old = nnunet_folder(tmp_path / "old" / "Dataset001_Toy", old=True)
    old.write(state)
    assert describe(old.path).network == describe(folder.path).network


def test_inherited_configuration(folder):
    plans = folder.plans()
    plans["configurations"] |= {"base": plans["configurations"]["3d_fullres"],
                                "3d_fullres": {"inherits_from": "base", "patch_size": [24, 24, 24]}}  # fmt: skip
    (folder.path / "plans.json").write_text(json.dumps(plans))
    assert describe(folder.path).window == (24, 24, 24)
    change(folder.path / "plans.json", ["configurations", "base", "inherits_from"], "3d_fullres")
    with pytest.raises(ManifestError, match="in a circle"):
        describe(folder.path)


def test_folds_and_checkpoints(folder, state):
    """Numbered folds before fold_all, finished ones before the best."""
    folder.save("fold_all", state)
    folder.save("fold_10", state)
    folder.save("fold_2", state)
    (folder.path / "fold_2" / "checkpoint_final.pth").rename(folder.path / "fold_2" / "checkpoint_best.pth")
    assert [w.path for w in describe(folder.path).weights] == [f"fold_{n}/checkpoint_final.pth" for n in (0, 10)]
    for fold in ("fold_0", "fold_10"):
        shutil.rmtree(folder.path / fold)
    assert [w.path for w in describe(folder.path).weights] == ["fold_2/checkpoint_best.pth"]
    shutil.rmtree(folder.path / "fold_2")
    assert [w.path for w in describe(folder.path).weights] == ["fold_all/checkpoint_final.pth"]


def test_dataset_folder_and_exported_folder(nnunet_folder, folder, tmp_path, state):
    nnunet = FORMATS.create("nnunet")
    assert describe(folder.root).weights[0].path.startswith(folder.path.name)
    export = tmp_path
    assert nnunet.recognise(export)
    found = describe(export)
    assert found.weights[0].path == f"Dataset001_Toy/{folder.path.name}/fold_0/checkpoint_final.pth"
    load(export, found)
    assert not nnunet.recognise(tmp_path / "nothing")
    assert not nnunet.recognise(folder.path / "fold_0")
    other = nnunet_folder(folder.root, "3d_lowres")
    other.write(state)
    with pytest.raises(ManifestError, match=r"2 models.*3d_fullres.*3d_lowres"):
        describe(folder.root)
    (folder.root / "medai.json").write_text(json.dumps({"use": other.path.name}))
    assert "3d_lowres" in describe(folder.root).weights[0].path


def test_cascade_needs_both_stages(nnunet_folder, tmp_path, state):
    root = tmp_path / "Dataset001_Toy"
    low = nnunet_folder(root, "3d_lowres")
    low.write(state)
    full = nnunet_folder(root, "3d_cascade_fullres", previous="3d_lowres", steps=1)
    full.write()
    found = describe(root)
    assert found.previous is not None
    assert found.network.settings["in_channels"] == 4
    assert found.previous.network.settings["in_channels"] == 1
    assert found.inputs == 1
    assert {w.path.split("/")[0] for w in (*found.weights, *found.previous.weights)} == {full.path.name, low.path.name}
    load(root, found)
    with pytest.raises(ManifestError, match="second stage of a cascade") as caught:
        describe(full.path)
    assert "data set's folder" in caught.value.hint


def test_regions(nnunet_folder, tmp_path, state):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    made = nnunet_folder(tmp_path / "Dataset001_Toy", labels=labels, order=(1, 2, 3))
    made.write(state)
    found = describe(made.path)
    assert found.inference.regions == (1, 2, 3)
    assert found.inference.activation == "sigmoid"
    assert found.classes == 3
    assert [x.name for x in found.labels] == ["whole (rest)", "core (rest)", "enhancing"]


def test_sidecar(folder):
    told = {"id": "toy", "title": "Toy", "licence": "MIT", "orientation": "LPS", "labels": [
        {"label": 2, "name": "Spleen", "color": [1, 0, 0],
         "type": {"value": "78961009", "scheme": "SCT", "meaning": "Spleen"}}]}  # fmt: skip
    (folder.path / "medai.json").write_text(json.dumps(told))
    found = describe(folder.path)
    assert (found.id, found.description.title, found.description.licence) == ("toy", "Toy", "MIT")
    assert found.prepare.orientation == "LPS"
    assert found.labels[1].type.value == "78961009"
    assert found.labels[0].name == "left"
    assert "medai.json" in {f.path for f in found.files}
    assert not any("oriented" in text for text in found.description.limits)
    change(folder.path / "medai.json", ["labels", 0, "label"], 9)
    with pytest.raises(ManifestError, match="label 9"):
        describe(folder.path)
    change(folder.path / "medai.json", ["colour"], "red")
    with pytest.raises(ManifestError, match=r"medai\.json\.colour"):
        describe(folder.path)


CONFIGURATION = ["configurations", "3d_fullres"]
ARCHITECTURE = [*CONFIGURATION, "architecture"]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["label_manager"], "MyLabels", "MyLabels"),
        (["transpose_forward"], [0, 1, 1], "transpose_forward"),
        (["transpose_forward"], None, "transpose_forward"),
        ([*CONFIGURATION, "preprocessor_name"], "MyPreprocessor", "MyPreprocessor"),
        ([*CONFIGURATION, "patch_size"], "all", "patch_size"),
        ([*CONFIGURATION, "spacing"], [1.0, 1.0], "patch_size has 3 numbers, spacing 2"),
        ([*CONFIGURATION, "normalization_schemes"], ["MyNormalization"], "MyNormalization"),
        ([*CONFIGURATION, "normalization_schemes"], ["CTNormalization"] * 2, "names 1 channels"),
        ([*CONFIGURATION, "resampling_fn_data"], "os.system", "os.system"),
        ([*CONFIGURATION, "resampling_fn_data_kwargs", "order"], 5, "order is 5"),
        ([*CONFIGURATION, "resampling_fn_data_kwargs", "sharpen"], True, "sharpen"),
        ([*CONFIGURATION, "resampling_fn_probabilities_kwargs", "order"], 3, "order 3"),
        ([*CONFIGURATION, "resampling_fn_data_kwargs", "force_separate_z"], False, "different rules"),
        ([*ARCHITECTURE, "network_class_name"], "os.system", "os.system"),
        ([*ARCHITECTURE, "arch_kwargs", "conv_op"], "builtins.eval", "builtins.eval"),
        ([*ARCHITECTURE, "arch_kwargs", "conv_op"], "torch.nn.modules.conv.Conv2d", "Conv2d"),
        ([*ARCHITECTURE, "arch_kwargs", "norm_op"], "subprocess.run", "subprocess.run"),
        ([*ARCHITECTURE, "arch_kwargs", "nonlin"], "torch.nn.Tanhshrink", "Tanhshrink"),
        ([*ARCHITECTURE, "arch_kwargs", "dropout_op"], "torch.hub.load", "torch.hub.load"),
        ([*ARCHITECTURE, "arch_kwargs", "nonlin_kwargs"], {"slope": 1}, "slope"),
        ([*ARCHITECTURE, "arch_kwargs", "squeeze"], True, "squeeze"),
        ([*ARCHITECTURE, "arch_kwargs", "features_per_stage"], [8192] * 3, "weights"),
        ([*ARCHITECTURE, "arch_kwargs", "strides"], [[1, 1, 1]], "strides"),
        (["foreground_intensity_properties_per_channel"], {}, "intensities"),
    ],
)
def test_plans_that_are_refused(folder, keys, value, message):
    change(folder.path / "plans.json", keys, value)
    if "features_per_stage" in keys:
        change(folder.path / "plans.json", [*keys[:-1], "n_conv_per_stage"], [64] * 3)
    with pytest.raises(ManifestError, match=message):
        describe(folder.path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"0": "background", "1": "liver"}, "version 1"),
        ({"background": 1, "liver": 2}, "background must be 0"),
        ({"background": 0, "liver": 2}, "without gaps"),
        ({"background": 0, "liver": "1"}, "labels.liver"),
        ({"background": 0}, "nothing but the background"),
        ({"background": 0, "a": [1, 2], "b": 2}, "regions_class_order"),
        ({"background": 0, "liver": 1, "ignore": 5}, "ignore"),
        (["liver"], "labels"),
    ],
)
def test_data_sets_that_are_refused(folder, labels, message):
    change(folder.path / "dataset.json", ["labels"], labels)
    with pytest.raises(ManifestError, match=message):
        describe(folder.path)


def test_ignore_label_has_no_channel(folder):
    change(folder.path / "dataset.json", ["labels", "ignore"], 4)
    assert describe(folder.path).classes == 4


class Canary:
    """Runs a program when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (exec, (f"open({str(self.file)!r}, 'w').write('x')",))


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("force", ["", "1"])
def test_malicious_checkpoint_is_refused(folder, tmp_path, monkeypatch, bare, force):
    """In describe and, if it was put there later, in load; the canary's file does not appear."""
    canary = tmp_path / "canary"
    file = folder.path / "fold_0" / "checkpoint_final.pth"
    good = describe(folder.path)
    content = torch.load(file, weights_only=False) | {"logging": Canary(canary)}
    if bare:
        file.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, file)
    if force:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", force)
    with pytest.raises(UnsafeModel):
        describe(folder.path)
    with pytest.raises(ChecksumError):
        load(folder.path, good)
    entry = good.weights[0].model_copy(update=_measured(file))
    with pytest.raises(UnsafeModel):
        load(folder.path, good.model_copy(update={"weights": (entry,)}))
    assert not canary.exists()
    # The bait is a live one: a reader without these checks runs it.
    monkeypatch.delenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", raising=False)
    pickle.loads(file.read_bytes()) if bare else torch.load(file, weights_only=False)
    assert canary.exists()


def _measured(file):
    import hashlib

    data = file.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_weights_that_do_not_fit(folder, state):
    """The first five are named; NaN is refused."""
    wrong = {name: value for index, (name, value) in enumerate(state.items()) if index > 3}
    wrong["extra.weight"] = torch.zeros(2)
    folder.save("fold_0", wrong)
    with pytest.raises(ModelError, match=r"extra\.weight is unknown"):
        load(folder.path)
    spoiled = {name: value.clone() for name, value in state.items()}
    for name in spoiled:
        if "seg_layers.1.weight" in name:
            spoiled[name][0] = float("nan")
    folder.save("fold_0", spoiled)
    with pytest.raises(ModelError, match="NaN"):
        load(folder.path)
    shutil.rmtree(folder.path / "fold_0")
    (folder.path / "fold_0").mkdir()
    torch.save({"state_dict": state}, folder.path / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ManifestError, match="no checkpoint of nnU-Net"):
        describe(folder.path)
    (folder.path / "fold_0" / "checkpoint_final.pth").write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(ModelError):
        describe(folder.path)


def test_custom_and_foreign_trainers(nnunet_folder, tmp_path, state):
    """One that MedAI does not know is named as a limit; one with a network of its own is refused."""
    made = nnunet_folder(tmp_path / "Dataset001_Toy", trainer="nnUNetTrainerMine")
    made.write(state)
    assert any("nnUNetTrainerMine" in text for text in describe(made.path).description.limits)
    made = nnunet_folder(tmp_path / "b" / "Dataset001_Toy", trainer="nnUNet_Primus_M_Trainer")
    made.write(state)
    with pytest.raises(ManifestError, match="Primus"):
        describe(made.path)
    made = nnunet_folder(tmp_path / "c" / "Dataset001_Toy", trainer="nnUNetTrainerBN")
    made.write(state)
    assert describe(made.path).network.settings["norm"] == "batch"
    with pytest.raises(ModelError, match="running_mean is missing"):
        load(made.path)


def test_cancel(folder):
    from medai.core.errors import Cancelled

    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        FORMATS.create("nnunet").describe(folder.path, cancel=token)


def test_missing_package_is_the_reason(monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "dynamic_network_architectures" else find(n, *a)
    )
    reasons = {item.name: item.reason for item in FORMATS.unavailable()}
    assert "dynamic_network_architectures is not installed" in reasons["nnunet"]
