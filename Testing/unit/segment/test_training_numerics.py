"""What a training computes, pinned: a faster loop must give the same losses, or checkpoints lose their meaning."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

from medai.core.progress import CancelToken
from medai.segment.training.cases import Case
from medai.segment.training.label_maps import TissueMap
from medai.segment.training.loop import train
from medai.segment.training.patches import PatchSamples
from medai.segment.training.recipe import Recipe
from medai.segment.training.synthesis import SyntheticSamples

# Made by these tests on 2026-11-22 (torch 2.13, MONAI 1.6.1, one thread), before anything was made faster.
PATCH_LOSSES = (2.1352068185806274, 1.8285739421844482, 1.751442551612854)
SYNTHETIC_LOSSES = (2.318478584289551, 2.2768874168395996)
MADE_WITH = ("2.13", "AVX512")


@pytest.fixture
def tolerance():
    """On the machine and the version of the numbers above 1e-6; sums in another order are amplified by each step."""
    import torch

    same = (".".join(torch.__version__.split(".")[:2]), torch.backends.cpu.get_cpu_capability()) == MADE_WITH
    return 1e-6 if same else 2e-2


def ball(shape, centre, radius):
    return np.linalg.norm(np.indices(shape).transpose(1, 2, 3, 0) - np.array(centre), axis=-1) < radius


def drawn(number):
    """A ball (1) with a core (2), by arithmetic alone: random generators' streams may change between versions."""
    shape = (18, 20, 22)
    centre = (9 + number % 2, 10 - number % 3, 11)
    return np.where(ball(shape, centre, 3), 2, np.where(ball(shape, centre, 6), 1, 0)).astype(np.uint8)


@pytest.fixture
def patch_samples(recipe_dict):
    recipe = Recipe.parse({
        **recipe_dict,
        "optimiser": {"epochs": 3, "batch": 2, "threads": 1, "warmup_steps": 2, "learning_rate": 0.01, "ema": 0.9},
    })  # fmt: skip
    cases = []
    for number in range(4):
        classes = drawn(number)
        wave = np.sin(np.arange(classes.size, dtype=np.float32) * (0.37 + 0.01 * number)).reshape(classes.shape)
        cases.append(Case(f"case{number}", (wave + np.choose(classes, (0, 2, -2))).astype(np.float32), classes))
    return PatchSamples(cases, recipe), recipe


@pytest.fixture
def synthetic_samples(recipe_dict):
    plain = {key: value for key, value in recipe_dict.items() if key != "region"}
    recipe = Recipe.parse({
        **plain,
        "prepare": {
            "spacing": [2, 2, 2],
            "channels": [{"name": "MR", "normalise": [
                {"method": "percentile_range", "low": 0.5, "high": 99.5, "clip": True}
            ]}],
        },
        "synthesis": {
            "tissues": [
                {"name": "shell", "values": [1], "label": 1, "typical": {"T1": [0.5, 0.7]}},
                {"name": "core", "values": [2], "label": 2, "typical": {"T1": [0.1, 0.3]}},
            ],
            "pairs": [[1, 2]], "strip_to": [2], "deform": {"shift_mm": 4},
        },
        "optimiser": {"epochs": 2, "samples_per_epoch": 4, "batch": 2, "threads": 1, "warmup_steps": 2},
    })  # fmt: skip
    maps = []
    for number in range(2):
        tissues = np.repeat(np.repeat(np.repeat(drawn(number), 2, 0), 2, 1), 2, 2)
        maps.append(TissueMap(f"map{number}", tissues, (18.0, 20.0, 22.0)))
    return SyntheticSamples(maps, recipe), recipe


def run(samples, recipe):
    return train(samples, recipe, progress=lambda fraction, message="": None, cancel=CancelToken())


def test_the_losses_of_patches_are_as_they_were(patch_samples, tolerance):
    samples, recipe = patch_samples
    assert run(samples, recipe).losses == pytest.approx(PATCH_LOSSES, abs=tolerance)


def test_the_losses_of_made_images_are_as_they_were(synthetic_samples, tolerance):
    samples, recipe = synthetic_samples
    assert run(samples, recipe).losses == pytest.approx(SYNTHETIC_LOSSES, abs=tolerance)


@pytest.mark.parametrize("kind", ["patch_samples", "synthetic_samples"])
def test_a_sample_depends_on_its_numbers_alone(kind, request):
    samples, _ = request.getfixturevalue(kind)
    first = samples.sample(1, 1)
    samples.sample(0, 0)
    samples.sample(1, 0)
    again = samples.sample(1, 1)
    for a, b in zip(first, again, strict=True):
        assert hashlib.sha256(a.tobytes()).digest() == hashlib.sha256(b.tobytes()).digest()
    assert first[0].dtype == np.float32
    assert first[1].dtype == np.uint8
