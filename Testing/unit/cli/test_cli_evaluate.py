"""``medai evaluate``: options, whole lines in a pipe, tables, exit codes."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from medai.cli.app import app
from medai.core.geometry import Geometry
from medai.core.io import write_labelmap
from medai.core.labelmap import LabelMap, Segment


def medai(*words):
    return CliRunner().invoke(app, ["evaluate", *[str(w) for w in words]])


def labels(start=3, spacing=(1.0, 1.0, 1.0), name="Left upper lobe of the lung"):
    array = np.zeros((12, 12, 12), dtype=np.uint8)
    array[start : start + 4, 4:8, 4:8] = 1
    return LabelMap(array, Geometry.from_spacing(array.shape, spacing), (Segment(1, name),))


@pytest.fixture
def folders(tmp_path):
    """Six cases; in each the prediction is one slice off or equal."""
    for name in ("pred maps", "ref maps"):
        (tmp_path / name).mkdir()
    for number in range(6):
        case = f"a case with quite a long name, number {number}.seg.nrrd"
        write_labelmap(labels(3 + number % 2), tmp_path / "pred maps" / case)
        write_labelmap(labels(), tmp_path / "ref maps" / case)
    return tmp_path / "pred maps", tmp_path / "ref maps"


def test_a_pipe_gets_whole_lines(folders):
    result = medai(*folders)
    assert result.exit_code == 0, result.stdout
    lines = result.stdout.splitlines()
    assert len(lines) == 1 + 6 + 1
    assert lines[0].split()[:3] == ["case", "segment", "Dice"]
    assert all("Left upper lobe of the lung" in line for line in lines[1:])
    assert "a case with quite a long name, number 5" in lines[6]
    assert "0.750" in lines[6]
    assert "mean of 6" in lines[7]
    assert "Dice 95 % interval" in lines[7]
    assert min(map(len, lines[1:7])) > 120


def test_tables_are_written_and_named(folders, tmp_path):
    result = medai(*folders, "--csv", tmp_path / "ä scores.csv", "--summary-csv", tmp_path / "s.csv")
    assert result.exit_code == 0
    assert "s.csv" in result.stdout
    rows = list(csv.DictReader((tmp_path / "ä scores.csv").open(encoding="utf-8", newline="")))
    assert [row["dice"] for row in rows] == ["1.0", "0.75"] * 3
    summary = list(csv.DictReader((tmp_path / "s.csv").open(encoding="utf-8", newline="")))
    dice = next(row for row in summary if row["metric"] == "dice")
    assert float(dice["ci_low"]) < float(dice["mean"]) == 0.875 < float(dice["ci_high"])


def test_json_says_everything(folders):
    data = json.loads(medai(*folders, "--tolerance-mm", "0", "--surface", "surfels", "--json").stdout)
    assert data["settings"]["tolerance_mm"] == 0.0
    assert data["settings"]["surface"] == "surfels"
    assert len(data["scores"]) == 6
    assert data["scores"][1]["surface_dice"] < data["scores"][0]["surface_dice"] == 1.0


def test_match_and_segments_without_a_partner(tmp_path):
    write_labelmap(labels(name="Liver"), tmp_path / "p.seg.nrrd")
    array = labels().array.copy()
    array[0, 0, 0] = 2
    both = LabelMap(array, labels().geometry, (Segment(1, "Liver"), Segment(2, "Spleen")))
    write_labelmap(both, tmp_path / "r.seg.nrrd")
    result = medai(tmp_path / "p.seg.nrrd", tmp_path / "r.seg.nrrd")
    assert result.exit_code == 0
    assert "not matched: r: Spleen: the prediction has no such segment" in result.stdout
    write_labelmap(labels(name="Leber"), tmp_path / "p.seg.nrrd")
    refused = medai(tmp_path / "p.seg.nrrd", tmp_path / "r.seg.nrrd")
    assert refused.exit_code == 2
    assert "Leber" in refused.stderr
    assert medai(tmp_path / "p.seg.nrrd", tmp_path / "r.seg.nrrd", "--match", "labels").exit_code == 0


def test_other_grids_need_resample(tmp_path):
    write_labelmap(labels(), tmp_path / "p.nii.gz")
    moved = Geometry.from_spacing((12, 12, 12), origin=(0.0, 0.0, 1.0))
    write_labelmap(LabelMap(labels().array, moved), tmp_path / "r.nii.gz")
    refused = medai(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz")
    assert refused.exit_code == 2
    assert "origin (0, 0, 0)" in refused.stderr
    assert "origin (0, 0, 1)" in refused.stderr
    allowed = medai(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz", "--resample", "--json")
    assert json.loads(allowed.stdout)["scores"][0]["dice"] == 0.75


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--csv", "{tmp}/t.txt"], "written as .csv"),
        (["--csv", "{tmp}/no/t.csv"], "folder does not exist"),
        (["--csv", "{tmp}/dir.csv"], "a folder of that name"),
        (["--csv", "{tmp}/t.csv", "--summary-csv", "{tmp}/t.csv"], "one file"),
        (["--tolerance-mm", "-1"], "tolerance_mm"),
        (["--tolerance-mm", "nan"], "tolerance_mm"),
    ],
)
def test_mistakes_are_found_before_anything_is_read(tmp_path, words, message):
    (tmp_path / "dir.csv").mkdir()
    (tmp_path / "p.nii.gz").write_bytes(b"no image")
    (tmp_path / "r.nii.gz").write_bytes(b"no image")
    result = medai(tmp_path / "p.nii.gz", tmp_path / "r.nii.gz", *[w.format(tmp=tmp_path) for w in words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "t.csv").exists()


def test_two_files_of_one_case_and_a_failed_case(folders, tmp_path):
    pred, ref = folders
    write_labelmap(labels(spacing=(1, 1, 3)), ref / "a case with quite a long name, number 0.seg.nrrd")
    result = medai(pred, ref, "--csv", tmp_path / "t.csv")
    assert result.exit_code == 3
    assert "failed: a case with quite a long name, number 0:" in result.stdout
    assert len((tmp_path / "t.csv").read_text("utf-8").splitlines()) == 6
    write_labelmap(labels(), ref / "a case with quite a long name, number 0.nii.gz")
    refused = medai(pred, ref)
    assert refused.exit_code == 2
    assert "number 0.nii.gz" in refused.stderr
    assert "number 0.seg.nrrd" in refused.stderr


def test_names_cannot_move_the_cursor(tmp_path):
    for name in ("p.seg.nrrd", "r.seg.nrrd"):
        write_labelmap(labels(name="Li\x1b[2Jver"), tmp_path / name)
    result = medai(tmp_path / "p.seg.nrrd", tmp_path / "r.seg.nrrd")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "Li?[2Jver" in result.stdout


def test_help_names_every_option():
    result = CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert result.exit_code == 0
    for option in ("--csv", "--summary-csv", "--match", "--tolerance-mm", "--surface", "--resample", "--json"):
        assert option in result.stdout
