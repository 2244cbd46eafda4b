"""The box around a patient: phantoms with a table, arms, noise and padding; the body is never cut."""

import itertools

import numpy as np
import pytest

pytest.importorskip("scipy")

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.inference.body_box import body_box
from medai.segment.inference.prepare import ChannelEntry, Normalise, PrepareSettings
from medai.segment.inference.prepared import prepare

SHAPE, SPACING = (40, 128, 128), (4.0, 4.0, 5.0)


def ellipse(centre, radii, shape=SHAPE):
    """A cylinder along K: centre and radii in voxels along J, I."""
    j, i = np.arange(shape[1])[:, None], np.arange(shape[2])
    plane = ((j - centre[0]) / radii[0]) ** 2 + ((i - centre[1]) / radii[1]) ** 2 <= 1
    return np.broadcast_to(plane, shape)


def phantom(noise=20.0, air=-1000.0, seed=0, table=True, arms=True, shape=SHAPE):
    """Return (HU, body): a trunk with lungs and spine, arms apart from it, a table of thin shells and foam below."""
    hu = np.full(shape, air, dtype=np.float32)
    if table:
        hu[:, 86:100, 14:114] = -930
        hu[:, 86:87, 14:114] = 50
        hu[:, 99:100, 14:114] = 50
    body = ellipse((62, 64), (22, 34), shape).copy()
    body[:6] = False  # above the head
    hu[body] = 40
    lungs = (ellipse((60, 48), (13, 10), shape) | ellipse((60, 80), (13, 10), shape)) & body
    hu[lungs] = -850
    hu[ellipse((76, 64), (5, 5), shape) & body] = 500
    if arms:
        arm = (ellipse((66, 23), (5, 4), shape) | ellipse((66, 105), (5, 4), shape)).copy()
        arm[:20] = False
        hu[arm] = 40
        body |= arm
    rng = np.random.default_rng(seed)
    return hu + rng.normal(0, noise, shape).astype(np.float32), body


def grid(shape=SHAPE):
    return Geometry.from_spacing(shape, SPACING)


def holds(box, body):
    """Whether no voxel of the body lies outside the box."""
    inside = np.zeros(body.shape, dtype=bool)
    inside[tuple(slice(a, b) for a, b in box)] = True
    return not (body & ~inside).any()


@pytest.mark.parametrize("noise", [1.0, 20.0, 80.0, 150.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_body_lies_inside_and_most_air_and_the_table_outside(noise, seed):
    hu, body = phantom(noise, seed=seed)
    box = body_box(hu.astype(np.int16), grid())
    assert holds(box, body)
    (k0, k1), (j0, j1), (i0, i1) = box
    assert k0 > 0
    assert k1 == 40
    assert 20 <= j0 <= 40
    assert j1 <= 96  # the table's lower shell lies outside
    assert 10 <= i0 <= 19
    assert 109 <= i1 <= 118


@pytest.mark.parametrize("padding", [-2000.0, -3024.0, -1024.0])
def test_a_round_field_of_view(padding):
    hu, body = phantom(15.0)
    circle = ellipse((63.5, 63.5), (63.5, 63.5))
    hu[~circle] = padding
    box = body_box(hu.astype(np.int16), grid())
    assert holds(box, body)
    assert box[1][0] > 20


@pytest.mark.parametrize("padding", [None, -2000.0, -1024.0])
def test_lungs_that_are_open_to_the_border_are_not_cut(padding):
    """A small field of view inside the chest: soft tissue in the middle, lung up to the border at the sides."""
    hu = np.full(SHAPE, 40.0, dtype=np.float32)
    hu[:, :, :44] = hu[:, :, 84:] = -860
    hu += np.random.default_rng(0).normal(0, 30, SHAPE).astype(np.float32)
    hu[0] = -1000.0
    body = np.ones(SHAPE, dtype=bool)
    body[0] = False
    if padding is not None:
        circle = ellipse((63.5, 63.5), (63.5, 63.5))
        hu[~circle], body[~circle] = padding, False
    box = body_box(hu.astype(np.int16), grid())
    assert box is None or holds(box, body)


def test_a_body_that_fills_the_image_is_not_cut():
    hu, _ = phantom(table=False)
    box = body_box(hu[10:, 45:80, 35:95], grid((30, 35, 60)))
    assert box is None


def test_a_body_beyond_the_border_keeps_that_side():
    hu, body = phantom(arms=False)
    part = hu[:, :, 40:]
    box = body_box(part, grid(part.shape))
    assert holds(box, body[:, :, 40:])
    assert box[2][0] == 0
    assert box[2][1] < part.shape[2]


def test_every_way_to_store_it_gives_the_same_box():
    hu, _ = phantom()
    image = Volume(hu.astype(np.int16), grid(), modality="CT")
    how = PrepareSettings(spacing=(6.0, 6.0, 6.0), grid="edges", channels=(ChannelEntry(),))
    wanted = prepare(image, how, crop_body=True)
    assert wanted.array.size < 0.6 * prepare(image, how).array.size
    for axes, flip in itertools.product(itertools.permutations(range(3)), (0, 1, 2)):
        array = np.ascontiguousarray(np.flip(image.array.transpose(axes), flip))
        other = Volume(array, image.geometry.transpose(axes).flip(flip), modality="CT")
        found = prepare(other, how, crop_body=True)
        np.testing.assert_array_equal(found.array, wanted.array)
        assert found.grid.same_as(wanted.grid, 1e-6)


CLIP = Normalise(method="clip", low=-900.0, high=900.0)
CHAINS = {
    "fixed, before": (True, (CLIP, Normalise(method="shift_scale", sd=300.0))),
    "measured, before": (True, (Normalise(method="zscore"),)),
    "measured, after": (False, (Normalise(method="percentile_range", low=1.0, high=99.0), Normalise(method="zscore"))),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("sampling", [
    {"grid": "edges", "interpolate": "cubic", "crop": "nonzero", "anisotropy": 3.0},
    {"grid": "centres"}, {"grid": "cover", "interpolate": "cubic"}, {"spacing": None}, {"spacing": (20.0, 20.0, 70.0)},
])  # fmt: skip
def test_a_crop_changes_no_value(name, sampling):
    first, chain = CHAINS[name]
    hu, body = phantom()
    image = Volume(hu.astype(np.int16), grid(), modality="CT")
    how = PrepareSettings(**{
        "spacing": (5.5, 5.0, 4.0), "normalise_first": first, "channels": (ChannelEntry(normalise=chain),), **sampling,
    })  # fmt: skip
    whole, part = prepare(image, how), prepare(image, how, crop_body=True)
    assert part.array.size < whole.array.size
    start = np.rint(whole.grid.to_ijk(part.grid.origin)).astype(int)[::-1]
    where = tuple(slice(a, a + n) for a, n in zip(start, part.grid.shape, strict=True))
    assert part.grid.same_as(whole.grid.crop(tuple(start), part.grid.shape), 1e-6)
    np.testing.assert_allclose(part.array[0], whole.array[0][where], atol=2e-5 * np.ptp(whole.array))
    corners = part.grid.to_ras([np.full(3, -0.5), np.array(part.grid.size) - 0.5])
    low, high = image.geometry.to_ijk(corners)
    at = np.argwhere(body)[:, ::-1]
    slack = np.array(part.grid.spacing) / np.array(SPACING) / 2
    assert (at >= low - slack).all()
    assert (at <= high + slack).all()


@pytest.mark.parametrize(
    ("array", "modality"),
    [
        (phantom()[0], "MR"),
        (phantom()[0], "PT"),
        (np.abs(phantom()[0]), "CT"),  # no air: not HU
        (np.random.default_rng(0).uniform(0, 4095, SHAPE), ""),
        (np.full(SHAPE, -1000.0), "CT"),  # nobody there
        (np.random.default_rng(0).normal(-1000, 100, SHAPE), "CT"),
        (np.full(SHAPE, np.nan), "CT"),
        (np.zeros(SHAPE), "CT"),
    ],
)
def test_the_whole_image_where_it_is_in_doubt(array, modality):
    assert body_box(array, grid(), modality) is None


@pytest.mark.parametrize("shape", [(1, 128, 128), (2, 128, 128), (1, 1, 1), (3, 2, 1)])
def test_few_slices(shape):
    hu, body = phantom(shape=(40, 128, 128))
    some = tuple(slice(20, 20 + shape[0]) if axis == 0 else slice(0, n) for axis, n in enumerate(shape))
    box = body_box(hu[some], grid(shape))
    assert box is None or holds(box, body[some])


def test_a_table_is_no_open_lung():
    """Air of one value cannot be told from padding, so the body may leave the field of view; the table ends in air."""
    hu, body = phantom(0.0)
    box = body_box(hu, grid())
    assert holds(box, body)
    assert box[1][0] > 20
    assert box[1][1] <= 96


def test_foam_at_the_border_is_kept_as_it_may_be_lung():
    hu, body = phantom(20.0)
    hu, body = hu[:, :97, 31:], body[:, :97, 31:]  # cut through the trunk and through the foam
    box = body_box(hu, grid(hu.shape))
    assert holds(box, body)
    assert box[1][1] == 97


def test_a_small_animal():
    hu, body = phantom()
    box = body_box(hu, Geometry.from_spacing(SHAPE, (0.1, 0.1, 0.1)))
    assert box is None or holds(box, body)
