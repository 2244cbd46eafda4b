from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.errors import AmbiguousInput, InputError, UnsupportedInput
from medai.core.io import SeriesInfo, list_series, read_volume

pytest.importorskip("pydicom")


def test_row_13_mixed_series_are_listed(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5, 5], SeriesDescription="CANARY thorax")
    write_series(
        folder / "other", [0, 1], SeriesInstanceUID="2.25.5", Modality="MR", RescaleSlope=None, RescaleIntercept=None
    )
    with pytest.raises(AmbiguousInput, match="2 image series") as caught:
        read_volume(folder)
    text = str(caught.value)
    assert "2.25.5: MR, 2 x 6 x 4" in text
    assert "2.25.77: CT, 3 x 6 x 4" in text
    assert "CANARY" not in text
    assert list_series(folder) == [
        SeriesInfo("2.25.5", "MR", "", 2, (2, 4, 6)),
        SeriesInfo("2.25.77", "CT", "CANARY thorax", 3, (3, 4, 6)),
    ]
    assert read_volume(folder, series_uid="2.25.5").modality == "MR"
    with pytest.raises(InputError, match="no series"):
        read_volume(folder, series_uid="../../etc/passwd")


def test_row_13_a_localiser_inside_one_series(tmp_path: Path, write_series: Any, write_slice: Any) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5, 5])
    write_slice(
        folder / "scout.dcm",
        z=99,
        ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    with pytest.raises(AmbiguousInput, match="localiser"):
        read_volume(folder)
    found = {info.uid: info for info in list_series(folder)}
    main = next(uid for uid, info in found.items() if info.count == 3)
    assert set(found) == {"2.25.77#1", "2.25.77#2"}
    assert read_volume(folder, series_uid=main).array.shape == (3, 4, 6)
    with pytest.raises(AmbiguousInput):
        read_volume(folder, series_uid="2.25.77")


def test_row_14_echoes_are_split_by_their_tag(tmp_path: Path, write_series: Any) -> None:
    folder = tmp_path / "s"
    for echo in (4.9, 9.8):
        write_series(
            folder, [0, 2.5, 5], prefix=f"e{echo}_", EchoTime=echo, pixels=np.full((4, 6), int(echo), np.int16)
        )
    infos = list_series(folder)
    assert [info.description for info in infos] == ["(EchoTime 4.9)", "(EchoTime 9.8)"]
    with pytest.raises(AmbiguousInput, match=r"EchoTime 4\.9.*EchoTime 9\.8"):
        read_volume(folder)
    volume = read_volume(folder, series_uid=infos[1].uid)
    assert set(np.unique(volume.array)) == {9 - 1024}
    assert volume.meta["stack"] == "EchoTime 9.8"


def test_rows_54_and_55_links_fifos_and_dicomdir(tmp_path: Path, write_series: Any, write_slice: Any) -> None:
    outside = write_series(tmp_path / "outside", [100, 200])
    folder = write_series(tmp_path / "s", [0, 2.5, 5])
    (folder / "loop").symlink_to(folder)
    (folder / "away").symlink_to(outside)
    (folder / "broken").symlink_to(folder / "nothing")
    (folder / "self").symlink_to(folder / "self")
    os.mkfifo(folder / "fifo.dcm")
    (folder / "notes.txt").write_text("hello")
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"..\\..\\outside\\im")
    volume = read_volume(folder)
    assert volume.array.shape == (3, 4, 6)
    assert (
        volume.meta["skipped"] == "1 x DICOMDIR; 2 x broken link; 2 x link to a folder; 1 x not DICOM; 1 x special file"
    )
    with pytest.raises(InputError, match="DICOMDIR only points"):
        read_volume(folder / "DICOMDIR")


@pytest.mark.parametrize("uid", ["../../../tmp/evil", "/etc/passwd", "a\0b", "..\\..\\x", "2.25." + "9" * 300])
def test_row_54_a_uid_is_never_a_path(tmp_path: Path, write_series: Any, uid: str) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5], SeriesInstanceUID=uid)
    before = sorted(tmp_path.rglob("*"))
    assert len(list_series(folder)) == 1
    assert read_volume(folder).array.shape == (2, 4, 6)
    assert sorted(tmp_path.rglob("*")) == before


def test_no_series_uid_at_all(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5], SeriesInstanceUID=None)
    assert [info.uid for info in list_series(folder)] == [""]
    assert read_volume(folder).array.shape == (2, 4, 6)


def test_row_12_a_truncated_slice_is_never_dropped(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5, 5, 7.5])
    victim = sorted(folder.iterdir())[2]
    whole = victim.read_bytes()
    for length in [0, 1, 100, 131, 132, 140, 200, 300, 400, *range(450, len(whole), 61), len(whole) - 1]:
        victim.write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            read_volume(folder)
        assert "CANARY" not in str(caught.value), length
    victim.write_bytes(whole)
    assert read_volume(folder).array.shape == (4, 4, 6)


def test_a_text_file_named_dcm_is_refused(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5])
    (folder / "x.dcm").write_text("this is no DICOM file at all " * 20)
    with pytest.raises(InputError, match=r"x\.dcm"):
        read_volume(folder)


def test_other_objects_are_no_images(tmp_path: Path, write_series: Any, write_slice: Any) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5])
    write_slice(folder / "seg.dcm", Modality="SEG", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")
    assert len(list_series(folder)) == 1
    with pytest.raises(UnsupportedInput, match="segmentation"):
        read_volume(folder / "seg.dcm")
    only = tmp_path / "only"
    only.mkdir()
    write_slice(only / "seg.dcm", Modality="SEG")
    with pytest.raises(UnsupportedInput, match="segmentation"):
        read_volume(only)


def test_an_empty_folder(tmp_path: Path) -> None:
    assert list_series(tmp_path) == []
    with pytest.raises(InputError, match="no DICOM images"):
        read_volume(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        list_series(tmp_path / "none")


def test_images_without_position(tmp_path: Path, write_slice: Any) -> None:
    for number in range(2):
        write_slice(
            tmp_path / f"{number}.dcm", z=number, Modality="DX", ImagePositionPatient=None,
            ImageOrientationPatient=None, PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.1],
            RescaleSlope=None, RescaleIntercept=None,
        )  # fmt: skip
    with pytest.raises(AmbiguousInput, match=r"instance 1.*instance 2"):
        read_volume(tmp_path)
    volume = read_volume(tmp_path / "0.dcm")
    assert [f.code for f in volume.flags] == ["ORIENT_UNKNOWN"]
    assert "detector" in volume.flags[0].message
    assert volume.geometry.spacing == (0.1, 0.2, 1.0)
    assert volume.unit == ""
    (one,) = (info for info in list_series(tmp_path) if info.uid.endswith("#2"))
    assert one.shape == (1, 4, 6)


def test_frame_of_a_stack_is_one_slice(tmp_path: Path, write_series: Any) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5, 5])
    whole = read_volume(folder)
    one = read_volume(folder, frame=2)
    np.testing.assert_array_equal(one.array, whole.array[2:])
    assert one.geometry.origin == pytest.approx(tuple(whole.geometry.to_ras((0, 0, 2))))
    with pytest.raises(InputError, match="no frame 3"):
        read_volume(folder, frame=3)


@pytest.mark.parametrize("name", ["Yamada^Tarou=山田^太郎", "^^^^", "", "CANARY^" + "x" * 200])
def test_row_57_patient_names_of_any_kind(tmp_path: Path, write_series: Any, name: str) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5], PatientName=name, SpecificCharacterSet=["", "ISO 2022 IR 87"])
    volume = read_volume(folder)
    everything = f"{volume.name} {dict(volume.meta)} {volume.flags}"
    assert "CANARY" not in everything
    assert "山田" not in everything


def test_row_35_paths(tmp_path: Path, write_series: Any) -> None:
    folder = tmp_path / ("-long ü 山 " * 12) / ("y" * 200)
    folder.mkdir(parents=True)
    assert read_volume(write_series(folder / "s", [0, 2.5])).array.shape == (2, 4, 6)
