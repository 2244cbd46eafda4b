"""Cases in the model's grid: as inference prepares them, with one or several channels, kept on disk or not."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, GeometryError, InputError
from medai.core.io import read_labelmap, read_volume
from medai.core.progress import CancelToken
from medai.segment.channels import stacked
from medai.segment.inference.prepare import model_grid, normalise, on_grid
from medai.segment.inference.prepared import prepare
from medai.segment.training.cases import find_pairs, load_case, split
from medai.segment.training.dataset import open_dataset
from medai.segment.training.folds import split_subjects
from medai.segment.training.recipe import Recipe

ZSCORE = [{"method": "zscore"}]
CHANNELS = [{"name": "T1", "normalise": ZSCORE}, {"name": "T2", "normalise": ZSCORE}]


@pytest.fixture
def recipe(recipe_dict):
    def make(channels=(), **prepare):
        values = {**recipe_dict, "prepare": {"channels": list(channels), **prepare}}
        values["labels"] = [{"label": 2, "name": "Core"}, {"label": 1, "name": "Ball"}]
        values["region"] = None
        return Recipe.parse(values)

    return make


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.3, 0.9, 2.0)])
def test_plain_settings_give_what_a_model_of_a_region_reads_to_the_bit(tmp_path, write_case, recipe, spacing):
    write_case(tmp_path, "a", 3, spacing=spacing, orientation="PSL")
    case = load_case(open_dataset(tmp_path).cases[0], recipe())
    volume = read_volume(tmp_path / "images" / "a.nii.gz")
    settings = recipe().prepare
    expected = normalise(on_grid(volume, model_grid(volume.geometry, settings), settings), settings)
    assert case.image.dtype == np.float32
    assert case.image.shape == (1, *expected.shape)
    assert case.image.tobytes() == expected.tobytes()
    assert case.classes.shape == expected.shape
    assert case.classes.dtype == np.uint8
    assert set(np.unique(case.classes)) == {0, 1, 2}


def test_classes_follow_the_recipes_order_of_labels(tmp_path, write_case, recipe):
    _, labels = write_case(tmp_path, "a", 3)
    case = load_case(find_pairs(tmp_path)[0], recipe())
    np.testing.assert_array_equal(case.classes, np.choose(labels, (0, 2, 1)))


@pytest.mark.parametrize("spacing", [None, (1.5, 1.0, 1.0)])
def test_channels_are_prepared_as_inference_prepares_them(tmp_path, write_case, recipe, spacing):
    write_case(tmp_path, "a", 3, channels=2)
    files = open_dataset(tmp_path).cases[0]
    made = recipe(CHANNELS, spacing=spacing)
    case = load_case(files, made)
    expected = prepare(stacked([read_volume(path) for path in files.images]), made.prepare)
    np.testing.assert_array_equal(case.image, expected.array)
    assert case.classes.shape == expected.array.shape[1:]
    assert set(np.unique(case.classes)) == {0, 1, 2}


@pytest.mark.parametrize("channels", [(), CHANNELS])
def test_a_case_does_not_depend_on_how_it_is_stored(tmp_path, write_case, recipe, channels):
    made = recipe(channels, spacing=(1.5, 1.0, 0.8))
    loaded = []
    for orientation in ("RAS", "IPL", "SLA"):
        write_case(tmp_path / orientation, "a", 3, orientation=orientation, channels=len(channels))
        loaded.append(load_case(open_dataset(tmp_path / orientation).cases[0], made))
    for other in loaded[1:]:
        np.testing.assert_allclose(other.image, loaded[0].image, atol=2e-6)
        np.testing.assert_array_equal(other.classes, loaded[0].classes)


def test_labels_keep_their_volume_on_another_spacing(tmp_path, write_case, recipe):
    _, labels = write_case(tmp_path, "a", 3, spacing=(1.0, 1.0, 1.6), shape=(16, 24, 24))
    case = load_case(find_pairs(tmp_path)[0], recipe(CHANNELS[:1], spacing=(0.8, 0.8, 0.8)))
    before = np.count_nonzero(labels) * 1.6
    after = np.count_nonzero(case.classes) * 0.8**3
    assert after == pytest.approx(before, rel=0.04)


def test_labels_are_cropped_with_the_image(tmp_path, write_case, recipe):
    values, labels = write_case(tmp_path, "a", 3)
    inside = np.zeros_like(labels)
    inside[2:16, 3:18, 1:20] = 1
    write_case(tmp_path, "a", 3, values=(values + 9) * inside, labels=labels)
    case = load_case(find_pairs(tmp_path)[0], recipe(CHANNELS[:1], crop="nonzero", spacing=None))
    assert case.image.shape == (1, 14, 15, 19)
    np.testing.assert_array_equal(case.classes, np.choose(labels, (0, 2, 1))[2:16, 3:18, 1:20])


def test_what_does_not_fit_the_recipe(tmp_path, write_case, recipe):
    write_case(tmp_path, "a", 3, channels=2)
    files = open_dataset(tmp_path).cases[0]
    with pytest.raises(InputError, match="a has 2 images, the recipe names 1 channels"):
        load_case(files, recipe())
    with pytest.raises(InputError, match="2 channels, one was expected"):
        find_pairs(tmp_path)
    write_case(tmp_path / "b", "b", 3, label_spacing=(1, 1, 2))
    with pytest.raises(GeometryError, match="label map of case b"):
        load_case(open_dataset(tmp_path / "b").cases[0], recipe())
    write_case(tmp_path / "c", "c", 3, labels=np.full((18, 20, 22), 7, np.uint8))
    with pytest.raises(InputError, match=r"Case c: .*does not name: \[7\]"):
        load_case(open_dataset(tmp_path / "c").cases[0], recipe())
    (tmp_path / "c" / "labels" / "c.nii.gz").unlink()
    with pytest.raises(InputError, match="'c' has no label map"):
        load_case(open_dataset(tmp_path / "c").cases[0], recipe())


def test_a_cached_case_is_the_same_and_is_not_prepared_twice(tmp_path, write_case, recipe, monkeypatch):
    import medai.segment.training.cases as module

    write_case(tmp_path / "data", "a", 3)
    pair, store = find_pairs(tmp_path / "data")[0], tmp_path / "cache" / "deep"
    plain, first = load_case(pair, recipe()), load_case(pair, recipe(), cache=store)
    assert len(list(store.iterdir())) == 2
    monkeypatch.setattr(module, "read_volume", lambda path: pytest.fail("prepared again"))
    again = load_case(pair, recipe(), cache=store)
    for case in (first, again):
        assert isinstance(case.image, np.memmap)
        np.testing.assert_array_equal(case.image, plain.image)
        np.testing.assert_array_equal(case.classes, plain.classes)
    again.image[:] = 0
    np.testing.assert_array_equal(load_case(pair, recipe(), cache=store).image, plain.image)


def test_the_cache_notices_changes_and_damage(tmp_path, write_case, recipe):
    write_case(tmp_path / "data", "a", 3)
    pair, store = find_pairs(tmp_path / "data")[0], tmp_path / "cache"
    load_case(pair, recipe(), cache=store)
    load_case(pair, recipe(percentiles=(1, 99)), cache=store)
    assert len(list(store.iterdir())) == 4
    write_case(tmp_path / "data", "a", 4)
    # Copies: a file that is mapped must not be cut short.
    changed = np.array(load_case(pair, recipe(), cache=store).image)
    np.testing.assert_array_equal(changed, load_case(pair, recipe()).image)
    assert len(list(store.iterdir())) == 6
    for file in store.iterdir():
        file.write_bytes(file.read_bytes()[:-50])
    mended = np.array(load_case(pair, recipe(), cache=store).image)
    np.testing.assert_array_equal(mended, changed)
    for file in store.iterdir():
        file.write_bytes(b"")
    np.testing.assert_array_equal(load_case(pair, recipe(), cache=store).image, changed)


def test_voxels_beside_a_header_count_for_the_cache(tmp_path, recipe):
    import SimpleITK as sitk

    for part, seed in (("images", 1), ("labels", 2)):
        (tmp_path / part).mkdir()
        array = np.random.default_rng(seed).integers(0, 3, (18, 20, 22)).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / part / "a.mhd"))
    pair, store = find_pairs(tmp_path)[0], tmp_path / "cache"
    before = np.array(load_case(pair, recipe(), cache=store).image)
    raw = tmp_path / "images" / "a.raw"
    raw.write_bytes(raw.read_bytes()[::-1])
    after = load_case(pair, recipe(), cache=store).image
    np.testing.assert_array_equal(after, load_case(pair, recipe()).image)
    assert not np.array_equal(before, after)


def test_cancelling_leaves_nothing_in_the_cache(tmp_path, write_case, recipe, cancel_at_poll):
    write_case(tmp_path / "data", "a", 3)
    pair, store = find_pairs(tmp_path / "data")[0], tmp_path / "cache"
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        load_case(pair, recipe(), cancel=token)
    counter = cancel_at_poll(0)
    load_case(pair, recipe(), cache=tmp_path / "other", cancel=counter)
    with pytest.raises(Cancelled):
        load_case(pair, recipe(), cache=store, cancel=cancel_at_poll(counter.polls - 1))
    assert list(store.iterdir()) == []


def test_a_split_of_plain_names_is_that_of_cases(tmp_path, write_case):
    for number in range(5):
        write_case(tmp_path, f"c{number}", number)
    pairs = find_pairs(tmp_path)
    found = split_subjects(open_dataset(tmp_path).cases, 2, 11)
    assert split([pair.case for pair in pairs], 2, 11) == (list(found.training), list(found.held_back))


def test_every_incomplete_pair_is_named(tmp_path, write_case):
    for number in range(3):
        write_case(tmp_path, f"c{number}", number)
    (tmp_path / "labels" / "c0.nii.gz").unlink()
    (tmp_path / "images" / "c2.nii.gz").unlink()
    with pytest.raises(InputError, match="2 cases: c0, c2"):
        find_pairs(tmp_path)


def test_a_real_case(data_dir, repo):
    recipe = Recipe.parse(
        Recipe.from_json(
            (repo / "MedAISegment/Resources/MedAISegmentModels/hippocampus/recipe.json").read_text("utf-8")
        )
    )
    pair = find_pairs(data_dir / "msd_hippocampus")[0]
    case = load_case(pair, recipe)
    labels = read_labelmap(pair.labels)
    assert case.image.shape[1:] == case.classes.shape
    assert abs(float(case.image.mean(dtype=np.float64))) < 1e-6
    assert np.bincount(case.classes.ravel()).tolist() == np.bincount(labels.array.ravel()).tolist()
