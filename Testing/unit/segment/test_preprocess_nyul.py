"""Nyul's standardisation: fit, file, apply."""

import numpy as np
import pytest

from medai.core.errors import InputError, OutputError, SettingsError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.preprocess.nyul import PERCENTS, Nyul, NyulStandard, fit_nyul


def volume(array, **more):
    return Volume(array, Geometry.from_spacing(array.shape[:3]), **more)


def brains(rng, count=4):
    """The same kind of image with other gains and gammas, as scanners give them."""
    for n in range(count):
        tissue = np.concatenate([rng.normal(m, 4, 1500) for m in (0, 40, 80, 110)]).clip(0).reshape(5, 30, 40)
        yield volume(((tissue / 120) ** (0.8 + 0.15 * n) * (200 + 300 * n)).astype(np.float32))


def test_the_standard_is_the_mean_of_the_landmarks_of_the_images(rng):
    images = list(brains(rng))
    standard = fit_nyul(images, region="image")
    expected = []
    for image in images:
        marks = np.percentile(image.array, PERCENTS, method="inverted_cdf").astype(float)
        expected.append(100 * (marks - marks[0]) / (marks[-1] - marks[0]))
    assert standard.percents == PERCENTS
    np.testing.assert_allclose(standard.values, np.mean(expected, axis=0), rtol=1e-6, atol=1e-6)
    assert standard.values[0] == 0
    assert standard.values[-1] == pytest.approx(100)


def test_images_of_other_scales_become_alike(rng):
    images = list(brains(rng))
    standard = fit_nyul(images)
    medians = [np.median(image.array[image.array > image.array.mean()]) for image in images]
    # Fit and filter look at the same voxels without being told to.
    found = [Nyul().run(image, {"standard": standard.values}).array for image in images]
    told = Nyul().run(images[0], {"standard": standard.values, "region": "above_mean"})
    np.testing.assert_array_equal(found[0], told.array)
    after = [np.median(f[i.array > i.array.mean()]) for f, i in zip(found, images, strict=True)]
    assert np.std(after) / np.mean(after) < 0.05
    assert np.std(medians) / np.mean(medians) > 0.3


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_landmarks_are_moved_and_lines_drawn_between_and_beyond(rng, dtype):
    array = rng.integers(10, 210, size=(5, 20, 20)).astype(dtype)
    settings = {"percents": [5, 50, 95], "standard": [0, 30, 100], "region": "image"}
    found = Nyul().run(volume(array), settings).array
    a, b, c = np.percentile(array, (5, 50, 95), method="inverted_cdf").astype(float)
    values = array.astype(float)
    expected = np.where(values <= b, 30 * (values - a) / (b - a), 30 + 70 * (values - b) / (c - b))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    assert found.min() < 0
    assert found.max() > 100
    assert found.dtype == (np.float64 if dtype == "f8" else np.float32)


def test_landmarks_on_one_value_count_once():
    array = np.array([[[0, 0, 0, 0, 0, 0, 0, 5, 8, 10]]], dtype=np.int16)
    settings = {"percents": [10, 50, 80, 100], "standard": [0, 20, 40, 100], "region": "image"}
    found = Nyul().run(volume(array), settings).array[0, 0]
    np.testing.assert_allclose(found[[0, 7, 8, 9]], [10, 40, 76, 100], rtol=1e-6)


def test_a_standard_is_saved_and_used_from_its_file(rng, tmp_path):
    images = list(brains(rng))
    standard = fit_nyul(images, percents=(2, 50, 98), low=-1, high=1)
    path = tmp_path / "стандарт T1.json"
    standard.save(path)
    assert NyulStandard.load(path) == standard
    inline = Nyul().run(images[0], {"percents": standard.percents, "standard": standard.values})
    np.testing.assert_array_equal(Nyul().run(images[0], {"standard_file": str(path)}).array, inline.array)


def test_only_the_segment_counts(rng):
    images = list(brains(rng, 2))
    labels = [LabelMap((i.array > 50).astype(np.uint8), i.geometry, (Segment(1, "Brain"),)) for i in images]
    standard = fit_nyul(images, labels, region="image", inside="Brain")
    marks = [np.percentile(i.array[i.array > 50], PERCENTS, method="inverted_cdf").astype(float) for i in images]
    expected = np.mean([100 * (m - m[0]) / (m[-1] - m[0]) for m in marks], axis=0)
    np.testing.assert_allclose(standard.values, expected, rtol=1e-6, atol=1e-6)


def test_nan_stays(rng):
    array = rng.normal(100, 10, size=(3, 9, 9)).astype(np.float32)
    array[1, 1, 1] = np.nan
    found = Nyul().run(volume(array), {"percents": [1, 99], "standard": [0, 1]}).array
    assert np.isnan(found).sum() == 1


def test_without_a_standard_it_says_where_to_get_one():
    with pytest.raises(SettingsError, match=r"nyul\.standard") as caught:
        Nyul().run(volume(np.zeros((1, 2, 2))))
    assert "fit_nyul" in caught.value.hint


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"standard": [1, 2, 3]}, "11 percents and 3 values"),
        ({"percents": [1, 50], "standard": [2, 1]}, "must ascend"),
        ({"percents": [1, 50], "standard": [2, 2]}, "must ascend"),
        ({"percents": [50, 1], "standard": [1, 2]}, "ascend"),
        ({"percents": [1, 50], "standard": [0, 1e300]}, "within"),
        ({"percents": [1], "standard": [1]}, "at least two"),
        ({"percents": [1, 101], "standard": [1, 2]}, "0 to 100"),
        ({"percents": [1, 50], "standard": [1, 2], "standard_file": "x.json"}, "either"),
        ({"standard_file": "no_such_file.json"}, "cannot be read"),
    ],
)
def test_bad_standards_are_refused(bad, text):
    with pytest.raises(SettingsError, match=text):
        Nyul().run(volume(np.arange(8.0).reshape(2, 2, 2)), bad)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"percents": [1, 2], "values": [1, NaN]}', '{"values": [3, 1]}'])
def test_a_file_that_holds_no_standard_is_refused(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"bad\.json"):
        Nyul().run(volume(np.arange(8.0).reshape(2, 2, 2)), {"standard_file": str(path)})


def test_a_fit_needs_images_with_different_values(rng):
    with pytest.raises(InputError, match="at least one"):
        fit_nyul([])
    with pytest.raises(InputError, match="Image 1"):
        fit_nyul([volume(np.full((2, 3, 4), 5.0))], region="image")
    with pytest.raises(SettingsError, match="low 1 must be smaller"):
        fit_nyul(brains(rng, 1), low=1, high=1)
    with pytest.raises(SettingsError, match="ascend"):
        fit_nyul(brains(rng, 1), percents=(5, 5))
    with pytest.raises(UnsupportedInput, match="scalar"):
        fit_nyul([volume(rng.random((1, 4, 4, 3)))])


def test_a_standard_is_not_saved_into_a_missing_folder(tmp_path):
    with pytest.raises(OutputError):
        NyulStandard(percents=(1, 99), values=(0, 1)).save(tmp_path / "missing" / "s.json")


def test_a_constant_image_is_refused():
    with pytest.raises(InputError, match="nothing to standardise"):
        Nyul().run(volume(np.full((2, 3, 4), 5.0)), {"percents": [1, 99], "standard": [0, 1], "region": "image"})
