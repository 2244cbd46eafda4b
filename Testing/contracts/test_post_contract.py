"""What every label operation keeps, whoever wrote it; a new one is covered by being there.

An operation is run with its defaults, or with the ``settings`` of ``step_examples/NAME.json``; in it
``"seeds": [{"kji": [6, 7, 8], "segment": "Body"}]`` become seeds on the grid of each test's labels.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.errors import Cancelled, DependencyError, InputError, MedAIError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.qc import QCFlag, Severity
from medai.segment.pipeline import parse_pipeline
from medai.segment.postprocess import POSTPROCESS, Post
from medai.segment.preprocess import PREPROCESS
from medai.segment.segmenters import SEGMENTERS

CLASSES = {cls.name: cls for cls in POSTPROCESS.classes()}
MACHINE_NAME = re.compile(r"[a-z][a-z0-9_]*")
SHAPE = (12, 14, 16)
SPACING = (0.9, 1.0, 1.5)
EXAMPLES = Path(__file__).parent / "step_examples"

every_class = pytest.mark.parametrize("name", sorted(CLASSES))


@pytest.fixture(params=sorted(CLASSES))
def post(request: pytest.FixtureRequest) -> Post:
    cls = CLASSES[request.param]
    if reason := cls.unavailable_reason():
        pytest.skip(reason)
    return cls()


def settings_for(post: Post, geometry: Geometry, **more: Any) -> dict[str, Any]:
    """Settings with which the operation runs on a small label map."""
    example = EXAMPLES / f"{post.name}.json"
    settings = json.loads(example.read_text(encoding="utf-8"))["settings"] if example.is_file() else {}
    for seed in settings.get("seeds", []):
        place = [min(n, size - 1) for n, size in zip(seed.pop("kji"), geometry.shape, strict=True)]
        seed["ras"] = [float(v) for v in geometry.to_ras(np.array(place[::-1], dtype=float))]
    if post.name == "rename":
        settings["segment"] = "Body"
    if "segments" in more and "segments" not in post.Settings.model_fields:
        more["segment"] = more.pop("segments")[0]
    return {**settings, **more}


def cells(shape: tuple[int, int, int] = SHAPE, dtype: type = np.uint8) -> np.ndarray:
    """A rough body with a hole and specks, a lesion in it, and a bone that touches it, as labels 1, 2, 7."""
    rng = np.random.default_rng(5)
    array = np.zeros(SHAPE, dtype=dtype)
    array[2:10, 3:11, 2:12] = 1
    array[2:10, 3:11, 2:12][rng.random((8, 8, 10)) < 0.08] = 0
    array[4:7, 5:8, 4:7] = 2
    array[5, 6, 5] = 0
    array[1:9, 11:13, 4:9] = 7
    array[0, 0, 0] = 1
    array[11, 13, 15] = 2
    return array[tuple(slice(0, n) for n in shape)]


SEGMENTS = (Segment(1, "Body"), Segment(2, "Lesion"), Segment(7, "Bone"))


@pytest.fixture
def labels() -> LabelMap:
    flag = QCFlag("FOV_CLIPPED", Severity.WARNING, "Cut off.", affects="Body")
    return LabelMap(cells(), Geometry.from_spacing(SHAPE, SPACING[::-1]), SEGMENTS, (flag,), {"model": "phantom"})


def test_the_operations_of_the_issue_are_there() -> None:
    assert set(CLASSES) >= {
        "boolean", "close", "dilate", "erode", "fill_holes", "invert", "keep_at", "largest_components", "merge",
        "minimum_size", "open", "remove", "remove_border", "rename", "select_components", "shell", "smooth_gaussian",
        "smooth_median", "split_sides",
    }  # fmt: skip


def test_nothing_is_broken() -> None:
    assert [item for item in POSTPROCESS.unavailable() if "not installed" not in item.reason] == []


def test_names_are_unique_over_all_kinds_of_steps() -> None:
    names = [cls.name for registry in (PREPROCESS, SEGMENTERS, POSTPROCESS) for cls in registry.classes()]
    assert sorted(names) == sorted(set(names))


@every_class
def test_an_operation_describes_itself(name: str) -> None:
    cls = CLASSES[name]
    assert MACHINE_NAME.fullmatch(cls.name)
    assert cls.title
    assert cls.title != cls.name
    assert cls.group
    assert cls.__doc__
    assert len(cls.__doc__) > 40
    path = inspect.getsourcefile(cls)
    assert path is not None
    assert Path(path).stem == cls.name, "one operation is one file of its name"
    assert inspect.getdoc(inspect.getmodule(cls)), "its file says what it is"


@every_class
def test_every_setting_is_explained(name: str) -> None:
    schema = CLASSES[name].Settings.model_json_schema()
    for key, field in schema.get("properties", {}).items():
        assert field.get("title"), key
        assert field.get("description"), key
        if key.endswith("_mm"):
            assert field.get("unit") == "mm", key
    json.dumps(schema, allow_nan=False)


@every_class
def test_settings_survive_json(name: str) -> None:
    cls = CLASSES[name].Settings
    assert cls.from_json(json.dumps(cls().to_dict(), allow_nan=False)) == cls()


@every_class
@pytest.mark.parametrize("bad", [{"no_such_setting": 1}, {"segments": "Body", "no": 1}, [], "fast", 3])
def test_bad_settings_are_refused(name: str, bad: Any) -> None:
    cls = CLASSES[name]
    with pytest.raises(SettingsError, match=cls.name):
        cls.Settings.parse(bad, where=cls.name)


@every_class
def test_a_pipeline_takes_it(name: str) -> None:
    cls = CLASSES[name]
    if reason := cls.unavailable_reason():
        pytest.skip(reason)
    steps: list[dict[str, Any]] = [{"step": cls.name}]
    assert parse_pipeline(steps, has_labels=True).steps[0].settings == cls.Settings().to_dict()
    with pytest.raises(SettingsError, match="segments"):
        parse_pipeline(steps)


def test_the_result_lies_on_the_same_grid(post: Post, labels: LabelMap) -> None:
    result = post.run(labels, settings_for(post, labels.geometry))
    assert result.geometry == labels.geometry
    assert result.array.shape == SHAPE
    assert result.array.dtype == np.uint8
    assert result.meta["model"] == "phantom"


def test_it_does_something_and_the_same_each_time(post: Post, labels: LabelMap) -> None:
    settings = settings_for(post, labels.geometry)
    first, second = post.run(labels, settings), type(post)().run(labels, settings)
    assert first.digest() == second.digest()
    assert first.segments == second.segments
    assert first.flags == second.flags
    if post.name == "remove":
        settings["segments"] = ["Lesion"]  # the default drops empty segments
        first = post.run(labels, settings)
    if post.name == "select_components":
        settings["minimum_ml"] = 0.02  # the default has no condition
        first = post.run(labels, settings)
    assert first.digest() != labels.digest() or first.segments != labels.segments


def test_the_input_is_not_changed(post: Post, labels: LabelMap) -> None:
    before = labels.array.copy()
    segments, flags = labels.segments, labels.flags
    result = post.run(labels, settings_for(post, labels.geometry))
    assert np.array_equal(labels.array, before)
    assert labels.segments == segments
    assert labels.flags == flags
    assert not result.array.flags.writeable


def test_segments_not_named_keep_their_voxels(post: Post, labels: LabelMap) -> None:
    """The promise on which repairing one segment of many rests."""
    result = post.run(labels, settings_for(post, labels.geometry, segments=["Lesion"]))
    for name in ("Body", "Bone"):
        if name in {s.name for s in result.segments}:
            assert np.array_equal(result.mask(result.segment(name)), labels.mask(labels.segment(name))), name
    kept = {s.name for s in result.segments}
    assert {"Body", "Bone"} <= kept or post.name == "rename"


def test_an_unknown_segment_is_named_in_the_error(post: Post, labels: LabelMap) -> None:
    with pytest.raises(InputError, match="Spleen") as caught:
        post.run(labels, settings_for(post, labels.geometry, segments=["Spleen"]))
    assert caught.value.message.endswith(".")
    assert caught.value.hint


def test_labels_of_sixteen_bits(post: Post, labels: LabelMap) -> None:
    """The same voxels under large labels give the same result under large labels."""
    large = {1: 300, 2: 65535, 7: 40000}
    table = np.zeros(8, dtype=np.uint16)
    for small, label in large.items():
        table[small] = label
    wide = LabelMap(table[labels.array], labels.geometry, tuple(s.relabelled(large[s.label]) for s in SEGMENTS))
    settings = settings_for(post, labels.geometry)
    few, many = post.run(labels, settings), post.run(wide, settings)
    assert many.array.dtype == np.uint16 or max(s.label for s in many.segments) < 256
    assert [s.name for s in few.segments] == [s.name for s in many.segments]
    for a, b in zip(few.segments, many.segments, strict=True):
        assert np.array_equal(few.mask(a), many.mask(b)), a.name


@pytest.mark.parametrize("content", ["empty", "no segments", "one voxel", "full"])
def test_empty_and_extreme_labels(post: Post, content: str) -> None:
    array = np.full(SHAPE, content == "full", dtype=np.uint8)
    if content == "one voxel":
        array[5, 6, 3] = 1
    segments = () if content == "no segments" else (Segment(1, "Body"), Segment(2, "Nothing"))
    value = LabelMap(array, Geometry.from_spacing(SHAPE, SPACING[::-1]), segments)
    settings = settings_for(post, value.geometry)
    if content == "no segments":
        settings.pop("segment", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        result = post.run(value, settings)
    assert result.geometry == value.geometry
    empty = {s.name for s in result.segments if not result.counts()[s.label]}
    assert {f.affects for f in result.flags if f.code == "MASK_EMPTY"} == empty, "each empty segment has its flag"
    if content == "empty":
        assert not result.array.any() or post.name == "invert"


@pytest.mark.parametrize(
    "shape", [(1, 14, 16), (12, 1, 16), (12, 14, 1), (1, 1, 16), (1, 1, 1), (2, 2, 2), (3, 14, 16)]
)
def test_thin_grids_work_or_are_refused(post: Post, shape: tuple[int, int, int]) -> None:
    array = cells(tuple(max(n, 7) for n in shape))[tuple(slice(6, 7) if n == 1 else slice(0, n) for n in shape)]
    value = LabelMap(array, Geometry.from_spacing(shape, SPACING[::-1]), SEGMENTS)
    try:
        result = post.run(value, settings_for(post, value.geometry))
    except MedAIError as refusal:
        assert refusal.message.endswith(".")  # noqa: PT017 - either outcome is right
        return
    assert result.geometry == value.geometry
    assert result.array.shape == shape


def turned(labels: LabelMap, way: str) -> LabelMap:
    """The same patient with the voxels stored in another order: the world does not change."""
    if way == "transposed":
        return labels.replace(
            array=np.ascontiguousarray(labels.array.transpose(2, 0, 1)), geometry=labels.geometry.transpose((2, 0, 1))
        )
    array, geometry = labels.array, labels.geometry
    for axis in {"mirrored K": (0,), "mirrored J and I": (1, 2), "left-handed": (2,)}[way]:
        array, geometry = np.flip(array, axis), geometry.flip(axis)
    return labels.replace(array=np.ascontiguousarray(array), geometry=geometry)


def blobs() -> LabelMap:
    """Two smooth segments without ties: nothing hangs on the order of voxels."""
    k, j, i = np.indices(SHAPE)
    one = ((k - 5.1) / 3.4) ** 2 + ((j - 6.2) / 4.1) ** 2 + ((i - 6.3) / 4.7) ** 2 < 1
    two = ((k - 6.3) / 1.4) ** 2 + ((j - 6.1) / 1.7) ** 2 + ((i - 7.2) / 1.9) ** 2 < 1
    array = one.astype(np.uint8)
    array[two] = 2
    array[6, 6, 7] = 0
    array[11, 0, 15] = array[11, 0, 14] = 1
    return LabelMap(array, Geometry.from_spacing(SHAPE, SPACING[::-1], (4.0, -7.0, 11.0)), SEGMENTS[:2])


@pytest.mark.parametrize("way", ["mirrored K", "mirrored J and I", "left-handed", "transposed"])
def test_the_patient_does_not_depend_on_the_order_of_voxels(post: Post, way: str) -> None:
    """Row 10: what is left stays left and what is near stays near, however the voxels are stored."""
    value = blobs()
    settings = settings_for(post, value.geometry)
    straight = post.run(value, settings)
    other = post.run(turned(value, way), settings)
    assert other.geometry == turned(value, way).geometry
    assert np.array_equal(other.array, turned(straight, way).array)
    assert other.segments == straight.segments


def test_an_oblique_grid_is_kept(post: Post, labels: LabelMap) -> None:
    turn = math.radians(20)
    axes = [[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]]
    grid = Geometry.from_spacing(SHAPE, SPACING[::-1], (10.0, -20.0, 30.0), axes)
    result = post.run(labels.replace(geometry=grid), settings_for(post, grid))
    assert result.geometry == grid


def test_progress_rises_to_one(post: Post, labels: LabelMap) -> None:
    seen: list[float] = []
    post.run(labels, settings_for(post, labels.geometry), progress=lambda fraction, message="": seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert min(seen) >= 0.0


def test_cancelled_before_the_start(post: Post, labels: LabelMap) -> None:
    token = CancelToken()
    token.cancel()
    seen: list[float] = []
    with pytest.raises(Cancelled):
        post.run(
            labels,
            settings_for(post, labels.geometry),
            cancel=token,
            progress=lambda fraction, message="": seen.append(fraction),
        )
    assert seen == []


def test_cancelled_at_the_first_sign_of_life(post: Post, labels: LabelMap) -> None:
    token = CancelToken()
    whole: list[float] = []
    settings = settings_for(post, labels.geometry)
    post.run(labels, settings, progress=lambda fraction, message="": whole.append(fraction))
    seen: list[float] = []

    def progress(fraction: float, message: str = "") -> None:
        seen.append(fraction)
        token.cancel()

    with pytest.raises(Cancelled):
        post.run(labels, settings, cancel=token, progress=progress)
    assert len(seen) < len(whole)


@every_class
def test_a_missing_package_makes_an_operation_unavailable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 49."""
    monkeypatch.setattr(CLASSES[name], "requires", ("no_such_package_anywhere",))
    assert name not in POSTPROCESS.names()
    assert "no_such_package_anywhere" in {item.name: item.reason for item in POSTPROCESS.unavailable()}[name]
    with pytest.raises(DependencyError, match=name):
        POSTPROCESS.create(name)
