"""Protocols with derived volumes: from the JSON to the table, the report and the refusal."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.cohort.case import run_case
from medai.cohort.protocol import Protocol, load_protocol, shipped_protocols
from medai.core.errors import DependencyError, InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.io import write_volume
from medai.core.volume import Volume

DERIVED = {
    "totals": [
        {"name": "Left", "segments": ["Left part"]},
        {"name": "Right", "segments": ["Right part"]},
        {"name": "Whole", "segments": ["Left part", "Right part"]},
        {"name": "More", "segments": ["Left part", "Right part", "Nowhere"]},
    ],
    "pairs": [{"name": "Part", "left": "Left", "right": "Right"}],
    "reference": "Whole",
}
PIPELINE = [
    {"step": "threshold", "settings": {"method": "manual", "lower": 50, "name": "Part"}},
    {"step": "split_sides", "settings": {}},
]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Two blocks: 6 x 8 x 10 mm on the left, 5 x 8 x 10 mm on the right."""
    array = np.random.default_rng(2).normal(0, 1, (20, 24, 40)).astype(np.float32)
    array[5:15, 8:16, 6:12] = 100
    array[5:15, 8:16, 28:33] = 100
    grid = Geometry.from_spacing(array.shape, (1, 1, 1), (-20, -12, -10))
    write_volume(Volume(array, grid), tmp_path / "image.nii.gz")
    return tmp_path / "image.nii.gz"


def protocol_file(folder: Path, **changes: Any) -> str:
    content = {"id": "parts", "title": "Parts", "pipeline": PIPELINE, "derived": DERIVED, **changes}
    (folder / "p.json").write_text(json.dumps(content), "utf-8")
    return str(folder / "p.json")


def test_the_shipped_protocols_are_valid() -> None:
    for name in shipped_protocols():
        try:
            protocol = load_protocol(name)
        except DependencyError:
            continue
        assert Protocol.parse(protocol.to_dict()) == protocol


def test_derived_volumes_are_in_the_table_and_the_report(image: Path, tmp_path: Path) -> None:
    result = run_case(image, load_protocol(protocol_file(tmp_path)), tmp_path / "out")
    with open(result.files["features.csv"], encoding="utf-8", newline="") as stream:
        rows = {(r["segment"], r["feature"]): r for r in csv.DictReader(stream) if r["family"] == "volumetry"}
    assert float(rows["Left", "total_volume"]["value"]) == pytest.approx(0.48)
    assert float(rows["Part", "asymmetry_index"]["value"]) == pytest.approx(100 * 0.08 / 0.44)
    assert float(rows["Right", "share_of_reference"]["value"]) == pytest.approx(1000 * 0.40 / 0.88)
    assert rows["More", "total_volume"]["value"] == ""
    assert rows["More", "total_volume"]["reason"] == "there is no segment Nowhere"
    report = json.loads(result.files["report.json"].read_text("utf-8"))
    part = next(row for row in report["volumes"]["rows"] if row["structure"] == "Part")
    assert part["asymmetry"]["text"] == "18.2 %"
    assert "Volumes" in result.files["report.html"].read_text("utf-8")


@pytest.mark.parametrize(
    ("derived", "message"),
    [
        ({**DERIVED, "reference": "Head"}, r"p\.json\.derived.*no total called 'Head'"),
        ({"totals": [{"name": "A", "parts": ["x"]}]}, r"p\.json\.derived\.totals\[0\]\.parts: unknown key"),
    ],
)
def test_derived_settings_that_do_not_fit_are_refused_before_anything_runs(
    tmp_path: Path, derived: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        load_protocol(protocol_file(tmp_path, derived=derived))


def test_a_result_outside_the_models_domain_is_refused_unless_allowed(
    image: Path, tmp_path: Path, model_folder: Any
) -> None:
    limit = {"measure": "volume_ml", "low": 900, "high": 2100, "meaning": "the intracranial volume"}
    folder = model_folder(tmp_path / "model", domain=[limit])
    step = {"step": "unet", "settings": {"model": str(folder), "device": "cpu", "backend": "torch"}}
    protocol = load_protocol(protocol_file(tmp_path, pipeline=[step], derived={}))
    with pytest.raises(InputError, match="DOMAIN_OOD: The intracranial volume is") as caught:
        run_case(image, protocol, tmp_path / "out")
    assert caught.value.code == "QC_ERROR"
    assert not (tmp_path / "out").exists()
    result = run_case(image, protocol, tmp_path / "out", allow_error_flags=True)
    assert "DOMAIN_OOD" in {flag.code for flag in result.report.flags}
    assert result.report.banner.light == "red"
    assert result.labels.meta["domain"][0]["value"] == pytest.approx(sum(result.labels.volumes_ml().values()))
