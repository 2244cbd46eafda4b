"""Names of structures, their codes and colours."""

import re

import pytest

from medai.segment.anatomy import KNOWN, LEFT, RIGHT, color_of, named


def test_a_known_name_brings_its_codes():
    lung = named(3, "Left lung")
    assert lung.label == 3
    assert lung.type is not None
    assert (lung.type.value, lung.modifier) == ("39607008", LEFT)
    right = named(4, "Right lung")
    assert right.modifier == RIGHT
    assert right.color != lung.color


def test_white_and_grey_matter_are_not_mixed_up():
    """The numbers are neighbours: 389080008 is white, 389081007 grey matter."""
    assert KNOWN["White matter"][1].value == "389080008"
    assert KNOWN["Grey matter"][1].value == "389081007"


def test_an_unknown_name_is_tissue_with_a_colour_of_its_label():
    assert named(1, "Leftover").modifier is None
    assert named(1, "Blob").color == named(1, "Other").color == color_of(1)
    assert len({color_of(n) for n in range(1, 200)}) == 199


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_codes_are_well_formed(name):
    category, kind, color = KNOWN[name]
    for code in (category, kind):
        assert code.scheme == "SCT"
        assert re.fullmatch(r"\d{6,18}", code.value)
        assert code.meaning
    assert all(0 <= c <= 1 for c in color)


def test_codes_mean_what_the_dicom_dictionary_says():
    concepts = pytest.importorskip("pydicom.sr._concepts_dict").concepts["SCT"]
    meanings = {code: found[0] for by_code in concepts.values() for code, found in by_code.items()}
    checked = 0
    for name, (_, kind, _) in KNOWN.items():
        if kind.value in meanings:
            words = {w.lower()[:4] for w in re.findall(r"\w+", kind.meaning)}
            found = {w.lower()[:4] for w in re.findall(r"\w+", meanings[kind.value].replace("Gray", "Grey"))}
            assert words & found, (name, meanings[kind.value])
            checked += 1
    assert checked >= 10
