"""Reports of real images: anatomy decides whether the letters are right."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medai.core.io import read_labelmap, read_volume
from medai.core.labelmap import LabelMap, Segment
from medai.report.renderers.html import HtmlRenderer

ORGANS = {5: "Liver", 1: "Spleen", 2: "Right kidney", 3: "Left kidney", 79: "Spinal cord", 4: "Gallbladder"}
pytestmark = pytest.mark.data


def _columns(image, color: str) -> np.ndarray:
    from PIL import Image

    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    with Image.open(io.BytesIO(base64.b64decode(image.png_base64))) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    return np.nonzero(np.abs(pixels - rgb).max(axis=2) < 40)[1]


def test_liver_is_on_the_left_of_the_picture(kit: SimpleNamespace, data_dir: Path) -> None:
    folder = data_dir / "totalsegmentator"
    volume = read_volume(folder / "example_ct_sm.nii.gz").replace(modality="CT", unit="[hnsf'U]")
    found = read_labelmap(folder / "example_seg.nii.gz")
    array = np.where(np.isin(found.array, list(ORGANS)), found.array, 0)
    labels = LabelMap(array, found.geometry, tuple(Segment(n, name) for n, name in ORGANS.items()))
    report = kit.report(volume, labels)
    findings = {f.segment: f for f in report.findings}
    axial = findings["Liver"].images[0]
    assert (axial.left, axial.right) == ("R", "L")
    assert axial.field_of_view_mm > 300
    assert _columns(axial, findings["Liver"].color).mean() < 0.45 * axial.width_px
    assert _columns(axial, findings["Spleen"].color).mean() > 0.6 * axial.width_px
    coronal = findings["Right kidney"].images[1]
    assert coronal.left == "R"
    assert 800 < findings["Liver"].volume.value / 1000 < 1500
    assert axial.caption.endswith("W 400 L 40 HU · width 366 mm")
    sagittal = findings["Spinal cord"].images[2]
    # the cord runs behind the middle of the body: right of the picture's middle, because front is on the left
    body = _columns(sagittal, findings["Spinal cord"].color)
    assert body.size > 50
    assert (sagittal.left, sagittal.right) == ("A", "P")
    assert len(HtmlRenderer().encode(report)) < 1_500_000


def test_expert_hippocampus(kit: SimpleNamespace, data_dir: Path) -> None:
    folder = data_dir / "msd_hippocampus"
    volume = read_volume(folder / "images" / "hippocampus_001.nii.gz").replace(modality="MR")
    labels = read_labelmap(
        folder / "labels" / "hippocampus_001.nii.gz", segments=(Segment(1, "anterior"), Segment(2, "posterior"))
    )
    report = kit.report(volume, labels)
    anterior, posterior = report.findings
    assert 0.5 < anterior.volume.value / 1000 < 3.0
    sagittal = anterior.images[2]
    front, back = _columns(sagittal, anterior.color), _columns(sagittal, posterior.color)
    assert front.mean() < back.mean(), "front is on the left of a sagittal picture"
