"""Images from label maps: repeatable, of the right place and sides, with the scanner's effects; bad recipes refused."""

import numpy as np
import pytest

pytest.importorskip("torch")

from medai.core.errors import InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.io import write_labelmap
from medai.core.labelmap import LabelMap
from medai.segment.training.label_maps import load_tissues
from medai.segment.training.recipe import Recipe
from medai.segment.training.scanner import acquire_matrix, sample_matrix
from medai.segment.training.synthesis import SyntheticSamples

STILL = {"rotate_deg": 0, "scale": 0, "shear": 0, "shift_mm": 0, "bend_mm": [], "flip": False}
CLEAN = {"thick": 0, "voxel_mm": [1, 1], "bias": [0, 0], "noise": [0, 0], "gamma": 0, "gain": [1, 1]}


def recipe_of(recipe_dict, deform=None, acquire=None, **more):
    tissues = [
        {"name": "left part", "values": [10], "label": 1, "typical": {"T1": [0.4, 0.5]}},
        {"name": "right part", "values": [20], "label": 2, "typical": {"T1": [0.4, 0.5]}},
        {"name": "shell", "values": [30, 31], "label": 0, "typical": {"T1": [0.8, 0.9]}},
    ]
    synthesis = {"tissues": tissues, "pairs": [[1, 2]], "strip_to": [1, 2], "cut": 0, "stripped": 0,
                 "deform": STILL if deform is None else deform,
                 "acquire": CLEAN if acquire is None else acquire, **more}  # fmt: skip
    chain = {"method": "percentile_range", "low": 0, "high": 100}
    return Recipe.parse(
        {
            **recipe_dict,
            "region": None,
            "patch": [16, 16, 16],
            "synthesis": synthesis,
            "optimiser": {"samples_per_epoch": 6},
            "prepare": {"spacing": [2, 2, 2], "channels": [{"name": "MR", "normalise": [chain]}]},
        }
    )


def head(tmp_path, letters="RAS", spacing=1.0):
    """A box with a left half (10) and a right half (20) in a shell (30, on top 31), stored in an orientation."""
    array = np.zeros((40, 40, 40), dtype=np.uint16)
    array[6:34, 6:34, 6:34] = 30
    array[30:34, 6:34, 6:34] = 31
    array[10:30, 10:30, 10:20] = 10
    array[10:30, 10:30, 20:30] = 20
    from medai.core.resample import reorient_array

    turned, grid = reorient_array(array, Geometry.from_spacing(array.shape, (spacing,) * 3, (-3, 5, 7)), letters)
    path = tmp_path / f"head_{letters}.nii.gz"
    write_labelmap(LabelMap(np.ascontiguousarray(turned), grid), path)
    return path


def test_a_still_clean_sample_shows_each_tissue_with_its_class(recipe_dict, tmp_path):
    recipe = recipe_of(recipe_dict, sd=[0, 0], typical=0, empty_background=1)
    one = load_tissues(head(tmp_path), recipe)
    assert one.tissues.shape == (28, 28, 28)
    assert one.middle == (13.5, 13.5, 13.5)
    image, classes = SyntheticSamples([one], recipe).sample(0, 0)
    assert image.shape == (1, 16, 16, 16)
    assert classes[8, 8, 5] == 1  # I grows to R: the left part comes first
    assert classes[8, 8, 10] == 2
    assert classes[8, 8, 15] == classes[0, 0, 0] == 0
    assert np.ptp(image[0, 5:11, 5:11, 4:7]) < 1e-6
    assert image.min() == 0
    assert image.max() == 1
    assert (classes > 0).sum() == pytest.approx(20 * 20 * 20 / 8, rel=0.05)


@pytest.mark.parametrize("letters", ["LPS", "ASR", "PIL"])
def test_the_way_a_label_map_is_stored_does_not_matter(recipe_dict, tmp_path, letters):
    recipe = recipe_of(recipe_dict)
    expected = SyntheticSamples([load_tissues(head(tmp_path), recipe, "x")], recipe)
    found = SyntheticSamples([load_tissues(head(tmp_path, letters), recipe, "x")], recipe)
    assert found.digest == expected.digest
    assert np.array_equal(found.sample(0, 1)[0], expected.sample(0, 1)[0])


def test_mirrored_samples_keep_left_left(recipe_dict, tmp_path):
    recipe = recipe_of(recipe_dict, deform={**STILL, "flip": True}, typical=0, sd=[0, 0])
    samples = SyntheticSamples([load_tissues(head(tmp_path), recipe)], recipe)
    means = []
    for n in range(6):
        image, classes = samples.sample(0, n)
        assert (classes[8, 8, 5], classes[8, 8, 10]) == (1, 2)
        means.append(image[0][classes == 1].mean() - image[0][classes == 2].mean())
    assert len(set(np.round(means, 6))) == 6


def test_samples_repeat_and_differ(recipe_dict, tmp_path):
    recipe = recipe_of(recipe_dict, deform={}, acquire={}, cut=0.5, stripped=0.5)
    samples = SyntheticSamples([load_tissues(head(tmp_path), recipe)], recipe)
    made = [samples.sample(e, n) for e in range(2) for n in range(6)]
    again = SyntheticSamples([load_tissues(head(tmp_path), recipe)], recipe)
    for index in (7, 0, 11):
        for a, b in zip(again.sample(index // 6, index % 6), made[index], strict=True):
            assert np.array_equal(a, b)
    assert len({m[0].tobytes() for m in made}) == 12
    for image, classes in made:
        assert np.isfinite(image).all()
        assert set(np.unique(classes)) <= {0, 1, 2}


def test_a_stripped_sample_is_black_outside(recipe_dict, tmp_path):
    recipe = recipe_of(recipe_dict, stripped=1, empty_background=1, mean=[0.5, 0.9], typical=0)
    image, classes = SyntheticSamples([load_tissues(head(tmp_path), recipe)], recipe).sample(0, 0)
    assert image[0][classes > 0].min() > 0.1
    assert image[0, 0].max() < 1e-6


def test_a_cut_sample_has_no_class_where_it_has_no_image(recipe_dict, tmp_path):
    recipe = recipe_of(recipe_dict, cut=1, empty_background=0, cut_share=0.9)
    samples = SyntheticSamples([load_tissues(head(tmp_path), recipe)], recipe)
    cut = 0
    for n in range(6):
        image, classes = samples.sample(0, n)
        black = image[0] == 0
        for axis in range(3):
            whole = black.all(axis=tuple(a for a in range(3) if a != axis))
            if whole.any():
                cut += 1
                assert not np.moveaxis(classes, axis, 0)[whole].any()
    assert cut >= 3


def test_named_contrasts_stay_in_their_ranges(recipe_dict, tmp_path):
    recipe = recipe_of(recipe_dict, typical=1, typical_sd=0, empty_background=1)
    assert recipe.synthesis.contrasts == ("T1",)
    image, classes = SyntheticSamples([load_tissues(head(tmp_path), recipe)], recipe).sample(0, 0)
    # The shell (0.8 to 0.9) is the brightest, so that it becomes 1 and the parts lie at 0.4/0.9 to 0.5/0.8.
    for part in (1, 2):
        values = image[0][classes == part]
        assert 0.4 / 0.9 - 1e-3 <= np.median(values) <= 0.5 / 0.8 + 1e-3


def test_bad_recipes_and_maps_are_refused(recipe_dict, tmp_path):
    recipe = recipe_of(recipe_dict)
    one = load_tissues(head(tmp_path), recipe)
    values = recipe.to_dict()
    for change, words in (
        ({"prepare": {**values["prepare"], "spacing": [2, 2, 3]}}, "one voxel size"),
        ({"prepare": {**values["prepare"], "spacing": [1.5, 1.5, 1.5]}}, "multiple"),
        ({"labels": [{"label": 1, "name": "Front"}, {"label": 3, "name": "Back"}]}, r"\[2\]"),
        ({"synthesis": None}, "synthesis"),
    ):
        with pytest.raises(SettingsError, match=words):
            SyntheticSamples([one], Recipe.parse({**values, **change}))
    twice = {**values["synthesis"], "tissues": [*values["synthesis"]["tissues"], {"name": "more", "values": [10]}]}
    with pytest.raises(SettingsError, match="two tissues"):
        Recipe.parse({**values, "synthesis": twice})
    fewer = {**values["synthesis"], "tissues": values["synthesis"]["tissues"][:2]}
    with pytest.raises(InputError, match=r"no tissue names: \[30, 31\]"):
        load_tissues(head(tmp_path), Recipe.parse({**values, "synthesis": fewer}))
    empty = tmp_path / "empty.nii.gz"
    write_labelmap(
        LabelMap(np.full((8, 8, 8), 30, np.uint16), Geometry.from_spacing((8, 8, 8), (1, 1, 1), (0, 0, 0))), empty
    )
    around = Recipe.parse({**values, "synthesis": {**values["synthesis"], "centre_on": [1]}})
    with pytest.raises(InputError, match="none of the labels"):
        load_tissues(empty, around)


def test_label_maps_of_another_voxel_size_are_sampled_to_it(recipe_dict, tmp_path):
    recipe = recipe_of(recipe_dict)
    assert load_tissues(head(tmp_path, spacing=2.0), recipe).tissues.shape == (56, 56, 56)


@pytest.mark.parametrize(("step", "phase"), [(1.0, 0.3), (2.5, 0.0), (4.0, 0.9), (60.0, 0.0)])
def test_slices_keep_a_constant_and_a_ramp(step, phase):
    matrix, places = acquire_matrix(40, step, phase)
    assert matrix.shape == (len(places), 40)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
    back = sample_matrix(places, np.arange(40, dtype=np.float64))
    np.testing.assert_allclose(back.sum(axis=1), 1, rtol=1e-6)
    inner = slice(int(2 * step), 40 - int(2 * step))
    ramp = (back @ (matrix @ np.arange(40, dtype=np.float32)))[inner]
    np.testing.assert_allclose(ramp, np.arange(40)[inner], atol=0.12 * step if step > 1 else 1e-5)


def test_thick_slices_blur():
    matrix, _ = acquire_matrix(41, 5.0, 0.0)
    edge = (np.arange(41) >= 20).astype(np.float32)
    seen = matrix @ edge
    assert ((seen > 0.02) & (seen < 0.98)).any()
