"""Patches around labelled voxels: inside the case, every class as likely, and none where nothing is labelled."""

import numpy as np
import pytest

from medai.segment.training.foreground import MOST, Places


def test_rare_classes_are_as_likely_as_others():
    classes = np.zeros((40, 50, 60), dtype=np.uint8)
    classes[5:35, 5:45, 5:40] = 1
    classes[20, 30, 57] = 2
    places, random = Places(classes, 1), np.random.default_rng(2)
    boxes = [places.patch((16, 16, 16), random) for _ in range(200)]
    for box in boxes:
        assert all(
            b.stop - b.start == 16 and b.start >= 0 and b.stop <= n for b, n in zip(box, classes.shape, strict=True)
        )
        assert classes[box].any()
    rare = sum(bool((classes[box] == 2).any()) for box in boxes)
    assert 70 < rare < 140


def test_a_case_smaller_than_the_patch_is_taken_whole_along_that_axis():
    classes = np.zeros((8, 40, 40), dtype=np.uint8)
    classes[4, 39, 0] = 3
    box = Places(classes, 1).patch((16, 16, 16), np.random.default_rng(0))
    assert box == (slice(0, 8), slice(24, 40), slice(0, 16))


def test_without_foreground_there_is_no_box_and_few_voxels_are_remembered():
    assert Places(np.zeros((4, 4, 4), dtype=np.uint8), 1).patch((2, 2, 2), np.random.default_rng(0)) is None
    assert len(Places(np.ones((30, 30, 30), dtype=np.uint8), 1)._found[0]) == MOST


def test_samples_show_foreground_more_often(recipe_dict):
    pytest.importorskip("torch")
    pytest.importorskip("monai")
    from medai.segment.training.cases import Case
    from medai.segment.training.patches import PatchSamples
    from medai.segment.training.recipe import Recipe

    classes = np.zeros((80, 80, 80), dtype=np.uint8)
    classes[70:73, 70:73, 70:73] = 1
    case = Case("one", np.random.default_rng(1).normal(size=(1, 80, 80, 80)).astype(np.float32), classes)
    seen = {}
    for share in (0.0, 1.0):
        values = {**recipe_dict, "augment": {"foreground": share, "affine": 0}, "optimiser": {"samples_per_epoch": 12}}
        samples = PatchSamples([case], Recipe.parse(values))
        seen[share] = [bool(samples.sample(0, n)[1].any()) for n in range(12)]
        assert samples.sample(0, 3)[0].shape == (1, 16, 16, 16)
    assert all(seen[1.0])
    assert sum(seen[0.0]) < 6
