"""Every feature against the reference values of the Image Biomarker Standardisation Initiative, on its phantoms.

The digital phantom needs no processing.  The CT phantom is measured as configurations A (as it is) and B to E
(resampled here with medai.core.resample; the mask linearly, kept from one half on).  Entropy and uniformity are
compared where IBSI bins by a fixed width: B, D and E use a fixed number of bins.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.io import read_labelmap, read_volume
from medai.core.labelmap import LabelMap
from medai.core.resample import resample_array
from medai.core.volume import Volume
from medai.features import FAMILIES, FeatureTable, extract

pytestmark = pytest.mark.data

TAGS = {
    "mesh_volume": "morph_volume", "voxel_volume": "morph_vol_approx", "surface_area": "morph_area_mesh",
    "surface_to_volume_ratio": "morph_av", "compactness_1": "morph_comp_1", "compactness_2": "morph_comp_2",
    "spherical_disproportion": "morph_sph_dispr", "sphericity": "morph_sphericity", "asphericity": "morph_asphericity",
    "centre_of_mass_shift": "morph_com", "maximum_3d_diameter": "morph_diam", "major_axis_length": "morph_pca_maj_axis",
    "minor_axis_length": "morph_pca_min_axis", "least_axis_length": "morph_pca_least_axis",
    "elongation": "morph_pca_elongation", "flatness": "morph_pca_flatness", "mean": "stat_mean", "variance": "stat_var",
    "skewness": "stat_skew", "excess_kurtosis": "stat_kurt", "median": "stat_median", "minimum": "stat_min",
    "percentile_10": "stat_p10", "percentile_90": "stat_p90", "maximum": "stat_max", "interquartile_range": "stat_iqr",
    "intensity_range": "stat_range", "mean_absolute_deviation": "stat_mad",
    "robust_mean_absolute_deviation": "stat_rmad", "median_absolute_deviation": "stat_medad",
    "coefficient_of_variation": "stat_cov", "quartile_coefficient_of_dispersion": "stat_qcod", "energy": "stat_energy",
    "root_mean_square": "stat_rms", "entropy": "ih_entropy", "uniformity": "ih_uniformity",
}  # fmt: skip
BINNED = {"entropy", "uniformity"}


@pytest.fixture(scope="module")
def ct(data_dir: Path) -> tuple[Volume, LabelMap]:
    folder = data_dir / "ibsi_ct_phantom" / "nifti"
    return read_volume(folder / "image" / "phantom.nii.gz"), read_labelmap(folder / "mask" / "mask.nii.gz")


def references(data_dir: Path, name: str) -> dict[str, tuple[float, float]]:
    """Return (value, tolerance) by IBSI's tag."""
    path = data_dir / "ibsi_reference_values" / f"ibsi_1_reference_values_{name}.csv"
    with open(path, encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["reference value"]]
    return {row["tag"]: (float(row["reference value"]), float(row["tolerance"])) for row in rows}


def compare(data_dir: Path, name: str, table: FeatureTable, *, leave_out: set[str] = frozenset()) -> None:
    """Compare at the three significant digits that the reference values have."""
    expected = references(data_dir, name)
    features = [feature for feature in TAGS if feature not in leave_out]
    wrong = []
    for feature in features:
        value, tolerance = expected[TAGS[feature]]
        found = float(f"{table.value(table.segments[0], feature):.3g}")
        if abs(found - value) > tolerance + 1e-9 * abs(value):
            wrong.append(f"{feature}: {found} instead of {value} +- {tolerance}")
    assert wrong == []


def settings(bin_width: float, **limits: float) -> dict[str, Any]:
    return {"families": {"shape": {}, "first_order": {"bin_width": bin_width}}, "limits": limits}


def resampled(
    pair: tuple[Volume, LabelMap], spacing: tuple[float, float, float], interpolator: str
) -> tuple[Volume, LabelMap]:
    volume, labels = pair
    grid = volume.geometry.with_spacing(spacing)
    array = resample_array(volume.array.astype(np.float64), volume.geometry, grid, interpolator)
    inside = resample_array(labels.array.astype(np.float64), labels.geometry, grid, "linear") >= 0.5 - 1e-6
    return volume.replace(array=np.rint(array), geometry=grid), LabelMap(inside, grid)


def test_every_feature_has_a_reference() -> None:
    """Only the standard deviation is not an IBSI feature."""
    names = {info.name for family in ("shape", "first_order") for info in FAMILIES.get(family).features()}
    assert names - set(TAGS) == {"standard_deviation"}
    assert set(TAGS) <= names


def test_digital_phantom(data_dir: Path) -> None:
    folder = data_dir / "ibsi_digital_phantom"
    volume = read_volume(folder / "image" / "phantom.nii.gz")
    labels = read_labelmap(folder / "mask" / "mask.nii.gz")
    compare(data_dir, "digital_phantom", extract(volume, labels, settings(1.0)))


def test_configuration_a(data_dir: Path, ct: tuple[Volume, LabelMap]) -> None:
    compare(data_dir, "config_A", extract(*ct, settings(25.0, lower=-500, upper=400)))


def test_configuration_b(data_dir: Path, ct: tuple[Volume, LabelMap]) -> None:
    pair = resampled(ct, (2.0, 2.0, 3.0), "linear")
    compare(data_dir, "config_B", extract(*pair, settings(25.0, lower=-500, upper=400)), leave_out=BINNED)


def test_configurations_c_and_d(data_dir: Path, ct: tuple[Volume, LabelMap]) -> None:
    pair = resampled(ct, (2.0, 2.0, 2.0), "linear")
    compare(data_dir, "config_C", extract(*pair, settings(25.0, lower=-1000, upper=400)))
    compare(data_dir, "config_D", extract(*pair, settings(25.0, outlier_sigmas=3)), leave_out=BINNED)


def test_configuration_e(data_dir: Path, ct: tuple[Volume, LabelMap]) -> None:
    pair = resampled(ct, (2.0, 2.0, 2.0), "bspline")
    limits = settings(25.0, lower=-1000, upper=400, outlier_sigmas=3)
    compare(data_dir, "config_E", extract(*pair, limits), leave_out=BINNED)
