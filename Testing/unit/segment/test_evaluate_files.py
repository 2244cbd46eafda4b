"""Files and folders: matching by case name, refusals, tables, CSV and JSON."""

import csv
import json
import math
import unicodedata

import numpy as np
import pytest

from medai.core.errors import GeometryError, InputError, OutputError
from medai.core.geometry import Geometry
from medai.core.io import write_labelmap
from medai.core.labelmap import LabelMap, Segment
from medai.segment.evaluate import Evaluation, compare, evaluate_files, find_cases


def labels(start=4, spacing=(1.0, 1.0, 1.0), names=("Liver",)):
    array = np.zeros((12, 12, 12), dtype=np.uint8)
    array[start : start + 4, 4:8, 4:8] = 1
    segments = tuple(Segment(n, name) for n, name in enumerate(names, start=1))
    return LabelMap(array, Geometry.from_spacing(array.shape, spacing), segments)


@pytest.fixture
def folders(tmp_path):
    for name in ("pred", "ref"):
        (tmp_path / name).mkdir()
    return tmp_path / "pred", tmp_path / "ref"


def test_two_files_of_different_formats(tmp_path):
    write_labelmap(labels(), tmp_path / "p.nii.gz")
    write_labelmap(labels(5), tmp_path / "r.nrrd")
    result = evaluate_files(tmp_path / "p.nii.gz", str(tmp_path / "r.nrrd"))
    assert [(s.case, s.dice) for s in result.scores] == [("r", 0.75)]
    assert result.cases == ("r",)


def test_folders_are_matched_by_name_and_a_bad_case_does_not_stop_the_others(folders):
    pred, ref = folders
    write_labelmap(labels(), pred / "a.nii.gz")
    write_labelmap(labels(5), ref / "a.seg.nrrd")
    write_labelmap(labels(), pred / "b.nii.gz")
    write_labelmap(labels(4, (2, 2, 2)), ref / "b.nii.gz")
    (ref / "c.nii.gz").write_bytes(b"no image")
    write_labelmap(labels(), pred / "c.nii.gz")
    (ref / ".hidden.nii.gz").write_bytes(b"")
    (ref / "notes.txt").write_text("x")
    seen = []
    result = evaluate_files(pred, ref, progress=lambda fraction, message: seen.append(fraction))
    assert [s.case for s in result.scores] == ["a"]
    assert list(result.failures) == ["b", "c"]
    assert "grid" in result.failures["b"]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_names_in_seg_nrrd_files_are_used(folders):
    pred, ref = folders
    array = labels().array
    names = ("Liver", "Spleen")
    write_labelmap(labels(names=names), pred / "a.seg.nrrd")
    swapped = tuple(Segment(3 - n, name) for n, name in enumerate(names, start=1))
    write_labelmap(LabelMap(array * 2, labels().geometry, swapped), ref / "a.seg.nrrd")
    scores = evaluate_files(pred, ref).scores
    assert {s.matched_by for s in scores} == {"names"}
    assert {s.name: (s.label, s.dice) for s in scores} == {"Liver": (2, 1.0), "Spleen": (1, None)}


def test_unmatched_names_are_all_listed(folders):
    pred, ref = folders
    write_labelmap(labels(), pred / "a.nii.gz")
    write_labelmap(labels(), ref / "b.nii.gz")
    with pytest.raises(InputError, match="a only in 'pred'; b only in 'ref'"):
        evaluate_files(pred, ref)
    with pytest.raises(InputError, match="not one of each"):
        evaluate_files(pred, ref / "b.nii.gz")


def test_two_files_for_one_case_are_refused_and_named(folders):
    pred, ref = folders
    write_labelmap(labels(), pred / "a.nii.gz")
    write_labelmap(labels(), ref / "a.nii.gz")
    write_labelmap(labels(), ref / "a.nrrd")
    with pytest.raises(InputError, match=r"'ref' holds two files for the case 'a': 'a\.nii\.gz' and 'a\.nrrd'"):
        evaluate_files(pred, ref)


def test_missing_and_empty_folders(folders):
    pred, ref = folders
    with pytest.raises(InputError, match="hold no label maps"):
        evaluate_files(pred, ref)
    with pytest.raises(InputError, match="no file or folder 'nowhere'"):
        evaluate_files(pred, ref.parent / "nowhere")


def test_spaces_and_letters_of_any_unicode_form(folders):
    pred, ref = folders
    name = "Fall Nr 1 é 脑"
    write_labelmap(labels(), pred / f"{unicodedata.normalize('NFD', name)}.nii.gz")
    write_labelmap(labels(), ref / f"{unicodedata.normalize('NFC', name)}.nii.gz")
    result = evaluate_files(pred, ref)
    assert result.cases == (unicodedata.normalize("NFC", name),)


def test_pictures_count_only_where_there_are_no_volumes(folders):
    image = pytest.importorskip("PIL.Image")
    pred, ref = folders
    plane = labels().array[5]
    for place, shift in ((pred, 0), (ref, 1)):
        image.fromarray(np.roll(plane, shift, 0)).save(place / "x.png")
        (place / "x.jpg").write_bytes(b"")
    (score,) = evaluate_files(pred, ref).scores
    assert (score.dice, score.hd_mm) == (0.75, 1.0)
    write_labelmap(labels(), ref / "y.nii.gz")
    assert list(find_cases(ref)) == ["y"]


@pytest.mark.parametrize("bad", [0.5, math.nan, -1.0, 70000.0])
def test_bad_masks_are_refused(tmp_path, bad):
    nibabel = pytest.importorskip("nibabel")
    array = labels().array.astype(np.float32)
    array[0, 0, 0] = bad
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "p.nii.gz")
    write_labelmap(labels(), tmp_path / "r.nii.gz")
    with pytest.raises(InputError):
        evaluate_files(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz")


def test_grids_differ_or_are_resampled(tmp_path):
    write_labelmap(labels(), tmp_path / "p.nii.gz")
    moved = LabelMap(labels().array, Geometry.from_spacing((12, 12, 12), origin=(0.0, 0.0, 1.0)))
    write_labelmap(moved, tmp_path / "r.nii.gz")
    with pytest.raises(GeometryError, match=r"origin \(0, 0, 0\).*origin \(0, 0, 1\)"):
        evaluate_files(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz")
    result = evaluate_files(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz", {"resample": True})
    assert [s.dice for s in result.scores] == [0.75]


def an_evaluation():
    scores = compare(labels(), labels(5), case="=1+1")
    scores += compare(labels(names=("<b>Liver", "Cyst")), labels(names=("<b>Liver", "Cyst")), case="b, c")
    return Evaluation(tuple(scores), {"d": "damaged"})


def test_the_table_has_a_row_a_case_and_segment():
    table = an_evaluation().to_table()
    assert table.rows == 3
    assert table.column("dice").values[:2] == (0.75, 1.0)
    assert math.isnan(table.column("hd95_mm").values[2])
    assert table.column("reason").values == ("", "", "both are empty")
    assert table.column("assd_mm").unit == "mm"
    assert table.column("volume_error_percent").unit == "%"
    assert all(column.description for column in table.columns)


def test_csv_is_exact_and_cannot_be_run_as_a_formula(tmp_path):
    result = an_evaluation()
    result.to_csv(tmp_path / "täble 1.csv")
    rows = list(csv.DictReader((tmp_path / "täble 1.csv").open(encoding="utf-8", newline="")))
    assert [r["case"] for r in rows] == ["'=1+1", "b, c", "b, c"]
    assert [float(r["assd_mm"]) for r in rows[:2]] == [s.assd_mm for s in result.scores[:2]]
    assert rows[2]["dice"] == ""
    assert rows[0]["volume_error_percent"] == "0.0"
    result.summary_to_csv(tmp_path / "s.csv")
    rows = list(csv.DictReader((tmp_path / "s.csv").open(encoding="utf-8", newline="")))
    assert {r["segment"] for r in rows} == {"Liver", "<b>Liver", "Cyst", "(mean of segments)"}
    assert rows[0]["reason"] == "1 case; an interval needs 5"
    with pytest.raises(OutputError):
        result.to_csv(tmp_path / "no" / "t.csv")


def test_json_is_strict_and_complete():
    text = json.dumps(an_evaluation().to_dict(), allow_nan=False)
    data = json.loads(text)
    assert data["schema"] == "medai.evaluation/1"
    assert data["failed"] == {"d": "damaged"}
    assert data["scores"][2]["dice"] is None
    assert data["settings"]["tolerance_mm"] == 1.0
    assert {row["metric"] for row in data["summary"]} >= {"dice", "hd95_mm", "surface_dice"}


def test_the_table_of_one_measure_leaves_segments_without_a_number_out():
    table = an_evaluation().metric_table("hd95_mm")
    assert table.column("segment").values == ("Liver", "<b>Liver", "(mean of segments)")
    assert table.column("mean").unit == "mm"
    with pytest.raises(InputError, match="no measure 'dices'"):
        an_evaluation().metric_table("dices")
