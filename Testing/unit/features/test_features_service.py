"""extract(): order, several labels, bad input, flags, progress, cancel."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from medai.core.errors import Cancelled, GeometryError, InputError, SettingsError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume
from medai.features import FAMILIES, extract
from medai.features.service import TINY_VOXELS


def codes(flags: tuple[QCFlag, ...]) -> list[tuple[str, str]]:
    return [(flag.code, flag.affects) for flag in flags]


@pytest.fixture
def scene(rng: np.random.Generator) -> tuple[Volume, LabelMap]:
    """Three segments that differ in size, place and intensity, and one that is empty."""
    grid = Geometry.from_spacing((12, 14, 16), (0.8, 1.0, 2.0))
    mask = np.zeros(grid.shape, np.uint8)
    mask[2:6, 2:7, 2:9] = 1
    mask[7:11, 3:12, 4:14] = 5
    mask[2:5, 9:13, 3:12] = 2
    segments = (Segment(5, "big"), Segment(9, "nothing"), Segment(1, "left"))
    return Volume(rng.normal(100, 20, grid.shape) + mask * 50, grid, unit="[hnsf'U]"), LabelMap(mask, grid, segments)


def test_every_segment_and_feature_once_in_order(scene: tuple[Volume, LabelMap]) -> None:
    table = extract(*scene)
    names = [info.name for cls in FAMILIES.classes() for info in cls.features()]
    assert table.segments == ("big", "nothing", "left", "Label 2")
    for segment in table.segments:
        assert [row.feature for row in table.rows if row.segment == segment] == names


def test_different_segments_give_different_values(scene: tuple[Volume, LabelMap]) -> None:
    """A guard against measuring the wrong region, or the whole image, or returning constants."""
    table = extract(*scene)
    for feature in table.features:
        found = [table.value(segment, feature) for segment in ("big", "left", "Label 2")]
        assert len(set(found)) == 3, feature


def test_a_label_is_measured_the_same_alone_and_among_others(scene: tuple[Volume, LabelMap]) -> None:
    volume, labels = scene
    everything = extract(volume, labels)
    for segment in labels.segments[:3:2]:
        alone = extract(volume, LabelMap(labels.mask(segment).astype(np.uint8), labels.geometry, (Segment(1, "x"),)))
        for row in alone.rows:
            assert everything.value(segment.name, row.feature) == row.value


def test_same_input_same_output(scene: tuple[Volume, LabelMap]) -> None:
    assert extract(*scene) == extract(*scene)


def test_inputs_are_not_changed(scene: tuple[Volume, LabelMap]) -> None:
    volume, labels = scene
    before = volume.digest(), labels.digest()
    extract(volume, labels, {"limits": {"lower": 90, "outlier_sigmas": 2}})
    assert (volume.digest(), labels.digest()) == before


def test_choosing_segments_and_families(scene: tuple[Volume, LabelMap]) -> None:
    table = extract(*scene, {"families": {"shape": {}}, "segments": ["left", "big", "left"]})
    assert table.segments == ("left", "big")
    assert {row.family for row in table.rows} == {"shape"}
    with pytest.raises(InputError, match="'right'"):
        extract(*scene, {"segments": ["right"]})
    with pytest.raises(SettingsError, match="texture"):
        extract(*scene, {"families": {"texture": {}}})


def test_settings_are_written_out_with_their_defaults(scene: tuple[Volume, LabelMap]) -> None:
    table = extract(*scene)
    assert table.settings == {
        "families": {"first_order": {"bin_width": 25.0}, "shape": {}},
        "limits": {"lower": None, "upper": None, "outlier_sigmas": None},
        "segments": None,
        "allow_error_flags": False,
    }
    same = extract(*scene, {"families": {"shape": {}, "first_order": {"bin_width": 25}}, "segments": ["big"]})
    assert same.settings_hash == table.settings_hash
    other = extract(*scene, {"families": {"shape": {}, "first_order": {"bin_width": 5}}})
    assert other.settings_hash != table.settings_hash


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"familys": {}}, r"features\.familys"),
        ({"families": {}}, r"features\.families"),
        ({"families": {"shape": {"mesh": 1}}}, r"families\.shape\.mesh"),
        ({"limits": {"lower": "low"}}, r"features\.limits\.lower"),
        ({"limits": {"lower": 5, "upper": 1}}, r"features\.limits"),
        ({"limits": {"outlier_sigmas": 0}}, r"features\.limits\.outlier_sigmas"),
        ({"segments": []}, r"features\.segments"),
        ({"limits": {"lower": float("nan")}}, r"features\.limits\.lower"),
    ],
)
def test_refuses_settings_by_their_path(scene: tuple[Volume, LabelMap], settings: object, path: str) -> None:
    with pytest.raises(SettingsError, match=path):
        extract(*scene, settings)


def test_empty_segment(scene: tuple[Volume, LabelMap]) -> None:
    """Row 26."""
    table = extract(*scene)
    rows = [row for row in table.rows if row.segment == "nothing"]
    assert len(rows) == len(table.features)
    assert {row.reason for row in rows} == {"empty"}
    assert all(math.isnan(row.value) for row in rows)
    assert ("MASK_EMPTY", "nothing") in codes(table.flags)


def test_no_segment_at_all(pair: Callable) -> None:
    table = extract(*pair(np.zeros((2, 2, 2))))
    assert table.rows == ()
    assert table.to_table().rows == 0


@pytest.mark.parametrize("count", [1, 3, TINY_VOXELS - 1])
def test_tiny_segment(measure: Callable, count: int) -> None:
    """Row 27: what is defined is computed, the rest has a reason, the segment is flagged."""
    mask = np.zeros((5, 5, 40))
    mask[2, 2, 2 : 2 + count] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        table = measure(mask)
    assert ("MASK_TINY", "Label 1") in codes(table.flags)
    assert table.value("Label 1", "voxel_volume") == count
    assert all(row.reason for row in table.rows if math.isnan(row.value))
    undefined = sum(not row.defined for row in table.rows)
    assert undefined == (7 if count == 1 else 0)
    assert (("FEATURE_UNDEFINED", "Label 1") in codes(table.flags)) is (undefined > 0)


def test_a_segment_of_27_voxels_is_not_tiny(measure: Callable) -> None:
    assert codes(measure(np.pad(np.ones((3, 3, 3)), 1)).flags) == []


def test_segment_at_the_border(measure: Callable) -> None:
    """Row 28: computed and flagged."""
    mask = np.zeros((5, 6, 7))
    mask[1:4, 1:5, 0:4] = 1
    table = measure(mask)
    flag = next(f for f in table.flags if f.code == "FOV_CLIPPED")
    assert (flag.affects, flag.measured) == ("Label 1", "I")
    assert table.value("Label 1", "voxel_volume") == mask.sum()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_inside_a_segment_is_refused(scene: tuple[Volume, LabelMap], bad: float, dtype: type) -> None:
    """Row 20."""
    volume, labels = scene
    array = volume.array.astype(dtype)
    array[3, 3, 3] = bad
    with pytest.raises(InputError, match="inside the segment 'left'"):
        extract(volume.replace(array=array), labels)


def test_nan_elsewhere_is_flagged(scene: tuple[Volume, LabelMap]) -> None:
    volume, labels = scene
    array = volume.array.copy()
    array[0, 0, :3] = np.nan
    table = extract(volume.replace(array=array), labels)
    flag = next(f for f in table.flags if f.code == "INT_NAN")
    assert (flag.affects, flag.measured) == ("image", 3)
    assert table.rows == extract(volume, labels).rows


def test_nan_in_a_segment_that_is_not_measured_is_flagged(scene: tuple[Volume, LabelMap]) -> None:
    volume, labels = scene
    array = volume.array.copy()
    array[3, 3, 3] = np.nan
    table = extract(volume.replace(array=array), labels, {"segments": ["big"]})
    assert ("INT_NAN", "image") in codes(table.flags)


def test_another_grid_is_refused(scene: tuple[Volume, LabelMap]) -> None:
    """Row 29: within 1e-3 mm is the same grid; both grids are shown otherwise."""
    volume, labels = scene
    matrix = labels.geometry.ijk_to_ras.copy()
    matrix[0, 3] += 5e-4
    near = labels.replace(geometry=Geometry(labels.geometry.shape, matrix))
    assert extract(volume, near).rows == extract(volume, labels).rows
    matrix[0, 3] += 0.1
    far = labels.replace(geometry=Geometry(labels.geometry.shape, matrix))
    with pytest.raises(GeometryError, match=r"segmentation grid .*differs from the image grid"):
        extract(volume, far)


def test_colour_is_refused(scene: tuple[Volume, LabelMap]) -> None:
    """Row 19."""
    volume, labels = scene
    colour = Volume(np.zeros((*volume.array.shape, 3), np.uint8), volume.geometry)
    with pytest.raises(UnsupportedInput, match="scalar image"):
        extract(colour, labels)


def test_an_image_with_an_error_flag_is_not_measured_unless_allowed(scene: tuple[Volume, LabelMap]) -> None:
    """Row 11: a missing slice."""
    volume, labels = scene
    flag = QCFlag("GEOM_MISSING_SLICE", Severity.ERROR, "Slice 3 is missing.")
    with pytest.raises(InputError, match="GEOM_MISSING_SLICE"):
        extract(volume.with_flags(flag), labels)
    with pytest.raises(InputError, match="GEOM_MISSING_SLICE"):
        extract(volume, labels.replace(flags=(flag,)))
    table = extract(volume.with_flags(flag), labels.replace(flags=(flag,)), {"allow_error_flags": True})
    assert codes(table.flags).count(("GEOM_MISSING_SLICE", "image")) == 1
    assert table.rows == extract(volume, labels).rows


def test_progress_rises_to_one(scene: tuple[Volume, LabelMap]) -> None:
    seen: list[tuple[float, str]] = []
    extract(*scene, progress=lambda fraction, message="": seen.append((fraction, message)))
    fractions = [fraction for fraction, _ in seen]
    assert len(seen) == 4 * len(FAMILIES.names()) + 1
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(message for _, message in seen)


def test_cancel_before_the_start(scene: tuple[Volume, LabelMap]) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        extract(*scene, cancel=token)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_cancel_between_families(scene: tuple[Volume, LabelMap], steps: int) -> None:
    token = CancelToken()
    seen: list[float] = []

    def progress(fraction: float, message: str = "") -> None:
        seen.append(fraction)
        if len(seen) == steps:
            token.cancel()

    with pytest.raises(Cancelled):
        extract(*scene, progress=progress, cancel=token)
    assert len(seen) == steps


def test_one_slice_and_one_voxel_wide_images(measure: Callable) -> None:
    """Row 25."""
    for shape in ((1, 6, 7), (6, 1, 7), (1, 1, 7), (1, 1, 1)):
        table = measure(np.ones(shape))
        assert table.value("Label 1", "voxel_volume") == math.prod(shape)
