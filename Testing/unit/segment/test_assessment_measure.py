"""Measuring a model on generated cases: numbers, failing cases, going on after a stop, which cases, and the outside."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

from medai.core.errors import Cancelled, InputError, ModelError
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap, read_volume, write_labelmap, write_volume
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken
from medai.core.resample import reorient_array
from medai.core.volume import Volume
from medai.segment.assessment.choice import choose
from medai.segment.assessment.inputs import OutsideInput, empty_corner, from_folder, generated
from medai.segment.assessment.measure import MASKS, ROWS, file_stem, measure_model
from medai.segment.assessment.outside import measure_outside
from medai.segment.assessment.settings import MeasureSettings
from medai.segment.evaluate import compare
from medai.segment.segmenters.unet import UNet
from medai.segment.training.dataset import CaseFiles, open_dataset

PLAIN = {"device": "cpu", "backend": "torch", "precision": "f32", "regions": "image"}


def write_case(folder, name, seed, labels=True):
    """A bright ball (label 1) with a dark core (label 2) in noise."""
    rng = np.random.default_rng(seed)
    shape = (20, 22, 24)
    distance = np.linalg.norm(np.indices(shape).transpose(1, 2, 3, 0) - np.array([6, 7, 8]), axis=-1)
    mask = np.where(distance < 3, 2, np.where(distance < 6, 1, 0)).astype(np.uint8)
    image = (rng.normal(0, 0.3, shape) + np.choose(mask, (0, 2, -2))).astype(np.float32)
    grid = Geometry.from_spacing(shape, (1.0, 1.0, 1.0), (5, -3, 2))
    for part in ("images", "labels"):
        (folder / part).mkdir(exist_ok=True, parents=True)
    write_volume(Volume(image, grid), folder / "images" / f"{name}.nii.gz")
    if labels:
        write_labelmap(LabelMap(mask, grid), folder / "labels" / f"{name}.nii.gz")


@pytest.fixture
def data(tmp_path):
    for number in range(3):
        write_case(tmp_path / "set", f"case{number}", number)
    return tmp_path / "set"


def test_the_rows_are_what_running_and_comparing_gives(tiny_model, data):
    cases = open_dataset(data).cases
    told = []
    found = measure_model(tiny_model, cases, progress=lambda fraction, message="": told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(found.rows) == 6
    for files in cases:
        labels = UNet().run(read_volume(files.images[0]), {"model": str(tiny_model), **PLAIN})
        for score in compare(labels, read_labelmap(files.labels), {"match": "labels"}):
            row = next(r for r in found.rows if (r.case, r.label) == (files.case, score.label))
            for key in ("dice", "hd95_mm", "assd_mm", "reference_ml", "predicted_ml", "volume_error_ml"):
                assert getattr(row, key) == getattr(score, key)
            assert row.name == {1: "Front", 2: "Back"}[score.label]
    manifest = json.loads((tiny_model / "manifest.json").read_text("utf-8"))
    weights = manifest["weights"] if isinstance(manifest["weights"], dict) else manifest["weights"][0]
    assert found.model["weights_sha256"] == weights["sha256"]
    assert found.data["cases"] == 3


def test_a_case_that_cannot_be_measured_leaves_the_others(tiny_model, data):
    whole = (data / "images" / "case1.nii.gz").read_bytes()
    (data / "images" / "case1.nii.gz").write_bytes(whole[: len(whole) // 2])
    write_case(data, "case3", 3)
    moved = read_labelmap(data / "labels" / "case3.nii.gz")
    write_labelmap(moved.replace(geometry=moved.geometry.flip(0)), data / "labels" / "case3.nii.gz")
    found = measure_model(tiny_model, open_dataset(data).cases)
    assert set(found.failures) == {"case1", "case3"}
    assert "case1.nii.gz" in found.failures["case1"]
    assert "grid" in found.failures["case3"]
    assert str(data) not in str(found.to_dict())
    assert [r.case for r in found.rows if r.dice is not None] == ["case0", "case0", "case2", "case2"]
    assert found.summary[0].failed == 2


def test_a_second_run_takes_finished_cases_and_no_others(tiny_model, data, tmp_path):
    out = tmp_path / "out"
    cases = open_dataset(data).cases
    first = measure_model(tiny_model, cases, out=out)
    assert sorted(p.name for p in (out / MASKS).iterdir()) == ["case0.nii.gz", "case1.nii.gz", "case2.nii.gz"]
    # A mark in the stored rows shows whether they are taken.
    lines = (out / ROWS).read_text("utf-8").splitlines()
    (out / ROWS).write_text("".join(line.replace('"reason": ""', '"reason": "kept"') + "\n" for line in lines), "utf-8")

    def kept(found):
        return sorted({row.case for row in found.rows if row.reason == "kept"})

    assert kept(measure_model(tiny_model, cases, out=out)) == ["case0", "case1", "case2"]
    (out / MASKS / "case2.nii.gz").unlink()
    write_case(data, "case1", 7)
    again = measure_model(tiny_model, cases, out=out)
    assert kept(again) == ["case0"]
    assert [r.dice for r in again.rows if r.case == "case2"] == [r.dice for r in first.rows if r.case == "case2"]
    assert kept(measure_model(tiny_model, cases, settings={"regions": "auto"}, out=out)) == []
    assert kept(measure_model(tiny_model, cases, settings={"seed": 5}, out=out)) == ["case0"]


def test_cancelling_keeps_what_is_finished(tiny_model, data, tmp_path):
    out = tmp_path / "out"
    token = CancelToken()

    def progress(fraction, message=""):
        if message == "measuring case2":
            token.cancel()

    cases = open_dataset(data).cases
    with pytest.raises(Cancelled):
        measure_model(tiny_model, cases, out=out, progress=progress, cancel=token)
    assert len((out / ROWS).read_text("utf-8").splitlines()) == 2
    assert measure_model(tiny_model, cases, out=out).rows == measure_model(tiny_model, cases).rows


def test_what_no_case_can_mend_ends_the_run(tiny_model, data, tmp_path):
    cases = open_dataset(data).cases
    with pytest.raises(ModelError, match="no model called"):
        measure_model("nowhere", cases)
    with pytest.raises(InputError, match="no cases"):
        measure_model(tiny_model, ())
    with pytest.raises(InputError, match="Two cases are called 'case0'"):
        measure_model(tiny_model, (cases[0], cases[0]))
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in tiny_model.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((broken / "manifest.json").read_text("utf-8"))
    entry = manifest["weights"][0] if isinstance(manifest["weights"], list) else manifest["weights"]
    entry["sha256"] = "0" * 64
    (broken / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(ModelError, match="SHA-256"):
        measure_model(broken, cases)


def test_names_become_file_names_that_stay_in_their_folder():
    assert file_stem("sub-01_T1w") == "sub-01_T1w"
    assert "/" not in file_stem("../../a") and not file_stem("../../a").startswith(".")  # noqa: PT018
    assert file_stem("a b") != file_stem("a_b")
    assert file_stem("ä" * 300) != file_stem("ä" * 301)


@pytest.fixture
def model(tiny_model, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "split.json").write_text('{"training": ["case0", "case1"], "held_back": ["case2"]}', "utf-8")
    return folder


def test_the_cases_that_the_model_never_saw_are_chosen(model, data, tmp_path):
    found = open_dataset(data)
    cases, about = choose(found, "held-back", model, name="set")
    assert [files.case for files in cases] == ["case2"]
    assert about == {"name": "set", "chosen": "held-back", "cases": 1, "subjects": 1, "seen_in_training": 0}
    cases, about = choose(found, "all", model, name="set")
    assert (len(cases), about["seen_in_training"]) == (3, 2)
    (tmp_path / "list.txt").write_text("# mine\n\ncase2\ncase1\n", "utf-8")
    cases, about = choose(found, str(tmp_path / "list.txt"), model, name="set")
    assert [files.case for files in cases] == ["case1", "case2"]
    assert (about["chosen"], about["seen_in_training"]) == ("list.txt", 1)


def test_a_choice_that_the_data_do_not_hold_is_refused(model, data, tmp_path):
    for part in ("images", "labels"):
        (data / part / "case2.nii.gz").unlink()
    found = open_dataset(data)
    with pytest.raises(InputError, match="'set' lacks 1 case: case2"):
        choose(found, "held-back", model, name="set")
    (tmp_path / "twice.txt").write_text("case0\ncase0\n", "utf-8")
    (tmp_path / "empty.txt").write_text("#\n", "utf-8")
    for name, text in (("twice.txt", "more than once"), ("empty.txt", "is empty"), ("none.txt", "cannot be read")):
        with pytest.raises(InputError, match=text):
            choose(found, str(tmp_path / name), model, name="set")
    (model / "split.json").write_text('{"training": ["case0"], "held_back": ["case0"]}', "utf-8")
    with pytest.raises(InputError, match="in training and held back"):
        choose(found, "held-back", model, name="set")
    (model / "split.json").write_text('{"training": ["case0"], "held_back": []}', "utf-8")
    with pytest.raises(InputError, match="held no case back"):
        choose(found, "held-back", model, name="set")
    (model / "split.json").unlink()
    with pytest.raises(InputError, match=r"has no split\.json"):
        choose(found, "held-back", model, name="set")
    assert choose(found, "all", model, name="set")[1]["seen_in_training"] is None


def test_all_leaves_out_cases_without_a_label_map_and_a_list_names_them(model, data, tmp_path):
    write_case(data, "case9", 9, labels=False)
    found = open_dataset(data)
    assert len(choose(found, "all", model, name="set")[0]) == 3
    (tmp_path / "list.txt").write_text("case9\n", "utf-8")
    with pytest.raises(InputError, match="no label map for 1 case: case9"):
        choose(found, str(tmp_path / "list.txt"), model, name="set")


def test_made_inputs_do_not_hang_on_how_the_case_is_stored(data):
    image, labels = read_volume(data / "images" / "case0.nii.gz"), read_labelmap(data / "labels" / "case0.nii.gz")
    array, grid = reorient_array(image.array, image.geometry, "ILP")
    mask, _ = reorient_array(labels.array, labels.geometry, "ILP")
    one = generated(image, labels, "MR", seed=3)
    other = generated(Volume(array, grid), LabelMap(mask, grid), "MR", seed=3)
    assert [item.name for item in one] == [
        "noise", "constant", "CT-like, unmarked", "CT-like, marked", "upside down", "mirrored", "corner",
    ]  # fmt: skip
    for first, second in zip(one, other, strict=True):
        assert first.make().digest() == second.make().digest()
        assert first.make().modality == second.make().modality
    assert one[0].make().digest() != generated(image, labels, "MR", seed=4)[0].make().digest()


def test_made_inputs_are_what_their_names_say(data):
    image, labels = read_volume(data / "images" / "case0.nii.gz"), read_labelmap(data / "labels" / "case0.nii.gz")
    made = {item.name: item.make() for item in generated(image, labels, "MR")}
    grid = image.geometry
    assert made["CT-like, unmarked"].modality == ""
    assert made["CT-like, marked"].modality == "CT"
    assert made["noise"].modality == "MR"
    assert -1000 <= made["CT-like, marked"].array.min() < -500
    for name, axis in (("upside down", 2), ("mirrored", 0)):
        # The same voxel lies at the other end of the same box along one axis, and where it was along the others.
        was, now = grid.to_ras((0, 0, 0)), made[name].geometry.to_ras((0, 0, 0))
        far = grid.to_ras(np.array(grid.size) - 1)
        assert now[axis] == pytest.approx(far[axis])
        assert np.delete(now, axis) == pytest.approx(np.delete(was, axis))
        assert np.array_equal(made[name].array, image.array)
    assert made["noise"].array.std() == pytest.approx(image.array.std(), rel=0.05)
    assert made["constant"].array.std() < 0.02 * image.array.std()


def test_the_corner_is_free_of_the_organ_or_not_made():
    mask = np.zeros((40, 40, 40), dtype=bool)
    mask[2:20, 2:20, 2:20] = True
    start, shape = empty_corner(mask)
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    assert not mask[box].any()
    assert min(shape) >= 20
    with pytest.raises(InputError, match="No corner"):
        empty_corner(np.ones((40, 40, 40), dtype=bool))


def test_what_came_out_of_inputs_outside_is_recorded(tiny_model, data, tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    (given / "torn.nii.gz").write_bytes((data / "images" / "case0.nii.gz").read_bytes()[:50])
    (given / "whole.nii.gz").write_bytes((data / "images" / "case0.nii.gz").read_bytes())
    (given / "notes.txt").write_text("no image", "utf-8")
    inputs = from_folder(given)
    assert [item.name for item in inputs] == ["torn", "whole"]
    marked = OutsideInput("marked", "says CT", lambda: read_volume(given / "whole.nii.gz").replace(modality="CT"))

    def none():
        raise InputError("There is no corner.")

    def broken():
        return Volume(np.zeros((4, 4, 4, 3), np.float32), Geometry.from_spacing((4, 4, 4)))

    rows = measure_outside(
        tiny_model, [*inputs, marked, OutsideInput("none", "", none), OutsideInput("colour", "", broken)]
    )
    assert [row.status for row in rows] == ["refused", "segmented", "segmented", "not made", "refused"]
    torn, whole, ct, _, colour = rows
    assert "torn.nii.gz" in torn.message
    assert torn.verdict == "refused"
    labels = UNet().run(read_volume(given / "whole.nii.gz"), {"model": str(tiny_model), **PLAIN})
    assert whole.volumes_ml == pytest.approx(labels.volumes_ml())
    assert "MODALITY_MISMATCH" in ct.flags
    assert "MODALITY_MISMATCH" not in whole.flags
    assert "made for MR, the image is CT" in ct.message
    assert ct.verdict == "a mask, flagged"
    assert "components" in colour.message


def test_outside_folders_that_hold_nothing_are_refused(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        from_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        from_folder(tmp_path / "empty")


@pytest.mark.data
def test_the_shipped_model_on_a_case_that_it_never_saw(data_dir):
    root = data_dir / "msd_hippocampus"
    name = "hippocampus_006"
    case = CaseFiles(name, name, (root / "images" / f"{name}.nii.gz",), root / "labels" / f"{name}.nii.gz")
    found = measure_model("hippocampus", [case], settings=MeasureSettings())
    assert {row.label: row.status for row in found.rows} == {1: "ok", 2: "ok"}
    assert min(row.dice for row in found.rows) > 0.8
