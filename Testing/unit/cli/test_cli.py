"""Commands: what they print, what they write, exit codes; one sentence for every error."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

typer = pytest.importorskip("typer")
typer_testing = pytest.importorskip("typer.testing")

from medai.cli import shell  # noqa: E402
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
        (["segment", "{image}", "--out", "{tmp}/s.nii.gz"], "one of --model, --recipe"),
        (["segment", "{image}", "--model", "hippocampus", "--out", "{image}"], "output is one of the inputs"),
        (["segment", "{image}", "--model", "hippocampus", "--out", "{tmp}/no/s.nii.gz"], "does not exist"),
        (["evaluate", "{image}", "{tmp}"], "not one of each"),
        (["train", "--data", "{tmp}", "--out", "{tmp}/m", "--recipe", "{tmp}/r.json"], "r.json"),
    ],
)
def test_every_mistake_is_one_sentence_and_exit_code_2(image, tmp_path, words, message):
    if "hippocampus" in words:
        pytest.importorskip("torch")
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
    assert {"hippocampus", "otsu", "ct-body", "mr-tissue"} <= set(facts["protocols"])
    shown = medai("info")
    assert shown.exit_code == 0
    assert "Research use only" in shown.stdout


def test_help_names_every_command():
    result = medai("--help")
    for command in ("demo", "run", "segment", "train", "evaluate", "info"):
        assert command in result.stdout


LONG = "a" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["run", "{image}", "--protocol", "otsu", "--out", LONG],
        ["run", f"{LONG}.nii.gz", "--protocol", "otsu", "--out", "{tmp}/o"],
        ["segment", "{image}", "--model", LONG, "--out", "{tmp}/s.nii.gz"],
        ["evaluate", LONG, LONG],
        ["train", "--data", LONG, "--out", "{tmp}/t"],
        ["train", "--data", "{tmp}", "--out", LONG],
    ],
)
def test_a_path_that_the_system_refuses_is_one_sentence(image, tmp_path, words):
    pytest.importorskip("torch")
    result = medai(*[w.format(image=image, tmp=tmp_path) for w in words])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("medai: ")
    assert LONG not in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["cube.nii.gz"]


@pytest.mark.parametrize(("name", "message"), [("s.txt", "cannot be written as"), ("", "folder of that name")])
def test_an_output_that_cannot_be_written_is_refused_before_reading(image, tmp_path, name, message):
    image.write_bytes(b"no image")
    folder = tmp_path / "s.nii.gz"
    folder.mkdir()
    file = tmp_path / "p.json"
    file.write_text('[{"step": "threshold"}]', "utf-8")
    result = medai("segment", image, "--pipeline", file, "--out", tmp_path / name if name else folder)
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_unexpected_error_is_one_sentence_without_its_text(capsys):
    def work(token):
        raise KeyError("Doe^John")

    with pytest.raises(typer.Exit) as caught:
        shell.guarded(work, as_json=False)
    assert caught.value.exit_code == 2
    shown = capsys.readouterr().err
    assert "unexpected error (KeyError)" in shown
    assert "Doe" not in shown


def test_a_failed_run_leaves_no_folder_above_its_output(tmp_path):
    result = medai("run", tmp_path / "missing.nii.gz", "--protocol", "otsu", "--out", tmp_path / "a" / "b" / "c")
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_result_never_replaces_the_input(image, tmp_path):
    folder = tmp_path / "case"
    folder.mkdir()
    source = image.rename(folder / "segmentation.nii.gz")
    before = source.read_bytes()
    result = medai("run", source, "--protocol", "otsu", "--out", folder, "--no-scene")
    assert result.exit_code == 2
    assert "would replace the input" in result.stderr
    assert source.read_bytes() == before
    assert list(folder.iterdir()) == [source]


def test_brackets_in_a_case_name_are_no_markup(tmp_path):
    array = np.zeros((8, 8, 8), dtype=np.uint8)
    array[2:5, 2:5, 2:5] = 1
    for folder in ("p", "r"):
        (tmp_path / folder).mkdir()
        write_labelmap(LabelMap(array, Geometry.from_spacing(array.shape)), tmp_path / folder / "[b]a.nii.gz")
    assert "[b]a" in medai("evaluate", tmp_path / "p", tmp_path / "r").stdout


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_terminal_that_lacks_a_letter_still_gets_the_result(image, tmp_path, more):
    program = "from medai.cli.app import main; main()"
    out = tmp_path / "späces"
    words = ["run", str(image), "--protocol", "otsu", "--out", str(out), "--no-scene", *more]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stderr
    if more:
        assert json.loads(done.stdout)["files"]["report.html"] == str(out / "report.html")
    else:
        assert rb"sp\xe4ces" in done.stdout


def test_a_number_of_zero_is_shown_and_a_missing_one_is_a_dash():
    assert shell.shown(0.0, 2) == "0.00"
    assert shell.shown(None, 2) == "-"


@pytest.fixture
def four_frames(tmp_path):
    """A 4D NIfTI file: in frame n a cube of n + 2 voxels a side."""
    nibabel = pytest.importorskip("nibabel")
    array = np.zeros((16, 16, 16, 4), dtype=np.float32)
    for frame in range(4):
        stop = 3 + frame + 2
        array[3:stop, 3:stop, 3:stop, frame] = 100
    path = tmp_path / "series4d.nii.gz"
    nibabel.Nifti1Image(array, np.eye(4)).to_filename(path)
    return path


@pytest.mark.parametrize("command", ["run", "segment"])
def test_a_frame_of_a_4d_image_is_chosen(four_frames, tmp_path, command):
    steps = tmp_path / "p.json"
    pipeline = [{"step": "threshold", "settings": {"method": "manual", "lower": 50, "name": "Cube"}}]
    if command == "run":
        steps.write_text(json.dumps({"id": "cube", "title": "Cube", "pipeline": pipeline}), "utf-8")
        words = ["run", four_frames, "--protocol", steps, "--out", tmp_path / "out", "--no-scene"]
    else:
        steps.write_text(json.dumps(pipeline), "utf-8")
        words = ["segment", four_frames, "--pipeline", steps, "--out", tmp_path / "s.nii.gz"]
    without = medai(*words)
    assert without.exit_code == 2
    assert "Choose a frame from 0 to 3." in without.stderr
    result = medai(*words, "--frame", 2, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["volumes_ml"] == {"Cube": pytest.approx(4**3 / 1000)}
    beyond = medai(*words, "--frame", 4)
    assert beyond.exit_code == 2
    assert "no frame 4" in beyond.stderr
    assert medai(*words, "--frame", "-1").exit_code == 2
