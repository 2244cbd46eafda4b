"""What a bundle may not ask for: code is never run, and what cannot be reproduced is refused by name."""

import json
import os

import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

from medai.core.errors import Cancelled, ManifestError, ModelError, UnsafeModel
from medai.core.progress import CancelToken
from medai.segment.formats import FORMATS
from medai.segment.formats._bundle_config import Code, Config

NETWORK = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8],
           "strides": [2]}  # fmt: skip


def step(name, **arguments):
    return {"_target_": name, "keys": "image", **arguments}


BEFORE = [step("LoadImaged"), step("EnsureChannelFirstd"), step("Orientationd", axcodes="RAS"),
          step("Spacingd", pixdim=[1, 1, 2], mode="bilinear"), step("ScaleIntensityd")]  # fmt: skip
ARGMAX = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
KEPT = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred"}


@pytest.fixture
def describe(tmp_path):
    """Write a bundle with some values changed, and describe it."""

    def call(meta=None, yaml=None, weights="models/model.pt", **changes):
        folder = tmp_path / "some_bundle"
        for sub in ("configs", "models"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        values = {
            "imports": [f"$__import__('os').system('echo hit > {tmp_path / 'canary'}')", "$import os"],
            "bundle_root": ".",
            "network_def": NETWORK,
            "preprocessing": {"_target_": "Compose", "transforms": BEFORE},
            "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16]},
            "postprocessing": {"_target_": "Compose", "transforms": [ARGMAX]},
            **changes,
        }
        name = "inference.yaml" if yaml is not None else "inference.json"
        (folder / "configs" / name).write_text(json.dumps(values) if yaml is None else yaml, "utf-8")
        if meta is not False:
            (folder / "configs/metadata.json").write_text(json.dumps(meta or {}), "utf-8")
        (folder / weights).write_bytes(b"weights")
        return FORMATS.create("monai_bundle").describe(folder, cancel=CancelToken())

    yield call
    assert not (tmp_path / "canary").exists()


def compose(*transforms):
    return {"_target_": "Compose", "transforms": list(transforms)}


def test_a_plain_bundle_is_described_whatever_its_imports_say(describe):
    manifest = describe()
    assert manifest.format == "monai_bundle"
    assert (manifest.id, manifest.version) == ("some-bundle", "0.0.0")
    assert manifest.network.name == "unet"
    assert (manifest.prepare.orientation, manifest.prepare.spacing) == ("SAR", (2.0, 1.0, 1.0))
    assert (manifest.inference.overlap, manifest.inference.blend) == (0.25, "constant")
    assert [(x.label, x.name) for x in manifest.labels] == [(1, "Label 1")]
    assert [entry.path for entry in manifest.files] == ["configs/metadata.json", "configs/inference.json"]
    assert "Not stated" in manifest.description.licence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network_def": "$__import__('os').system('true')"}, "network_def is code.*__import__"),
        ({"network_def": {**NETWORK, "channels": "$import os"}}, "network_def::channels is code.*import os"),
        ({"network_def": {**NETWORK, "out_channels": "$int('2')"}}, r"code .*int\('2'\)"),
        ({"inferer": "$open('x')"}, "inferer is code"),
        ({"preprocessing": "$@a + [print(1)]", "a": []}, "preprocessing is code"),
        ({"preprocessing": compose(*BEFORE[:2], step("Orientationd", axcodes="$eval('1')"))}, "axcodes is code"),
        ({"preprocessing": compose(*BEFORE, step("CropForegroundd", source_key="image", select_fn="$lambda x: x"))},
         "select_fn is code"),
        ({"postprocessing": compose(ARGMAX, {"_target_": "Lambdad", "func": "$lambda x: x[1:]"})}, "lambda x: x"),
        ({"postprocessing": compose(ARGMAX, {"_target_": "Lambdad", "func": "$os.system"})}, "os.system"),
    ],
)  # fmt: skip
def test_code_that_is_needed_is_refused_with_its_text(describe, changes, words):
    with pytest.raises(UnsafeModel, match=words):
        describe(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network_def": {"_target_": "os.system", "command": "true"}}, r"network 'os\.system'"),
        ({"network_def": {"_target_": "subprocess.Popen", "args": "true"}}, r"subprocess\.Popen"),
        ({"network_def": {"_target_": "scripts.networks.UNet"}}, r"scripts\.networks\.UNet"),
        ({"network_def": {"_target_": "RetinaNet", "num_classes": 1}}, "'RetinaNet', which MedAI does not build"),
        ({"network_def": {**NETWORK, "surprise": 1}}, "surprise: unknown key"),
        ({"network_def": {**NETWORK, "strides": [2, 2]}}, "strides must have 1 entries"),
        ({"network_def": 5}, "component with a _target_"),
        ({"network_def": "@network_def"}, "refers to itself"),
        ({"network_def": "@a", "a": "@b", "b": "@a"}, "refers to itself"),
        ({"network_def": "@nothing"}, "no value 'nothing'"),
        ({"network_def": "%train.json#network_def"}, "reads another file"),
        ({"preprocessing": compose(*BEFORE, step("Resized", spatial_size=[8, 8, 8]))}, "transform 'Resized'"),
        ({"preprocessing": compose(*BEFORE, {"_target_": "os.system", "keys": "image"})}, r"transform 'os\.system'"),
        ({"preprocessing": compose(*BEFORE, step("Lambdad", func="$x"))}, "transform 'Lambdad'"),
        ({"preprocessing": compose(*BEFORE[:2], BEFORE[3])}, "no Orientationd"),
        ({"preprocessing": compose(*BEFORE[:2], BEFORE[3], BEFORE[2])}, "Orientationd comes after the spacing"),
        ({"preprocessing": compose(*BEFORE[:3], step("ScaleIntensityd"), *BEFORE[3:])}, "before .* and after"),
        ({"preprocessing": compose(*BEFORE[:3], step("Spacingd", pixdim=[1, 1, 1], mode="nearest"))}, "mode ="),
        ({"preprocessing": compose(*BEFORE[:3], step("Spacingd", pixdim=[1, -1, 1]))}, "some axes only"),
        ({"preprocessing": compose(*BEFORE[:2], step("Orientationd", axcodes="RRS"))}, "axcodes"),
        ({"preprocessing": compose(*BEFORE, step("ScaleIntensityRanged", a_min=1, a_max=1))}, "a_min and a_max"),
        ({"preprocessing": compose(*BEFORE, step("NormalizeIntensityd", subtrahend=1.0))}, "subtrahend"),
        ({"preprocessing": compose(*BEFORE, step("ScaleIntensityd", factor=2))}, "factor"),
        ({"preprocessing": compose(*BEFORE, step("EnsureTyped", dtype="uint8"))}, "dtype"),
        ({"preprocessing": compose(*BEFORE, step("CropForegroundd", source_key="image", margin=10))}, "margin = 10"),
        ({"preprocessing": compose(*BEFORE, step("CropForegroundd", source_key="image"), step("ScaleIntensityd"))},
         "after CropForegroundd"),
        ({"preprocessing": compose(step("LoadImaged", keys=["a", "b"]), BEFORE[2])}, "nothing joins them"),
        ({"inferer": {"_target_": "SimpleInferer"}}, "inferer 'SimpleInferer'"),
        ({"inferer": {"_target_": "scripts.infer.Own"}}, r"inferer 'scripts\.infer\.Own'"),
        ({"inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16]}}, "roi_size"),
        ({"inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, -1]}}, "roi_size"),
        ({"inferer": {"_target_": "SlidingWindowInferer", "roi_size": 16, "overlap": 1.5}}, "overlap"),
        ({"inferer": {"_target_": "SlidingWindowInferer", "roi_size": 16, "mode": "median"}}, "mode"),
        ({"inferer": {"_target_": "SliceInferer", "roi_size": [16, 16]}}, "3 dimensions"),
        ({"postprocessing": compose()}, "AsDiscreted is missing"),
        ({"postprocessing": compose(ARGMAX, {"_target_": "VoteEnsembled", "keys": "pred"})}, "VoteEnsembled"),
        ({"postprocessing": compose({"_target_": "AsDiscreted", "threshold": 0.3})}, "threshold = 0.3"),
        ({"postprocessing": compose({"_target_": "AsDiscreted", "threshold": 0.5})}, "does not say which one wins"),
        ({"postprocessing": compose({"_target_": "Activationsd", "sigmoid": True}, ARGMAX)}, "argmax after sigmoid"),
        ({"postprocessing": compose(ARGMAX, {"_target_": "Activationsd", "softmax": True})}, "comes after AsDiscreted"),
        ({"postprocessing": compose(KEPT, ARGMAX)}, "comes before AsDiscreted"),
        ({"postprocessing": compose({"_target_": "AsDiscreted", "threshold": 0.5}, KEPT)}, "channels that may overlap"),
        ({"postprocessing": [1]}, "component with a _target_"),
        ({"preprocessing": {"_target_": "os.system", "transforms": []}}, "Compose"),
    ],
)  # fmt: skip
def test_what_cannot_be_reproduced_is_refused_by_name(describe, changes, words):
    with pytest.raises(ManifestError, match=words):
        describe(**changes)


def test_channels_measured_together_are_refused_and_alone_are_not(describe):
    network = {**NETWORK, "in_channels": 2}
    both = compose(*BEFORE[:3], step("NormalizeIntensityd"))
    with pytest.raises(ManifestError, match="2 channels together"):
        describe(network_def=network, preprocessing=both)
    alone = compose(*BEFORE[:3], step("NormalizeIntensityd", channel_wise="True"))
    assert len(describe(network_def=network, preprocessing=alone).prepare.channels) == 2
    per = compose(
        *BEFORE[:3], step("NormalizeIntensityd", subtrahend=[1.0, 2.0], divisor=[3.0, 4.0], channel_wise=True)
    )
    chains = [c.normalise[0] for c in describe(network_def=network, preprocessing=per).prepare.channels]
    assert [(n.mean, n.sd) for n in chains] == [(1.0, 3.0), (2.0, 4.0)]


def test_images_that_are_joined_keep_their_own_changes_and_their_order(describe):
    keys = ["t2", "adc"]
    manifest = describe(
        network_def={**NETWORK, "in_channels": 2},
        preprocessing=compose(
            {"_target_": "LoadImaged", "keys": [*keys, "label"]},
            {"_target_": "Orientationd", "keys": [*keys, "label"], "axcodes": "LPS"},
            {"_target_": "Spacingd", "keys": [*keys, "label"], "pixdim": 1.5, "mode": ["bilinear"] * 2 + ["nearest"]},
            {"_target_": "ScaleIntensityRanged", "keys": "adc", "a_min": 0, "a_max": 3000, "b_min": 0, "b_max": 1},
            {"_target_": "NormalizeIntensityd", "keys": "t2"},
            {"_target_": "ConcatItemsd", "keys": ["adc", "t2"], "name": "image", "dim": 0},
            step("ScaleIntensityRanged", a_min=0, a_max=2, b_min=0, b_max=1),
        ),
    )
    channels = manifest.prepare.channels
    assert [c.name for c in channels] == ["adc", "t2"]
    assert [[n.method for n in c.normalise] for c in channels] == [["range", "range"], ["zscore", "range"]]
    assert (manifest.prepare.orientation, manifest.prepare.spacing) == ("SPL", (1.5, 1.5, 1.5))


def test_metadata_gives_names_licence_and_use(describe, tmp_path):
    (tmp_path / "some_bundle").mkdir()
    (tmp_path / "some_bundle/LICENSE").write_text("\n   Apache License\n Version 2.0, January 2004", "utf-8")
    channel = {"0": "background", "1": " spleen\n", "2": "spleen"}
    meta = {
        "version": "1.2.3b4",
        "name": "Spleen CT <script>",
        "intended_use": "Research",
        "references": ["One.", 5],
        "network_data_format": {
            "inputs": {"image": {"modality": "MRI"}},
            "outputs": {"pred": {"channel_def": channel}},
        },
    }
    manifest = describe(meta, network_def={**NETWORK, "out_channels": 3}, weights="models/model.safetensors")
    described = manifest.description
    assert (manifest.id, manifest.version, described.licence) == ("spleen-ct-script", "1.2.3", "Apache-2.0")
    assert (described.modality, described.intended_use, described.citation) == ("MR", "Research", "One.")
    assert [x.name for x in manifest.labels] == ["spleen", "spleen (2)"]
    assert manifest.weights[0].path == "models/model.safetensors"
    wrong = describe({"network_data_format": [], "references": 5, "version": 7, "name": ["x"]})
    assert (wrong.id, wrong.version) == ("some-bundle", "0.0.0")


def test_repairs_of_labels_become_steps_of_the_registry(describe):
    from medai.segment.postprocess import POSTPROCESS

    kept = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1], "connectivity": 1}
    (entry,) = describe(postprocessing=compose(ARGMAX, kept)).postprocess
    assert (entry.step, entry.settings["segments"], entry.settings["connectivity"]) == (
        "largest_components",
        ["Label 1"],
        6,
    )
    POSTPROCESS.get(entry.step).Settings.parse(entry.settings)


@pytest.mark.parametrize(("labels", "segments"), [([0], None), ([7], None), ([0, 1], ["Label 1"]), (None, [])])
def test_labels_that_are_not_there_are_not_all_labels(describe, labels, segments):
    """MONAI repairs nothing if only the background is named; no names mean all segments."""
    found = describe(postprocessing=compose(ARGMAX, {**KEPT, "applied_labels": labels})).postprocess
    assert [entry.settings["segments"] for entry in found] == ([] if segments is None else [segments])


def test_yaml_is_read_as_plain_values_only(describe, tmp_path):
    pytest.importorskip("yaml")
    good = """
network_def: {_target_: UNet, spatial_dims: 3, in_channels: 1, out_channels: '@classes', channels: [4, 8], strides: [2]}
classes: 2
image: $monai.utils.CommonKeys.IMAGE
transforms:
- {_target_: LoadImaged, keys: '@image', reader: $monai.data.NibabelReader}
- {_target_: Orientationd, keys: '@image', axcodes: RAS}
- {_target_: ScaleIntensityd, keys: '@image', _disabled_: $not False}
preprocessing: {_target_: Compose, transforms: $@transforms}
inferer: {_target_: SlidingWindowInferer, roi_size: [8, 8, 8]}
postprocessing: {_target_: Compose, transforms: [{_target_: AsDiscreted, argmax: true}]}
"""
    manifest = describe(yaml=good)
    assert manifest.prepare.channels[0].normalise == ()
    assert manifest.files[1].path == "configs/inference.yaml"
    for text, words in [
        (f"a: !!python/object/apply:os.system ['echo > {tmp_path / 'canary'}']", "not valid YAML"),
        ("a: &x [1]\nb: [*x, *x]", "anchors"),
        ("a: [1", "not valid YAML at line"),
        ("[1, 2]", "a table was expected"),
        ("a: .nan", "not allowed"),
    ]:
        with pytest.raises(ManifestError, match=words):
            describe(yaml=text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$(96, 96, 96)", [96, 96, 96]),
        ("$@a", [1, 2]),
        ("@a::1", 2),
        ("$@d#x", "text"),
        ("%a", [1, 2]),
        ("$len(@a) + @n", 5),
        ("$@a + [4]", [1, 2, 4]),
        ("$@d::x + '/y'", "text/y"),
        ("$[1.5, 1.5] if @yes else [3, 3]", [1.5, 1.5]),
        ("$not @yes", False),
        ("$-@n", -3),
        ("$None", None),
        ("${'k': @n}", {"k": 3}),
        ("plain @ text", "plain @ text"),
    ],
)
def test_references_and_plain_expressions_have_the_value_that_python_gives(value, expected):
    config = Config({"a": [1, 2], "d": {"x": "text"}, "n": 3, "yes": True, "value": value}, "c.json")
    assert config.get("value") == expected


@pytest.mark.parametrize(
    "text",
    [
        "$import os", "$os.system('x')", "$@a.append(1)", "$@a[0]", "$[x for x in @a]", "$lambda: 1", "$(1).__class__",
        "$len([1], 2)", "$9**9**9", "$[0] * 99999999", "$f'{@n}'", "$@a + 'x'", "$" + "(" * 500 + ")" * 500,
        "$" + "1+" * 3000 + "1", "$@nope.x", "$(yield)", "$x := 5", "$print(1)", "$'a' * 5", "$", "$\x00",
        "$torch.device('cuda')", "$1 if 'x' else 2", "$True + True", "$b'x'", "$1j",
    ],
)  # fmt: skip
def test_other_expressions_stay_code(text):
    assert isinstance(Config({"a": [1], "n": 3, "value": text}, "c.json").get("value"), Code)


def test_references_that_double_without_end_are_refused():
    values = {f"a{n}": [f"@a{n + 1}"] * 10 for n in range(12)} | {"a12": 1}
    with pytest.raises(ManifestError, match="nested too deeply"):
        Config(values, "c.json").get("a0")
    joined = {f"a{n}": f"$@a{n + 1} + @a{n + 1}" for n in range(30)} | {"a30": [1] * 100}
    assert isinstance(Config(joined, "c.json").get("a0"), Code)


def test_weights_are_found_inside_the_folder_only(describe, tmp_path):
    loader = {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/other.pt'"}
    assert describe(handlers=[loader], weights="models/other.pt").weights[0].path == "models/other.pt"
    (tmp_path / "outside.pt").write_bytes(b"x")
    for path in ("../outside.pt", str(tmp_path / "outside.pt"), "$os.environ['HOME']", "models/missing.pt"):
        manifest = describe(checkpointloader={**loader, "load_path": path})
        assert manifest.weights[0].path == "models/model.pt"
    (tmp_path / "some_bundle/models/model.pt").unlink()
    with pytest.raises(ManifestError, match=r"no models/model\.pt"):
        describe(weights="models/else.pt")


def test_folders_that_are_no_bundle_and_cancel(tmp_path, describe):
    bundles = FORMATS.create("monai_bundle")
    assert not bundles.recognise(tmp_path)
    describe()
    assert bundles.recognise(tmp_path / "some_bundle")
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        bundles.describe(tmp_path / "some_bundle", cancel=token)
    (tmp_path / "some_bundle/configs/metadata.json").write_text("{", "utf-8")
    with pytest.raises(ModelError, match=r"metadata\.json: not valid JSON"):
        bundles.describe(tmp_path / "some_bundle", cancel=CancelToken())
    os.unlink(tmp_path / "some_bundle/configs/inference.json")
    assert not bundles.recognise(tmp_path / "some_bundle")
