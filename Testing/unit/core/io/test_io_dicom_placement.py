from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.io import read_volume
from medai.core.qc import QCFlag, Severity

pytest.importorskip("pydicom")


def flags_of(folder: Path) -> tuple[QCFlag, ...]:
    return read_volume(folder).flags


def k_column(folder: Path) -> Any:
    return read_volume(folder).geometry.ijk_to_lps[:3, 2]


def test_a_regular_series(tmp_path: Path, write_series: Any) -> None:
    volume = read_volume(write_series(tmp_path / "s", np.arange(6) * 2.5 - 40))
    assert volume.array.shape == (6, 4, 6)
    np.testing.assert_array_equal(
        volume.geometry.ijk_to_lps, [[0.25, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 2.5, -40], [0, 0, 0, 1]]
    )
    np.testing.assert_array_equal(volume.array[:, 0, 0], np.array([-40, -37, -35, -32, -30, -27]) - 1024)
    assert volume.flags == ()
    assert (volume.modality, volume.unit) == ("CT", "[hnsf'U]")


@pytest.mark.parametrize("gap", [1, 4, 8])
def test_row_11_a_missing_slice(tmp_path: Path, write_series: Any, gap: int) -> None:
    zs = np.delete(np.arange(10) * 2.5, gap)
    volume = read_volume(write_series(tmp_path / "s", zs))
    (flag,) = volume.flags
    assert (flag.code, flag.severity, flag.measured, flag.limit) == ("GEOM_MISSING_SLICE", Severity.ERROR, 5.0, 2.5)
    assert f"behind slice {gap} of 9" in flag.message
    np.testing.assert_allclose(
        volume.geometry.spacing, (0.25, 0.5, 2.5), err_msg="true before the gap, not 2.75 on average"
    )
    assert volume.geometry.origin[2] == 0


def test_every_second_slice_missing_but_one(tmp_path: Path, write_series: Any) -> None:
    volume = read_volume(write_series(tmp_path / "s", [0, 2, 4, 5, 7, 9]))
    (flag,) = volume.flags
    assert flag.code == "GEOM_MISSING_SLICE"
    assert "4 slices are missing" in flag.message
    assert volume.geometry.spacing[2] == pytest.approx(1)


def test_row_15_uneven_steps_give_the_best_line(tmp_path: Path, write_series: Any) -> None:
    zs = np.array([0, 1, 2.4, 3.1, 4.4, 5])
    volume = read_volume(write_series(tmp_path / "s", zs))
    (flag,) = volume.flags
    assert (flag.code, flag.severity) == ("GEOM_NONUNIFORM_SLICES", Severity.ERROR)
    slope, start = np.polyfit(np.arange(6), zs, 1)
    np.testing.assert_allclose(volume.geometry.ijk_to_lps[2, 2:], [slope, start])
    assert flag.measured == pytest.approx(np.abs(zs - start - slope * np.arange(6)).max(), abs=1e-4)


def test_slightly_uneven_steps_are_a_warning(tmp_path: Path, write_series: Any) -> None:
    (flag,) = flags_of(write_series(tmp_path / "s", [0, 1, 2.05, 3, 4]))
    assert (flag.code, flag.severity) == ("GEOM_NONUNIFORM_SLICES", Severity.WARNING)


def test_rounded_positions_are_no_fault(tmp_path: Path, write_series: Any) -> None:
    assert flags_of(write_series(tmp_path / "s", np.round(np.arange(30) * (2 / 3), 2))) == ()


def test_row_15_gantry_tilt_keeps_the_sheared_axis(tmp_path: Path, write_slice: Any) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    step = np.array([0.0, 2.5 * np.tan(np.deg2rad(15)), 2.5])
    for number in range(5):
        write_slice(folder / f"{number}.dcm", z=number, ImagePositionPatient=[float(f"{v:.6f}") for v in number * step])
    volume = read_volume(folder)
    (flag,) = volume.flags
    assert flag.code == "GEOM_SHEAR_TILT"
    assert flag.measured == pytest.approx(15, abs=0.01)
    np.testing.assert_allclose(volume.geometry.ijk_to_lps[:3, 2], step, atol=1e-5)


def test_drift_that_no_straight_axis_explains(tmp_path: Path, write_slice: Any) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for number, shift in enumerate([0, 0, 3, 0, 0]):
        write_slice(folder / f"{number}.dcm", z=number, ImagePositionPatient=[shift, 0, 2.5 * number])
    codes = {f.code: f.severity for f in flags_of(folder)}
    assert codes["GEOM_NONUNIFORM_SLICES"] == Severity.ERROR


@pytest.mark.parametrize(
    "orientation",
    [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1), (-1, 0, 0, 0, 1, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)],
)
def test_orientations_agree_with_simpleitk(tmp_path: Path, write_slice: Any, orientation: tuple[float, ...]) -> None:
    import SimpleITK as sitk

    from medai.core.sitk import geometry_of

    folder = tmp_path / "s"
    folder.mkdir()
    normal = np.cross(orientation[:3], orientation[3:])
    for number in (3, 0, 2, 1):
        position = [float(v) for v in np.array([10.0, -20, 30]) + normal * 3 * number]
        write_slice(
            folder / f"{number}.dcm", z=number, ImagePositionPatient=position, ImageOrientationPatient=list(orientation)
        )
    volume = read_volume(folder)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.array)
    assert volume.geometry.same_as(geometry_of(image), 1e-6)
    assert volume.geometry.is_right_handed


@pytest.mark.parametrize("position", [[0.0, 0.0, 5.0], [1e-4, 0.0, 5.0]])
def test_row_14_duplicates_without_a_difference(
    tmp_path: Path, write_series: Any, write_slice: Any, position: Any
) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5, 5])
    write_slice(folder / "again.dcm", z=5, ImagePositionPatient=position)
    with pytest.raises(InputError, match="same position") as caught:
        read_volume(folder)
    assert caught.value.code == "DUPLICATE_SLICES"


def test_pixel_spacing_that_changes(tmp_path: Path, write_series: Any, write_slice: Any) -> None:
    folder = write_series(tmp_path / "s", [0, 2.5, 5])
    write_slice(folder / "odd.dcm", z=7.5, PixelSpacing=[0.6, 0.25])
    with pytest.raises(InputError, match="pixel spacing changes"):
        read_volume(folder)


@pytest.mark.parametrize("value", [[0, 1], [1, -1], [1], ["nan", "1"]])
def test_row_7_pixel_spacing(tmp_path: Path, write_series: Any, value: Any) -> None:
    with pytest.raises(InputError, match="Spacing"):
        read_volume(write_series(tmp_path / "s", [0, 1], PixelSpacing=value))


@pytest.mark.parametrize("value", [[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0, 0.2, 1, 0]])
def test_row_9_impossible_orientation(tmp_path: Path, write_series: Any, value: Any) -> None:
    with pytest.raises(InputError, match="right angle"):
        read_volume(write_series(tmp_path / "s", [0, 1], ImageOrientationPatient=value))


def test_one_slice_takes_its_thickness(tmp_path: Path, write_slice: Any) -> None:
    volume = read_volume(write_slice(tmp_path / "x.dcm", z=7, SliceThickness=3.5))
    assert volume.geometry.spacing == (0.25, 0.5, 3.5)
    assert volume.is_2d
    assert read_volume(write_slice(tmp_path / "y.dcm")).geometry.spacing[2] == 1.0
