"""The cascade with real models: one that labels by intensity finds the structure, a tiny network works in its boxes."""

from __future__ import annotations

import hashlib
import io
import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("scipy")

from medai.core.errors import Cancelled, InputError, ModelError  # noqa: E402
from medai.core.geometry import Geometry  # noqa: E402
from medai.core.labelmap import LabelMap, Segment  # noqa: E402
from medai.core.progress import CancelToken  # noqa: E402
from medai.core.qc import Severity  # noqa: E402
from medai.core.resample import reorient_array  # noqa: E402
from medai.core.volume import Volume  # noqa: E402
from medai.segment.models.trust import record_trust  # noqa: E402
from medai.segment.pipeline import run  # noqa: E402

VALUES = (0.0, 10.0, 20.0, 30.0)
NAMES = ("Around", "Left organ", "Right organ")
LEFT, RIGHT = (-20.0, 2.0, -3.0), (20.0, -2.0, 3.0)
PLAIN = {"device": "cpu", "backend": "torch", "precision": "f32", "largest_component": False}


class ByValue(torch.nn.Module):
    """The class whose value is nearest wins: a network whose right answer is known."""

    def __init__(self):
        super().__init__()
        self.register_buffer("values", torch.tensor(VALUES).reshape(1, -1, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -((x - self.values) ** 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny_model):
    """A models' folder with the locator and with the tiny model that names it."""
    root = tmp_path_factory.mktemp("store")
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(ByValue().eval()), stream)
    data = stream.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    words = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "Tests")
    manifest = {
        "format": "torchscript", "id": "whole-head", "version": "1.0.0",
        "description": {**words, "limits": ["x"]}, "network": {"name": "torchscript"},
        "prepare": {"channels": [{"name": "MR"}], "spacing": [2, 2, 2]}, "window": [16, 24, 24],
        "labels": [{"label": n, "name": name} for n, name in enumerate(NAMES, start=1)],
        "domain": [{"measure": "volume_ml", "low": 100, "high": 400, "meaning": "the volume around"}],
        "weights": [{"path": "net.ts", "bytes": len(data), "sha256": digest}],
    }  # fmt: skip
    (root / "whole-head").mkdir()
    (root / "whole-head" / "net.ts").write_bytes(data)
    (root / "whole-head" / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    record_trust(digest, "the tests' locator", root)
    shutil.copytree(tiny_model, root / "organ")
    own = json.loads((root / "organ" / "manifest.json").read_text("utf-8"))
    own["id"] = "organ"
    own["region"]["locator"] = {
        "model": "whole-head", "labels": {"left": "Left organ", "right": "Right organ"}, "inside": list(NAMES),
        "volume_ml": [0.5, 8.0], "distance_mm": [35, 75],
    }  # fmt: skip
    (root / "organ" / "manifest.json").write_text(json.dumps(own), "utf-8")
    return root


@pytest.fixture
def installed(store, monkeypatch):
    monkeypatch.setenv("MEDAI_MODELS", str(store))
    return store


@pytest.fixture(scope="module")
def head():
    """A block (10) with a ball on the left (20) and one on the right (30), textured a little; 1 mm voxels."""
    shape = (40, 50, 90)
    grid = Geometry.from_spacing(shape, (1.0, 1.0, 1.0), (-44.5, -25.0, -20.0))
    ras = grid.to_ras(np.indices(shape)[::-1].reshape(3, -1).T).reshape(*shape, 3)
    array = np.where((np.abs(ras) <= (40, 21, 16)).all(axis=-1), 10.0, 0.0)
    for value, centre in ((20.0, LEFT), (30.0, RIGHT)):
        array[np.linalg.norm(ras - centre, axis=-1) < 7] = value
    array += np.random.default_rng(3).normal(0, 0.5, shape)
    return Volume(array.astype(np.float32), grid, modality="MR")


def segment(head, **settings):
    more = {key: settings.pop(key) for key in ("progress", "cancel", "labels", "before") if key in settings}
    steps = [*more.pop("before", []), {"step": "unet", "settings": {"model": "organ", **PLAIN, **settings}}]
    return run(head, steps, **more)


def centres(labels):
    """Middle of each box in RAS, by side."""
    found = {}
    for region in labels.meta["regions"]:
        grid = Geometry.from_dict(region["grid"])
        found[region["side"]] = grid.centre
    return found


def test_a_model_of_the_whole_image_finds_both_sides(head, installed):
    labels = segment(head, recentre=False)
    middle = centres(labels)
    np.testing.assert_allclose(middle["left"], LEFT, atol=1.0)
    np.testing.assert_allclose(middle["right"], RIGHT, atol=1.0)
    assert [s.name for s in labels.segments] == ["Left front", "Left back", "Right front", "Right back"]
    told = labels.meta["locator"]
    assert told["model"]["id"] == "whole-head"
    assert told["segments"]["Left organ"]["centroid_ras"] == pytest.approx(LEFT, abs=0.3)
    assert told["domain"][0]["value"] == pytest.approx(81 * 43 * 33 / 1000, rel=0.1)
    assert labels.meta["model"]["id"] == "organ"
    assert not {f.code for f in labels.flags} & {"SIDES_IMPLAUSIBLE", "FOV_ORGAN_ABSENT", "DOMAIN_OOD"}


@pytest.mark.parametrize("order", ["LPS", "SAR", "PIR", "ASL", "IPL", "LAI"])
def test_the_result_does_not_depend_on_how_the_image_is_stored(head, installed, order):
    expected = segment(head)
    array, grid = reorient_array(head.array, head.geometry, order)
    found = segment(head.replace(array=np.ascontiguousarray(array), geometry=grid))
    back, back_grid = reorient_array(found.array, found.geometry, "RAS")
    assert back_grid.same_as(expected.geometry)
    np.testing.assert_array_equal(back, expected.array)


def test_a_mirrored_head_has_mirrored_boxes_with_swapped_names(head, installed):
    plain = centres(segment(head, recentre=False))
    # The content is mirrored about R = 0; the values by which the locator knows left and right go with their side.
    array = head.array[:, :, ::-1].copy()
    left, right = (array > 15) & (array < 25), array > 25
    array[left] += 10
    array[right] -= 10
    labels = segment(head.replace(array=array), recentre=False)
    mirror = centres(labels)
    np.testing.assert_allclose(mirror["left"] * (-1, 1, 1), plain["right"], atol=1.01)
    np.testing.assert_allclose(mirror["right"] * (-1, 1, 1), plain["left"], atol=1.01)
    assert "SIDES_IMPLAUSIBLE" not in {f.code for f in labels.flags}


def test_a_locator_that_calls_the_right_one_left_is_not_believed(head, installed):
    labels = segment(head.replace(array=np.ascontiguousarray(head.array[:, :, ::-1])))
    (flag,) = [f for f in labels.flags if f.code == "SIDES_IMPLAUSIBLE"]
    assert flag.severity is Severity.ERROR


def test_segments_made_before_are_used_and_the_locator_does_not_run(head, installed):
    before = {"step": "unet", "settings": {"model": "whole-head", **PLAIN}}
    labels = segment(head, before=[before], recentre=False)
    assert "model" not in labels.meta["locator"]
    np.testing.assert_allclose(centres(labels)["left"], LEFT, atol=1.0)
    given = LabelMap(run(head, [before]).array, head.geometry, tuple(Segment(n + 1, x) for n, x in enumerate(NAMES)))
    again = segment(head, labels=given, regions="segments", recentre=False)
    np.testing.assert_array_equal(again.array, labels.array)
    with pytest.raises(InputError, match="need segments made before"):
        segment(head, regions="segments")


def test_what_the_locator_found_is_kept_under_the_new_segments(head, installed):
    labels = segment(head, keep_located={"Everything": list(NAMES)})
    plain = segment(head)
    assert [s.name for s in labels.segments][-1] == "Everything"
    np.testing.assert_array_equal(np.where(labels.array <= 4, labels.array, 0), plain.array)
    union = labels.array > 0
    assert union.sum() == pytest.approx(81 * 43 * 33, rel=0.1)
    assert labels.meta["model"]["id"] == "organ"


def test_a_side_that_is_not_there_is_an_error_flag_and_empty(head, installed):
    one = head.replace(array=np.where(head.array > 25, 10, head.array).astype(np.float32))
    labels = segment(one)
    absent = [f for f in labels.flags if f.code == "FOV_ORGAN_ABSENT" and f.severity is Severity.ERROR]
    assert {f.affects for f in absent} == {"Right organ", "Right front", "Right back"}
    volumes = labels.volumes_ml()
    assert volumes["Right front"] == volumes["Right back"] == 0
    assert volumes["Left front"] > 0


def test_an_image_without_any_of_it_is_empty_and_not_an_exception(head, installed):
    noise = head.replace(array=np.random.default_rng(1).normal(0, 1, head.array.shape).astype(np.float32))
    labels = segment(noise)
    assert not labels.array.any()
    assert len(labels.segments) == 4
    assert {"FOV_ORGAN_ABSENT", "DOMAIN_OOD"} <= {f.code for f in labels.flags if f.severity is Severity.ERROR}


@pytest.fixture
def with_atlas(store, tmp_path, monkeypatch):
    """The same models, of which the second also says where its organ lies in the MNI152 template."""
    shutil.copytree(store, tmp_path / "store")
    file = tmp_path / "store" / "organ" / "manifest.json"
    own = json.loads(file.read_text("utf-8"))
    own["region"]["mni152"] = {"left": [-26, -22, -14], "right": [26, -22, -14]}
    file.write_text(json.dumps(own), "utf-8")
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "store"))


def test_where_the_atlas_finds_nothing_either_the_locators_errors_stay(head, with_atlas):
    noise = head.replace(array=np.random.default_rng(1).normal(0, 1, head.array.shape).astype(np.float32))
    labels = segment(noise)
    assert not labels.array.any()
    assert "atlas" not in labels.meta["locator"]
    assert {"FOV_ORGAN_ABSENT", "DOMAIN_OOD"} <= {f.code for f in labels.flags if f.severity is Severity.ERROR}


def test_the_atlas_is_asked_where_the_locator_finds_nothing_plausible(with_atlas):
    pytest.importorskip("SimpleITK")
    pytest.importorskip("nilearn")
    from medai.core.io import read_volume
    from medai.segment.atlas import template_path

    brain = read_volume(template_path())  # its values make all of it the locator's right organ
    labels = segment(brain, keep_located={"Everything": list(NAMES)})
    middle = centres(labels)
    np.testing.assert_allclose(middle["left"], (-26, -22, -14), atol=6)
    np.testing.assert_allclose(middle["right"], (26, -22, -14), atol=6)
    assert "atlas" in labels.meta["locator"]
    assert not [f for f in labels.flags if f.severity is Severity.ERROR]
    assert {"FOV_ORGAN_ABSENT", "DOMAIN_OOD"} <= {f.code for f in labels.flags if f.severity is Severity.WARNING}
    (flag,) = [f for f in labels.flags if f.code == "PARTIAL_RUN"]
    assert "is not plausible" in flag.message


def test_without_the_locator_auto_takes_the_next_way_and_says_what_is_missing(head, store, tmp_path, monkeypatch):
    shutil.copytree(store / "organ", tmp_path / "organ")
    own = json.loads((tmp_path / "organ" / "manifest.json").read_text("utf-8"))
    own["region"]["mni152"] = {}
    (tmp_path / "organ" / "manifest.json").write_text(json.dumps(own), "utf-8")
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path))
    labels = segment(head, keep_located={"Everything": list(NAMES)})
    assert "locator" not in labels.meta
    (flag,) = [f for f in labels.flags if f.code == "PARTIAL_RUN"]
    assert flag.affects == "Everything"
    assert "'whole-head', which finds it, is not installed" in flag.message
    with pytest.raises(ModelError, match="'whole-head', which finds the structure for 'organ'"):
        segment(head, regions="locator")


def test_a_model_without_a_locator_says_so(head, installed, tiny_model):
    with pytest.raises(InputError, match="names no model"):
        segment(head, model=str(tiny_model), regions="locator")
    with pytest.raises(InputError, match="takes whole images"):
        segment(head, model="whole-head", regions="locator")


def test_progress_rises_and_cancel_stops_inside_the_locator(head, installed):
    seen = []
    segment(head, progress=lambda fraction, message="": seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    token = CancelToken()

    def stop(fraction, message=""):
        if message.startswith("window"):
            token.cancel()

    with pytest.raises(Cancelled):
        segment(head, progress=stop, cancel=token)
