"""Where the cases of a training set are: folders, tables, nnU-Net's layout; and what each refuses."""

import json

import pytest

from medai.core.errors import InputError, UnsupportedInput
from medai.segment.training.dataset import CaseFiles, DataSet, named, open_dataset


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")


def test_two_folders_are_matched_by_name_whatever_the_suffix(tmp_path):
    touch(tmp_path / "images", "b.nii.gz", "a.nrrd", "._a.nrrd", "notes.txt")
    touch(tmp_path / "labels", "a.seg.nrrd", "b.nii")
    found = open_dataset(tmp_path)
    assert [files.case for files in found.cases] == ["a", "b"]
    assert [files.labels.name for files in found.cases] == ["a.seg.nrrd", "b.nii"]
    assert found.kind == "folder"
    assert found.channels == ("image",)
    assert found.subjects == {"a": "a", "b": "b"}
    assert not found.unmatched


def test_sessions_of_a_bids_subject_belong_together(tmp_path):
    names = ["sub-01_ses-1_T1w.nii.gz", "sub-01_ses-2_T1w.nii.gz", "sub-02_T1w.nii.gz", "subject_3.nii.gz"]
    touch(tmp_path / "imagesTr", *names)
    touch(tmp_path / "labelsTr", *names)
    assert list(open_dataset(tmp_path).subjects.values()) == ["sub-01", "sub-01", "sub-02", "subject_3"]


def test_numbered_files_beside_one_label_map_are_channels(tmp_path):
    touch(tmp_path / "images", "a_0001.nii.gz", "a_0000.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz")
    touch(tmp_path / "labels", "a.nii.gz", "b.nii.gz")
    found = open_dataset(tmp_path)
    assert [path.name for path in found.cases[0].images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert found.channels == ("channel 1", "channel 2")
    (tmp_path / "images" / "b_0001.nii.gz").unlink()
    with pytest.raises(InputError, match=r"needs 2 images.* 1 case: b"):
        open_dataset(tmp_path)


def test_numbers_in_names_of_pairs_are_no_channels(tmp_path):
    for part in ("images", "labels"):
        touch(tmp_path / part, "scan_0001.nii.gz", "scan_0002.nii.gz")
    assert [files.case for files in open_dataset(tmp_path).cases] == ["scan_0001", "scan_0002"]


def test_what_has_no_partner_is_kept_for_the_checks(tmp_path):
    touch(tmp_path / "images", "a.nii.gz", "b.nii.gz")
    touch(tmp_path / "labels", "b.nii.gz", "c.nii.gz")
    found = open_dataset(tmp_path)
    assert [files.labels is None for files in found.cases] == [True, False]
    assert found.unmatched == ("c",)
    with pytest.raises(InputError, match="'a' has no label map"):
        _ = found.cases[0].label_file
    assert found.cases[1].label_file.name == "b.nii.gz"


def test_folders_that_hold_no_data_set_are_refused(tmp_path):
    with pytest.raises(InputError, match="no file or folder 'nowhere'"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no folders 'images' and 'labels'"):
        open_dataset(tmp_path)
    touch(tmp_path / "images")
    touch(tmp_path / "labels")
    with pytest.raises(InputError, match="holds no images"):
        open_dataset(tmp_path)
    touch(tmp_path / "images", "a.png")
    with pytest.raises(UnsupportedInput, match="pictures"):
        open_dataset(tmp_path)
    touch(tmp_path / "images", "a.nii", "a.nii.gz")
    with pytest.raises(InputError, match=r"two files for 'a': 'a\.nii' and 'a\.nii\.gz'"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_names_cases_subjects_and_files(tmp_path, delimiter):
    rows = [("Case", "Subject", "image_2", "image_1", "labels", "age"), ("y", "P1", "y2.nii", "y1.nii", "y.nii", "7"),
            ("x", "P1", "x2.nii", str(tmp_path / "far" / "x1.nii"), "", ""), ("", "", "", "", "", "")]  # fmt: skip
    file = tmp_path / "set.csv"
    file.write_text("\ufeff" + "\n".join(delimiter.join(row) for row in rows), "utf-8")
    found = open_dataset(file)
    assert found.kind == "csv"
    assert found.cases[0] == CaseFiles("x", "P1", (tmp_path / "far" / "x1.nii", tmp_path / "x2.nii"), None)
    assert found.cases[1] == CaseFiles("y", "P1", (tmp_path / "y1.nii", tmp_path / "y2.nii"), tmp_path / "y.nii")
    assert found.channels == ("channel 1", "channel 2")


def test_a_table_without_names_takes_those_of_the_files(tmp_path):
    file = tmp_path / "set.csv"
    file.write_text("image,labels\nin/a.nii.gz,out/a-mask.nii.gz\n", "utf-8")
    assert open_dataset(file).cases == (
        CaseFiles("a", "a", (tmp_path / "in" / "a.nii.gz",), tmp_path / "out" / "a-mask.nii.gz"),
    )
    file.write_text("image_T2,image_T1,labels\na.nii,b.nii,c.nii\n", "utf-8")
    found = open_dataset(file)
    assert found.channels == ("T2", "T1")
    assert [path.name for path in found.cases[0].images] == ["a.nii", "b.nii"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty"),
        ("case,mask\na,b\n", "needs the columns 'image'"),
        ("image,labels,labels\na,b,c\n", "two columns called 'labels'"),
        ("image,labels\na.nii,m.nii\n,m.nii\n,n.nii\n", "no image in 2 rows: 3, 4"),
        ("image,labels\na.nii,m.nii\nb/a.nii,n.nii\n", "more than one row for 1 case: a"),
        ("image,labels\n", "holds no cases"),
        ('image,labels\n"a.nii,m.nii\n', "no CSV table"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path, text, match):
    file = tmp_path / "set.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(InputError, match=match):
        open_dataset(file)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    file = tmp_path / "image.nii.gz"
    file.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not UTF-8"):
        open_dataset(file)


@pytest.fixture
def nnunet(tmp_path):
    def write(files=("a_0000.nii.gz", "a_0001.nii.gz"), **changes):
        about = {
            "channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "WMH": 1}, "numTraining": 1,
            "file_ending": ".nii.gz", **changes,
        }  # fmt: skip
        touch(tmp_path / "imagesTr", *files)
        touch(tmp_path / "labelsTr", "a.nii.gz")
        (tmp_path / "dataset.json").write_text(json.dumps(about), "utf-8")
        return tmp_path

    return write


def test_an_nnunet_data_set_brings_names_of_labels_and_channels(nnunet):
    found = open_dataset(nnunet())
    assert found.kind == "nnunet"
    assert found.labels == {1: "WMH"}
    assert found.channels == ("T1", "FLAIR")
    assert [path.name for path in found.cases[0].images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert found.cases[0].labels.name == "a.nii.gz"


def test_its_splits_are_not_used(nnunet):
    folder = nnunet()
    before = open_dataset(folder)
    (folder / "splits_final.json").write_text("nonsense", "utf-8")
    assert open_dataset(folder) == before


def test_version_1_and_the_decathlon_number_the_other_way_round(nnunet):
    folder = nnunet(
        ("a.nii.gz",), channel_names={"0": "MRI"}, labels={"0": "background", "1": "Anterior", "2": "Posterior"}
    )
    found = open_dataset(folder)
    assert found.labels == {1: "Anterior", 2: "Posterior"}
    assert found.cases[0].images == (folder / "imagesTr" / "a.nii.gz",)


def test_cases_listed_in_the_description_are_taken_from_there(nnunet):
    listed = {"p": {"images": ["imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz"], "label": "labelsTr/a.nii.gz"}}
    folder = nnunet(dataset=listed)
    assert open_dataset(folder).cases == (
        CaseFiles(
            "p", "p", (folder / "imagesTr/a_0000.nii.gz", folder / "imagesTr/a_0001.nii.gz"),
            folder / "labelsTr/a.nii.gz",
        ),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"dataset\.p must name its 'images'"):
        open_dataset(nnunet(dataset={"p": {"images": []}}))


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, UnsupportedInput, "regions.*1 region: whole"),
        ({"labels": {"background": 0, "x": 1, "ignore": 2}}, UnsupportedInput, "'ignore'"),
        ({"labels": {"background": 0}}, InputError, "nothing but the background"),
        ({"labels": {"background": 0, "x": 1, "y": 1}}, InputError, "number of its own"),
        ({"labels": {"background": 0, "x": 1.5}}, InputError, r"labels\.x must be a whole number"),
        ({"labels": None}, InputError, "labels is missing"),
        ({"channel_names": {"1": "T1"}}, InputError, "must number its channels"),
        ({"channel_names": []}, InputError, "must name 1 to 64 channels"),
        ({"channel_names": {"0": "T1", "1": "T2", "2": "PD"}}, InputError, "names 3 channels.*1 case: a"),
        ({"file_ending": ".png"}, UnsupportedInput, "file_ending"),
    ],
)
def test_descriptions_that_cannot_be_used_are_refused(nnunet, changes, error, match):
    folder = nnunet(**changes)
    with pytest.raises(error, match=match):
        open_dataset(folder)


def test_a_description_that_is_no_json_is_refused(nnunet):
    folder = nnunet()
    (folder / "dataset.json").write_text('{"labels": NaN}', "utf-8")
    with pytest.raises(InputError, match="NaN is not allowed"):
        open_dataset(folder)
    (folder / "dataset.json").write_text("[]", "utf-8")
    with pytest.raises(InputError, match="holds a list"):
        open_dataset(folder)


def test_some_of_the_cases(tmp_path):
    cases = tuple(CaseFiles(name, name, (tmp_path / name,)) for name in "abc")
    found = DataSet(cases, {1: "x"})
    assert [files.case for files in found.only(["c", "a"]).cases] == ["a", "c"]
    assert found.only(["a"]).labels == {1: "x"}
    with pytest.raises(InputError, match="no 1 case: z"):
        found.only(["z"])


def test_many_names_are_counted():
    assert named(list("abcdefg"), "case") == "7 cases: a, b, c, d, e and 2 more"


def test_the_real_hippocampus_pairs(data_dir):
    found = open_dataset(data_dir / "msd_hippocampus")
    assert len(found.cases) == 200
    assert all(files.labels is not None and len(files.images) == 1 for files in found.cases)
