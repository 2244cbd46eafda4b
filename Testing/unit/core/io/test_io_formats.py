from __future__ import annotations

import pytest

from medai.core.errors import InputError
from medai.core.io.formats import format_of, split_name, stem, writable_suffix


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("brain.nii.gz", ("brain", ".nii.gz")),
        ("Brain.NII.GZ", ("Brain", ".nii.gz")),
        ("a.b.nii", ("a.b", ".nii")),
        ("a.seg.nrrd", ("a", ".seg.nrrd")),
        ("x.mha", ("x", ".mha")),
        ("1.2.840.10008", ("1.2.840.10008", "")),
        (".nii", (".nii", "")),
        ("noise.gz", ("noise.gz", "")),
        ("日本 語.nrrd", ("日本 語", ".nrrd")),
    ],
)
def test_split_name(name: str, expected: tuple[str, str]) -> None:
    assert split_name(f"/some where/{name}") == expected
    assert stem(name) == expected[0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.nii.gz", "nifti"),
        ("a.nhdr", "nrrd"),
        ("a.mhd", "meta"),
        ("a.JPEG", "picture"),
        ("a.dcm", "dicom"),
        ("a", ""),
    ],
)
def test_format_of(name: str, kind: str) -> None:
    assert format_of(name) == kind


def test_only_formats_with_a_writer_are_writable() -> None:
    assert writable_suffix("x.seg.nrrd") == ".seg.nrrd"
    assert writable_suffix("x.nii.gz") == ".nii.gz"
    for name in ("x.png", "x.dcm", "x.gz", "x"):
        with pytest.raises(InputError, match="cannot be written"):
            writable_suffix(name)
