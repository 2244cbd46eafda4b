"""Commands: what they print, what they write, exit codes; one sentence for every error."""

import json
import sys

import numpy as np
import pytest

typer_testing = pytest.importorskip("typer.testing")

from medai.cli.app import app  # noqa: E402
from medai.core.geometry import Geometry  # noqa: E402
from medai.core.io import read_labelmap, write_labelmap, write_volume  # noqa: E402
from medai.core.labelmap import LabelMap  # noqa: E402
from medai.core.volume import Volume  # noqa: E402


def medai(*words):
    return typer_testing.CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture
def image(tmp_path, rng):
    array = rng.normal(0, 3, size=(20, 24, 28))
    array[5:15, 6:16, 8:18] += 100
    path = tmp_path / "cube.nii.gz"
    write_volume(Volume(array.astype(np.float32), Geometry.from_spacing(array.shape, (1, 1, 2))), path)
    return path


def test_run_writes_everything_and_the_numbers_agree(image, tmp_path):
    result = medai("run", image, "--protocol", "otsu", "--out", tmp_path / "out", "--no-scene", "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert set(shown["files"]) == {"segmentation.nii.gz", "features.csv", "report.json", "report.html"}
    volume = shown["volumes_ml"]["Foreground"]
    # A median of 3 x 3 x 3 takes the corners and edges off a cube of ten voxels a side.
    assert volume == pytest.approx((1000 - 8 - 12 * 8) * 2 / 1000)
    assert read_labelmap(tmp_path / "out" / "segmentation.nii.gz").counts()[1] * 2 / 1000 == pytest.approx(volume)
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["provenance"]["protocol"]["id"] == "otsu"
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Research use only" in html
    assert "cube" not in html
    assert not list((tmp_path / "out").glob(".medai*"))


def test_run_for_people_names_segments_and_files(image, tmp_path):
    result = medai("run", image, "--protocol", "otsu", "--out", tmp_path / "out", "--no-scene")
    assert result.exit_code == 0, result.output
    assert "Research use only" in result.stdout
    assert "Foreground" in result.stdout
    assert "report.html" in result.stdout


def test_a_protocol_file_is_run_and_its_mistakes_are_named(image, tmp_path):
    file = tmp_path / "mine.json"
    steps = [{"step": "threshold", "settings": {"method": "manual", "lower": 50, "name": "Cube"}}]
    file.write_text(json.dumps({"id": "mine", "title": "Mine", "pipeline": steps}), "utf-8")
    result = medai("run", image, "--protocol", file, "--out", tmp_path / "out", "--no-scene", "--json")
    assert json.loads(result.stdout)["volumes_ml"] == {"Cube": pytest.approx(2.0)}
    steps[0]["settings"]["lowr"] = 1
    file.write_text(json.dumps({"id": "mine", "title": "Mine", "pipeline": steps}), "utf-8")
    result = medai("run", image, "--protocol", file, "--out", tmp_path / "other", "--no-scene")
    assert result.exit_code == 2
    assert "mine.json.pipeline[0].settings.lowr: unknown key" in result.stderr
    assert not (tmp_path / "other").exists()


def test_segment_with_a_pipeline_file(image, tmp_path):
    file = tmp_path / "p.json"
    file.write_text(json.dumps([{"step": "median"}, {"step": "threshold"}]), "utf-8")
    out = tmp_path / "seg.nii.gz"
    result = medai("segment", image, "--pipeline", file, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["labels"] == {"1": "Foreground"}
    assert read_labelmap(out).counts()[1] == 1000 - 8 - 12 * 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "{image}", "--protocol", "nope", "--out", "{tmp}/o"], "no protocol called 'nope'"),
        (["run", "{tmp}/missing.nii.gz", "--protocol", "otsu", "--out", "{tmp}/o"], "missing.nii.gz"),
        (["run", "{image}", "--protocol", "otsu", "--out", "{image}"], "is a file"),
        (["segment", "{image}", "--out", "{tmp}/s.nii.gz"], "either --model or --pipeline"),
        (["segment", "{image}", "--model", "hippocampus", "--out", "{image}"], "output is the input"),
        (["segment", "{image}", "--model", "hippocampus", "--out", "{tmp}/no/s.nii.gz"], "does not exist"),
        (["evaluate", "{image}", "{tmp}"], "not one of each"),
        (["train", "--data", "{tmp}", "--out", "{tmp}/m", "--recipe", "{tmp}/r.json"], "r.json"),
    ],
)
def test_every_mistake_is_one_sentence_and_exit_code_2(image, tmp_path, words, message):
    before = sorted(p.name for p in tmp_path.iterdir())
    result = medai(*[w.format(image=image, tmp=tmp_path) for w in words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_errors_are_json_too(image, tmp_path):
    result = medai("run", image, "--protocol", "nope", "--out", tmp_path / "o", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "SettingsError"


def test_a_region_that_cannot_be_read_is_refused(image, tmp_path):
    result = medai("segment", image, "--model", "hippocampus", "--region", "left:1,2:3", "--out", tmp_path / "s.nii.gz")
    assert result.exit_code == 2
    assert "left:-26,-22,-14:36,52,36" in result.stderr


def test_the_output_folder_may_not_be_the_input_folder(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    result = medai("run", folder, "--protocol", "otsu", "--out", folder)
    assert result.exit_code == 2
    assert "folder of the input" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which not even root may write")
def test_a_read_only_output_is_refused_before_computing(image):
    result = medai("run", image, "--protocol", "otsu", "--out", "/proc/medai-out")
    assert result.exit_code == 2
    assert "Cannot write 'medai-out'" in result.stderr


def test_a_failed_run_leaves_an_older_result_alone(image, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("old", "utf-8")
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(image.read_bytes()[:-100])
    result = medai("run", broken, "--protocol", "otsu", "--out", out)
    assert result.exit_code == 2
    assert [p.name for p in out.iterdir()] == ["report.html"]
    assert (out / "report.html").read_text("utf-8") == "old"


def test_evaluate_prints_scores_and_exits_3_if_some_failed(tmp_path):
    for folder in ("pred", "ref"):
        (tmp_path / folder).mkdir()
    array = np.zeros((8, 8, 8), dtype=np.uint8)
    array[2:5, 2:5, 2:5] = 1
    for name, spacing in (("a", (1, 1, 1)), ("b", (1, 1, 3))):
        write_labelmap(LabelMap(array, Geometry.from_spacing(array.shape)), tmp_path / "pred" / f"{name}.nii.gz")
        write_labelmap(
            LabelMap(array, Geometry.from_spacing(array.shape, spacing)), tmp_path / "ref" / f"{name}.nii.gz"
        )
    one = medai("evaluate", tmp_path / "pred" / "a.nii.gz", tmp_path / "ref" / "a.nii.gz", "--json")
    assert one.exit_code == 0
    assert json.loads(one.stdout)["scores"][0]["dice"] == 1.0
    both = medai("evaluate", tmp_path / "pred", tmp_path / "ref")
    assert both.exit_code == 3
    assert "failed: b:" in both.stdout
    assert "1.000" in both.stdout


def test_info_lists_what_is_here_and_what_is_not():
    result = medai("info", "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert "median" in facts["members"]["filter"]["available"]
    assert facts["protocols"] == ["hippocampus", "otsu"]
    shown = medai("info")
    assert shown.exit_code == 0
    assert "Research use only" in shown.stdout


def test_help_names_every_command():
    result = medai("--help")
    for command in ("demo", "run", "segment", "train", "evaluate", "info"):
        assert command in result.stdout
