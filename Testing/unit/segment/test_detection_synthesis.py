"""Synthetic nodules and the generated chest: shapes by formula, truth that fits the image, repeatable from the seed."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from medai.core.errors import GeometryError, InputError, SettingsError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume
from medai.segment.detection.backgrounds import aerated_lung, half, lungs_of, part_of
from medai.segment.detection.nodules import Nodule
from medai.segment.detection.phantom import PhantomSettings, thorax_phantom
from medai.segment.detection.synthesis import SynthesisSettings, plant

SMALL = PhantomSettings(size_mm=(200, 160, 60), spacing=(4, 4, 4), vessels=2)
LUNG = -850.0


def ball(diameter=10.0, roughness=0.0):
    generator = np.random.default_rng(1)
    return Nodule.random(generator, diameter, 1.0, roughness, 40.0)


def flat(shape=(30, 30, 30), spacing=(1.0, 1.0, 1.0), value=LUNG):
    return Volume(np.full(shape, value, np.float32), Geometry.from_spacing(shape, spacing), modality="CT")


def test_a_smooth_round_nodule_is_a_ball():
    grid = Geometry.from_spacing((24, 24, 24))
    body = ball(10).at((11.5, 11.5, 11.5))
    assert body.reach_mm == pytest.approx(5, abs=1e-9)
    low, high = body.extent(grid)
    assert high - low == pytest.approx([10] * 3, abs=0.02)
    assert (low + high) / 2 == pytest.approx([12] * 3, abs=0.02)
    _, share = body.coverage(grid)
    assert share.sum() == pytest.approx(4 / 3 * np.pi * 125, rel=0.02)
    assert share.max() == 1.0
    assert body.coverage(grid.crop((100, 0, 0), (4, 4, 4))) is None


def test_an_elongated_nodule_keeps_the_volume_of_its_diameter():
    body = Nodule.random(np.random.default_rng(4), 12.0, 2.0, 0.0, 0.0)
    assert np.prod(body.radii_mm) == pytest.approx(6.0**3)
    assert max(body.radii_mm) / min(body.radii_mm) <= 2.0 + 1e-9
    _, share = body.at((20, 20, 20)).coverage(Geometry.from_spacing((41, 41, 41)))
    assert share.sum() == pytest.approx(4 / 3 * np.pi * 216, rel=0.01)


def test_a_rough_surface_varies_as_much_as_asked():
    body = ball(20, roughness=0.1)
    radii = np.linalg.norm(body.surface, axis=1)
    assert 0.04 < np.std(np.log(radii / 10)) < 0.16


def test_truth_fits_what_was_planted():
    volume = flat()
    settings = SynthesisSettings(count=(1, 1), diameter_mm=(8, 8), glass_share=0, solid_hu=(40, 40), noise_hu=(0, 0))
    place = np.zeros(volume.geometry.shape, bool)
    place[8:22, 8:22, 8:22] = True
    planted = plant(volume, place, settings, seed=3)
    (item,) = planted.truth.items
    mask = planted.truth.masks.array == item.mask_label
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.15)
    where = np.argwhere(mask)[:, ::-1]
    assert (where.min(axis=0) >= np.floor(item.low)).all()
    assert (where.max(axis=0) + 1 <= np.ceil(item.high)).all()
    k, j, i = np.round(volume.geometry.to_ijk(item.centre_ras)).astype(int)[::-1]
    assert planted.volume.array[k, j, i] == pytest.approx(40, abs=20)
    assert (planted.volume.array >= volume.array - 1e-3).all()
    assert volume.array.max() == LUNG


def test_the_seed_decides():
    volume = flat()
    place = np.ones(volume.geometry.shape, bool)
    one, same, other = (plant(volume, place, seed=seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(one.volume.array, same.volume.array)
    assert one.truth.items == same.truth.items
    assert not np.array_equal(one.volume.array, other.volume.array)


def test_nodules_keep_apart_and_inside_their_place():
    volume = flat((40, 60, 60))
    place = np.zeros(volume.geometry.shape, bool)
    place[10:30, 10:50, 10:50] = True
    settings = SynthesisSettings(count=(4, 4), diameter_mm=(5, 7), gap_mm=5)
    planted = plant(volume, place, settings, seed=8)
    assert len(planted.nodules) >= 2
    centres = planted.truth.centres_ras()
    ijk = np.round(volume.geometry.to_ijk(centres)).astype(int)
    assert all(place[k, j, i] for i, j, k in ijk)
    for a in range(len(centres)):
        for b in range(a):
            reach = planted.nodules[a].reach_mm + planted.nodules[b].reach_mm
            assert np.linalg.norm(planted.nodules[a].surface[:, None] - planted.nodules[b].surface, axis=2).min() > 4
            assert np.linalg.norm(np.subtract(planted.nodules[a].centre_ras, planted.nodules[b].centre_ras)) >= reach


def test_places_that_cannot_be_are_refused():
    volume = flat()
    with pytest.raises(InputError, match="no place"):
        plant(volume, np.zeros(volume.geometry.shape, bool))
    with pytest.raises(InputError, match="shape"):
        plant(volume, np.ones((2, 2, 2), bool))
    with pytest.raises(SettingsError, match="diameter_mm must rise"):
        SynthesisSettings.parse({"diameter_mm": [9, 3]})


def test_a_chest_has_two_lungs_and_is_repeatable():
    one, same, other = (thorax_phantom(seed, SMALL) for seed in (5, 5, 6))
    assert np.array_equal(one.volume.array, same.volume.array)
    assert not np.array_equal(one.volume.array, other.volume.array)
    assert one.volume.modality == "CT"
    middle = one.place.shape[2] // 2
    left, right = one.place[:, :, :middle].sum(), one.place[:, :, middle:].sum()
    assert min(left, right) > 0.25 * (left + right)
    assert np.median(one.volume.array[one.place]) < -750
    assert one.volume.array.max() > 200
    assert aerated_lung(one.volume)[one.place].mean() > 0.7


@pytest.mark.parametrize("turn", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flip", [None, 0, 2])
def test_halves_are_the_patients(turn, flip):
    grid = Geometry.from_spacing((4, 5, 7))
    values = np.broadcast_to(grid.to_ras([(i, 0, 0) for i in range(7)])[:, 0], grid.shape)
    array, turned = values.transpose(turn), grid.transpose(turn)
    if flip is not None:
        array, turned = np.flip(array, flip), turned.flip(flip)
    volume = Volume(np.ascontiguousarray(array), turned)
    place = np.ones(volume.geometry.shape, bool)
    assert set(np.unique(part_of(volume, place, "right").volume.array)) == {4, 5, 6}
    assert set(np.unique(volume.array[half(volume, "left")])) == {0, 1, 2}
    assert part_of(volume, place, "both").volume is volume


def test_lungs_of_labels():
    volume = flat((4, 4, 4))
    array = np.zeros((4, 4, 4), np.uint8)
    array[0], array[1], array[2] = 10, 14, 5
    assert lungs_of(volume, LabelMap(array, volume.geometry)).sum() == 32
    with pytest.raises(GeometryError):
        lungs_of(volume, LabelMap(np.zeros((2, 2, 2), np.uint8), Geometry.from_spacing((2, 2, 2))))
