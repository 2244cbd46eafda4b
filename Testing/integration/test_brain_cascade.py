"""Whole heads without any region given: brain-mr finds both hippocampi, the hippocampus model refines them.

Everything here needs the trained brain-mr among the models that come with MedAI; without it all of it is skipped.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

for package in ("torch", "monai", "scipy"):
    pytest.importorskip(package)

from medai.core.geometry import Geometry  # noqa: E402
from medai.core.io import read_volume, write_volume  # noqa: E402
from medai.core.qc import Severity  # noqa: E402
from medai.core.resample import reorient_array  # noqa: E402
from medai.core.volume import Volume  # noqa: E402
from medai.segment.models import ModelStore  # noqa: E402
from medai.segment.pipeline import run  # noqa: E402
from medai.segment.preprocess import PREPROCESS  # noqa: E402

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("brain-mr" not in {m.id for m in ModelStore().list()}, reason="no model brain-mr in the store"),
]
INSIDE = (
    "Cerebral white matter", "Cerebral grey matter", "Ventricles", "Cerebrospinal fluid", "Deep grey matter",
    "Left hippocampus", "Right hippocampus", "Cerebellum", "Brainstem",
)  # fmt: skip
CASCADE = [{"step": "unet", "settings": {"model": "hippocampus", "regions": "locator", "device": "cpu"}}]
BRAIN = [{"step": "unet", "settings": {"model": "brain-mr", "device": "cpu"}}]


@pytest.fixture(scope="module")
def head(data_dir):
    return read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")


@pytest.fixture(scope="module")
def found(head):
    return run(head, CASCADE)


@pytest.fixture(scope="module")
def template():
    pytest.importorskip("nilearn")
    from medai.segment.atlas import template_path

    return read_volume(template_path())


def sides(labels):
    volumes = labels.volumes_ml()
    return {
        side: sum(v for n, v in volumes.items() if n.startswith(f"{side} hippocampus")) for side in ("Left", "Right")
    }


def mean_r(labels, side):
    values = [s.label for s in labels.segments if s.name.startswith(f"{side} hippocampus")]
    return float(labels.geometry.to_ras(np.argwhere(np.isin(labels.array, values))[:, ::-1])[:, 0].mean())


def errors(labels):
    return {flag.code for flag in labels.flags if flag.severity is Severity.ERROR}


def check(labels):
    volumes = sides(labels)
    assert all(2.0 < volume < 5.0 for volume in volumes.values()), volumes
    assert mean_r(labels, "Left") < -15
    assert mean_r(labels, "Right") > 15
    assert errors(labels) == set()
    return volumes


def test_both_hippocampi_of_a_real_head(found):
    check(found)
    assert found.meta["locator"]["model"]["id"] == "brain-mr"
    assert 35 < found.meta["locator"]["distance_mm"] < 75


def test_both_hippocampi_of_the_template(template):
    check(run(template, CASCADE))


@pytest.mark.parametrize("order", ["LPS", "RAS", "SAR", "PIR", "ILA", "ASL"])
def test_the_volumes_do_not_depend_on_how_the_head_is_stored(head, found, order):
    array, grid = reorient_array(head.array, head.geometry, order)
    turned = check(run(head.replace(array=np.ascontiguousarray(array), geometry=grid), CASCADE))
    for side, volume in sides(found).items():
        assert turned[side] == pytest.approx(volume, rel=0.02)


def test_a_mirrored_head_swaps_the_names(head, found):
    matrix = np.diag([-1.0, 1.0, 1.0, 1.0]) @ head.geometry.ijk_to_ras
    mirrored = check(run(head.replace(geometry=Geometry(head.geometry.shape, matrix)), CASCADE))
    plain = sides(found)
    assert mirrored["Left"] == pytest.approx(plain["Right"], rel=0.02)
    assert mirrored["Right"] == pytest.approx(plain["Left"], rel=0.02)


@pytest.mark.parametrize(("column", "mm"), [(0, 3.0), (1, 4.0), (2, 5.0)])
def test_thick_slices_still_work(head, column, mm):
    spacing = [float(s) for s in head.geometry.spacing]
    spacing[column] = mm
    labels = run(PREPROCESS.create("resample").run(head, {"spacing_mm": spacing}), CASCADE)
    assert all(1.5 < volume < 5.5 for volume in sides(labels).values())
    assert mean_r(labels, "Left") < -15 < 15 < mean_r(labels, "Right")
    assert errors(labels) == set()


@pytest.mark.parametrize("which", ["head", "template"])
def test_the_brain_agrees_with_deepbet(which, request):
    pytest.importorskip("deepbet")
    volume = request.getfixturevalue(which)
    mask = run(volume, [{"step": "deepbet"}]).array > 0
    labels = run(volume, BRAIN)
    inside = np.isin(labels.array, [labels.segment(name).label for name in INSIDE])
    tissue = inside & (labels.array != labels.segment("Cerebrospinal fluid").label)
    best = max(
        2 * np.count_nonzero(m & mask) / (np.count_nonzero(m) + np.count_nonzero(mask)) for m in (inside, tissue)
    )
    assert best >= 0.95
    assert 900 < inside.sum() * labels.geometry.voxel_volume_mm3 / 1000 < 2100


@pytest.mark.parametrize("what", ["CT", "abdomen", "noise", "crop", "half"])
def test_what_is_no_whole_head_is_never_measured(what, data_dir, head):
    rng = np.random.default_rng(1)
    noise = rng.normal(100, 20, (90, 90, 90)).astype(np.float32)
    k, j, i = head.geometry.shape
    volume = {
        "CT": lambda: read_volume(data_dir / "totalsegmentator" / "example_ct.nii.gz"),
        "abdomen": lambda: read_volume(data_dir / "totalsegmentator" / "example_mr_sm.nii.gz"),
        "noise": lambda: Volume(noise, Geometry.from_spacing(noise.shape, (2, 2, 2))),
        "crop": lambda: read_volume(data_dir / "msd_hippocampus" / "images" / "hippocampus_001.nii.gz"),
        "half": lambda: head.replace(
            array=np.ascontiguousarray(head.array[k // 2 :]),
            geometry=head.geometry.crop((k // 2, 0, 0), (k - k // 2, j, i)),
        ),
    }[what]()
    labels = run(volume, CASCADE)
    assert errors(labels) & {"DOMAIN_OOD", "FOV_ORGAN_ABSENT"}


@pytest.mark.parametrize("protocol", ["brain", "hippocampus"])
def test_the_protocols_give_shares_of_the_intracranial_volume(protocol, head, tmp_path):
    from medai.cohort.case import run_case
    from medai.cohort.protocol import load_protocol

    write_volume(head, tmp_path / "head.nii.gz")
    result = run_case(tmp_path / "head.nii.gz", load_protocol(protocol), tmp_path / "out")
    report = json.loads(result.files["report.json"].read_text("utf-8"))
    rows = {row["structure"]: row for row in report["volumes"]["rows"]}
    assert 900 < report["volumes"]["reference_volume"]["value"] < 2100
    assert abs(rows["Hippocampus"]["asymmetry"]["value"]) < 30
    assert 2.0 < rows["Hippocampus"]["total_share"]["value"] < 8.0
    assert report["banner"]["light"] != "red"
