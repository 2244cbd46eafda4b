from __future__ import annotations

from typing import Any

import pytest

from medai.core.errors import InputError
from medai.core.io.dicom.facts import FACT_KEYWORDS, facts_of
from medai.core.io.dicom.quiet import quiet_pydicom
from medai.core.io.dicom.values import decimals, text, value_of, whole

pydicom = pytest.importorskip("pydicom")


def dataset(**values: Any) -> Any:
    data = pydicom.Dataset()
    with quiet_pydicom():
        for keyword, value in values.items():
            setattr(data, keyword, value)
    return data


def raw(tag: int, vr: str, value: bytes) -> Any:
    data = pydicom.Dataset()
    tag = pydicom.tag.Tag(tag)
    data[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(value), value, 0, False, True)
    return data


def test_numbers() -> None:
    data = dataset(PixelSpacing=[0.5, 0.25], RescaleSlope="  1.50 ", Rows=512)
    assert decimals(data, "PixelSpacing", 2, "x") == [0.5, 0.25]
    assert decimals(data, "RescaleSlope", 1, "x") == [1.5]
    assert decimals(data, "SliceThickness", 1, "x") is None
    assert whole(data, "Rows", "x", 1, 65535) == 512


@pytest.mark.parametrize("given", [b"abc", b"nan", b"inf", b"-inf", b"1\\2", b"1e999", b"0x10", b"1,5"])
def test_row_16_a_number_that_is_none(given: bytes) -> None:
    with quiet_pydicom(), pytest.raises(InputError, match="RescaleIntercept of 'x'"):
        decimals(raw(0x00281052, "DS", given), "RescaleIntercept", 1, "x")


@pytest.mark.parametrize(
    ("vr", "given"), [("LO", b"many"), ("LO", b"512"), ("US", b"\x00\x00"), ("US", b"\x01\x00\x02\x00")]
)
def test_row_17_sizes_of_a_wrong_kind(vr: str, given: bytes) -> None:
    with quiet_pydicom(), pytest.raises(InputError, match="Rows of 'x'"):
        whole(raw(0x00280010, vr, given), "Rows", "x", 1, 65535)


def test_broken_bytes_are_ours() -> None:
    with quiet_pydicom(), pytest.raises(InputError, match="Rows of 'x' cannot be read"):
        value_of(raw(0x00280010, "US", b"\x01"), "Rows", "x")


@pytest.mark.parametrize("name", ["^^^^", "", "A" * 500, "tab\tline\n"])
def test_text_is_short_and_printable(name: str) -> None:
    found = text(dataset(Manufacturer=name), "Manufacturer", "x")
    assert len(found) <= 64
    assert found.isprintable()
    assert text(dataset(), "Manufacturer", "x") == ""


def test_facts_are_an_allow_list() -> None:
    data = dataset(PatientName="CANARY", StudyDate="19990101", KVP="120", ImageType=["ORIGINAL", "PRIMARY"])
    assert facts_of(data, "x") == {"KVP": "120", "ImageType": "ORIGINAL\\PRIMARY"}
    for keyword in FACT_KEYWORDS:
        assert pydicom.datadict.tag_for_keyword(keyword), keyword
        assert pydicom.datadict.dictionary_VR(keyword) in {"CS", "DS", "IS", "LO", "SH", "FD", "US or SS"}
        private = (
            "Patient",
            "Name",
            "Date",
            "Time",
            "UID",
            "Institution",
            "Physician",
            "Operator",
            "Address",
            "Comment",
        )
        if keyword not in {"PatientPosition", "RepetitionTime", "EchoTime", "InversionTime", "ManufacturerModelName"}:
            assert not any(word in keyword for word in private), keyword
