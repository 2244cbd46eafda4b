"""The recipes that come with MedAI: files that load, and what they find in phantoms and in real images."""

import json

import numpy as np
import pytest

from medai.core.errors import SettingsError
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap, read_volume
from medai.core.qc import Severity
from medai.core.volume import Volume
from medai.segment import run
from medai.segment.recipes import expectation_flags, list_recipes, load_recipe

IDS = [recipe.id for recipe in list_recipes()]


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def mask(labels, name):
    return labels.mask(labels.segment(name))


def grids(shape, spacing):
    """Open arrays of R, A, S in mm from the middle; the image is stored RAS."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing[::-1], strict=True)]
    return axes[2][None, None, :], axes[1][None, :, None], axes[0][:, None, None]


@pytest.fixture(scope="module")
def chest():
    """A chest of 2 mm voxels: body, lungs that touch at the front, trachea, spine, table, blanket; noise of 15 HU."""
    shape, spacing = (60, 130, 180), (2.0, 2.0, 2.0)
    r, a, s = grids(shape, spacing)
    truth = {"Body": np.broadcast_to((r / 150) ** 2 + (a / 95) ** 2 <= 1, shape)}
    for side, name in ((-1, "Left lung"), (1, "Right lung")):
        truth[name] = ((r - 62 * side) / 61.5) ** 2 + (a / 62) ** 2 + (s / 58) ** 2 <= 1
    truth["Airways"] = np.broadcast_to((r**2 + (a + 12) ** 2 <= 8**2) & (s > -10), shape)
    wall = np.broadcast_to((r**2 + (a + 12) ** 2 <= 11**2) & (s > -14), shape)
    truth["Bone"] = np.broadcast_to((r / 16) ** 2 + ((a + 68) / 16) ** 2 <= 1, shape)
    array = np.full(shape, -1000.0)
    array[truth["Body"]] = 30
    array[truth["Left lung"] | truth["Right lung"]] = -840
    array[wall] = 40
    array[truth["Airways"]] = -1000
    array[truth["Bone"]] = 250
    table = np.broadcast_to((np.abs(a + 108) <= 5) & (np.abs(r) < 160), shape)
    array[table] = -200
    array[np.broadcast_to((np.abs(a + 99) <= 3) & (np.abs(r) < 30), shape) & ~truth["Body"]] = -900  # mattress
    array += np.random.default_rng(5).normal(0, 15, shape)
    for name in ("Left lung", "Right lung"):
        truth[name] = truth[name] & ~wall
    return Volume(np.rint(array).astype(np.int16), Geometry.from_spacing(shape, spacing), modality="CT"), truth


def test_every_recipe_is_complete_and_known_under_its_file_name():
    assert {"ct-body", "ct-lungs", "ct-airways", "ct-bone", "ct-brain", "mr-brain", "mr-tissue", "mg-breast"} <= set(
        IDS
    )
    for recipe in list_recipes():
        assert recipe.description.endswith(".")


@pytest.mark.parametrize("name", IDS)
def test_a_recipe_is_checked_and_written_out_when_it_is_loaded(name):
    if "atlas_brain" in {step.step for step in next(r for r in list_recipes() if r.id == name).pipeline}:
        pytest.importorskip("nilearn")
    recipe = load_recipe(name)
    assert all(step.settings for step in recipe.pipeline)


def test_a_recipe_of_ones_own_is_a_file(tmp_path):
    path = tmp_path / "mine.json"
    content = {"id": "mine", "title": "Mine", "pipeline": [{"step": "threshold"}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    assert load_recipe(str(path)).title == "Mine"
    path.write_text(json.dumps({**content, "pipeline": [{"step": "median"}]}), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"mine\.json\.pipeline: no step gives segments"):
        load_recipe(str(path))
    with pytest.raises(SettingsError, match="no recipe called 'ct-everything'"):
        load_recipe("ct-everything")


def test_another_modality_or_other_values_are_flagged(chest):
    image, _ = chest
    assert expectation_flags(image, "CT", True) == ()
    (flag,) = expectation_flags(image.replace(modality="MR"), "CT", False)
    assert (flag.code, flag.severity) == ("MODALITY_MISMATCH", Severity.ERROR)
    raw = image.replace(array=(image.array.astype(np.int32) + 1024).clip(0, 4095).astype(np.int16))
    assert [f.code for f in expectation_flags(raw, "CT", True)] == ["INT_RANGE_NOT_HU"]


def test_body_in_a_phantom(chest):
    image, truth = chest
    labels = run(image, list(load_recipe("ct-body").pipeline))
    assert dice(mask(labels, "Body"), truth["Body"]) > 0.98


def test_lungs_in_a_phantom_are_apart_without_the_trachea_and_on_their_sides(chest):
    image, truth = chest
    labels = run(image, list(load_recipe("ct-lungs").pipeline))
    for name in ("Left lung", "Right lung"):
        assert dice(mask(labels, name), truth[name]) > 0.95
        assert not (mask(labels, name) & truth["Airways"]).any()
    assert [s.modifier.meaning for s in labels.segments] == ["Left", "Right"]


def test_lungs_keep_their_sides_in_any_storage(chest):
    image, _ = chest
    recipe = list(load_recipe("ct-lungs").pipeline)
    expected = run(image, recipe).volumes_ml()
    turned = image.replace(array=image.array[:, ::-1, ::-1], geometry=image.geometry.flip(2).flip(1))
    found = run(turned, recipe).volumes_ml()
    for name, volume in expected.items():
        assert found[name] == pytest.approx(volume, rel=0.01)


def test_airways_in_a_phantom(chest):
    image, truth = chest
    labels = run(image, list(load_recipe("ct-airways").pipeline))
    assert dice(mask(labels, "Airways"), truth["Airways"]) > 0.85


def test_bone_in_a_phantom(chest):
    image, truth = chest
    labels = run(image, list(load_recipe("ct-bone").pipeline))
    assert dice(mask(labels, "Bone"), truth["Bone"]) > 0.95


def test_brain_in_a_ct_phantom_without_skull_scalp_and_neck():
    shape, spacing = (100, 100, 100), (2.0, 2.0, 2.0)
    r, a, s = grids(shape, spacing)
    radius = np.sqrt((r / 0.85) ** 2 + a**2 + s**2)
    array = np.full(shape, -1000.0)
    array[radius <= 92] = 40  # scalp
    array[radius <= 84] = 900  # skull
    brain = radius <= 74
    array[brain] = 30
    array[radius <= 12] = 5  # a ventricle
    canal = np.broadcast_to((r**2 + a**2 <= 7**2) & (s < -60), shape)
    array[canal & (radius <= 92)] = 35  # an opening with a cord that joins brain and neck
    array += np.random.default_rng(2).normal(0, 5, shape)
    image = Volume(array.astype(np.float32), Geometry.from_spacing(shape, spacing), modality="CT", unit="[hnsf'U]")
    labels = run(image, list(load_recipe("ct-brain").pipeline))
    assert dice(mask(labels, "Brain"), brain) > 0.96
    assert not (mask(labels, "Brain") & (radius > 80)).any()


def test_breast_in_a_mammogram_phantom():
    shape = (1, 400, 300)
    j, i = np.mgrid[0:400, 0:300]
    breast = ((i / 200) ** 2 + ((j - 200) / 150) ** 2 <= 1)[None]
    rng = np.random.default_rng(3)
    array = rng.normal(20, 5, shape)
    array[breast] = 400 + 150 * np.sin(i / 9.0)[None][breast] + rng.normal(0, 30, int(breast.sum()))
    array[0, 20:40, 240:280] = 900  # a label
    image = Volume(array.clip(0).astype(np.uint16), Geometry.from_spacing(shape, (0.5, 0.5, 1.0)), modality="MG")
    labels = run(image, list(load_recipe("mg-breast").pipeline))
    assert dice(mask(labels, "Breast"), breast) > 0.97
    assert labels.array[0, 20:40, 240:280].max() == 0


@pytest.mark.data
def test_real_ct_against_machine_made_labels(data_dir):
    image = read_volume(data_dir / "totalsegmentator" / "example_ct.nii.gz")
    truth = read_labelmap(data_dir / "totalsegmentator" / "example_seg_fast_force_split.nii.gz").array
    lungs = run(image, list(load_recipe("ct-lungs").pipeline))
    # The image shows the lungs' lowest centimetres only; TotalSegmentator's labels 10 and 11 are left, 12 to 14 right.
    assert dice(mask(lungs, "Left lung"), np.isin(truth, [10, 11])) > 0.70
    assert dice(mask(lungs, "Right lung"), np.isin(truth, [12, 13, 14])) > 0.90
    body = run(image, list(load_recipe("ct-body").pipeline))
    assert 20_000 < body.volumes_ml()["Body"] < 27_000
    assert (mask(body, "Body")[truth > 0]).mean() > 0.99
    bone = run(image, list(load_recipe("ct-bone").pipeline))
    bones = np.isin(truth, [*range(25, 51), *range(69, 79), *range(91, 117)])
    assert dice(mask(bone, "Bone"), bones) > 0.80


@pytest.mark.data
def test_airways_of_a_real_ct_with_a_cropped_chest(data_dir):
    image = read_volume(data_dir / "ibsi_ct_phantom" / "nifti" / "image" / "phantom.nii.gz")
    labels = run(image, list(load_recipe("ct-airways").pipeline))
    # The lowest two centimetres of the trachea and the right main bronchus.
    assert 5 < labels.volumes_ml()["Airways"] < 12


@pytest.mark.data
def test_tissue_of_a_real_head_has_plausible_volumes(data_dir):
    pytest.importorskip("nilearn")
    head = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    volumes = run(head, list(load_recipe("mr-tissue").pipeline)).volumes_ml()
    assert 1200 < sum(volumes.values()) < 1500
    assert volumes["Grey matter"] > volumes["White matter"] * 0.8
    assert 400 < volumes["White matter"] < 650


def test_tissue_of_the_mni152_template_agrees_with_its_own_maps():
    """The issue asks for a Dice of 0.80 or more."""
    datasets = pytest.importorskip("nilearn.datasets")
    from medai.segment.atlas import template_path

    image = read_volume(template_path())
    labels = run(image, list(load_recipe("mr-tissue").pipeline))
    for name, load in (
        ("Grey matter", datasets.load_mni152_gm_template),
        ("White matter", datasets.load_mni152_wm_template),
    ):
        probability = load(resolution=1).get_fdata().transpose(2, 1, 0)
        assert dice(mask(labels, name), probability > 0.5) > 0.80, name
