"""A data set in numbers: sizes, values inside labels as nnU-Net counts them, volumes and parts of labels."""

import numpy as np
import pytest

from medai.core.errors import GeometryError, InputError
from medai.segment.training.dataset import DataSet, open_dataset
from medai.segment.training.fingerprint import Fingerprint, fingerprint
from medai.segment.training.survey import survey


@pytest.fixture
def folder(tmp_path, write_case):
    for number in range(5):
        write_case(tmp_path, f"case{number}", number, spacing=(0.5, 1.0 + number / 10, 3.0))
    return tmp_path


def test_sizes_and_spacing(folder):
    found = fingerprint(open_dataset(folder))
    assert found.spacing.median == pytest.approx((0.5, 1.2, 3.0))
    assert found.spacing.p10 == pytest.approx((0.5, 1.04, 3.0))
    assert found.spacing.p90 == pytest.approx((0.5, 1.36, 3.0))
    assert found.voxels.median == (22, 20, 18)
    assert found.extent_mm.median == pytest.approx((11, 24, 54))
    assert found.anisotropy == pytest.approx(6)
    assert found.subjects == len(found.cases) == 5
    assert found.cases[0].shape == (18, 20, 22)
    assert found.kept == 1


def test_volumes_and_parts_of_labels(folder, write_case):
    labels = np.zeros((18, 20, 22), np.uint8)
    labels[2:4, 2:4, 2:4] = 1
    labels[4, 4, 4] = 1  # touches by a corner
    labels[10:12, 10:12, 10:14] = 1
    labels[15, 15, 15] = 2
    write_case(folder, "case1", 1, labels=labels, spacing=(0.5, 1.1, 3.0))
    found = fingerprint(open_dataset(folder))
    first, second = found.cases[1].labels
    assert (first.label, first.components) == (1, 2)
    assert first.volume_ml == pytest.approx((8 + 1 + 16) * 0.5 * 1.1 * 3 / 1000)
    assert (second.label, second.components) == (2, 1)
    summary = {label.label: label for label in found.labels}
    assert summary[1].volume_ml[0] == pytest.approx(first.volume_ml)
    assert summary[1].components == (1, 2)
    assert summary[2].cases == 5
    assert summary[2].name == "Label 2"


def test_values_over_the_image_are_exact(folder, write_case):
    values, labels = write_case(folder, "case0", 7, spacing=(0.5, 1, 3))
    found = fingerprint(open_dataset(folder)).cases[0]
    wide = values.astype(np.float64)
    image, inside = found.image[0], found.inside[0]
    assert (image.mean, image.sd) == pytest.approx((wide.mean(), wide.std()), rel=1e-9)
    low, middle, high = np.percentile(wide, (0.5, 50, 99.5))
    assert (image.percentile_00_5, image.median, image.percentile_99_5) == pytest.approx((low, middle, high), rel=1e-6)
    within = wide[labels > 0]
    assert (inside.mean, inside.sd) == pytest.approx((within.mean(), within.std()), rel=1e-9)
    assert (inside.low, inside.high) == (within.min(), within.max())


def test_each_case_counts_alike_inside_the_labels(tmp_path, write_case):
    small, large = np.zeros((18, 20, 22), np.uint8), np.ones((18, 20, 22), np.uint8)
    small[5:7, 5:7, 5:7] = 1
    ramp = np.arange(small.size, dtype=np.float32).reshape(small.shape) / small.size
    write_case(tmp_path, "large", values=ramp, labels=large)
    write_case(tmp_path, "small", values=ramp + 100, labels=small)
    found = fingerprint(open_dataset(tmp_path)).inside[0]
    assert found.mean == pytest.approx((ramp.mean() + 100 + ramp[small > 0].mean()) / 2, rel=1e-6)
    assert found.median > 0.99
    assert found.percentile_99_5 > 100


def test_the_values_are_those_of_nnunet(folder):
    extractor = pytest.importorskip("nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor")
    from medai.core.io import read_volume

    dataset = open_dataset(folder)
    drawn = []
    for files in dataset.cases:
        image, labels = read_volume(files.images[0]).array[None], read_volume(files.labels).array[None]
        drawn += extractor.DatasetFingerprintExtractor.collect_foreground_intensities(labels, image, num_samples=50000)[
            0
        ]
    pooled = np.concatenate(drawn)
    ours = fingerprint(dataset).inside[0]
    assert ours.mean == pytest.approx(pooled.mean(), abs=0.01)
    assert ours.sd == pytest.approx(pooled.std(), rel=0.005)
    for mine, percent in ((ours.percentile_00_5, 0.5), (ours.median, 50), (ours.percentile_99_5, 99.5)):
        assert mine == pytest.approx(np.percentile(pooled, percent), abs=0.03)


def test_nothing_depends_on_how_the_files_are_stored(tmp_path, write_case):
    found = []
    for orientation in ("RAS", "LSP", "AIR"):
        place = tmp_path / orientation
        for number in range(3):
            write_case(place, f"case{number}", number, spacing=(0.5, 1.0, 3.0), orientation=orientation)
        found.append(fingerprint(open_dataset(place)))
    plain = [item.model_copy(update={"cases": tuple(c.model_copy(update={"orientation": ""}) for c in item.cases)})
             for item in found]  # fmt: skip
    assert plain[0] == plain[1] == plain[2]
    assert found[2].cases[0].orientation == "AIR"


def test_modality_is_guessed_by_name_then_by_values(tmp_path, write_case):
    for number in range(3):
        values, _ = write_case(tmp_path / "mr", f"case{number}", number)
        write_case(tmp_path / "ct", f"case{number}", number, values=(values * 100 - 900).astype(np.int16))
        write_case(tmp_path / "two", f"case{number}", number, channels=2)
    assert fingerprint(open_dataset(tmp_path / "mr")).modalities == ("",)
    assert fingerprint(open_dataset(tmp_path / "ct")).modalities == ("CT",)
    two = open_dataset(tmp_path / "two")
    assert fingerprint(DataSet(two.cases, {}, ("T1", "PET"))).modalities == ("MR", "PT")


def test_the_share_in_the_box_around_what_is_not_zero(tmp_path, write_case):
    inside = np.zeros((18, 20, 22), np.float32)
    inside[:9, :10, :] = 1
    labels = inside.astype(np.uint8)
    for number in range(3):
        values = np.random.default_rng(number).uniform(1, 2, inside.shape).astype(np.float32)
        write_case(tmp_path, f"case{number}", number, values=values * inside, labels=labels)
    assert fingerprint(open_dataset(tmp_path)).kept == pytest.approx(0.25)


def test_a_case_without_labels_counts_where_it_can(folder, write_case):
    before = fingerprint(open_dataset(folder))
    write_case(folder, "healthy", 9, labels=np.zeros((18, 20, 22), np.uint8))
    with pytest.raises(InputError, match="nothing but background in 1 case: healthy"):
        fingerprint(open_dataset(folder))
    found = fingerprint(open_dataset(folder), allow_empty=True)
    assert found.inside == before.inside
    assert len(found.cases) == 6


def test_what_cannot_be_trained_on_has_no_fingerprint(folder, write_case):
    write_case(folder, "case1", 1, label_spacing=(1, 1, 2))
    with pytest.raises(GeometryError, match="case1"):
        fingerprint(open_dataset(folder))


def test_it_is_stored_and_read(folder, tmp_path):
    dataset = open_dataset(folder)
    found = fingerprint(dataset)
    found.write(tmp_path / "fingerprint.json")
    assert Fingerprint.read(tmp_path / "fingerprint.json") == found
    assert fingerprint(dataset, surveyed=survey(dataset, statistics=False)) == found
    (tmp_path / "fingerprint.json").write_text("{}", "utf-8")
    with pytest.raises(InputError, match="no fingerprint"):
        Fingerprint.read(tmp_path / "fingerprint.json")
    with pytest.raises(InputError, match="cannot be read"):
        Fingerprint.read(tmp_path / "nothing.json")


def test_the_real_hippocampus_pairs(data_dir):
    dataset = open_dataset(data_dir / "msd_hippocampus")
    found = fingerprint(dataset.only([files.case for files in dataset.cases[:30]]))
    assert found.spacing.median == pytest.approx((1, 1, 1))
    assert found.anisotropy == pytest.approx(1)
    assert [label.cases for label in found.labels] == [30, 30]
    for label in found.labels:
        assert 0.5 < label.volume_ml[0] <= label.volume_ml[1] <= label.volume_ml[2] < 4
