"""A model over an image, from the file's grid and back: storage orders, regions, cascades, repairs, short memory."""

import itertools
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("safetensors")

from medai.core.errors import Cancelled, InputError, OutOfMemory, SettingsError  # noqa: E402
from medai.core.geometry import Geometry  # noqa: E402
from medai.core.progress import CancelToken  # noqa: E402
from medai.core.resample import reorient_array  # noqa: E402
from medai.core.volume import Volume  # noqa: E402
from medai.segment.inference.part import cut_to, inside_of  # noqa: E402
from medai.segment.inference.prepared import prepare  # noqa: E402
from medai.segment.inference.regions import Region  # noqa: E402
from medai.segment.inference.run import run_model  # noqa: E402
from medai.segment.models import ModelStore  # noqa: E402

PLAIN = {"device": "cpu", "backend": "torch", "precision": "f32"}
ORDERS = [
    "".join(letters) for pairs in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*pairs)
]


@pytest.fixture(scope="module")
def folder(model_folder, tmp_path_factory):
    return model_folder(tmp_path_factory.mktemp("model") / "whole")


@pytest.fixture(scope="module")
def image():
    """An image off the model's grid: other voxels, an origin, an oblique direction."""
    from scipy.ndimage import gaussian_filter

    array = gaussian_filter(np.random.default_rng(4).normal(size=(14, 26, 22)), 1.2).astype(np.float32)
    angle = 0.2
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn * (0.9, 1.2, 1.7)
    matrix[:3, 3] = (-12, 5, 30)
    return Volume(array, Geometry(array.shape, matrix), modality="MR")


def segment(folder, volume, **more):
    regions = more.pop("regions", ())
    largest = more.pop("largest_component", False)
    model = ModelStore().find(str(folder))
    return run_model(model, volume, {**PLAIN, **more}, regions=regions, largest_component=largest)


@pytest.mark.parametrize("order", ORDERS)
def test_the_result_does_not_depend_on_how_the_image_is_stored(folder, image, order):
    expected = segment(folder, image).labels
    array, grid = reorient_array(image.array, image.geometry, order)
    found = segment(folder, Volume(np.ascontiguousarray(array), grid, modality="MR")).labels
    back, back_grid = reorient_array(found.array, found.geometry, image.geometry.orientation)
    assert back_grid.same_as(expected.geometry)
    np.testing.assert_array_equal(back, expected.array)
    assert set(np.unique(back)) == {0, 1, 4}


def test_the_facts_say_what_ran(folder, image):
    result = segment(folder, image)
    json.dumps(result.facts, allow_nan=False)
    ran = result.facts["inference"]
    assert (ran["backend"], ran["precision"], ran["device"]) == ("torch", "f32", "cpu")
    assert ran["windows"] > 1
    assert result.facts["model"]["sha256"] == ModelStore().find(str(folder)).manifest.weights_sha256
    assert set(result.facts["trust"]) == {"Front", "Back"}
    assert result.labels.meta == result.facts


def test_a_region_keeps_the_normalisation_and_the_outside_stays_empty(folder, image):
    centre = tuple(float(v) for v in image.geometry.centre)
    region = Region(centre_ras=centre, size_mm=(8, 8, 8))
    whole, part = segment(folder, image).labels, segment(folder, image, regions=[region]).labels
    where = np.argwhere(part.array)
    assert len(where) > 20
    offset = (image.geometry.to_ijk(image.geometry.to_ras(where[:, ::-1])) - image.geometry.to_ijk(centre)) * (
        image.geometry.spacing
    )
    assert np.abs(offset).max() <= 4 + 1.7
    # Windows lie elsewhere and the network is random, so a part of the voxels differs; a wrong place would be chance.
    assert (whole.array[part.array > 0] == part.array[part.array > 0]).mean() > 0.6
    with pytest.raises(InputError, match="outside the image"):
        segment(folder, image, regions=[Region(centre_ras=(900, 0, 0), size_mm=(8, 8, 8))])


def test_a_box_in_the_air_of_a_ct_finds_nothing_instead_of_failing(model_folder, tmp_path):
    """The automatic box around the body must not move what a user may ask for."""
    chain = [{"method": "clip", "low": -1000, "high": 1000}, {"method": "shift_scale", "sd": 400}]
    prepare = {"spacing": [2, 2, 2], "channels": [{"name": "CT", "normalise": chain}]}
    folder = model_folder(tmp_path / "ct", prepare=prepare)
    rng = np.random.default_rng(3)
    array = rng.normal(-1000, 5, (60, 80, 80)).astype(np.float32)
    array[:, 30:50, 30:50] += 1040
    volume = Volume(array.astype(np.int16), Geometry.from_spacing(array.shape, (2, 2, 2)), modality="CT")
    corner = volume.geometry.to_ras((5, 5, 30))
    found = segment(folder, volume, regions=[Region(centre_ras=tuple(map(float, corner)), size_mm=(8, 8, 8))])
    where = np.argwhere(found.labels.array)
    assert (where[:, 1:] < 9).all()


def test_the_manifests_repairs_run_and_so_do_the_users(folder, model_folder, image, tmp_path):
    from scipy.ndimage import label

    repaired = model_folder(
        tmp_path / "repaired", postprocess=[{"step": "largest_components", "settings": {"segments": ["Back"]}}]
    )
    before, after = segment(folder, image).labels, segment(repaired, image).labels
    assert label(before.array == 4, np.ones((3, 3, 3)))[1] > 1
    assert label(after.array == 4, np.ones((3, 3, 3)))[1] == 1
    np.testing.assert_array_equal(before.array == 1, after.array == 1)
    users = segment(folder, image, largest_component=True).labels
    assert label(users.array == 4, np.ones((3, 3, 3)))[1] == 1


def test_a_cascade_runs_its_stages(folder, model_folder, image, tmp_path):
    first = json.loads((folder / "manifest.json").read_text("utf-8"))
    cascade = model_folder(tmp_path / "cascade", file="second.safetensors", previous=first)
    (cascade / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
    result = segment(cascade, image)
    assert len(result.facts["previous"]) == 1
    assert result.facts["previous"][0]["model"]["id"] == "whole"
    assert (result.labels.array != segment(folder, image).labels.array).any()


def test_members_are_chosen_by_number(folder, model_folder, image, tmp_path):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    two = model_folder(tmp_path / "two", weights=manifest["weights"] * 2)
    both = segment(two, image)
    assert both.facts["inference"]["members"] == 2
    np.testing.assert_array_equal(both.labels.array, segment(folder, image).labels.array)
    assert segment(two, image, members=[1]).facts["inference"]["members"] == 1
    with pytest.raises(SettingsError, match="members"):
        segment(two, image, members=[2])


def test_the_channels_must_be_those_of_the_model(model_folder, image, tmp_path):
    two = model_folder(tmp_path / "two", channels=2)
    with pytest.raises(InputError, match="T1"):
        segment(two, image)
    pair = image.replace(array=np.stack([image.array, -image.array], axis=-1))
    assert (segment(two, pair).labels.array > 0).any()


def test_short_memory_is_stated_and_the_result_is_complete(model_folder, image, tmp_path, monkeypatch):
    """The machine's memory is played, the ladder is real: windows longer than 32 voxels do not fit."""
    from medai.segment.backends.torch_backend import TorchSession

    wide = model_folder(tmp_path / "wide", window=[16, 64, 32])
    real, limit = TorchSession.__call__, [32]

    def small(self, batch):
        if max(batch.shape[2:]) > limit[0] or len(batch) > 1:
            raise OutOfMemory("The device has too little memory.")
        return real(self, batch)

    monkeypatch.setattr(TorchSession, "__call__", small)
    found = segment(wide, image)
    (flag,) = [f for f in found.labels.flags if f.code == "DEVICE_FALLBACK"]
    assert "16 x 32 x 32" in flag.measured
    assert found.facts["inference"]["window"] == [16, 32, 32]
    assert set(np.unique(found.labels.array)) == {0, 1, 4}
    limit[0] = 0
    with pytest.raises(OutOfMemory, match="tried"):
        segment(wide, image)


def test_cancel_stops_in_every_stage(folder, image):
    stages = []

    def progress(fraction, message=""):
        stages.append((round(fraction, 6), message))

    run_model(ModelStore().find(str(folder)), image, PLAIN, progress=progress)
    fractions = [fraction for fraction, _ in stages]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    for stop in (0.0, 0.1, 0.5, 0.9):
        token = CancelToken()

        def until(fraction, message="", token=token, stop=stop):
            if fraction >= stop:
                token.cancel()

        with pytest.raises(Cancelled):
            run_model(ModelStore().find(str(folder)), image, PLAIN, progress=until, cancel=token)


def test_regions_that_overlap_keep_what_the_first_one_found(folder, image):
    r, a, s = (float(v) for v in image.geometry.centre)
    near = [Region(centre_ras=(r - 2, a, s), size_mm=(8, 9, 9)), Region(centre_ras=(r + 2, a, s), size_mm=(8, 9, 9))]
    wishes = {"uncertainty": "ensemble"}
    alone = [segment(folder, image, regions=[region], **wishes) for region in near]
    both = segment(folder, image, regions=near, **wishes)
    first = inside_of(image.geometry, near[0])
    second = np.zeros(image.geometry.shape, dtype=bool)
    second[inside_of(image.geometry, near[1])] = True
    assert second[first].any()
    second[first] = False
    for name, found in both.maps.items():
        np.testing.assert_array_equal(found.array[first], alone[0].maps[name].array[first])
        np.testing.assert_array_equal(found.array[second], alone[1].maps[name].array[second])
    np.testing.assert_array_equal(both.labels.array[second], alone[1].labels.array[second])
    known = alone[0].labels.array > 0
    np.testing.assert_array_equal(both.labels.array[known], alone[0].labels.array[known])
    counts = both.labels.counts()
    told = [sum(part["labels"][name]["voxels"] for part in both.facts["regions"]) for name in ("Front", "Back")]
    assert told == [counts[1], counts[4]]


def test_a_region_says_nothing_of_segments_in_its_surroundings(folder, image):
    whole = segment(folder, image).labels.array
    k, j, i = next(tuple(at) for at in np.argwhere(whole == 1) if (at > 5).all() and (at < 9).all())
    centre = tuple(float(v) for v in image.geometry.to_ras((i, j, k)))
    result = segment(folder, image, regions=[Region(centre_ras=centre, size_mm=(0.9, 1.2, 1.7))])
    present = {s.name for s in result.labels.segments if result.labels.counts()[s.label]}
    assert len(present) < 2
    assert set(result.facts["trust"]) == present
    assert all(f.affects in {"", *present} for f in result.labels.flags if f.code == "LOW_CONFIDENCE")


@pytest.mark.parametrize("context", [0, 2])
def test_a_region_of_a_model_in_slices_is_what_the_whole_image_has_there(model_folder, image, tmp_path, context):
    """Slices lie elsewhere than the model's: the labels at the region's ends come from slices on both sides."""
    manifest = ModelStore().find(str(model_folder(tmp_path / "slices"))).manifest
    entry = manifest.inference.model_copy(update={"dims": 2, "context": context, "mirror_axes": ()})
    manifest = manifest.model_copy(
        update={"window": (1, 16, 16), "inference": entry, "prepare": manifest.prepare.model_copy(
            update={"spacing": (1.0, 1.0, 4.0)})}
    )  # fmt: skip
    image = image.replace(array=np.tile(image.array, (3, 1, 1)), geometry=image.geometry.crop((0, 0, 0), (42, 26, 22)))
    prepared = prepare(image, manifest.prepare)
    region = Region(centre_ras=tuple(float(v) for v in image.geometry.centre), size_mm=(9, 9, 9))
    part = cut_to(prepared, region, manifest)
    wanted = inside_of(image.geometry, region)[0]
    ends = [image.geometry.to_ras((0, 0, k))[2] for k in (wanted.start, wanted.stop - 1)]
    low, high = part.grid.to_ras((0, 0, 0))[2], part.grid.to_ras((0, 0, part.grid.shape[0] - 1))[2]
    spare = context * 4.0
    assert low + spare <= min(ends)
    assert max(ends) <= high - spare


def test_a_cascades_first_stage_takes_what_it_can_of_the_options(folder, model_folder, image, tmp_path):
    first = json.loads((folder / "manifest.json").read_text("utf-8"))
    first["inference"] = {"mirror_axes": []}
    weights = {"path": "second.safetensors"}
    cascade = model_folder(tmp_path / "cascade", file="second.safetensors", previous=first)
    (cascade / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
    stored = json.loads((cascade / "manifest.json").read_text("utf-8"))
    stored["weights"] = [{**w, **weights} for w in stored["weights"]] * 2
    (cascade / "manifest.json").write_text(json.dumps(stored), "utf-8")
    result = segment(cascade, image, mirror=True, members=[1])
    assert result.facts["inference"]["passes"] == 2
    assert result.facts["previous"][0]["inference"]["passes"] == 1


def test_a_failed_attempts_memory_is_given_back_before_the_next(model_folder, image, tmp_path, monkeypatch):
    """Memory ends in the second row of windows, when slices of the first were given out already."""
    import gc
    import weakref

    from medai.segment.backends.torch_backend import TorchSession
    from medai.segment.inference.averages import Averages

    wide = model_folder(tmp_path / "wide", window=[8, 64, 32])
    real, made, alive, calls = TorchSession.__call__, [], [], []
    init = Averages.__init__

    def counted(self, *args):
        alive.append(sum(ref() is not None for ref in made))
        init(self, *args)
        made.append(weakref.ref(self._ring._sums))

    def small(self, batch):
        calls.append(len(batch))
        if len(made) == 1 and len(calls) > 2:
            raise OutOfMemory("The device has too little memory.")
        return real(self, batch)

    monkeypatch.setattr(Averages, "__init__", counted)
    monkeypatch.setattr(TorchSession, "__call__", small)
    told = []
    model = ModelStore().find(str(wide))
    gc.disable()
    try:
        found = run_model(
            model, image, {**PLAIN, "batch": 1, "overlap": 0.0}, progress=lambda f, message="": told.append(f)
        )
    finally:
        gc.enable()
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert [f.code for f in found.labels.flags].count("DEVICE_FALLBACK") == 1
    assert alive == [0, 0]
