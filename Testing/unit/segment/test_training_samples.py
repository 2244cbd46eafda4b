"""Numbered samples: the same whatever was asked before and however many threads prepare them."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

import torch

from medai.segment.training.cases import Case
from medai.segment.training.patches import PatchSamples
from medai.segment.training.recipe import Recipe
from medai.segment.training.samples import batches, digest_of, order_of, seed_of


@pytest.fixture(scope="module")
def patches(recipe_dict):
    random = np.random.default_rng(4)
    cases = [
        Case(
            f"c{n}",
            random.normal(size=(20, 18, 22)).astype(np.float32),
            (random.random((20, 18, 22)) > 0.7).astype("u1"),
        )
        for n in range(3)
    ]
    return PatchSamples(cases, Recipe.parse(recipe_dict))


def test_a_sample_depends_on_its_numbers_only(patches):
    first = [patches.sample(1, n) for n in range(3)]
    again = [patches.sample(1, n) for n in (2, 0, 1)]
    for n, k in enumerate((1, 2, 0)):
        assert np.array_equal(first[n][0], again[k][0])
        assert np.array_equal(first[n][1], again[k][1])
    assert not np.array_equal(patches.sample(2, 0)[0], first[0][0])
    image, classes = first[0]
    assert (image.shape, image.dtype, classes.shape, classes.dtype) == ((1, 16, 16, 16), np.float32, (16, 16, 16), "u1")


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_threads_change_nothing(patches, batch):
    plain = list(batches(patches, 0, batch, 0))
    threaded = list(batches(patches, 0, batch, 3))
    assert len(plain) == len(threaded) == -(-3 // batch)
    for a, b in zip(plain, threaded, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    assert plain[0][1].dtype == torch.int64


def test_leaving_an_epoch_early_leaves_no_thread_behind(patches):
    import threading

    before = threading.active_count()
    for _ in batches(patches, 0, 1, 2):
        break
    assert threading.active_count() == before


def test_an_epoch_visits_every_case_before_any_twice():
    order = order_of(7, 3, cases=5, samples=12)
    assert sorted(order[:5]) == sorted(order[5:10]) == list(range(5))
    assert len(order) == 12
    assert order == order_of(7, 3, 5, 12)
    assert order != order_of(7, 4, 5, 12)
    assert len(order_of(7, 0, cases=5, samples=3)) == 3


def test_seeds_differ():
    seeds = {seed_of(s, e, p) for s in range(3) for e in range(10) for p in range(10)}
    assert len(seeds) == 300


def test_the_digest_knows_names_shapes_and_values():
    a = np.arange(6, dtype=np.float32)
    digests = {
        digest_of([("x", (a,))]), digest_of([("y", (a,))]), digest_of([("x", (a + 1,))]),
        digest_of([("x", (a.reshape(2, 3),))]), digest_of([("x", (a.astype("f8"),))]), digest_of([("x", (a, a))]),
    }  # fmt: skip
    assert len(digests) == 6
    assert digest_of([("x", (a,))]) in digests
