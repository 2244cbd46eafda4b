"""The architectures that a model may name: each is built from plain values, runs, and refuses what it does not know."""

import subprocess
import sys

import pytest

from medai.core.errors import DependencyError, ManifestError, SettingsError
from medai.segment.networks import NETWORKS, NetworkKind, UNet3DSettings, build_network
from medai.segment.networks._monai import MonaiNetwork

# Small values per kind, and the window that the network is tried on.
SMALL = {
    "attention_unet": ({"channels": [4, 8], "strides": [2]}, 8),
    "basic_unet": ({"features": [4, 4, 4, 4, 4, 4], "norm": "batch", "act": "relu"}, 16),
    "dynunet": ({"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2],
                 "filters": [4, 8, 8], "norm_name": "instance", "deep_supervision": True}, 8),
    "segresnet": ({"blocks_down": [1, 1], "blocks_up": [1], "norm": ["GROUP", {"num_groups": 4}]}, 8),
    "segresnet_ds": ({"init_filters": 4, "blocks_down": [1, 1], "dsdepth": 2}, 8),
    "swin_unetr": ({"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]}, 64),
    "unet": ({"channels": [4, 8], "strides": [2], "num_res_units": 1, "norm": "BATCH"}, 8),
    "unetr": ({"img_size": 16, "hidden_size": 24, "mlp_dim": 32, "num_heads": 2, "feature_size": 4}, 16),
    "vnet": ({}, 16),
}  # fmt: skip


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", SMALL)
def test_a_network_of_monai_is_built_and_runs(name, dims):
    torch = pytest.importorskip("torch")
    pytest.importorskip("monai")
    if reason := NETWORKS._discover()[name].unavailable_reason():
        pytest.skip(reason)
    settings, window = SMALL[name]
    torch.manual_seed(0)
    network = build_network(name, {**settings, "spatial_dims": dims, "in_channels": 2, "out_channels": 3}).eval()
    with torch.inference_mode():
        result = network(torch.zeros(1, 2, *(window,) * dims))
    assert tuple(result.shape) == (1, 3, *(window,) * dims)


def test_the_networks_of_monai_are_all_tried_and_say_what_bundles_call_them():
    kinds = [kind for kind in NETWORKS.classes() if issubclass(kind, MonaiNetwork)]
    assert sorted(kind.name for kind in kinds) == sorted(SMALL)
    for kind in kinds:
        module, cls = kind.monai.split(".")
        assert kind().architecture().__module__ == f"monai.networks.nets.{module}" if _monai() else True
        assert cls[0].isupper()


def _monai():
    import importlib.util

    return importlib.util.find_spec("monai") and importlib.util.find_spec("torch")


def test_every_network_names_itself_and_its_default_settings_are_valid():
    for kind in NETWORKS.classes():
        assert issubclass(kind, NetworkKind)
        assert kind.title
        assert "torch" in kind.requires
        if issubclass(kind, MonaiNetwork):
            kind.Settings.parse(kind.Settings().to_dict())


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("unet3d", {"filters": [4, 8]}, "network.settings.filters"),
        ("unet", {"channels": [4, 8, 16], "strides": [2]}, "strides must have 2 entries, given 1"),
        ("unet", {"norm": "os.system"}, "normalisation 'os.system' is not one of"),
        ("unet", {"norm": ["batch", {"cls": 1}]}, "takes no argument 'cls'"),
        ("unet", {"act": ["relu", {"inplace": "yes"}]}, "network.settings.act"),
        ("unet", {"channels": [4, 1 << 30]}, "channels"),
        ("unet", {"_target_": "os.system"}, "unknown key"),
        ("basic_unet", {"features": [4, 4]}, "features"),
        ("basic_unet", {"upsample": "eval"}, "upsample"),
        ("dynunet", {"strides": [1, 2, 2]}, "strides must have 4 entries, given 3"),
        ("dynunet", {"filters": [4, 8]}, "filters must have at least 4 entries"),
        ("segresnet", {"blocks_up": [1]}, "blocks_up must have 3 entries, given 1"),
        ("segresnet_ds", {"resolution": [1.0]}, "resolution must have 3 entries"),
        ("swin_unetr", {"feature_size": 10}, "multiple of 12"),
        ("unetr", {"img_size": [96, 96]}, "img_size must be 3 multiples of 16"),
        ("vnet", {"spatial_dims": 4}, "spatial_dims"),
        ("attention_unet", {"in_channels": 0}, "in_channels"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_key(name, settings, words):
    with pytest.raises(SettingsError, match=words):
        NETWORKS._discover()[name].Settings.parse(settings, where="network.settings")


@pytest.mark.parametrize("name", ["", "os.system", "UNet", "_base", "monai.networks.nets.UNet", "builtins.eval"])
def test_a_name_that_is_not_registered_is_never_built(name):
    with pytest.raises(ManifestError, match="not one that MedAI builds"):
        build_network(name, {})


def test_an_argument_that_the_installed_monai_lacks_is_refused_unless_it_has_its_default():
    kind = NETWORKS._discover()["unet"]()
    known = {"spatial_dims", "in_channels", "out_channels", "channels", "strides"}
    assert set(kind.arguments(kind.Settings(), known)) == known
    with pytest.raises(DependencyError, match="UNet has no argument 'bias'"):
        kind.arguments(kind.Settings(bias=False), known)


def test_the_settings_of_the_first_network_keep_their_place():
    assert NETWORKS._discover()["unet3d"].Settings is UNet3DSettings
    assert UNet3DSettings().out_channels == 2


def test_looking_at_the_list_imports_no_torch():
    code = (
        "import sys\nfrom medai.segment.networks import NETWORKS\nassert list(NETWORKS.classes())\n"
        "assert not {'torch', 'monai', 'dynamic_network_architectures'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
