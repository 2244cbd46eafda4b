"""What every feature family keeps, whoever wrote it; a new family is covered by being there."""

from __future__ import annotations

import contextlib
import inspect
import math
import re
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from medai.core.errors import Cancelled, DependencyError, GeometryError, InputError, SettingsError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.volume import Volume
from medai.features import FAMILIES, FeatureTable, extract
from medai.features.families._base import Family, FeatureInfo
from medai.features.roi import cut, find_boxes

NAMES = sorted(cls.name for cls in FAMILIES.classes())
IBSI = re.compile(r"[0-9A-Z]{4}")
MACHINE_NAME = re.compile(r"[a-z][a-z0-9_]*")
# UCUM: symbols and annotations, each with an optional exponent, multiplied or divided; no spaces.
UCUM = re.compile(r"1|(\(?[A-Za-z%\[\]'_{}/.]+\)?-?\d*)+")


@pytest.fixture(params=NAMES)
def family(request: pytest.FixtureRequest) -> Family[Any, Any]:
    cls = next(cls for cls in FAMILIES.classes() if cls.name == request.param)
    if reason := cls.unavailable_reason():
        pytest.skip(reason)
    return cls()


@pytest.fixture
def scene(rng: np.random.Generator) -> tuple[Volume, LabelMap]:
    """Three segments: two bodies that differ in everything, and an empty one."""
    grid = Geometry.from_spacing((10, 12, 14), (0.7, 1.0, 2.0))
    mask = np.zeros(grid.shape, np.uint8)
    mask[1:5, 1:8, 2:6] = 1
    mask[6:9, 2:11, 3:13] = 2
    mask[6, 2, 3:5] = 0
    array = rng.normal(100, 15, grid.shape) + 40.0 * mask
    return Volume(array, grid), LabelMap(mask, grid, (Segment(1, "one"), Segment(2, "two"), Segment(3, "none")))


def run(family: Family[Any, Any], scene: tuple[Volume, LabelMap], **options: Any) -> FeatureTable:
    return extract(*scene, {"families": {family.name: {}}}, **options)


def infos() -> Iterator[tuple[str, FeatureInfo]]:
    for cls in FAMILIES.classes():
        for info in cls.features():
            yield f"{cls.name}.{info.name}", info


def test_the_first_families_are_there() -> None:
    assert {"shape", "first_order"} <= set(NAMES)


def test_nothing_is_broken() -> None:
    """A file that cannot be imported for another reason than a missing package is a bug."""
    assert [item for item in FAMILIES.unavailable() if "not installed" not in item.reason] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_family_describes_itself(name: str) -> None:
    cls = next(cls for cls in FAMILIES.classes() if cls.name == name)
    assert MACHINE_NAME.fullmatch(cls.name)
    assert cls.title
    assert cls.title != cls.name
    assert cls.__doc__
    assert re.search(r"arXiv|doi|IBSI", cls.__doc__), "the docstring names the source of the formulas"
    assert cls.features()


@pytest.mark.parametrize(("where", "info"), list(infos()))
def test_a_feature_describes_itself(where: str, info: FeatureInfo) -> None:
    assert MACHINE_NAME.fullmatch(info.name)
    assert info.title
    assert len(info.description) > 10, "the docstring says what the number is"
    assert info.ibsi == "" or IBSI.fullmatch(info.ibsi)
    for image_unit in ("", "1", "[hnsf'U]", "g/ml", "{SUVbw}g/ml"):
        assert UCUM.fullmatch(info.unit_for(image_unit)), where
    if not info.intensity_power:
        assert info.unit_for("[hnsf'U]") == info.unit


def test_names_and_codes_are_unique_over_all_families() -> None:
    names = Counter(info.name for _, info in infos())
    codes = Counter(info.ibsi for _, info in infos() if info.ibsi)
    assert [name for name, count in (names + codes).items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_explained(name: str) -> None:
    cls = next(cls for cls in FAMILIES.classes() if cls.name == name)
    schema = cls.Settings.model_json_schema()
    for key, field in schema.get("properties", {}).items():
        assert field.get("title"), key
        assert field.get("description"), key
    assert cls.Settings.parse(cls.Settings().to_dict()) == cls.Settings()


def test_unknown_settings_are_refused_by_their_path(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    with pytest.raises(SettingsError, match=rf"families\.{family.name}\.no_such_setting"):
        extract(*scene, {"families": {family.name: {"no_such_setting": 1}}})


def test_one_value_a_segment_and_feature(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    table = run(family, scene)
    names = [info.name for info in family.features()]
    for segment in ("one", "two", "none"):
        assert [row.feature for row in table.rows if row.segment == segment] == names
    for row in table.rows:
        assert row.family == family.name
        assert math.isfinite(row.value) is not bool(row.reason)
        assert row.unit


def test_same_input_same_numbers(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    assert run(family, scene) == run(type(family)(), scene)


def test_different_segments_give_different_numbers(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    table = run(family, scene)
    assert [name for name in table.features if table.value("one", name) == table.value("two", name)] == []


def test_the_input_is_not_changed(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    before = [item.digest() for item in scene]
    run(family, scene)
    assert [item.digest() for item in scene] == before


def test_what_lies_outside_the_segment_does_not_count(
    family: Family[Any, Any], scene: tuple[Volume, LabelMap], rng: np.random.Generator
) -> None:
    volume, labels = scene
    array = np.where(labels.array == 0, rng.normal(-1e6, 1e5, labels.array.shape), volume.array)
    array[0, 0, 0] = np.nan
    assert run(family, (volume.replace(array=array), labels)).rows == run(family, scene).rows


def test_turning_the_image_does_not_count(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    """The same voxels stored along other axes, in another direction, are the same body."""
    volume, labels = scene
    expected = {(row.segment, row.feature): row.value for row in run(family, scene).rows if row.defined}
    for axes in ((2, 0, 1), (1, 0, 2)):
        grid = volume.geometry.transpose(axes).flip(1)
        turned = (
            volume.replace(array=np.flip(volume.array.transpose(axes), 1), geometry=grid),
            labels.replace(array=np.flip(labels.array.transpose(axes), 1), geometry=grid),
        )
        table = run(family, turned)
        assert {key: table.value(*key) for key in expected} == pytest.approx(expected, rel=1e-9)


def test_moving_the_segment_does_not_count(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    volume, labels = scene
    array, mask = (np.pad(item.array, ((3, 1), (2, 5), (4, 0))) for item in scene)
    grid = Geometry(mask.shape, volume.geometry.crop((-3, -2, -4), mask.shape).ijk_to_ras)
    moved = run(family, (volume.replace(array=array, geometry=grid), labels.replace(array=mask, geometry=grid)))
    expected = {(row.segment, row.feature): row.value for row in run(family, scene).rows if row.defined}
    assert {key: moved.value(*key) for key in expected} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (3, 1, 1), (1, 2, 1), (1, 9, 9), (2, 2, 2)])
@pytest.mark.parametrize("content", ["flat", "zero", "ramp", "huge", "tiny"])
def test_small_and_flat_regions(family: Family[Any, Any], shape: tuple[int, int, int], content: str) -> None:
    """Rows 21, 25, 27: a number or a reason, no crash, no warning."""
    ramp = np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    largest = 1.7e308 / max(1.0, ramp.max())
    array = {"flat": ramp * 0 + 7, "zero": ramp * 0, "ramp": ramp, "huge": ramp * largest, "tiny": ramp * 1e-310}[
        content
    ]
    grid = Geometry.from_spacing(shape, (0.5, 1.0, 3.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        table = run(family, (Volume(array, grid), LabelMap(np.ones(shape, np.uint8), grid)))
    assert len(table.rows) == len(family.features())
    assert all(math.isfinite(row.value) is not bool(row.reason) for row in table.rows)


def test_an_empty_segment(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    """Row 26."""
    rows = [row for row in run(family, scene).rows if row.segment == "none"]
    assert {row.reason for row in rows} == {"empty"}


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "u4", "i8", "f4", ">f8"])
def test_every_type_of_voxel(family: Family[Any, Any], scene: tuple[Volume, LabelMap], dtype: str) -> None:
    volume, labels = scene
    whole = volume.replace(array=np.rint(volume.array))
    typed = volume.replace(array=whole.array.astype(dtype))
    expected = {(row.segment, row.feature): row.value for row in run(family, (whole, labels)).rows if row.defined}
    found = run(family, (typed, labels))
    assert {key: found.value(*key) for key in expected} == pytest.approx(expected, rel=1e-9)


def test_bad_input_is_refused(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    """Rows 19, 20, 29."""
    volume, labels = scene
    with pytest.raises(UnsupportedInput):
        run(family, (Volume(np.zeros((*volume.array.shape, 3)), volume.geometry), labels))
    array = volume.array.copy()
    array[2, 2, 3] = np.nan
    with pytest.raises(InputError, match="NaN"):
        run(family, (volume.replace(array=array), labels))
    with pytest.raises(GeometryError):
        run(family, (volume, labels.replace(geometry=labels.geometry.flip(0))))


def test_a_sheared_grid_is_refused_or_makes_no_difference(
    family: Family[Any, Any], scene: tuple[Volume, LabelMap]
) -> None:
    """Row 8."""
    volume, labels = scene
    matrix = volume.geometry.ijk_to_ras.copy()
    matrix[0, 2] += 0.5
    grid = Geometry(volume.geometry.shape, matrix)
    sheared = (volume.replace(geometry=grid), labels.replace(geometry=grid))
    try:
        table = run(family, sheared)
    except GeometryError:
        with pytest.raises(GeometryError, match="Resample"):
            run(family, sheared)
    else:
        assert table.rows == run(family, scene).rows


def test_cancelled_before_the_start(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    token = CancelToken()
    token.cancel()
    seen: list[float] = []
    with pytest.raises(Cancelled):
        run(family, scene, cancel=token, progress=lambda fraction, message="": seen.append(fraction))
    assert seen == []
    nothing = cut(*scene, Segment(3, "none"), None)
    with pytest.raises(Cancelled):
        family.compute(nothing, None, cancel=token)


class CountingToken(CancelToken):
    """Counts how often it is asked, and is cancelled at a given time of asking."""

    def __init__(self, stop_at: int = 0) -> None:
        super().__init__()
        self.asked = 0
        self.stop_at = stop_at

    def check(self) -> None:
        self.asked += 1
        if self.asked == self.stop_at:
            self.cancel()
        super().check()


def test_cancelled_between_any_two_features(family: Family[Any, Any], scene: tuple[Volume, LabelMap]) -> None:
    """Row 46: inside one segment the token is asked at least once a feature, and every time it counts."""
    volume, labels = scene
    roi = cut(volume, labels, labels.segments[1], find_boxes(labels)[2])
    token = CountingToken()
    family.compute(roi, None, cancel=token)
    assert token.asked >= len(family.features())
    for stop_at in range(1, token.asked + 1):
        roi = cut(volume, labels, labels.segments[1], find_boxes(labels)[2])
        with pytest.raises(Cancelled):
            family.compute(roi, None, cancel=CountingToken(stop_at))


def test_cancelled_inside_a_large_segment(family: Family[Any, Any], rng: np.random.Generator) -> None:
    """Row 46: within two seconds, also inside one family of one segment of two million voxels."""
    shape = (120, 130, 140)
    grid = Geometry.from_spacing(shape)
    mask = np.zeros(shape, np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    pair = (Volume(rng.normal(0, 100, shape).astype(np.float32), grid), LabelMap(mask, grid))
    token = CancelToken()
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        token.cancel()

    def started(fraction: float, message: str = "") -> None:
        if not asked:
            threading.Timer(0.05, ask).start()

    with contextlib.suppress(Cancelled):  # a family may also be done before anybody asks
        run(family, pair, cancel=token, progress=started)
    stopped = time.monotonic()
    assert not asked or stopped - asked[0] < 2.0


def test_a_missing_package_makes_a_family_unavailable(
    monkeypatch: pytest.MonkeyPatch, family: Family[Any, Any]
) -> None:
    monkeypatch.setattr(type(family), "requires", ("no_such_package_anywhere",))
    assert family.name not in FAMILIES.names()
    reasons = {item.name: item.reason for item in FAMILIES.unavailable()}
    assert "no_such_package_anywhere" in reasons[family.name]
    with pytest.raises(DependencyError, match=family.name):
        FAMILIES.create(family.name)


def test_a_family_is_one_file(family: Family[Any, Any]) -> None:
    path = inspect.getsourcefile(type(family))
    assert path is not None
    assert path.endswith(f"{family.name}.py")
