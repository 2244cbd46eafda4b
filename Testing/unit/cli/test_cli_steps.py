"""medai filter, medai steps, and what medai segment takes besides a model."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from medai.cli.app import app
from medai.cli.stepoption import parse_steps
from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap, read_volume, write_labelmap, write_volume
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume


@pytest.fixture
def image(tmp_path, rng):
    array = rng.normal(0, 5, size=(12, 14, 16)).astype(np.float32)
    array[4:9, 4:9, 4:9] += 100
    path = tmp_path / "image.nii.gz"
    write_volume(Volume(array, Geometry.from_spacing(array.shape, (1.0, 1.0, 2.0))), path)
    return path


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_filter_writes_the_filtered_image(image, tmp_path):
    out = tmp_path / "out.nii.gz"
    result = run("filter", image, "--step", "median:radius=2", "--step", "gaussian", "--out", out)
    assert result.exit_code == 0, result.output
    assert "Research use only" in result.output
    found, before = read_volume(out), read_volume(image)
    assert found.geometry.same_as(before.geometry)
    assert found.array[:3].std() < 0.2 * before.array[:3].std()


def test_filter_takes_a_pipeline_file_and_says_what_it_did(image, tmp_path):
    steps = tmp_path / "steps.json"
    steps.write_text(json.dumps([{"step": "median", "settings": {"radius": 1}}]), encoding="utf-8")
    result = run("filter", image, "--pipeline", steps, "--out", tmp_path / "o.nrrd", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["pipeline"] == [{"step": "median", "settings": {"radius": 1}}]
    assert told["shape_kji"] == [12, 14, 16]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--step", "threshold"], "only filters are possible here"),
        (["--step", "median:radius"], "cannot be read at 'radius'"),
        (["--step", "median:radius=0"], "options[0].settings.radius"),
        (["--step", "median:radius=two"], "options[0].settings.radius"),
        (["--step", "nothing"], "no step called 'nothing'"),
        ([], "either --pipeline or --step"),
    ],
)
def test_filter_refuses_in_one_sentence(image, tmp_path, words, message):
    out = tmp_path / "o.nii.gz"
    result = run("filter", image, *words, "--out", out)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not out.exists()


def test_filter_never_replaces_its_input(image):
    before = image.read_bytes()
    result = run("filter", image, "--step", "median", "--out", image)
    assert result.exit_code == 2
    assert image.read_bytes() == before


def test_filter_never_replaces_its_labels_or_its_reference(image, tmp_path):
    labels, grid = tmp_path / "labels.nii.gz", tmp_path / "grid.nii.gz"
    write_labelmap(LabelMap(np.ones((12, 14, 16), np.uint8), read_volume(image).geometry, (Segment(1, "A"),)), labels)
    grid.write_bytes(image.read_bytes())
    for path, words in (
        (labels, ["--step", "gaussian", "--labels", labels]),
        (grid, ["--step", f"resample_to:reference={grid}"]),
    ):
        before = path.read_bytes()
        result = run("filter", image, "--out", path, *words)
        assert result.exit_code == 2
        assert "output is one of the inputs" in result.output
        assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write to every folder")
def test_a_folder_that_may_not_be_written_to_is_found_out_before_reading(image, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    for command in ("filter", "segment"):
        step = "gaussian" if command == "filter" else "threshold"
        result = run(command, tmp_path / "no-such-image.nii.gz", "--step", step, "--out", folder / "o.nii.gz")
        assert result.exit_code == 2
        assert "may not be written to" in result.output


def test_values_of_steps_are_as_strict_as_a_pipeline_file():
    for text in ("[" * 100_000, '{"a":1,"a":2}', "NaN"):
        with pytest.raises(SettingsError):
            parse_steps([f"gaussian:sigma_mm={text}"])


def test_segment_by_steps_on_the_command_line(image, tmp_path):
    out = tmp_path / "labels.nii.gz"
    result = run("segment", image, "--step", "median", "--step", "threshold:name=Bright spot", "--out", out)
    assert result.exit_code == 0, result.output
    assert "Bright spot" in result.output
    assert 70 < int((read_labelmap(out).array > 0).sum()) <= 125


def test_segment_takes_one_way_only(image, tmp_path):
    result = run("segment", image, "--step", "median", "--recipe", "x", "--out", tmp_path / "o.nii.gz")
    assert result.exit_code == 2
    assert "one of --model, --recipe, --pipeline and --step" in result.stderr


@pytest.mark.parametrize("text", ["Liver", "Liver:1,2", "Liver:a,b,c", ":1,2,3"])
def test_a_seed_that_cannot_be_read_is_named(image, tmp_path, text):
    result = run("segment", image, "--step", "threshold", "--seed", text, "--out", tmp_path / "o.nii.gz")
    assert result.exit_code == 2
    assert repr(text) in result.stderr


def test_seeds_that_nothing_grows_from_are_refused(image, tmp_path):
    result = run("segment", image, "--step", "threshold", "--seed", "A:1,2,3", "--out", tmp_path / "o.nii.gz")
    assert result.exit_code == 2
    assert "no step grows from seeds" in result.stderr


def test_labels_to_start_from_must_lie_on_the_images_grid(image, tmp_path):
    start = tmp_path / "start.nii.gz"
    array = np.zeros((12, 14, 16), dtype=np.uint8)
    array[5, 5, 5] = 1
    write_labelmap(LabelMap(array, Geometry.from_spacing(array.shape), (Segment(1, "A"),)), start)
    result = run("segment", image, "--step", "threshold", "--labels", start, "--out", tmp_path / "o.nii.gz")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "grid" in result.stderr.lower()


def test_steps_lists_everything_and_explains_one():
    everything = json.loads(run("steps", "--json").stdout)
    assert {"median", "gaussian", "threshold"} <= {step["name"] for step in everything["steps"]}
    listed = run("steps").stdout
    assert "Denoise" in listed
    assert "median" in listed
    one = run("steps", "median")
    assert one.exit_code == 0
    assert "radius = 1 voxel: at least 1, at most 10;" in one.stdout
    assert run("steps", "no_such_step").exit_code == 2


def test_steps_on_the_command_line_are_json_where_they_can_be():
    assert parse_steps(['a:x=1,y=[1, 2],z=text, w="p,q"', "b"]) == [
        {"step": "a", "settings": {"x": 1, "y": [1, 2], "z": "text", "w": "p,q"}},
        {"step": "b", "settings": {}},
    ]
    with pytest.raises(SettingsError, match="cannot be read"):
        parse_steps(["a:x=1,x=2"])


def test_ctrl_c_free_listing_starts_without_heavy_packages():
    """`medai steps` must not load torch or SimpleITK."""
    code = (
        "import sys; from typer.testing import CliRunner; from medai.cli.app import app;"
        "CliRunner().invoke(app, ['steps']); print([m for m in ('torch','SimpleITK','monai') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONUTF8": "1"}
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_control_characters_in_names_never_reach_the_terminal(image, tmp_path):
    steps = tmp_path / "steps.json"
    steps.write_text(json.dumps([{"step": "threshold", "settings": {"name": "a\u001b[31mb"}}]), encoding="utf-8")
    result = run("segment", image, "--pipeline", steps, "--out", tmp_path / "o.nii.gz")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "a?[31mb" in result.output


def test_a_run_into_a_folder_where_a_result_is_blocked_writes_nothing(image, tmp_path):
    out = tmp_path / "out"
    (out / "report.json").mkdir(parents=True)
    result = run("run", image, "--protocol", "otsu", "--out", out, "--no-scene")
    assert result.exit_code == 2
    assert "a folder of that name exists" in result.stderr
    assert [path.name for path in out.iterdir()] == ["report.json"]
