"""Data sets of 2D images: reading, refusing, slices however they are stored, targets and repeatable samples."""

import numpy as np
import pytest
from PIL import Image

from medai.core.errors import GeometryError, InputError, SettingsError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.io import write_volume
from medai.core.volume import Volume
from medai.segment.detection.plane.dataset import (
    find_entries,
    load_picture,
    read_pair,
    require_trainable,
    split_names,
)
from medai.segment.detection.plane.domain import appearance, domain_flags, usual_ranges
from medai.segment.detection.plane.intensity import unit_values
from medai.segment.detection.plane.samples import PlaneSamples, augmented, channels_first
from medai.segment.detection.plane.seen import Seen
from medai.segment.detection.plane.settings import AugmentSettings, ImageSettings, MaskRcnnRecipe
from medai.segment.detection.plane.synthetic import CellSettings, cells, write_cells
from medai.segment.detection.plane.targets import targets_of

DESCRIPTION = {
    "title": "Cells",
    "summary": "For tests.",
    "intended_use": "Tests.",
    "limits": ["Made up."],
    "training_data": "Made up.",
    "licence": "Apache-2.0",
}
ONE = {"id": "cells", "description": DESCRIPTION, "labels": [{"label": 1, "name": "Cell"}]}
TWO = {**ONE, "labels": [{"label": 1, "name": "Cell"}, {"label": 2, "name": "Debris"}]}
SMALL = CellSettings(size=48, radius=(4, 7), cells=(2, 3))


@pytest.fixture
def recipe():
    return MaskRcnnRecipe.parse(ONE)


@pytest.fixture
def data(tmp_path):
    return write_cells(tmp_path / "cells", 4, 3, SMALL)


def test_a_folder_of_pictures_is_read_as_it_was_made(data, recipe):
    entries = find_entries(data, recipe.labels)
    assert [entry.name for entry in entries] == ["cell_000", "cell_001", "cell_002", "cell_003"]
    picture = load_picture(entries[2], recipe)
    image, instances = cells(3, 2, SMALL)
    assert np.array_equal(picture.instances, instances[None])
    low, high = np.percentile(image, (0.5, 99.5))
    expected = np.clip((image - low) / (high - low), 0, 1)
    assert picture.values.dtype == np.float32
    assert np.allclose(picture.values[0], expected, atol=1e-6)


@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_made_up_cells_are_whole_apart_and_repeatable(colour):
    from scipy.ndimage import label

    settings = CellSettings(size=64, cells=(3, 5), colour=colour)
    image, instances = cells(1, 5, settings)
    again, _ = cells(1, 5, settings)
    other, _ = cells(1, 6, settings)
    assert np.array_equal(image, again)
    assert not np.array_equal(image, other)
    assert image.shape == ((64, 64) if colour == "grey" else (64, 64, 3))
    assert 3 <= instances.max() <= 5
    assert [label(instances == n)[1] for n in range(1, instances.max() + 1)] == [1] * instances.max()
    inside, outside = image[instances > 0].mean(), image[instances == 0].mean()
    assert (inside > outside + 15) if colour == "grey" else (inside < outside - 15)


def test_an_image_without_a_mask_is_named(data, recipe):
    (data / "masks" / "cell_001.png").unlink()
    with pytest.raises(InputError, match="cell_001"):
        find_entries(data, recipe.labels)


def test_other_bad_folders_are_refused(data, recipe, tmp_path):
    with pytest.raises(InputError, match="'images' and 'masks'"):
        find_entries(tmp_path, recipe.labels)
    (data / "masks" / "cell_003.png").rename(data / "masks" / "cell_003.jpg")
    with pytest.raises(InputError, match="JPEG"):
        find_entries(data, recipe.labels)
    (data / "masks" / "cell_003.jpg").rename(data / "masks" / "cell_003.png")
    (data / "images" / "cell_003.tif").write_bytes(b"")
    with pytest.raises(InputError, match="twice"):
        find_entries(data, recipe.labels)


def test_a_mask_of_another_size_is_refused(data, recipe):
    Image.fromarray(np.zeros((48, 40), np.uint8)).save(data / "masks" / "cell_000.png")
    with pytest.raises(GeometryError, match="cell_000"):
        load_picture(find_entries(data, recipe.labels)[0], recipe)


def test_a_picture_with_a_nifti_mask_is_refused(data, recipe):
    (data / "masks" / "cell_000.png").unlink()
    write_volume(
        Volume(np.zeros((1, 48, 48), np.uint8), Geometry.from_spacing((1, 48, 48))), data / "masks/cell_000.nii.gz"
    )
    with pytest.raises(InputError, match="one of image and mask"):
        read_pair(find_entries(data, recipe.labels)[0])


def test_nan_pixels_are_refused(tmp_path, recipe):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    array, grid = np.zeros((1, 8, 8), np.float32), Geometry.from_spacing((1, 8, 8))
    array[0, 2, 2] = np.nan
    write_volume(Volume(array, grid), tmp_path / "images" / "a.nii")
    write_volume(Volume(np.zeros((1, 8, 8), np.uint8), grid), tmp_path / "masks" / "a.nii")
    with pytest.raises(InputError, match="NaN"):
        load_picture(find_entries(tmp_path, recipe.labels)[0], recipe)


def test_classes_are_read_from_the_table(data):
    recipe = MaskRcnnRecipe.parse(TWO)
    with pytest.raises(InputError, match=r"no classes\.csv"):
        find_entries(data, recipe.labels)
    lines = ["image,instance,class"]
    for number in range(4):
        count = int(cells(3, number, SMALL)[1].max())
        lines += [f"cell_{number:03d},{n},{'Debris' if n == 2 else 'Cell'}" for n in range(1, count + 1)]
    (data / "classes.csv").write_text("\n".join(lines))
    samples = PlaneSamples([load_picture(e, recipe) for e in find_entries(data, recipe.labels)], recipe)
    assert samples.sample(0, 0)[1].classes[:2].tolist() == [1, 2]
    (data / "classes.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match="has no class"):
        load_picture(find_entries(data, recipe.labels)[3], recipe)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,instance\na,1", "columns"),
        ("image,instance,class\na,1,Dust", "line 2: the class 'Dust'"),
        ("image,instance,class\na,0,Cell", "line 2: '0' is no instance"),
        ("image,instance,class\na,1,Cell\na,1,Cell", "line 3: instance 1 of 'a' has a class already"),
    ],
)
def test_a_bad_table_names_the_line(data, text, message):
    (data / "classes.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        find_entries(data, MaskRcnnRecipe.parse(TWO).labels)


def test_the_split_is_repeatable_and_leaves_something():
    names = [f"n{n}" for n in range(10)]
    training, held = split_names(names[::-1], 3, 5)
    assert (training, held) == split_names(names, 3, 5)
    assert len(held) == 3
    assert sorted([*training, *held]) == names
    assert held != split_names(names, 3, 6)[1]
    with pytest.raises(InputError, match="none is left"):
        split_names(names, 10, 5)


def test_empty_masks_and_an_image_on_both_sides_are_refused(data, recipe):
    pictures = [load_picture(entry, recipe) for entry in find_entries(data, recipe.labels)]
    require_trainable(pictures[:2], pictures[2:])
    with pytest.raises(InputError, match="'cell_001' is the training image 'cell_001'"):
        require_trainable(pictures[:2], pictures[1:])
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(data / "masks" / "cell_000.png")
    with pytest.raises(InputError, match="all masks are empty"):
        require_trainable([load_picture(find_entries(data, recipe.labels)[0], recipe)], pictures)


def test_settings_are_checked():
    with pytest.raises(SettingsError, match="anchors needs 5"):
        MaskRcnnRecipe.parse({**ONE, "network": {"anchors": [8, 16]}})
    with pytest.raises(SettingsError, match="numbered 1, 2"):
        MaskRcnnRecipe.parse({**ONE, "labels": [{"label": 3, "name": "Cell"}]})
    with pytest.raises(SettingsError, match="share a name"):
        MaskRcnnRecipe.parse({**ONE, "labels": [{"label": 1, "name": "A"}, {"label": 2, "name": "A"}]})
    with pytest.raises(SettingsError, match="long_side"):
        MaskRcnnRecipe.parse({**ONE, "network": {"short_side": 128, "long_side": 64}})
    with pytest.raises(SettingsError, match="window"):
        ImageSettings.parse({"window": [3, 3]})
    recipe = MaskRcnnRecipe.parse(ONE)
    assert MaskRcnnRecipe.parse(recipe.to_dict()) == recipe


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SRA", "IPR", "ALI"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_same_slices_are_seen_however_the_image_is_stored(orientation, plane):
    from medai.core.resample import reorient_array

    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    geometry = Geometry.from_spacing((4, 5, 6), (1.0, 1.5, 2.0))
    expected = Seen.of(geometry, plane).look(array)
    turned, grid = reorient_array(array, geometry, orientation)
    seen = Seen.of(grid, plane)
    assert np.array_equal(seen.look(turned), expected)
    assert seen.shape == expected.shape
    assert np.array_equal(seen.back(expected), turned)
    box = seen.box_back((1.0, 2.0, 0.0), (3.0, 3.0, 2.0))
    mask = np.zeros(expected.shape, dtype=bool)
    mask[1:3, 2:3, 0:2] = True
    k, j, i = np.nonzero(seen.back(mask))
    assert box == (i.min(), j.min(), k.min(), i.max() + 1, j.max() + 1, k.max() + 1)


def test_an_axial_slice_shows_the_front_at_the_top_and_the_right_side_on_the_left():
    array = np.zeros((1, 4, 4))
    array[0, 3, 3] = 1  # RAS: the most anterior row, the most right column
    geometry = Geometry.from_spacing((1, 4, 4))
    assert Seen.of(geometry, "axial").look(array)[0, 0, 0] == 1
    # A single sagittal slice is seen as one, a picture as it is.
    sagittal = geometry.transpose((2, 1, 0))
    assert Seen.of(sagittal, "auto") == Seen.of(sagittal, "axial")
    across = Geometry((1, 4, 4), geometry.ijk_to_ras[:, [1, 2, 0, 3]])
    assert Seen.of(across, "auto").shape == (1, 4, 4)
    assert Seen.of(across, "auto") == Seen.of(across, "sagittal")


def test_targets_are_boxes_around_the_pixels_and_small_ones_are_left_out():
    plane = np.zeros((6, 8), np.uint16)
    plane[1:4, 2:7] = 5
    plane[5, 0] = 9
    targets = targets_of(plane, {}, smallest=2)
    assert targets.boxes.tolist() == [[2, 1, 7, 4]]
    assert np.array_equal(targets.masks[0], plane == 5)
    assert targets_of(plane, {5: 2, 9: 1}).classes.tolist() == [2, 1]
    empty = targets_of(np.zeros((6, 8), np.uint16), {})
    assert (empty.boxes.shape, empty.masks.shape, empty.classes.shape) == ((0, 4), (0, 6, 8), (0,))


def test_intensities_become_0_to_1():
    grid = Geometry.from_spacing((1, 2, 2))
    grey = Volume(np.array([[[-500.0, 0.0], [250.0, 900.0]]]), grid)
    window = ImageSettings(window=(0.0, 500.0))
    assert unit_values(grey, window)[0].tolist() == [[0.0, 0.0], [0.5, 1.0]]
    assert unit_values(grey, ImageSettings(window=(0.0, 500.0), colour="rgb")).shape == (1, 2, 2, 3)
    assert not unit_values(Volume(np.full((1, 2, 2), 7.0), grid), ImageSettings()).any()
    colour = Volume(np.full((1, 2, 2, 3), (100.0, 0.0, 0.0)), grid)
    assert np.allclose(unit_values(colour, ImageSettings(window=(0.0, 100.0))), 0.299)
    with pytest.raises(UnsupportedInput, match="2 components"):
        unit_values(Volume(np.zeros((1, 2, 2, 2)), grid), ImageSettings())


def test_augmentation_keeps_boxes_and_masks_together():
    targets = targets_of(cells(2, 0, SMALL)[1], {})
    image = targets.masks.sum(axis=0).astype(np.float32)
    sure = AugmentSettings(flip=1.0, turn=1.0, brightness=0, contrast=0, noise=0)
    found, moved = augmented(image, targets, sure, np.random.default_rng(0))
    expected = image.T[::-1, ::-1]
    assert np.array_equal(found, channels_first(expected))
    assert np.array_equal(moved.masks, targets.masks.swapaxes(1, 2)[:, ::-1, ::-1])
    for box, mask in zip(moved.boxes, moved.masks, strict=True):
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_an_epoch_shows_every_slice_with_an_instance_once_and_some_empty_ones(data):
    recipe = MaskRcnnRecipe.parse(
        {**ONE, "augment": {"flip": 0, "turn": 0, "brightness": 0, "contrast": 0, "noise": 0}}
    )
    pictures = [load_picture(entry, recipe) for entry in find_entries(data, recipe.labels)]
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(data / "masks" / "cell_003.png")
    pictures[3] = load_picture(find_entries(data, recipe.labels)[3], recipe)
    samples = PlaneSamples(pictures, recipe)
    assert len(samples) == 4  # three with cells, and one of the empty ones
    counts = [len(samples.sample(0, n)[1]) for n in range(4)]
    wanted = [int(cells(3, n, SMALL)[1].max()) for n in range(3)]
    assert sorted(counts) == sorted([0, *wanted])
    orders = {tuple(float(samples.sample(epoch, n)[0].sum()) for n in range(4)) for epoch in range(6)}
    assert len(orders) > 1
    one, other = samples.sample(4, 2), PlaneSamples(pictures, recipe).sample(4, 2)
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1].masks, other[1].masks)


def test_images_unlike_the_training_images_are_flagged():
    random = np.random.default_rng(0)
    seen = [(cells(1, n, SMALL)[0] / 255).astype(np.float32) for n in range(8)]
    usual = usual_ranges(seen)
    new = [(cells(2, n, SMALL)[0] / 255).astype(np.float32) for n in range(20)]
    assert sum(bool(domain_flags([plane], usual)) for plane in new) <= 2
    noise = np.clip(0.45 + 0.1 * random.standard_normal((48, 48)), 0, 1).astype(np.float32)
    # Mean of |a - b| of two independent normal numbers: 2 / sqrt(pi) standard deviations.
    assert appearance(noise)["roughness"] == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)
    assert "DOMAIN_OOD" in [flag.code for flag in domain_flags([noise], usual)]
    flat = np.zeros((48, 48), np.float32)
    assert appearance(flat) == {"brightness": 0.0, "spread": 0.0, "roughness": 0.0}
    assert len(domain_flags([flat], usual)) == 3
    # One odd slice among many is none of the volume's.
    assert domain_flags([*seen, flat], usual) == []
    assert domain_flags([flat], {}) == []
