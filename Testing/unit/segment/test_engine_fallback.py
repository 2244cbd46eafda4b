"""What is tried when memory is short, and what is said about it."""

import numpy as np
import pytest

from medai.core.errors import OutOfMemory
from medai.core.progress import CancelToken, no_progress
from medai.segment.inference.fallback import attempts
from medai.segment.inference.options import InferenceOptions
from medai.segment.inference.strides import smaller_window, window_factor

torch = pytest.importorskip("torch")


def with_network(manifest, name, **settings):
    return manifest.model_copy(update={"network": type(manifest.network)(name=name, settings=settings)})


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("unet3d", {"filters": [4, 8, 8, 16]}, (8, 8, 8)),
        ("dynunet", {"kernel_size": [3, 3, 3], "strides": [1, [1, 2, 2], 2], "upsample_kernel_size": [[1, 2, 2], 2]},
         (2, 4, 4)),
        ("unet", {"channels": [4, 8, 16], "strides": [2, 2]}, (4, 4, 4)),
        ("segresnet", {"blocks_down": [1, 2, 2, 4]}, (8, 8, 8)),
        ("swin_unetr", {}, (32, 32, 32)),
        ("unetr", {}, None),
        ("torchscript", {}, None),
    ],
)  # fmt: skip
def test_factors_are_the_products_of_strides(engine_manifest, name, settings, expected):
    assert window_factor(with_network(engine_manifest(), name, **settings)) == expected


def test_factors_of_2d_networks(engine_manifest):
    manifest = with_network(engine_manifest((1, 32, 32), 3, dims=2), "unet", channels=[4, 8, 16], strides=[2, 2])
    assert window_factor(manifest) == (1, 4, 4)


def test_windows_shrink_along_their_longest_axis_to_what_the_network_takes():
    assert smaller_window((128, 128, 96), (32, 32, 32)) == (64, 128, 96)
    assert smaller_window((64, 128, 96), (32, 32, 32)) == (64, 64, 96)
    assert smaller_window((64, 64, 64), (32, 32, 32)) is None
    assert smaller_window((28, 256, 224), (4, 32, 32)) == (28, 128, 224)
    assert smaller_window((40, 40, 40), (8, 8, 8)) is None
    assert smaller_window((1, 512, 512), (1, 128, 128)) == (1, 256, 512)
    seen, window = [], (160, 96, 80)
    while window is not None:
        seen.append(window)
        window = smaller_window(window, (16, 32, 16))
    assert seen == [(160, 96, 80), (80, 96, 80), (80, 64, 80), (48, 64, 80), (48, 64, 48), (32, 64, 48), (32, 64, 32)]


class Small(torch.nn.Module):
    """Has memory for batches of so many voxels only."""

    def __init__(self, voxels):
        super().__init__()
        self.voxels, self.seen = voxels, []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        if x.numel() > self.voxels:
            raise OutOfMemory("The device has too little memory for this batch.")
        return torch.cat([x, -x, 0 * x], 1)


def climb(rng, manifest, module, engine_networks, **options):
    from medai.segment.inference.stream import WindowRun

    array = rng.normal(size=(1, 64, 64, 64)).astype(np.float32)
    sources, opener = engine_networks(module)
    parsed = InferenceOptions(device="cpu", **options)
    for attempt in attempts(manifest, parsed, array.shape[1:]):
        stream = WindowRun(array, sources, attempt.manifest, attempt.options, progress=no_progress,
                           cancel=CancelToken(), opener=opener)  # fmt: skip
        try:
            found = torch.cat([slab.scores.clone() for slab in stream], 1).numpy()
        except OutOfMemory:
            continue
        np.testing.assert_allclose(found[0], array[0], atol=1e-5)
        return attempt, stream.facts
    raise AssertionError("attempts ended without an error")


def test_enough_memory_leaves_no_flag(rng, engine_manifest, engine_networks):
    manifest = with_network(engine_manifest((64, 64, 64), 3), "unet3d", filters=[4, 8, 8])
    attempt, facts = climb(rng, manifest, Small(64**3), engine_networks)
    assert attempt.flag is None
    assert facts["window"] == [64, 64, 64]


def test_one_window_at_a_time_comes_first(rng, engine_manifest, engine_networks):
    manifest = with_network(engine_manifest((32, 32, 32), 3), "unet3d", filters=[4, 8, 8])
    module = Small(32**3)
    attempt, facts = climb(rng, manifest, module, engine_networks, batch=4)
    assert facts["window"] == [32, 32, 32]
    assert facts["batch"] == 1
    assert attempt.flag.severity.value == "info"
    assert module.seen[0][0] == 4


def test_windows_become_smaller_until_they_fit(rng, engine_manifest, engine_networks):
    manifest = with_network(engine_manifest((64, 64, 64), 3), "unet3d", filters=[4, 8, 8])
    attempt, facts = climb(rng, manifest, Small(32 * 32 * 64), engine_networks)
    assert sorted(facts["window"]) == [32, 32, 64]
    assert attempt.flag.code == "DEVICE_FALLBACK"
    assert attempt.flag.severity.value == "warning"
    assert attempt.flag.measured == "32 x 32 x 64 on cpu"
    assert attempt.flag.limit == "64 x 64 x 64 on cpu"
    assert "one window of 32 x 32 x 64 at a time, on cpu" in attempt.flag.message


def all_attempts(manifest, **options):
    """What is tried until the refusal."""
    found, ladder = [], attempts(manifest, InferenceOptions(**options))
    with pytest.raises(OutOfMemory):
        found.extend(iter(lambda: next(ladder), None))
    return found


def test_a_network_whose_window_is_fixed_is_not_cut(engine_manifest):
    manifest = with_network(engine_manifest((64, 64, 64), 3), "torchscript")
    windows = [attempt.manifest.window for attempt in all_attempts(manifest, device="cpu")]
    assert windows == [(64, 64, 64)] * 2


def test_the_refusal_says_what_was_tried_and_what_it_takes(rng, engine_manifest, engine_networks):
    manifest = with_network(engine_manifest((64, 64, 64), 3), "unet3d", filters=[4, 8, 8])
    with pytest.raises(OutOfMemory) as caught:
        climb(rng, manifest, Small(10), engine_networks)
    assert "64 x 64 x 64 on cpu; windows of 64 x 64 x 64, one at a time, on cpu" in caught.value.message
    assert "windows of 32 x 32 x 32, one at a time, on cpu" in caught.value.message
    assert "The scores of its 3 classes alone take 0.0018 GiB then." in caught.value.message


def test_the_cpu_comes_after_the_gpu_with_the_whole_window(engine_manifest):
    manifest = with_network(engine_manifest((64, 64, 64), 3), "unet3d", filters=[4, 8, 8])
    found = all_attempts(manifest, device="cuda", precision="f16")
    seen = [(a.manifest.window, a.options.device, a.options.precision) for a in found]
    cut = [(64, 64, 64), (32, 64, 64), (32, 32, 64), (32, 32, 32)]
    assert seen == [
        ((64, 64, 64), "cuda", "f16"),
        *((w, "cuda", "f16") for w in cut),
        *((w, "cpu", "auto") for w in cut),
    ]


def test_box_gives_what_monai_gives(rng, engine_manifest, engine_networks, monkeypatch):
    pytest.importorskip("monai")
    from monai.inferers.utils import sliding_window_inference

    from medai.segment.inference.box import predict_box

    torch.manual_seed(5)
    module = torch.nn.Sequential(
        torch.nn.Conv3d(1, 5, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv3d(5, 3, 3, padding=1)
    )
    array = rng.normal(size=(20, 33, 17)).astype(np.float32)
    sources, _ = engine_networks(module.eval())
    manifest = engine_manifest((16, 16, 24), 3)
    options = InferenceOptions(device="cpu", backend="torch", precision="f32")
    for axis in (None, 0, 2):
        turned = array if axis is None else np.flip(array, axis).copy()
        with torch.inference_mode():
            logits = sliding_window_inference(
                torch.from_numpy(turned)[None, None], (16, 16, 24), 1, module, overlap=0.5, mode="gaussian"
            )
            expected = torch.softmax(logits[0], dim=0).numpy()
        expected = expected if axis is None else np.flip(expected, axis + 1)
        ours, _, facts = predict_box(array[None], sources, manifest, options, mirror_axis=axis, progress=no_progress,
                                  cancel=CancelToken())  # fmt: skip
        assert ours.dtype == np.float32
        assert np.abs(ours - expected).max() < 1e-5
        assert facts["fallbacks"] == []
        assert facts["backend"] == "torch"


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_box_refuses_scores_that_are_not_finite_in_any_class(rng, engine_manifest, engine_networks, value):
    from medai.core.errors import ModelError
    from medai.segment.inference.box import predict_box

    class Broken(torch.nn.Module):
        def forward(self, x):
            scores = x.repeat(1, 3, 1, 1, 1).clone()
            scores[:, 2, 3, 3, 3] = value
            return scores

    sources, _ = engine_networks(Broken())
    array = rng.normal(size=(1, 8, 8, 8)).astype(np.float32)
    options = InferenceOptions(device="cpu", backend="torch", precision="f32")
    manifest = engine_manifest((8, 8, 8), 3, activation="none")
    with pytest.raises(ModelError, match="NaN or infinite"):
        predict_box(array, sources, manifest, options, mirror_axis=None, progress=no_progress, cancel=CancelToken())
