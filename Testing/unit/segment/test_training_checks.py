"""What forbids a training: each kind of damage is found before it starts, and every affected case is named."""

import numpy as np
import pytest

from medai.core.errors import Cancelled, GeometryError, InputError
from medai.core.geometry import Geometry
from medai.core.io import write_volume
from medai.core.progress import CancelToken
from medai.core.qc import Severity
from medai.core.volume import Volume
from medai.segment.training.checks import check_dataset, require_trainable
from medai.segment.training.dataset import CaseFiles, DataSet, open_dataset
from medai.segment.training.folds import Split, split_subjects
from medai.segment.training.survey import survey


@pytest.fixture
def good(tmp_path, write_case):
    for number in range(4):
        write_case(tmp_path, f"case{number}", number)
    return tmp_path


def problems(folder, labels=(1, 2), **more):
    found = check_dataset(open_dataset(folder), labels, **more)
    return {problem.code: problem for problem in found}


def test_a_good_data_set_has_no_problems(good):
    told = []
    found = check_dataset(
        open_dataset(good), [1, 2], progress=lambda fraction, message="": told.append((fraction, message))
    )
    assert found == []
    require_trainable(found)
    assert [fraction for fraction, _ in told] == [0, 0.25, 0.5, 0.75, 1]


def test_missing_label_maps_and_images_are_all_named(good):
    for number in (1, 3):
        (good / "labels" / f"case{number}.nii.gz").unlink()
    (good / "images" / "case0.nii.gz").unlink()
    found = problems(good)
    assert found["labels_missing"].cases == ("case1", "case3")
    assert "2 cases: case1, case3" in found["labels_missing"].message
    assert found["image_missing"].cases == ("case0",)
    with pytest.raises(InputError, match=r"no label map in 2 cases: case1, case3\. Give one"):
        require_trainable([found["labels_missing"]])


def test_files_that_a_table_names_but_nobody_wrote(good):
    rows = [f"images/case{n}.nii.gz,labels/case{n}.nii.gz" for n in range(3)]
    (good / "set.csv").write_text("\n".join(["image,labels", *rows, "no.nii,neither.nii"]), "utf-8")
    found = problems(good / "set.csv")
    assert "'no.nii'" in found["image_missing"].message
    assert "'neither.nii'" in found["labels_missing"].message


def test_another_grid_of_the_label_map_is_a_geometry_error(good, write_case):
    write_case(good, "case1", 1, label_spacing=(1.5, 1, 1))
    write_case(good, "case2", 2, label_spacing=(1, 1, 1.25))
    found = problems(good)
    assert found["labels_apart"].cases == ("case1", "case2")
    with pytest.raises(GeometryError, match=r"case1 \(voxels of 1\.5 x 1 x 1 mm, the image's 1 x 1 x 1 mm\), case2"):
        require_trainable(found.values())


@pytest.mark.parametrize(
    ("shape", "origin", "match"),
    [
        ((18, 20, 23), (5, -3, 2), "23 x 20 x 18 voxels, the image 22 x 20 x 18"),
        ((18, 20, 22), (6, -3, 2), "1 mm away"),
    ],
)
def test_what_is_told_about_a_label_maps_grid(good, shape, origin, match):
    labels = np.ones(shape, np.uint8)
    grid = Geometry.from_spacing(shape, (1, 1, 1), origin)
    write_volume(Volume(labels, grid), good / "labels" / "case1.nii.gz")
    assert match in problems(good)["labels_apart"].message


def test_channels_of_a_case_on_different_grids(tmp_path, write_case):
    for number in range(3):
        write_case(tmp_path, f"case{number}", number, channels=2)
    values = np.random.default_rng(0).normal(size=(18, 20, 20)).astype(np.float32)
    grid = Geometry.from_spacing(values.shape, (1, 1, 1), (5, -3, 2))
    write_volume(Volume(values, grid), tmp_path / "images" / "case1_0001.nii.gz")
    found = problems(tmp_path)
    assert found["images_apart"].cases == ("case1",)
    with pytest.raises(GeometryError, match="20 x 20 x 18 voxels"):
        require_trainable(found.values())


def test_labels_outside_the_list(good):
    found = problems(good, [1])
    assert found["labels_outside"].cases == ("case0", "case1", "case2", "case3")
    assert "outside the list 1 in 4 cases: case0 (2)" in found["labels_outside"].message


def test_any_label_may_occur_if_nobody_listed_them(good):
    assert check_dataset(open_dataset(good)) == []


def test_label_maps_that_are_no_label_maps(good, write_case):
    write_case(good, "case0", 0, labels=np.full((18, 20, 22), 0.5, np.float32))
    write_case(good, "case1", 1, labels=np.full((18, 20, 22), -1, np.int16))
    (good / "labels" / "case2.nii.gz").write_bytes(b"no image")
    write_case(good, "case3", 3, labels=np.zeros((18, 20, 22), np.uint8))
    found = problems(good)
    assert found["labels_not_whole"].cases == ("case0", "case1")
    assert found["labels_unreadable"].cases == ("case2",)
    assert found["labels_empty"].cases == ("case3",)
    assert "label_absent" not in found  # nobody can tell
    with pytest.raises(InputError) as caught:
        require_trainable(found.values())
    assert all(f"case{number}" in str(caught.value) for number in range(4))


def test_an_empty_label_map_can_be_allowed(good, write_case):
    write_case(good, "case0", 0, labels=np.zeros((18, 20, 22), np.uint8))
    assert problems(good)["labels_empty"].severity is Severity.ERROR
    assert problems(good, allow_empty=True)["labels_empty"].severity is Severity.WARNING


@pytest.mark.parametrize(
    ("value", "code"), [(np.nan, "values_not_finite"), (np.inf, "values_not_finite"), (3e15, "values_too_large")]
)
def test_voxels_that_no_network_can_read(good, write_case, value, code):
    values = np.random.default_rng(1).normal(size=(18, 20, 22)).astype(np.float32)
    values[3, 4, 5] = value
    write_case(good, "case2", 2, values=values)
    found = problems(good)
    assert list(found) == [code]
    assert found[code].cases == ("case2",)
    assert "'case2.nii.gz'" in found[code].message


def test_a_constant_image(good, write_case):
    for number in (0, 1):
        write_case(good, f"case{number}", number, values=np.full((18, 20, 22), 7, np.int16))
    found = problems(good)
    assert list(found) == ["image_constant"]
    assert found["image_constant"].cases == ("case0", "case1")
    assert "7 everywhere" in found["image_constant"].message


def test_the_same_image_twice_is_found_however_it_is_stored(good, write_case):
    values, labels = write_case(good, "case0", 0)
    write_case(good, "copy", 9, values=values, labels=labels, orientation="PIL", suffix=".nrrd")
    found = problems(good)
    assert list(found) == ["same_image"]
    assert found["same_image"].cases == ("case0", "copy")
    with pytest.raises(InputError, match=r"1 group: case0 = copy"):
        require_trainable(found.values())


def test_the_same_image_of_the_same_subject_is_a_warning(good, write_case):
    values, labels = write_case(good, "case0", 0)
    write_case(good, "copy", 9, values=values, labels=labels)
    found = open_dataset(good)
    cases = tuple(CaseFiles(c.case, "one" if c.case in ("case0", "copy") else c.case, c.images, c.labels)
                  for c in found.cases)  # fmt: skip
    (problem,) = check_dataset(DataSet(cases), [1, 2])
    assert problem.code == "same_image"
    assert problem.severity is Severity.WARNING
    require_trainable([problem])


def test_a_subject_on_both_sides_of_a_split(good):
    found = open_dataset(good)
    cases = tuple(CaseFiles(c.case, "one" if c.case in ("case0", "case3") else c.case, c.images, c.labels)
                  for c in found.cases)  # fmt: skip
    by_case = Split(training=("case0", "case1", "case2"), held_back=("case3",))
    (problem,) = check_dataset(DataSet(cases), [1, 2], split=by_case)
    assert problem.code == "subject_on_both_sides"
    assert problem.cases == ("one",)
    assert check_dataset(DataSet(cases), [1, 2], split=split_subjects(cases, 1, 3)) == []


def test_a_split_of_another_data_set(good):
    codes = problems(good, split=Split(held_back=("case3", "stranger")))
    assert codes["split_unknown"].cases == ("stranger",)
    assert "split_empty" in codes


def test_a_single_case_and_a_single_subject(tmp_path, write_case):
    write_case(tmp_path, "only", 1)
    assert "single case, 'only'" in problems(tmp_path)["single_case"].message
    for session in (1, 2):
        write_case(tmp_path / "two", f"sub-01_ses-{session}", session)
    assert problems(tmp_path / "two")["single_subject"].severity is Severity.ERROR


def test_labels_that_nobody_or_hardly_anybody_has(good, write_case):
    rare = np.zeros((18, 20, 22), np.uint8)
    rare[4:9, 4:9, 4:9] = 1
    rare[6, 6, 6] = 3
    write_case(good, "case3", 3, labels=rare)
    found = problems(good, [1, 2, 3, 9])
    assert found["label_absent"].cases == ("9",)
    assert found["label_absent"].severity is Severity.ERROR
    assert found["label_rare"].cases == ("3",)
    assert found["label_rare"].severity is Severity.WARNING
    split = Split(training=("case0", "case1", "case2"), held_back=("case3",))
    assert problems(good, [1, 2, 3], split=split)["label_unseen"].cases == ("3",)


def test_damaged_images_are_told_with_the_readers_reason(good):
    file = good / "images" / "case1.nii.gz"
    file.write_bytes(file.read_bytes()[:-200])
    found = problems(good)
    assert list(found) == ["image_unreadable"]
    assert "case1" in found["image_unreadable"].message
    colour = np.zeros((18, 20, 22, 3), np.uint8)
    write_volume(Volume(colour, Geometry.from_spacing((18, 20, 22))), good / "images" / "case2.nrrd")
    (good / "images" / "case2.nii.gz").unlink()
    assert "3 components" in problems(good)["image_unreadable"].message


def test_all_affected_cases_are_counted_and_five_shown(tmp_path, write_case):
    for number in range(7):
        write_case(tmp_path, f"case{number}", number, labels=np.zeros((18, 20, 22), np.uint8))
    problem = problems(tmp_path, ())["labels_empty"]
    assert len(problem.cases) == 7
    assert "7 cases: case0, case1, case2, case3, case4 and 2 more." in problem.message


def test_errors_come_first_and_no_path_is_told(good, write_case):
    write_case(good, "case0", 0, labels=np.full((18, 20, 22), 3, np.uint8))
    (good / "images" / "case1.nii.gz").write_bytes(b"")
    (good / "labels" / "case2.nii.gz").unlink()
    found = check_dataset(open_dataset(good), [1, 2, 3])
    severities = [problem.severity for problem in found]
    assert severities == sorted(severities, key=lambda s: s is Severity.WARNING)
    assert all(str(good) not in problem.message for problem in found)
    assert all(problem.message.endswith(".") for problem in found)


def test_cancelling(good, cancel_at_poll):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        check_dataset(open_dataset(good), cancel=token)
    counter = cancel_at_poll(0)
    check_dataset(open_dataset(good), cancel=counter)
    late = cancel_at_poll(counter.polls - 1)
    with pytest.raises(Cancelled):
        check_dataset(open_dataset(good), cancel=late)


def test_a_survey_that_was_made_already_is_used(good):
    dataset = open_dataset(good)
    seen = survey(dataset)
    for file in (good / "images").iterdir():
        file.unlink()
    assert check_dataset(dataset, [1, 2], surveyed=seen) == []


def test_the_real_hippocampus_pairs_are_trainable(data_dir):
    dataset = open_dataset(data_dir / "msd_hippocampus")
    some = dataset.only([files.case for files in dataset.cases[:40]])
    require_trainable(check_dataset(some, [1, 2]))
