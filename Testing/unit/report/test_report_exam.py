"""Only listed acquisition facts leave the metadata, and only if they look like such facts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from medai.core.geometry import Geometry
from medai.core.qc import QCFlag, Severity
from medai.report.exam import ALLOWED_META, exam_facts


def _facts(kit: SimpleNamespace, **changes: object) -> dict[str, str]:
    return {fact.label: fact.text for fact in exam_facts(kit.case()[0].replace(**changes))}


def test_grid_in_words(kit: SimpleNamespace) -> None:
    facts = _facts(kit)
    assert facts["Modality"] == "MR"
    assert facts["Matrix (I x J x K)"] == "40 x 48 x 36"
    assert facts["Voxel spacing"] == "1 x 1 x 1 mm"
    assert facts["Field of view"] == "40.0 x 48.0 x 36.0 mm"
    assert facts["Axes grow towards"] == "RAS"


def test_missing_facts_are_named_by_modality(kit: SimpleNamespace) -> None:
    assert _facts(kit)["Echo time"] == ""
    assert "Tube voltage" not in _facts(kit)
    assert _facts(kit, modality="CT")["Tube voltage"] == ""
    assert "Echo time" not in _facts(kit, modality="CT")


def test_known_facts_are_shown_with_units(kit: SimpleNamespace) -> None:
    meta = {"EchoTime": "2.98", "MagneticFieldStrength": "3", "Manufacturer": "Maker AG", "SliceThickness": "1.000"}
    facts = _facts(kit, meta=meta)
    assert facts["Echo time"] == "2.98 ms"
    assert facts["Field strength"] == "3 T"
    assert facts["Manufacturer"] == "Maker AG"
    assert facts["Slice thickness"] == "1 mm"


@pytest.mark.parametrize("value", ["DOE^JANE", "born 1950 <b>", "nan", "", "3,5", "1e999", "x" * 40, "\x00", "3; DOE"])
def test_values_that_do_not_look_right_are_left_out(kit: SimpleNamespace, value: str) -> None:
    facts = _facts(kit, meta=dict.fromkeys(("EchoTime", "RepetitionTime", "SliceThickness"), value))
    assert facts["Echo time"] == facts["Repetition time"] == facts["Slice thickness"] == ""


@pytest.mark.parametrize("value", ["DOE^JANE", "<script>", "x" * 40, "a\nb{{7}}"])
def test_words_that_do_not_look_right_are_left_out(kit: SimpleNamespace, value: str) -> None:
    assert _facts(kit, meta={"Manufacturer": value})["Manufacturer"] == ""
    assert _facts(kit, modality=value)["Modality"] == ""


def test_every_other_key_stays_out(kit: SimpleNamespace) -> None:
    keys = ("PatientName", "PatientID", "SeriesDescription", "ProtocolName", "descrip", "InstitutionName", "format")
    assert not set(keys) & set(ALLOWED_META)
    assert "CANARY" not in str(_facts(kit, name="CANARY", meta=dict.fromkeys(keys, "CANARY")))


def test_unknown_orientation_is_said(kit: SimpleNamespace) -> None:
    flag = QCFlag("ORIENT_UNKNOWN", Severity.WARNING, "no orientation in the file")
    assert _facts(kit, flags=(flag,))["Axes grow towards"] == ""


def test_oblique_grid_is_said(kit: SimpleNamespace) -> None:
    volume = kit.case()[0]
    direction = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]
    grid = Geometry.from_spacing(volume.geometry.shape, (1, 1, 1), direction=direction)
    assert _facts(kit, geometry=grid)["Axes grow towards"] == "RAS, oblique"
