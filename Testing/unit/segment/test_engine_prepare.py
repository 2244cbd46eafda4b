"""From an image to a network's input: orientation, grids, values, refusals; without any peer."""

import itertools

import numpy as np
import pytest

pytest.importorskip("scipy")

from medai.core.errors import Cancelled, InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume
from medai.segment.inference.prepare import (
    ChannelEntry,
    Normalise,
    PrepareSettings,
    model_grid,
    normalise,
    on_grid,
)
from medai.segment.inference.prepared import prepare, with_labels
from medai.segment.inference.sampling import separate_axis

SHAPE = (9, 14, 11)
AFFINE = np.array([[0.9, 0.0, 0.0, 4.0], [0.0, 1.1, 0.0, -7.0], [0.0, 0.0, 2.5, 3.0], [0, 0, 0, 1.0]])


def turned(angle):
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    return matrix


def picture(shape=SHAPE, seed=0, affine=AFFINE, dtype=np.float32, components=0):
    rng = np.random.default_rng(seed)
    size = (*shape, components) if components else shape
    array = (rng.normal(size=size) * 300 + 100).astype(dtype)
    return Volume(array, Geometry(shape, affine), modality="MR")


def settings(**more):
    chain = more.pop("chain", (Normalise(method="zscore"),))
    return PrepareSettings(**{"channels": (ChannelEntry(name="T1", normalise=chain),), **more})


NNUNET = {"grid": "edges", "interpolate": "cubic", "anisotropy": 3.0, "crop": "nonzero", "normalise_first": True}
HOW = {
    "nnU-Net": settings(spacing=(1.0, 1.3, 0.9), orientation="LPS", **NNUNET),
    "nnU-Net, separate": settings(spacing=(1.0, 1.3, 4.5), orientation="LPS", **NNUNET),
    "nnU-Net, mask": settings(spacing=(1.0, 1.3, 2.0), chain=(Normalise(method="zscore", over="filled"),), **NNUNET),
    "MONAI": settings(
        spacing=(1.3, 1.3, 1.3), orientation="SAR", grid="centres",
        chain=(Normalise(method="percentile_range", low=5.0, high=90.0, clip=True),),
    ),
    "ours": PrepareSettings(spacing=(1.0, 1.0, 1.0)),
    "own spacing": settings(spacing=None, chain=(Normalise(method="zscore", over="nonzero"),)),
}  # fmt: skip


@pytest.mark.parametrize("name", HOW)
def test_the_48_ways_to_store_an_image_give_the_same_numbers(name):
    image = picture(affine=turned(0.2) @ AFFINE)
    array = image.array.copy()
    array[:2], array[..., -3:] = 0, 0  # something to crop
    array[4, 5:8, 5:8] = 0  # a hole
    image = image.replace(array=array)
    wanted = prepare(image, HOW[name])
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            other, grid = image.array.transpose(axes), image.geometry.transpose(axes)
            for axis in np.flatnonzero(flips):
                other, grid = np.flip(other, axis), grid.flip(axis)
            found = prepare(Volume(np.ascontiguousarray(other), grid, modality="MR"), HOW[name])
            np.testing.assert_array_equal(found.array, wanted.array)
            assert found.grid.same_as(wanted.grid, 1e-6)
            assert found.array.flags.c_contiguous


def ramp(point):
    return 3.0 + point[..., 0] * 0.7 - point[..., 1] * 0.2 + point[..., 2] * 0.4


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAR", "IPR"])
@pytest.mark.parametrize("grid", ["cover", "edges", "centres"])
@pytest.mark.parametrize("interpolate", ["linear", "cubic"])
def test_the_grid_says_where_the_samples_lie(orientation, grid, interpolate):
    """A linear ramp in space is sampled exactly, so values tell positions; the border, which is held, is left out."""
    shape = (34, 37, 40)
    geometry = Geometry(shape, turned(0.3) @ AFFINE)
    points = geometry.to_ras(np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)[..., ::-1])
    image = Volume(ramp(points), geometry)
    how = settings(chain=(), spacing=(1.7, 0.8, 1.3), orientation=orientation, grid=grid, interpolate=interpolate)
    found = prepare(image, how)
    assert found.grid.orientation == orientation
    at = np.stack(np.meshgrid(*(np.arange(n) for n in found.grid.shape), indexing="ij"), -1)[..., ::-1]
    where = found.grid.to_ras(at)
    inner = geometry.to_ijk(where)
    # A held border is a kink: a cubic spline rings beside it for a few voxels.
    margin = 12 if interpolate == "cubic" else 0
    inside = ((inner >= margin) & (inner <= np.array(geometry.size) - 1 - margin)).all(axis=-1)
    assert inside.mean() > (0.01 if margin else 0.7)
    np.testing.assert_allclose(found.array[0][inside], ramp(where)[inside], atol=2e-4)


def test_edges_share_the_images_outer_faces_and_centres_its_first_voxel():
    image = picture()
    edges = prepare(image, settings(spacing=(1.0, 1.0, 1.7), grid="edges")).grid
    assert edges.shape == (round(9 * 2.5 / 1.7), round(14 * 1.1), round(11 * 0.9))
    for corner, size in ((-0.5, (0, 0, 0)), (-0.5, (1, 1, 1))):
        mine = edges.to_ras(np.array(edges.size) * size + corner)
        theirs = image.geometry.to_ras(np.array(image.geometry.size) * size + corner)
        np.testing.assert_allclose(mine, theirs, atol=1e-9)
    centres = prepare(image, settings(spacing=(1.0, 1.0, 1.7), grid="centres")).grid
    np.testing.assert_allclose(centres.origin, image.geometry.origin)
    np.testing.assert_allclose(centres.spacing, (1.0, 1.0, 1.7))


def test_ours_equals_what_training_uses():
    image = picture(affine=turned(0.1) @ AFFINE)
    how = PrepareSettings(spacing=(1.0, 1.2, 1.0), orientation="LPS")
    grid = model_grid(image.geometry, how)
    found = prepare(image, how)
    assert found.grid.same_as(grid, 1e-6)
    np.testing.assert_allclose(found.array[0], normalise(on_grid(image, grid, how), how), atol=2e-5)


def test_without_a_spacing_the_voxels_are_the_images():
    image = picture(dtype=np.int16)
    found = prepare(image, settings(spacing=None, orientation="LPS", chain=()))
    np.testing.assert_array_equal(found.array[0], image.array[:, ::-1, ::-1])
    assert found.grid == image.geometry.flip(1).flip(2)


def test_slices_that_are_kept_stay():
    image = picture()
    found = prepare(image, settings(spacing=(1.8, 1.8, 1.0), keep_slices=True, grid="edges", chain=()))
    assert found.grid.shape[0] == 9
    assert found.grid.spacing[2] == pytest.approx(2.5)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i2", "<u4", ">i4", "i8", ">f8", "<f4", "f2", "?"])
def test_types_and_byte_orders(dtype):
    values = np.random.default_rng(1).integers(0, 2 if dtype == "?" else 100, size=SHAPE)
    how = settings(spacing=(1.0, 1.0, 2.0), grid="edges", interpolate="cubic", normalise_first=True)
    geometry = Geometry(SHAPE, AFFINE)
    found = prepare(Volume(values.astype(dtype), geometry), how)
    assert found.array.dtype == np.float32
    np.testing.assert_array_equal(found.array, prepare(Volume(values.astype(np.float32), geometry), how).array)


def test_steps_of_a_chain():
    image = picture()
    x = image.array.astype(np.float64)
    low, high = np.percentile(x, (2, 97))

    def made(*chain):
        return prepare(image, settings(spacing=None, chain=chain)).array[0]

    clip = Normalise(method="clip", low=0.0)
    np.testing.assert_allclose(made(clip), np.maximum(x, 0), rtol=1e-6)
    np.testing.assert_allclose(made(Normalise(method="shift_scale", mean=40.0, sd=8.0)), (x - 40) / 8, atol=1e-4)
    y = np.maximum(x, 0)
    np.testing.assert_allclose(made(clip, Normalise(method="zscore")), (y - y.mean()) / y.std(), atol=1e-5)
    clipped = made(Normalise(method="clip_percentiles", low=2.0, high=97.0))
    np.testing.assert_allclose(clipped, np.clip(x, low, high), rtol=1e-5)
    scaled = made(Normalise(method="percentile_range", low=2.0, high=97.0, out_low=-1.0, out_high=1.0))
    np.testing.assert_allclose(scaled, (x - low) / (high - low) * 2 - 1, atol=1e-5)
    ranged = made(Normalise(method="range", out_low=2.0, out_high=5.0))
    np.testing.assert_allclose(ranged, (x - x.min()) / np.ptp(x) * 3 + 2, atol=1e-5)
    fixed = made(Normalise(method="range", low=-100.0, high=200.0, out_low=-1.0, out_high=1.0, clip=True))
    np.testing.assert_allclose(fixed, np.clip((x + 100) / 300 * 2 - 1, -1, 1), atol=1e-5)


def test_zeros_stay_where_only_the_rest_counts():
    image = picture()
    array = image.array.copy()
    array[:3] = 0
    found = prepare(
        image.replace(array=array), settings(spacing=None, chain=(Normalise(method="zscore", over="nonzero"),))
    )
    rest = array[3:].astype(np.float64)
    np.testing.assert_array_equal(found.array[0][:3], 0)
    np.testing.assert_allclose(found.array[0][3:], (rest - rest.mean()) / rest.std(), atol=1e-5)


def test_filled_counts_holes_but_not_the_outside():
    array = np.zeros((8, 9, 10), dtype=np.float32)
    array[2:7, 2:8, 2:9] = np.random.default_rng(2).uniform(50, 99, size=(5, 6, 7))
    array[4, 4, 4] = 0  # a hole
    array[2, 2, 2] = 0  # a corner: outside
    mask = np.zeros(array.shape, bool)
    mask[2:7, 2:8, 2:9] = True
    mask[2, 2, 2] = False
    found = prepare(Volume(array, Geometry.from_spacing(array.shape)), settings(
        spacing=None, crop="nonzero", normalise_first=True, chain=(Normalise(method="zscore", over="filled"),),
    ))  # fmt: skip
    inner = array[mask].astype(np.float64)
    wanted = np.where(mask, (array - inner.mean()) / inner.std(), 0)[2:7, 2:8, 2:9]
    np.testing.assert_allclose(found.array[0], wanted, atol=1e-5)
    assert found.grid.origin == (2.0, 2.0, 2.0)


def test_channels_are_changed_each_by_its_own_chain():
    image = picture(components=2)
    entries = (
        ChannelEntry(name="T1", normalise=(Normalise(method="zscore"),)),
        ChannelEntry(name="T2", normalise=(Normalise(method="range"),)),
    )
    found = prepare(image, PrepareSettings(spacing=(1.0, 1.0, 1.0), grid="edges", channels=entries))
    for channel, entry in enumerate(entries):
        alone = image.replace(array=image.array[..., channel])
        single = prepare(alone, PrepareSettings(spacing=(1.0, 1.0, 1.0), grid="edges", channels=(entry,)))
        np.testing.assert_array_equal(found.array[channel], single.array[0])


def test_a_box_around_what_is_not_zero_in_any_channel():
    array = np.zeros((7, 8, 9, 2), dtype=np.int16)
    array[2, 3, 4, 0] = 5
    array[4, 3, 6, 1] = -5
    entries = (ChannelEntry(), ChannelEntry())
    found = prepare(
        Volume(array, Geometry.from_spacing((7, 8, 9))), PrepareSettings(spacing=None, crop="nonzero", channels=entries)
    )
    assert found.grid.shape == (3, 1, 3)
    assert found.grid.origin == (4.0, 3.0, 2.0)
    np.testing.assert_array_equal(found.array[0], array[2:5, 3:4, 4:7, 0])


@pytest.mark.parametrize(
    ("image", "how", "words"),
    [
        (picture(components=2), settings(), r"reads 1 channel \(T1\), the image has 2"),
        (
            picture(),
            PrepareSettings(channels=(ChannelEntry(name="T1"), ChannelEntry(name="FLAIR"))),
            r"reads 2 channels \(T1, FLAIR\), the image has 1",
        ),
        (picture(components=3), PrepareSettings(), "reads 1 channel, the image has 3"),
        (Volume(np.full(SHAPE, np.nan), Geometry(SHAPE, AFFINE)), settings(), "NaN or infinite"),
        (Volume(np.full(SHAPE, 7.0), Geometry(SHAPE, AFFINE)), settings(), "same value, 7"),
        (Volume(np.full(SHAPE, 7), Geometry(SHAPE, AFFINE)), PrepareSettings(), "same value, 7"),
        (Volume(np.zeros(SHAPE), Geometry(SHAPE, AFFINE)), settings(crop="nonzero"), "Every voxel of the image is 0"),
        (picture(), settings(spacing=(1e-4, 1e-4, 1e-4)), "more than the"),
        (picture(), settings(spacing=(1e-9, 1.0, 1.0), grid="edges"), "more than the"),
    ],
)
def test_what_cannot_be_prepared_is_refused(image, how, words):
    with pytest.raises(InputError, match=words):
        prepare(image, how)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_single_bad_voxel_is_refused(value):
    image = picture()
    array = image.array.copy()
    array[4, 5, 6] = value
    with pytest.raises(InputError, match="NaN or infinite"):
        prepare(image.replace(array=array), settings())


def test_values_beyond_single_precision_are_refused():
    array = picture().array.astype(np.float64)
    array[0, 0, 0] = 1e300
    with pytest.raises(InputError, match="1e\\+300"):
        prepare(Volume(array, Geometry(SHAPE, AFFINE)), settings())


def test_percentiles_without_a_range_are_refused():
    array = np.zeros(SHAPE, dtype=np.float32)
    array[0, 0, 0] = 1
    step = Normalise(method="percentile_range", low=5.0, high=95.0)
    with pytest.raises(InputError, match="channel 'T1' cannot be scaled"):
        prepare(Volume(array, Geometry(SHAPE, AFFINE)), settings(spacing=None, chain=(step,)))


def test_one_channel_without_contrast_becomes_zero():
    array = np.stack([picture().array, np.full(SHAPE, 300.0)], axis=-1)
    entries = tuple(ChannelEntry(normalise=(Normalise(method=m),)) for m in ("zscore", "zscore"))
    found = prepare(Volume(array, Geometry(SHAPE, AFFINE)), PrepareSettings(spacing=None, channels=entries))
    assert found.array[0].std() == pytest.approx(1)
    np.testing.assert_array_equal(found.array[1], 0)


@pytest.mark.parametrize("grid", ["cover", "edges", "centres"])
@pytest.mark.parametrize("interpolate", ["linear", "cubic"])
@pytest.mark.parametrize("shape", [(1, 12, 13), (12, 1, 13), (12, 13, 1), (1, 1, 5), (2, 2, 2), (1, 1, 1)])
def test_thin_images(grid, interpolate, shape):
    how = settings(spacing=(1.0, 1.0, 1.0), grid=grid, interpolate=interpolate, chain=())
    found = prepare(picture(shape), how)
    assert np.isfinite(found.array).all()
    assert found.array.shape[1:] == found.grid.shape


@pytest.mark.parametrize("grid", ["cover", "edges", "centres"])
def test_an_image_smaller_than_a_voxel_of_the_model(grid):
    found = prepare(picture((3, 3, 3)), settings(spacing=(90.0, 90.0, 90.0), grid=grid, chain=()))
    assert found.array.shape == (1, 1, 1, 1)


def test_the_axis_that_is_sampled_apart():
    assert separate_axis((5, 1, 1), (1, 1, 1), 3.0) == 0
    assert separate_axis((1, 1, 1), (1, 1, 3.5), 3.0) == 2
    assert separate_axis((1, 4, 4), (1, 1, 1), 3.0) is None
    assert separate_axis((3, 1, 1), (3, 1, 1), 3.0) is None
    assert separate_axis((5, 1, 1), (1, 1, 1), 0.0) is None


def test_progress_rises_to_one():
    seen = []
    how = PrepareSettings(channels=(ChannelEntry(), ChannelEntry()))
    prepare(picture(components=2), how, progress=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_stops_when_asked_to(cancel_at_poll):
    image = picture((40, 60, 50))
    how = settings(spacing=(0.5, 0.5, 0.5), **NNUNET)
    for poll in (1, 2, 4, 8):
        with pytest.raises(Cancelled):
            prepare(image, how, cancel=cancel_at_poll(poll))


def test_labels_of_a_previous_stage_become_channels():
    image = picture((12, 13, 14))
    array = np.zeros(image.geometry.shape, dtype=np.uint8)
    array[3:8, 4:9, 5:10] = 1
    array[8:, 4:9, 5:10] = 7
    labels = LabelMap(array, image.geometry)
    same = with_labels(prepare(image, settings(spacing=None, orientation="LPS", chain=())), labels, (1, 7, 9))
    assert same.array.shape == (4, 12, 13, 14)
    np.testing.assert_array_equal(same.array[1], (array == 1)[:, ::-1, ::-1])
    np.testing.assert_array_equal(same.array[2], (array == 7)[:, ::-1, ::-1])
    assert not same.array[3].any()
    finer = with_labels(prepare(image, settings(spacing=(0.5, 0.5, 0.5), grid="edges")), labels, (1, 7))
    volume = array.astype(bool).sum() * image.geometry.voxel_volume_mm3
    assert finer.array[1:].sum() * finer.grid.voxel_volume_mm3 == pytest.approx(volume, rel=0.1)
    assert set(np.unique(finer.array[1:])) == {0.0, 1.0}
    assert finer.array[1:].sum(axis=0).max() == 1.0


def test_labels_of_a_previous_stage_stop_when_asked(cancel_at_poll):
    image = picture((12, 13, 14))
    labels = LabelMap(np.ones(image.geometry.shape, dtype=np.uint8), image.geometry)
    ready = prepare(image, settings(spacing=None))
    for poll in (1, 2, 3):
        with pytest.raises(Cancelled):
            with_labels(ready, labels, (1,), cancel=cancel_at_poll(poll))


def test_labels_on_another_grid_are_brought_along():
    image = picture((12, 13, 14))
    grid = image.geometry.with_spacing((0.45, 0.55, 1.25))
    labels = LabelMap(np.ones(grid.shape, dtype=np.uint8), grid)
    found = with_labels(prepare(image, settings(spacing=None)), labels, (1,))
    np.testing.assert_array_equal(found.array[1], 1)


def test_the_input_is_never_changed():
    image = picture()
    before = image.digest()
    for how in HOW.values():
        prepare(image, how)
    assert image.digest() == before
