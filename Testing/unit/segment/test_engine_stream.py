"""Streaming window runs: the same numbers as MONAI and nnU-Net, slab by slab, and what stops them."""

import itertools
import threading
import weakref

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError, ModelError, OutOfMemory, SettingsError
from medai.core.progress import CancelToken, no_progress
from medai.segment.inference.options import InferenceOptions

torch = pytest.importorskip("torch")


class Mix(torch.nn.Module):
    """A small network that looks at neighbours and at the whole window, so that each window's output is its own."""

    def __init__(self, channels, classes, dims=3, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        kind = torch.nn.Conv3d if dims == 3 else torch.nn.Conv2d
        self.first, self.last = kind(channels, 6, 3, padding=1), kind(6, classes, 1)
        self.norm = torch.nn.InstanceNorm3d(6) if dims == 3 else torch.nn.InstanceNorm2d(6)
        self.eval()

    def forward(self, x):
        return 4 * self.last(torch.tanh(self.norm(self.first(x)) + x.flatten(1).mean(1).view(-1, *[1] * (x.ndim - 1))))


@pytest.fixture
def run(engine_manifest, engine_networks):
    """Run networks over an array; gives all scores, maps and facts."""
    from medai.segment.inference.stream import WindowRun

    def call(array, *modules, manifest, progress=no_progress, cancel=None, **options):
        sources, opener = engine_networks(*modules)
        parsed = InferenceOptions(**options)
        stream = WindowRun(
            array, sources, manifest, parsed, progress=progress, cancel=cancel or CancelToken(), opener=opener
        )
        at, scores, maps = 0, [], []
        for slab in stream:
            assert slab.start == at
            assert slab.scores.dtype == torch.float32
            at += slab.scores.shape[1]
            scores.append(slab.scores.clone())
            maps.append({name: value.clone() for name, value in slab.maps.items()})
        assert at == array.shape[1]
        joined = {name: torch.cat([m[name] for m in maps]).numpy() for name in maps[0]}
        return torch.cat(scores, 1).numpy(), joined, stream.facts

    return call


def image(rng, shape, channels=1):
    return rng.normal(size=(channels, *shape)).astype(np.float32)


def by_monai(array, module, window, overlap, mode="gaussian", batch=1):
    pytest.importorskip("monai")
    from monai.inferers.utils import sliding_window_inference

    with torch.inference_mode():
        return sliding_window_inference(torch.from_numpy(array)[None], window, batch, module, overlap, mode)[0].numpy()


@pytest.mark.parametrize("shape", [(20, 17, 13), (8, 8, 8), (30, 9, 8), (5, 20, 6), (3, 4, 5), (1, 20, 20)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
def test_scores_are_monais(rng, run, engine_manifest, shape, overlap):
    array, module = image(rng, shape, 2), Mix(2, 3)
    for batch, mode in ((1, "gaussian"), (3, "constant")):
        manifest = engine_manifest((8, 8, 8), 3, overlap=overlap, blend=mode)
        ours, _, facts = run(array, module, manifest=manifest, batch=batch)
        assert np.abs(ours - by_monai(array, module, (8, 8, 8), overlap, mode)).max() < 1e-5
        assert facts["windows"] >= 1
        assert facts["passes"] == 1


class Each(torch.nn.Module):
    """Gives a network one window of a batch at a time: libraries add up in another order for other batches."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return torch.cat([self.module(part[None]) for part in x])


def test_results_do_not_depend_on_the_batch_and_repeat_exactly(rng, run, engine_manifest):
    array, module, manifest = image(rng, (20, 18, 14)), Each(Mix(1, 4)), engine_manifest((8, 10, 8), 4)
    one, _, _ = run(array, module, manifest=manifest, batch=1)
    for batch in (2, 5, 64):
        other, _, facts = run(array, module, manifest=manifest, batch=batch)
        assert np.array_equal(one, other)
    assert facts["batch"] == facts["windows"] / 4
    assert np.array_equal(one, run(array, module, manifest=manifest, batch=1)[0])


@pytest.mark.parametrize(("dims", "window", "shape"), [(3, (8, 12, 8), (21, 13, 19)), (3, (8, 8, 8), (5, 20, 9)),
                                               (2, (1, 8, 12), (6, 21, 10))])  # fmt: skip
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_scores_are_nnunets(rng, run, engine_manifest, monkeypatch, dims, window, shape, mirror, single):
    pytest.importorskip("nnunetv2")
    from types import SimpleNamespace

    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    module, array = Mix(1, 3, dims, seed=4), image(rng, shape)
    axes = tuple(range(dims))
    theirs = nnUNetPredictor(use_mirroring=mirror, perform_everything_on_device=False, device=torch.device("cpu"),
                             verbose=False, allow_tqdm=False)  # fmt: skip
    if single:  # nnU-Net's own code, with sums in float32
        monkeypatch.setattr(torch, "half", torch.float32)
    theirs.network, theirs.allowed_mirroring_axes = module, axes
    theirs.configuration_manager = SimpleNamespace(patch_size=window[3 - dims :])
    theirs.label_manager = SimpleNamespace(num_segmentation_heads=3)
    expected = theirs.predict_sliding_window_return_logits(torch.from_numpy(array)).float().numpy()
    monkeypatch.undo()
    manifest = engine_manifest(window, 3, dims=dims, placement="even", floor="nnunet", mirror=mirror,
                               mirror_axes=[a + 3 - dims for a in axes])  # fmt: skip
    ours, _, facts = run(array, module, manifest=manifest, batch=1)
    assert facts["passes"] == (2**dims if mirror else 1)
    # nnU-Net adds up in float16, which keeps nothing of scores that count 6e-8 in the image's corners.
    if single:
        assert np.abs(ours - expected).max() < 1e-5
    else:
        assert np.quantile(np.abs(ours - expected), 0.9) < 4e-3
        assert np.mean(ours.argmax(0) == expected.argmax(0)) > 0.98


def test_slices_come_in_order_and_before_the_last_window_ran(rng, engine_manifest, engine_networks):
    from medai.segment.inference.stream import WindowRun

    calls, module = [], Mix(1, 2)

    def counted(x):
        calls.append(x.shape)
        return module(x)

    source = torch.nn.Module()
    source.forward = counted
    sources, opener = engine_networks(source)
    array = image(rng, (40, 8, 8))
    stream = WindowRun(array, sources, engine_manifest((8, 8, 8), 2), InferenceOptions(batch=1),
                       progress=no_progress, cancel=CancelToken(), opener=opener)  # fmt: skip
    seen = [(len(calls), slab.start, slab.scores.shape[1]) for slab in stream]
    assert seen[0] == (1, 0, 4)
    assert sum(n for _, _, n in seen) == 40
    assert len(calls) == 9
    assert stream.facts["sums_bytes"] == 4 * 2 * 8 * 8 * 8


def test_members_and_mirrorings_are_averaged(rng, run, engine_manifest):
    array, modules = image(rng, (12, 9, 8)), [Mix(1, 3, seed=n) for n in range(3)]
    manifest = engine_manifest((12, 9, 8), 3, mirror=True, mirror_axes=[0, 2])
    ours, _, facts = run(array, *modules, manifest=manifest)
    x, found = torch.from_numpy(array)[None], []
    for module, axes in itertools.product(modules, ((), (2,), (4,), (2, 4))):
        with torch.inference_mode():
            found.append(torch.flip(module(torch.flip(x, axes)), axes)[0].numpy())
    np.testing.assert_allclose(ours, np.mean(found, axis=0), atol=1e-5)
    assert facts["passes"] == 12
    assert facts["members"] == 3
    plain, _, _ = run(array, *modules, manifest=manifest, mirror=False)
    np.testing.assert_allclose(plain, np.mean([f for n, f in enumerate(found) if n % 4 == 0], axis=0), atol=1e-5)


def test_mirroring_that_the_model_does_not_allow_is_refused(rng, run, engine_manifest):
    with pytest.raises(SettingsError, match="names no axis"):
        run(image(rng, (8, 8, 8)), Mix(1, 3), manifest=engine_manifest(), mirror=True)


def test_half_precision_outputs_are_summed_in_single(rng, run, engine_manifest):
    class Half(Mix):
        def forward(self, x):
            return super().forward(x).to(torch.bfloat16)

    array = image(rng, (20, 12, 9))
    ours, _, _ = run(array, Half(1, 3), manifest=engine_manifest())
    exact, _, _ = run(array, Mix(1, 3), manifest=engine_manifest())
    assert 0 < np.abs(ours - exact).max() < 0.01 * np.abs(exact).max()


@pytest.mark.parametrize("batch", [1, 4, 64])
@pytest.mark.parametrize("context", [0, 2])
def test_2d_networks_read_slices_with_their_neighbours(rng, run, engine_manifest, batch, context):
    array = image(rng, (7, 12, 10), 2)
    module = Each(Mix(2 * (2 * context + 1), 3, dims=2))
    manifest = engine_manifest((1, 12, 10), 3, dims=2, context=context)
    ours, _, facts = run(array, module, manifest=manifest, batch=batch)
    for k in range(7):
        near = [array[:, min(max(k + o, 0), 6)] for o in range(-context, context + 1)]
        with torch.inference_mode():
            expected = module(torch.from_numpy(np.concatenate(near))[None])[0].numpy()
        np.testing.assert_allclose(ours[:, k], expected, atol=1e-5)
    assert facts["windows"] == 7
    assert facts["batch"] == min(batch, 7)


@pytest.mark.parametrize("mirror", [False, True])
def test_windows_of_one_value_use_the_same_output_again(rng, engine_manifest, engine_networks, run, mirror):
    array = np.full((1, 24, 8, 24), -1.5, dtype=np.float32)
    array[:, :9, :, :9] = image(rng, (9, 8, 9))
    inside, calls = Mix(1, 3), []

    class Counted(Mix):
        def forward(self, x):
            calls.append(1)
            return inside(x)

    manifest = engine_manifest((8, 8, 8), 3, mirror=mirror, mirror_axes=[1])
    ours, _, facts = run(array, Counted(1, 3), manifest=manifest, batch=2)
    assert facts["windows"] == 25
    assert facts["skipped"] == 25 - 9 - 1
    expected = by_monai(array, inside, (8, 8, 8), 0.5)
    if mirror:
        turned = by_monai(array[:, :, ::-1].copy(), inside, (8, 8, 8), 0.5)[:, :, ::-1]
        expected = (expected + turned) / 2
    assert np.abs(ours - expected).max() < 1e-5
    # Rows of windows at 0, 4 and 8 see the block in three windows: a batch of two and one of one; one constant window.
    assert len(calls) == 3 * 2 * (1 + mirror) + 1


def test_padding_counts_as_a_value_of_its_own(rng, run, engine_manifest):
    array = np.full((1, 20, 8, 5), 2.0, dtype=np.float32)  # padded along I: no window is constant
    ours, _, facts = run(array, Mix(1, 3), manifest=engine_manifest())
    assert facts["skipped"] == 0
    assert np.abs(ours - by_monai(array, Mix(1, 3), (8, 8, 8), 0.5)).max() < 1e-5


def test_progress_rises_to_one_and_counts_windows(rng, run, engine_manifest):
    told = []
    run(image(rng, (20, 8, 8)), Mix(1, 3), manifest=engine_manifest(), progress=lambda f, m: told.append((f, m)))
    fractions = [f for f, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert told[1][1].startswith("window 1 of 4, about ")
    assert told[1][1].endswith(" left")


def test_cancel_does_not_wait_for_the_pass_and_the_next_run_works(rng, run, engine_manifest):
    entered, leave, cancel = threading.Event(), threading.Event(), CancelToken()

    class Slow(Mix):
        def forward(self, x):
            entered.set()
            assert leave.wait(30)
            return super().forward(x)

    array, manifest = image(rng, (8, 8, 8)), engine_manifest()
    threading.Thread(target=lambda: (entered.wait(30), cancel.cancel())).start()
    with pytest.raises(Cancelled):
        run(array, Slow(1, 3), manifest=manifest, cancel=cancel)  # the pass is still inside the network
    assert not leave.is_set()
    leave.set()
    again, _, _ = run(array, Mix(1, 3), manifest=manifest)
    assert np.abs(again - by_monai(array, Mix(1, 3), (8, 8, 8), 0.5)).max() < 1e-5


def test_cancel_between_windows(rng, run, engine_manifest, cancel_at_poll):
    for poll in (1, 3, 6):
        token = cancel_at_poll(poll)
        with pytest.raises(Cancelled):
            run(image(rng, (40, 8, 8)), Mix(1, 3), manifest=engine_manifest(), cancel=token)
        assert token.polls == poll


def test_wrong_outputs_are_refused(rng, run, engine_manifest):
    array = image(rng, (8, 8, 8))
    with pytest.raises(ModelError, match="gives 4 classes, the manifest names 3"):
        run(array, Mix(1, 4), manifest=engine_manifest(classes=3))

    class Broken(Mix):
        def forward(self, x):
            return super().forward(x) / 0

    with pytest.raises(ModelError, match="not finite"):
        run(array, Broken(1, 3), manifest=engine_manifest())
    with pytest.raises(InputError, match="expected"):
        run(array[0], Mix(1, 3), manifest=engine_manifest())


def test_sums_that_do_not_fit_are_refused_before_they_are_taken(rng, run, engine_manifest, monkeypatch):
    from medai.segment.inference import room

    monkeypatch.setattr(room, "free_bytes", lambda: 4 * 3 * 8 * 20 * 20 - 1)
    with pytest.raises(OutOfMemory, match="GiB are free"):
        run(image(rng, (20, 20, 20)), Mix(1, 3), manifest=engine_manifest())
    monkeypatch.setattr(room, "free_bytes", lambda: 4 * 3 * 8 * 20 * 20)
    run(image(rng, (20, 20, 20)), Mix(1, 3), manifest=engine_manifest())


def test_members_that_do_not_fit_together_take_turns(rng, engine_manifest, engine_networks, run):
    from medai.segment.inference.stream import WindowRun

    array, modules = image(rng, (20, 9, 8)), [Mix(1, 3, seed=n) for n in range(3)]
    manifest = engine_manifest()
    expected, _, facts = run(array, *modules, manifest=manifest)
    assert not facts["one_at_a_time"]
    sources, plain = engine_networks(*modules)
    alive = weakref.WeakSet()

    def opener(source, *args, **more):
        if len(alive) >= 2:
            raise OutOfMemory("full")
        session = plain(source, *args, **more)
        alive.add(session)
        return session

    stream = WindowRun(array, sources, manifest, InferenceOptions(), progress=no_progress, cancel=CancelToken(),
                       opener=opener)  # fmt: skip
    found = torch.cat([slab.scores.clone() for slab in stream], 1).numpy()
    assert stream.facts["one_at_a_time"]
    assert np.array_equal(found, expected)
