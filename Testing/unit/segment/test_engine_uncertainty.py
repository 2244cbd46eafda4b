"""Agreement and mutual information over mirrorings, members and dropout."""

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken, no_progress
from medai.segment.inference.options import InferenceOptions

torch = pytest.importorskip("torch")


class Fixed(torch.nn.Module):
    """A network whose scores at each voxel are those given, wherever the window lies: the image holds its index."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.as_tensor(scores, dtype=torch.float32)

    def forward(self, x):
        index = x[:, 0].round().long()
        return self.scores[:, index].movedim(0, 1)


class Dropping(torch.nn.Module):
    """A network with dropout that is on."""

    def forward(self, x):
        dropped = torch.nn.functional.dropout(torch.ones_like(x), 0.5, training=True)
        return torch.cat([torch.zeros_like(x), dropped * x + 0.1], 1)


@pytest.fixture
def run(engine_manifest, engine_networks):
    from medai.segment.inference.stream import WindowRun

    def call(array, *modules, manifest, **options):
        sources, opener = engine_networks(*modules)
        stream = WindowRun(array, sources, manifest, InferenceOptions(**options), progress=no_progress,
                           cancel=CancelToken(), opener=opener)  # fmt: skip
        parts = [(s.scores.clone(), {n: m.clone() for n, m in s.maps.items()}) for s in stream]
        maps = {name: torch.cat([p[1][name] for p in parts]).numpy() for name in parts[0][1]}
        return torch.cat([p[0] for p in parts], 1).numpy(), maps, stream.facts

    return call


def entropy(p, axis=0):
    return -(p * np.log(np.maximum(p, 1e-30))).sum(axis)


def softmax(x):
    e = np.exp(x - x.max(0))
    return e / e.sum(0)


def test_members_are_compared_voxel_by_voxel(rng, run, engine_manifest):
    voxels = 14 * 9 * 10
    array = np.arange(voxels, dtype=np.float32).reshape(1, 14, 9, 10)
    scores = rng.normal(size=(4, 3, voxels)) * 2
    members = [Fixed(s) for s in scores]
    manifest = engine_manifest((8, 8, 8), 3)
    mean, maps, facts = run(array, *members, manifest=manifest, uncertainty="ensemble", batch=3)
    expected = scores.mean(0)
    np.testing.assert_allclose(mean.reshape(3, -1), expected, atol=1e-5)
    chances = np.stack([softmax(s) for s in scores])
    information = entropy(chances.mean(0)) - entropy(chances, axis=1).mean(0)
    np.testing.assert_allclose(maps["mutual_information"].ravel(), information, atol=1e-5)
    agreement = (scores.argmax(1) == expected.argmax(0)).mean(0)
    np.testing.assert_allclose(maps["agreement"].ravel(), agreement, atol=1e-6)
    assert facts["passes"] == 4
    plain, none, _ = run(array, *members, manifest=manifest)
    assert none == {}
    np.testing.assert_allclose(plain, mean, atol=1e-5)


def test_regions_are_compared_as_labels_and_two_class_entropies(rng, run, engine_manifest):
    array = np.arange(8**3, dtype=np.float32).reshape(1, 8, 8, 8)
    scores = rng.normal(size=(3, 2, 8**3)) * 2
    manifest = engine_manifest((8, 8, 8), 2, activation="sigmoid", regions=[1, 2])
    _, maps, _ = run(array, *(Fixed(s) for s in scores), manifest=manifest, uncertainty="ensemble")

    def painted(x):
        return np.where(x[1] > 0, 2, np.where(x[0] > 0, 1, 0))

    p = 1 / (1 + np.exp(-scores))
    both = entropy(np.stack([p.mean(0), 1 - p.mean(0)])) - entropy(np.stack([p, 1 - p])).mean(0)
    np.testing.assert_allclose(maps["mutual_information"].ravel(), both.max(0), atol=1e-5)
    agreement = np.mean([painted(s) == painted(scores.mean(0)) for s in scores], axis=0)
    np.testing.assert_allclose(maps["agreement"].ravel(), agreement, atol=1e-6)


def test_passes_that_agree_have_no_information(rng, run, engine_manifest):
    array = np.arange(8 * 8 * 12, dtype=np.float32).reshape(1, 8, 8, 12)
    member = Fixed(rng.normal(size=(3, array.size)))
    _, maps, _ = run(array, member, member, manifest=engine_manifest(), uncertainty="ensemble")
    assert (maps["agreement"] == 1).all() or np.abs(maps["agreement"] - 1).max() < 1e-6
    assert np.abs(maps["mutual_information"]).max() < 1e-6


def test_mirrorings_are_compared_where_the_model_allows_them(rng, run, engine_manifest):
    array = rng.normal(size=(1, 10, 8, 8)).astype(np.float32)
    torch.manual_seed(0)
    module = torch.nn.Conv3d(1, 3, 3, padding=1).eval()
    manifest = engine_manifest(mirror_axes=[0, 1])
    mean, maps, facts = run(array, module, manifest=manifest, uncertainty="ensemble")
    assert facts["passes"] == 4
    assert maps["agreement"].min() < 1
    assert maps["mutual_information"].max() > 0
    averaged, _, _ = run(array, module, manifest=manifest, mirror=True)
    np.testing.assert_allclose(mean, averaged, atol=1e-5)
    with pytest.raises(SettingsError, match="nothing to compare"):
        run(array, module, manifest=engine_manifest(), uncertainty="ensemble")
    with pytest.raises(SettingsError, match="nothing to compare"):
        run(array, module, manifest=manifest, uncertainty="ensemble", mirror=False)


def test_dropout_repeats_with_its_seed_and_changes_with_another(rng, run, engine_manifest):
    array, manifest = rng.normal(size=(1, 12, 8, 8)).astype(np.float32), engine_manifest(classes=2)
    first = run(array, Dropping(), manifest=manifest, uncertainty="dropout", samples=6, seed=3)
    again = run(array, Dropping(), manifest=manifest, uncertainty="dropout", samples=6, seed=3)
    other = run(array, Dropping(), manifest=manifest, uncertainty="dropout", samples=6, seed=4)
    assert first[2]["passes"] == 6
    assert np.array_equal(first[0], again[0])
    assert all(np.array_equal(first[1][name], again[1][name]) for name in first[1])
    assert not np.array_equal(first[0], other[0])
    assert set(first[1]) == {"agreement", "mutual_information"}
    assert first[1]["mutual_information"].max() > 0
    assert 0 < first[1]["agreement"].min() < 1


def test_dropout_is_asked_of_the_backend(rng, engine_manifest, engine_networks):
    from medai.segment.inference.stream import WindowRun

    sources, plain = engine_networks(Dropping())
    asked = []

    def opener(source, shape, options, **more):
        asked.append((shape, more["dropout"], more["reduced"]))
        return plain(source, shape, options, **more)

    for uncertainty in ("dropout", "none"):
        run = WindowRun(np.ones((1, 8, 8, 8), dtype=np.float32), sources, engine_manifest(classes=2),
                        InferenceOptions(uncertainty=uncertainty), progress=no_progress, cancel=CancelToken(),
                        opener=opener)  # fmt: skip
        assert sum(slab.scores.shape[1] for slab in run) == 8
    assert asked == [((1, 1, 8, 8, 8), True, True), ((1, 1, 8, 8, 8), False, True)]


def test_2d_networks_are_compared_too(rng, run, engine_manifest):
    array = np.arange(5 * 8 * 8, dtype=np.float32).reshape(1, 5, 8, 8)
    members = [Fixed(rng.normal(size=(3, array.size))) for _ in range(2)]
    _, maps, facts = run(array, *members, manifest=engine_manifest((1, 8, 8), 3, dims=2), uncertainty="ensemble",
                         batch=2)  # fmt: skip
    assert maps["agreement"].shape == (5, 8, 8)
    assert set(np.unique(maps["agreement"])) <= {0.0, 0.5, 1.0}
    assert facts["batch"] == 2
