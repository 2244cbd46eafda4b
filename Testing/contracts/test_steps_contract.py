"""What every filter and every segmenter keeps, whoever wrote it; a new one is covered by being there.

A step is run with its defaults.  One that cannot run with them (a network needs a model, a region needs seeds) has a
file ``step_examples/NAME.json`` with its ``settings``; in it ``"seeds": [{"kji": [6, 7, 8], "segment": "Body"}]``
become seeds on the grid of each test's image.  A step that needs labels is given a ball in the bright body.
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

from medai.core.errors import Cancelled, DependencyError, MedAIError, SettingsError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.registry import Registry
from medai.core.step import Step
from medai.core.volume import Volume
from medai.segment.pipeline import parse_pipeline
from medai.segment.preprocess import PREPROCESS
from medai.segment.segmenters import SEGMENTERS

REGISTRIES: dict[str, Registry[Any]] = {"filter": PREPROCESS, "segmenter": SEGMENTERS}
CLASSES = {f"{kind}:{cls.name}": cls for kind, registry in REGISTRIES.items() for cls in registry.classes()}
MACHINE_NAME = re.compile(r"[a-z][a-z0-9_]*")
SHAPE = (12, 14, 16)
EXAMPLES = Path(__file__).parent / "step_examples"

every_class = pytest.mark.parametrize("key", sorted(CLASSES))


@pytest.fixture(params=sorted(CLASSES))
def step(request: pytest.FixtureRequest) -> Step[Volume, Any]:
    cls = CLASSES[request.param]
    if reason := cls.unavailable_reason():
        pytest.skip(reason)
    return cls()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model folder with a network of random weights: its labels mean nothing, but it runs in no time."""
    torch = pytest.importorskip("torch")
    from medai.segment.manifest import Description, LabelEntry, Manifest, NetworkEntry
    from medai.segment.networks import build_network
    from medai.segment.training.export import WEIGHTS, write_weights

    folder = tmp_path_factory.mktemp("tiny-model")
    settings = {"in_channels": 1, "out_channels": 2, "filters": [4, 8, 8]}
    torch.manual_seed(3)
    weights = write_weights(build_network("unet3d", settings), folder / WEIGHTS)
    manifest = Manifest(
        id="tiny",
        version="1.0.0",
        description=Description(
            title="Tiny", summary="Random weights.", intended_use="Tests.", limits=("Everything.",),
            training_data="None.", licence="Apache-2.0",
        ),
        network=NetworkEntry(name="unet3d", settings=settings),
        prepare={},
        window=(8, 8, 8),
        labels=(LabelEntry(label=1, name="Something"),),
        weights=weights,
    )  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest.to_dict()), encoding="utf-8")
    return folder


@pytest.fixture
def small_settings(step: Step[Volume, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings with which the step runs on a small image."""
    if step.name == "unet":
        return {"model": str(request.getfixturevalue("tiny_model")), "regions": "image", "device": "cpu"}
    path = EXAMPLES / f"{step.name}.json"
    example = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"settings": {}}
    if "needs" in example:
        pytest.skip(f"a small phantom is not enough, it needs {example['needs']}")
    return dict(example["settings"])


@pytest.fixture
def image(rng: np.random.Generator) -> Volume:
    """A bright body in noise, whole numbers from 0 to 200, on an anisotropic grid."""
    array = rng.integers(20, 60, SHAPE).astype(np.float64)
    array[3:9, 4:10, 5:12] += 120
    return Volume(array, Geometry.from_spacing(SHAPE, (0.9, 1.0, 1.5)), modality="MR", name="phantom")


def run(step: Step[Volume, Any], image: Volume, settings: dict[str, Any], **more: Any) -> Any:
    """Run a step with seeds on the image's grid and, if it needs any, labels to start from."""
    settings = dict(settings)
    if "seeds" in settings:
        settings["seeds"] = [
            {
                "ras": [float(v) for v in image.geometry.to_ras(np.array(seed["kji"][::-1], dtype=float))],
                "segment": seed["segment"],
            }
            for seed in settings["seeds"]
        ]
    if step.uses_labels == "required":
        k, j, i = np.ogrid[tuple(slice(0, n) for n in image.geometry.shape)]
        ball = (k - 6) ** 2 + (j - 7) ** 2 + (i - 8) ** 2 <= 4
        rim = (k - 6) ** 2 + (j - 7) ** 2 + (i - 8) ** 2 >= 36
        # Two segments: a start region inside the body and painted background, as grow-cut needs them.
        array = np.where(ball, 1, np.where(rim, 2, 0)).astype(np.uint8)
        more["labels"] = LabelMap(array, image.geometry, (Segment(1, "Body"), Segment(2, "Background")))
    return step.run(image, settings, **more)


def same_grid(step: Step[Volume, Any]) -> bool:
    return not getattr(step, "changes_grid", False)


def values(result: Volume | LabelMap) -> np.ndarray:
    return result.array


def test_the_first_steps_are_there() -> None:
    assert {"filter:gaussian", "filter:median", "segmenter:threshold", "segmenter:unet"} <= set(CLASSES)


@pytest.mark.parametrize("kind", sorted(REGISTRIES))
def test_nothing_is_broken(kind: str) -> None:
    """A file that cannot be imported for another reason than a missing package is a bug."""
    assert [item for item in REGISTRIES[kind].unavailable() if "not installed" not in item.reason] == []


def test_names_are_unique_over_filters_and_segmenters() -> None:
    """A pipeline names steps without saying which kind they are."""
    names = [cls.name for cls in CLASSES.values()]
    assert sorted(names) == sorted(set(names))


@every_class
def test_a_step_describes_itself(key: str) -> None:
    cls = CLASSES[key]
    assert MACHINE_NAME.fullmatch(cls.name)
    assert cls.title
    assert cls.title != cls.name
    assert cls.__doc__
    assert len(cls.__doc__) > 40
    path = inspect.getsourcefile(cls)
    assert path is not None
    assert Path(path).stem == cls.name, "one step is one file of its name"
    assert inspect.getdoc(inspect.getmodule(cls)), "its file says what it is"


@every_class
def test_every_setting_is_explained(key: str) -> None:
    schema = CLASSES[key].Settings.model_json_schema()
    for name, field in schema.get("properties", {}).items():
        assert field.get("title"), name
        assert field.get("description"), name
    json.dumps(schema, allow_nan=False)


@every_class
def test_settings_survive_json(key: str) -> None:
    cls = CLASSES[key].Settings
    assert cls.from_json(json.dumps(cls().to_dict(), allow_nan=False)) == cls()


@every_class
@pytest.mark.parametrize("bad", [{"no_such_setting": 1}, [], "fast", 3])
def test_bad_settings_are_refused(key: str, bad: Any) -> None:
    cls = CLASSES[key]
    with pytest.raises(SettingsError, match=cls.name):
        cls.Settings.parse(bad, where=cls.name)


@every_class
def test_a_pipeline_takes_it(key: str) -> None:
    cls = CLASSES[key]
    if reason := cls.unavailable_reason():
        pytest.skip(reason)
    steps: list[dict[str, Any]] = [{"step": cls.name}]
    assert parse_pipeline(steps, result="any", has_labels=True).steps[0].settings == cls.Settings().to_dict()


def test_the_result_lies_on_the_images_grid(
    step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume
) -> None:
    result = run(step, image, small_settings)
    assert isinstance(result, LabelMap if step.name in {c.name for c in SEGMENTERS.classes()} else Volume)
    if same_grid(step):
        assert result.geometry == image.geometry
    assert result.array.shape == result.geometry.shape
    assert np.isfinite(values(result)).all()


def test_same_input_same_output(step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume) -> None:
    assert run(step, image, small_settings).digest() == run(type(step)(), image, small_settings).digest()


def test_the_input_is_not_changed(step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume) -> None:
    before = image.digest()
    result = run(step, image, small_settings)
    assert image.digest() == before
    assert not np.shares_memory(result.array, image.array) or not result.array.flags.writeable


def test_another_image_gives_another_result(
    step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume
) -> None:
    """A guard against constants."""
    other = image.replace(array=np.roll(image.array, 3, axis=2)[::-1].copy())
    if not same_grid(step):
        pytest.skip("moves values only; its own tests look at them")
    assert not np.array_equal(run(step, image, small_settings).array, run(step, other, small_settings).array)


@pytest.mark.parametrize("components", [2, 3])
def test_colour_is_handled_or_refused(
    step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume, components: int
) -> None:
    """Row 19.  A filter that takes colour treats each component alone."""
    stacked = np.stack([image.array * (n + 1) for n in range(components)], axis=3)
    colour = image.replace(array=stacked)
    try:
        result = run(step, colour, small_settings)
    except UnsupportedInput as refusal:
        assert "scalar" in str(refusal)  # noqa: PT017 - either outcome is right
        return
    if result.array.ndim == 3:
        assert step.name == "grey", "only this one makes one value of several"
        return
    assert result.array.shape[3] == components
    for n in range(components):
        alone = run(step, image.replace(array=stacked[..., n]), small_settings)
        assert np.allclose(result.array[..., n], alone.array)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "u4", "i8", "f4", ">f4", ">f8"])
def test_every_type_of_voxel(
    step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume, dtype: str
) -> None:
    """Row 22: the same whole numbers in another type give the same result, rounded if the step keeps their type."""
    expected = values(run(step, image, small_settings)).astype(np.float64)
    typed = image.replace(array=image.array.astype(dtype))
    found = values(run(step, typed, small_settings))
    if found.dtype.kind in "iu":
        expected = np.rint(expected)
    assert np.allclose(found.astype(np.float64), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "shape", [(1, 14, 16), (12, 1, 16), (12, 14, 1), (1, 1, 16), (1, 1, 1), (2, 2, 2), (3, 14, 16)]
)
def test_thin_images_work_or_are_refused(
    step: Step[Volume, Any], small_settings: dict[str, Any], rng: np.random.Generator, shape: tuple[int, int, int]
) -> None:
    """Row 25: a result on the grid, or one sentence."""
    thin = Volume(rng.normal(100, 20, shape), Geometry.from_spacing(shape, (1.0, 1.0, 3.0)))
    try:
        result = run(step, thin, small_settings)
    except MedAIError as refusal:
        assert refusal.message.endswith(".")  # noqa: PT017 - either outcome is right
        return
    if same_grid(step):
        assert result.array.shape == shape
        assert result.geometry == thin.geometry


@pytest.mark.parametrize("content", ["constant", "zero", "nan", "inf", "huge"])
def test_strange_values_work_or_are_refused(
    step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume, content: str
) -> None:
    """Rows 20 and 21: a result or one sentence, never a warning or a foreign error."""
    array = image.array.copy()
    if content in ("constant", "zero"):
        array[:] = 7.0 if content == "constant" else 0.0
    elif content == "huge":
        array *= 1e30
    else:
        array[5, 5, 5] = math.nan if content == "nan" else math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            result = run(step, image.replace(array=array), small_settings)
        except MedAIError as refusal:
            assert refusal.message.endswith(".")  # noqa: PT017 - either outcome is right
            return
    if same_grid(step):
        assert result.geometry == image.geometry
    if isinstance(result, LabelMap) and content in ("nan", "inf"):
        assert result.array[5, 5, 5] == 0, "a voxel without a value belongs to no segment"


@pytest.mark.parametrize("direction", ["LPS", "left-handed", "oblique"])
def test_every_orientation_keeps_its_grid(
    step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume, direction: str
) -> None:
    """Row 10."""
    turn = math.radians(20)
    axes = {
        "LPS": np.diag([-1.0, -1.0, 1.0]),
        "left-handed": np.diag([-1.0, 1.0, 1.0]),
        "oblique": [[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]],
    }[direction]
    grid = Geometry.from_spacing(SHAPE, (0.9, 1.0, 1.5), (10.0, -20.0, 30.0), axes)
    result = run(step, image.replace(geometry=grid), small_settings)
    if same_grid(step):
        assert result.geometry == grid
        assert result.array.shape == SHAPE


def test_progress_rises_to_one(step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume) -> None:
    seen: list[float] = []
    run(step, image, small_settings, progress=lambda fraction, message="": seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert min(seen) >= 0.0


def test_cancelled_before_the_start(step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume) -> None:
    token = CancelToken()
    token.cancel()
    seen: list[float] = []
    with pytest.raises(Cancelled):
        run(step, image, small_settings, cancel=token, progress=lambda fraction, message="": seen.append(fraction))
    assert seen == []


def test_cancelled_at_the_first_sign_of_life(
    step: Step[Volume, Any], small_settings: dict[str, Any], image: Volume
) -> None:
    token = CancelToken()
    whole: list[float] = []
    run(step, image, small_settings, progress=lambda fraction, message="": whole.append(fraction))
    seen: list[float] = []

    def progress(fraction: float, message: str = "") -> None:
        seen.append(fraction)
        token.cancel()

    with pytest.raises(Cancelled):
        run(step, image, small_settings, cancel=token, progress=progress)
    assert len(seen) < len(whole)


@every_class
def test_a_missing_package_makes_a_step_unavailable(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 49."""
    cls, registry = CLASSES[key], REGISTRIES[key.split(":")[0]]
    monkeypatch.setattr(cls, "requires", ("no_such_package_anywhere",))
    assert cls.name not in registry.names()
    assert "no_such_package_anywhere" in {item.name: item.reason for item in registry.unavailable()}[cls.name]
    with pytest.raises(DependencyError, match=cls.name):
        registry.create(cls.name)
