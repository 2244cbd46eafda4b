"""The whole chain by its commands: the demo, and a real head with the trained model."""

import json
import subprocess
import sys

import numpy as np
import pytest

for package in ("torch", "monai", "nilearn"):
    pytest.importorskip(package)

from medai.core.io import read_labelmap, read_volume  # noqa: E402
from medai.core.resample import reorient_array  # noqa: E402
from medai.segment.pipeline import run  # noqa: E402

SIDES = ("Left", "Right")


def per_side(volumes):
    return {side: sum(v for name, v in volumes.items() if name.startswith(side)) for side in SIDES}


def mean_r(labels, side):
    values = [s.label for s in labels.segments if s.name.startswith(side)]
    where = np.argwhere(np.isin(labels.array, values))
    return float(labels.geometry.to_ras(where[:, ::-1])[:, 0].mean())


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's folder and what it printed, run as its own program as a user would."""
    out = tmp_path_factory.mktemp("demo") / "a folder with späces"
    program = "from medai.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--out", str(out), "--json"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_the_demo_finds_two_hippocampi_of_sensible_size_where_they_belong(demo):
    out, shown = demo
    sides = per_side(shown["volumes_ml"])
    assert all(2.0 < volume < 5.0 for volume in sides.values()), sides
    labels = read_labelmap(out / "segmentation.nii.gz")
    assert [s.label for s in labels.segments][:4] == [1, 2, 3, 4]
    ijk = np.argwhere(np.isin(labels.array, (1, 2)))[:, ::-1]
    assert labels.geometry.to_ras(ijk)[:, 0].max() < 0
    ijk = np.argwhere(np.isin(labels.array, (3, 4)))[:, ::-1]
    assert labels.geometry.to_ras(ijk)[:, 0].min() > 0


def test_the_demos_anterior_parts_lie_in_front_of_the_posterior_ones(demo):
    out, _ = demo
    labels = read_labelmap(out / "segmentation.nii.gz")
    a = [labels.geometry.to_ras(np.argwhere(labels.array == n)[:, ::-1])[:, 1].mean() for n in (1, 2, 3, 4)]
    assert a[0] > a[1] + 8
    assert a[2] > a[3] + 8


def test_the_same_numbers_stand_in_every_file(demo):
    out, shown = demo
    report = json.loads((out / "report.json").read_text("utf-8"))
    html = (out / "report.html").read_text("utf-8")
    for finding in report["findings"]:
        millilitres = shown["volumes_ml"][finding["segment"]]
        assert finding["volume"]["unit"] == "mm3"
        assert finding["volume"]["value"] == pytest.approx(1000 * millilitres, rel=1e-9)
        decimals = 2 if millilitres < 10 else 0
        assert finding["volume"]["text"] == f"{millilitres:.{decimals}f} mL"
        assert finding["volume"]["text"] in html
    assert "Research use only" in html


def test_the_demo_says_what_the_volumes_are_a_share_of_or_why_not(demo):
    out, shown = demo
    report = json.loads((out / "report.json").read_text("utf-8"))
    rows = {row["structure"]: row for row in report["volumes"]["rows"]}
    sides = per_side(shown["volumes_ml"])
    both = rows["Hippocampus"]
    assert both["left"]["value"] == pytest.approx(sides["Left"], rel=1e-9)
    assert both["right"]["value"] == pytest.approx(sides["Right"], rel=1e-9)
    assert both["asymmetry"]["value"] == pytest.approx(
        200 * (sides["Left"] - sides["Right"]) / (sides["Left"] + sides["Right"])
    )
    whole = rows["Intracranial volume"]["total"]
    if any("Intracranial" in name for name in shown["volumes_ml"]):
        assert whole["value"] == pytest.approx(sum(shown["volumes_ml"].values()), rel=1e-9)
        assert 1.0 < both["total_share"]["value"] < 8.0
    else:
        assert whole["value"] is None
        assert "'brain-mr', which finds it, is not installed" in whole["reason"]
        assert both["total_share"]["value"] is None


def test_the_scene_opens_with_image_segmentation_and_table(demo):
    pytest.importorskip("slicer")
    from medai.mrml import HeadlessSession, labels_from_segmentation, provenance_of

    out, shown = demo
    with HeadlessSession() as session:
        session.load(out / "scene.mrb")
        nodes = {
            kind: session.scene.GetFirstNodeByClass(kind)
            for kind in ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTableNode")
        }
        assert all(nodes.values())
        labels = labels_from_segmentation(nodes["vtkMRMLSegmentationNode"], nodes["vtkMRMLScalarVolumeNode"])
        assert labels.volumes_ml() == pytest.approx(shown["volumes_ml"])
        assert provenance_of(nodes["vtkMRMLSegmentationNode"])["model_id"] == "hippocampus"


@pytest.mark.data
def test_a_real_head_in_two_orientations(data_dir):
    head = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    pipeline = [{"step": "unet", "settings": {"model": "hippocampus", "regions": "atlas", "device": "cpu"}}]
    labels = run(head, pipeline)
    sides = per_side(labels.volumes_ml())
    assert all(2.0 < volume < 5.5 for volume in sides.values()), sides
    assert mean_r(labels, "Left") < -15
    assert mean_r(labels, "Right") > 15
    array, grid = reorient_array(head.array, head.geometry, "PSR")
    turned = run(head.replace(array=array, geometry=grid), pipeline)
    np.testing.assert_allclose(turned.meta["atlas"]["matrix"], labels.meta["atlas"]["matrix"], atol=1e-6)
    back, back_grid = reorient_array(turned.array, turned.geometry, head.geometry.orientation)
    assert back_grid.same_as(labels.geometry)
    assert np.count_nonzero(back != labels.array) <= 2


@pytest.mark.data
def test_a_mirrored_head_swaps_the_sides(data_dir):
    head = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    pipeline = [{"step": "unet", "settings": {"model": "hippocampus", "regions": "atlas", "device": "cpu"}}]
    plain = per_side(run(head, pipeline).volumes_ml())
    matrix = np.diag([-1.0, 1.0, 1.0, 1.0]) @ head.geometry.ijk_to_ras
    mirror = head.replace(geometry=type(head.geometry)(head.geometry.shape, matrix))
    swapped = per_side(run(mirror, pipeline).volumes_ml())
    assert swapped["Left"] == pytest.approx(plain["Right"], rel=0.03)
    assert swapped["Right"] == pytest.approx(plain["Left"], rel=0.03)


@pytest.mark.data
def test_the_held_back_cases_give_the_numbers_on_the_card(data_dir):
    from medai.segment.assessment.measure import measure_model
    from medai.segment.assessment.result import metrics_of
    from medai.segment.models import ModelStore
    from medai.segment.training.dataset import open_dataset

    model = ModelStore().find("hippocampus")
    held = json.loads((model.folder / "split.json").read_text("utf-8"))["held_back"]
    assert len(held) == 40
    cases = open_dataset(data_dir / "msd_hippocampus").only(held).cases
    metrics = metrics_of(measure_model(model.folder, cases))
    assert metrics["mean_dice"] >= 0.85
    assert metrics["mean_dice"] == pytest.approx(model.manifest.metrics["mean_dice"], abs=0.002)
