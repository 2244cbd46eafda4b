"""Scores become labels as if every class were interpolated everywhere: grids, orders, regions, measures, memory."""

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import Cancelled, GeometryError, ModelError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.resample import reorient_array
from medai.core.volume import Volume
from medai.segment.inference.axes import nearest_axis
from medai.segment.inference.prepare import ChannelEntry, PrepareSettings
from medai.segment.inference.prepared import prepare
from medai.segment.inference.slab import Slab
from medai.segment.inference.writer import LabelWriter
from medai.segment.manifest import Manifest


def manifest_of(labels, *, regions=(), activation="softmax", anisotropy=0.0, spacing=None):
    return Manifest.parse(
        {
            "id": "test",
            "version": "1.0.0",
            "description": {
                "title": "Test", "summary": "s", "intended_use": "s", "limits": ["s"], "training_data": "s",
                "licence": "s",
            },
            "network": {"name": "unet3d"},
            "prepare": {"orientation": "RAS", "spacing": spacing, "anisotropy": anisotropy},
            "window": [8, 8, 8],
            "inference": {"activation": activation, "regions": list(regions)},
            "labels": [{"label": n, "name": f"label {n}"} for n in labels],
            "weights": {"path": "weights.pt", "bytes": 1, "sha256": "0" * 64},
        }
    )  # fmt: skip


def fields(channels, shape, seed=0, smooth=1.5, scale=6.0):
    """Random smooth scores: many places where three and more classes meet, and classes that never win a voxel."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((channels, *shape))
    scores = ndimage.gaussian_filter(scores, (0, smooth, smooth, smooth), mode="nearest")
    scores *= scale / max(scores.std(), 1e-9)
    return (scores + rng.normal(0, 2, (channels, 1, 1, 1))).astype(np.float32)


def write(scores, grid, target, manifest, slabs=(5, 7, 1, 3), maps=None, **more):
    maps = maps or {}
    writer = LabelWriter(grid, target, manifest, maps=tuple(maps), cancel=CancelToken(), **more)
    start, sizes = 0, itertools.cycle(slabs)
    while start < scores.shape[1]:
        stop = min(start + next(sizes), scores.shape[1])
        part = scores[:, start:stop].copy()
        writer.feed(Slab(start, part, {name: array[start:stop].copy() for name, array in maps.items()}))
        part[...] = np.nan  # the engine uses the memory again
        start = stop
    return writer.finish()


def dense(scores, grid, target, order=(1, 1, 1)):
    """Every class on the image's grid in float64, and where the model's box is; the plain way."""
    place = reorient_array(np.zeros(target.shape), target, grid.orientation)[1]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in place.size), indexing="ij"), -1)
    where = (grid.to_ijk(place.to_ras(index)))[..., ::-1].transpose(2, 1, 0, 3)  # (k, j, i, KJI)
    result = scores.astype(np.float64)
    inside = np.ones(place.shape, bool)
    for axis in range(3):
        line = np.moveaxis(where[..., axis], axis, 0)[:, 0, 0]
        size = scores.shape[axis + 1]
        inside &= np.moveaxis(
            np.broadcast_to(((line > -0.5 - 1e-6) & (line < size - 0.5 + 1e-6))[:, None, None],
                            np.moveaxis(inside, axis, 0).shape), 0, axis)  # fmt: skip
        line = np.clip(line, 0, size - 1)
        if order[axis] == 0:
            result = np.take(result, np.floor(line + 0.5 + 1e-6).astype(int).clip(0, size - 1), axis=axis + 1)
            continue
        low = np.floor(np.where(np.abs(line - np.rint(line)) < 1e-5, np.rint(line), line)).astype(int)
        share = (line - low).reshape([-1 if a == axis else 1 for a in range(3)])
        above = np.take(result, np.minimum(low + 1, size - 1), axis=axis + 1)
        result = np.take(result, low, axis=axis + 1) * (1 - share) + above * share
    return result, inside


def undo(array, grid, target):
    """From the model's axis order to the target's."""
    out = np.zeros(target.shape, array.dtype)
    reorient_array(out, target, grid.orientation)[0][...] = array
    return out


def reference(scores, grid, target, manifest, order=(1, 1, 1)):
    values, inside = dense(scores, grid, target, order)
    regions = manifest.inference.regions
    if regions:
        limit = {"sigmoid": 0.0}.get(manifest.inference.activation, 0.5)
        labels = np.zeros(values.shape[1:], int)
        for channel, label in enumerate(regions):
            labels[values[channel] > limit] = label
    else:
        labels = np.array([0, *(x.label for x in manifest.labels)])[np.argmax(values, axis=0)]
    return undo(np.where(inside, labels, 0), grid, target)


GRID = Geometry.from_spacing((14, 13, 15), (1.5, 1.5, 1.5), origin=(-8.0, 4.0, 21.0))


def image_over(grid, spacing, extra=0):
    """A grid of another spacing over the same box, ``extra`` voxels wider (or smaller) on each side."""
    fine = grid.with_spacing(spacing)
    return fine.crop((-extra,) * 3, tuple(n + 2 * extra for n in fine.shape))


@pytest.mark.parametrize("channels", [2, 5, 40])
@pytest.mark.parametrize(
    ("spacing", "extra"),
    [
        ((0.8, 0.8, 1.0), 0),
        ((0.4, 0.6, 0.31), 0),
        ((1.5, 1.5, 1.5), 0),
        ((1.5, 0.7, 1.5), 2),
        ((4.0, 3.1, 2.2), 0),
        ((0.75, 0.75, 0.75), 5),
        ((0.9, 0.9, 0.9), -4),
        ((1.5, 1.5, 1.5), 3),
        ((1.5, 1.5, 1.5), -3),
        ((0.15, 1.5, 6.0), 0),
    ],
)
def test_labels_are_those_of_the_plain_way(channels, spacing, extra):
    manifest = manifest_of(range(1, channels))
    scores = fields(channels, GRID.shape, seed=channels)
    target = image_over(GRID, spacing, extra)
    written = write(scores, GRID, target, manifest)
    expected = reference(scores, GRID, target, manifest)
    assert written.labels.dtype == np.uint8
    assert len(np.unique(expected)) > 1
    assert (written.labels == expected).mean() >= 0.9999
    for label in range(1, channels):
        assert written.facts[f"label {label}"]["voxels"] == (written.labels == label).sum()
    assert (written.how["interpolation"] == "none") == (spacing == (1.5, 1.5, 1.5))


@pytest.mark.parametrize("shape", [(1, 13, 15), (9, 1, 1), (1, 1, 1), (2, 2, 2), (3, 17, 1)])
@pytest.mark.parametrize("slabs", [(1,), (4, 2)])
def test_thin_axes(shape, slabs):
    manifest = manifest_of([1, 2, 3])
    grid = Geometry.from_spacing(shape, (2.0, 2.0, 2.0))
    scores = fields(4, shape, seed=5)
    for spacing in ((1.1, 0.9, 0.7), (2.0, 2.0, 2.0), (2.0, 1.0, 2.0)):
        target = image_over(grid, spacing)
        written = write(scores, grid, target, manifest, slabs)
        np.testing.assert_array_equal(written.labels, reference(scores, grid, target, manifest))


def test_slabs_do_not_change_the_result():
    manifest = manifest_of(range(1, 7))
    scores = fields(7, GRID.shape, seed=1)
    agreement = np.random.default_rng(0).random(GRID.shape, dtype=np.float32)
    target = image_over(GRID, (0.7, 0.9, 0.8), 1)
    results = [
        write(scores, GRID, target, manifest, slabs, {"agreement": agreement}, entropy=True)
        for slabs in ((14,), (1,), (3, 8), (9, 2))
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(other.labels, results[0].labels)
        for name in ("entropy", "agreement"):
            np.testing.assert_array_equal(other.maps[name], results[0].maps[name])
        for name, fact in other.facts.items():
            assert fact == pytest.approx(results[0].facts[name], rel=1e-9)


@pytest.mark.parametrize("ratio", [1.0, 0.63])
@pytest.mark.parametrize("orientation", ["RAS", "SAR", "LPI"])
def test_all_48_storage_orders_give_one_result(ratio, orientation):
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    image = Geometry.from_spacing((9, 11, 13), (1.1, 1.3, 1.7), (3.0, -7.0, 2.0), turn)
    grid = reorient_array(np.zeros(image.shape), image, orientation)[1]
    grid = grid.with_spacing(tuple(s / ratio for s in grid.spacing))
    manifest = manifest_of([1, 2, 3, 4])
    scores = fields(5, grid.shape, seed=2)
    first = write(scores, grid, image, manifest).labels
    assert len(np.unique(first)) > 2
    np.testing.assert_array_equal(first, reference(scores, grid, image, manifest))
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            stored, where = first.transpose(axes), image.transpose(axes)
            for axis in np.flatnonzero(flips):
                stored, where = np.flip(stored, axis), where.flip(int(axis))
            np.testing.assert_array_equal(write(scores, grid, where, manifest).labels, stored)


@pytest.mark.parametrize("activation", ["sigmoid", "none", "softmax"])
@pytest.mark.parametrize("spacing", [(0.8, 0.8, 1.0), (1.5, 1.5, 1.5), (2.4, 2.0, 1.0)])
def test_regions_are_painted_in_order(activation, spacing):
    manifest = manifest_of([1, 2, 4], regions=(1, 2, 4, 0, 2), activation=activation)
    scores = fields(5, GRID.shape, seed=3, scale=2.0)
    seen = scores
    if activation == "none":
        seen = scores = (1 / (1 + np.exp(-scores))).astype(np.float32)
    if activation == "softmax":
        seen = np.exp(scores) / np.exp(scores).sum(axis=0)
    target = image_over(GRID, spacing, 2)
    written = write(scores, GRID, target, manifest, entropy=True)
    expected = reference(seen, GRID, target, manifest)
    assert set(np.unique(expected)) == {0, 1, 2, 4}
    assert (written.labels == expected).mean() >= 0.9999
    entropy = written.maps["entropy"]
    assert entropy.min() >= 0
    assert 0.1 < entropy.max() <= 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_coarsest_axis_is_sampled_by_nearest_neighbour(axis):
    spacing = [1.0, 1.0, 1.0]
    spacing[2 - axis] = 5.0
    grid = Geometry.from_spacing((10, 11, 12), tuple(spacing))
    manifest = manifest_of([1, 2, 3], anisotropy=3.0, spacing=tuple(spacing))
    scores = fields(4, grid.shape, seed=4)
    target = image_over(grid, tuple(s * f for s, f in zip(spacing, (0.7, 0.8, 0.55), strict=True)))
    written = write(scores, grid, target, manifest)
    order = tuple(0 if a == axis else 1 for a in range(3))
    assert written.how["nearest_axis"] == axis
    np.testing.assert_array_equal(written.labels, reference(scores, grid, target, manifest, order))
    assert (written.labels != reference(scores, grid, target, manifest)).any()


@pytest.mark.parametrize("model", [(1.0, 1.0, 3.0), (1.0, 1.0, 3.1), (0.2, 1.0, 1.0), (1.0, 1.0, 1.0), (4.0, 1.0, 1.2)])
@pytest.mark.parametrize("image", [(1.0, 1.0, 1.0), (0.5, 0.5, 5.0), (5.0, 0.5, 5.0), (0.7, 4.0, 0.7)])
def test_nearest_neighbour_is_used_when_nnunet_uses_it(model, image):
    nnunet = pytest.importorskip("nnunetv2.preprocessing.resampling.default_resampling")
    separate, axis = nnunet.determine_do_sep_z_and_axis(None, model[::-1], image[::-1], 3.0)
    target = Geometry.from_spacing((4, 4, 4), image)
    found = nearest_axis(target, PrepareSettings(anisotropy=3.0, spacing=model, grid="edges"))
    assert found == (axis if separate else None)
    assert nearest_axis(target, PrepareSettings(anisotropy=0.0, spacing=model)) is None


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize(
    ("shape", "image", "spacing"),
    [
        ((12, 14, 13), (19, 22, 17), (1.5, 1.5, 1.5)),
        ((12, 14, 13), (9, 14, 30), (1.5, 1.5, 1.5)),
        ((6, 20, 18), (9, 30, 22), (5.0, 1.0, 1.0)),
        ((12, 14, 13), (12, 14, 13), (1.5, 1.5, 1.5)),
    ],
)
def test_parity_with_nnunets_export(shape, image, spacing, regions):
    export = pytest.importorskip("nnunetv2.inference.export_prediction")
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    labels = {"background": 0, "label 1": [1, 2, 3], "label 2": [2, 3], "label 3": 3}
    if not regions:
        labels = {"background": 0, **{f"label {n}": n for n in range(1, 6)}}
    channels = 3 if regions else 6
    resampling = {
        "architecture": {},
        "spacing": spacing,
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
    }
    plans = PlansManager(
        {
            "dataset_name": "Dataset001_Test", "plans_name": "nnUNetPlans", "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2], "configurations": {"3d_fullres": resampling},
        }
    )  # fmt: skip
    dataset = {"labels": labels, "regions_class_order": [1, 2, 3]} if regions else {"labels": labels}
    image_spacing = [s * a / b for s, a, b in zip(spacing, shape, image, strict=True)]
    properties = {
        "spacing": image_spacing,
        "shape_before_cropping": image,
        "shape_after_cropping_and_before_resampling": image,
        "bbox_used_for_cropping": [[0, n] for n in image],
    }
    scores = fields(channels, shape, seed=7)
    theirs = export.convert_predicted_logits_to_segmentation_with_correct_shape(
        scores.copy(), plans, plans.get_configuration("3d_fullres"), plans.get_label_manager(dataset), properties,
        num_threads_torch=1,
    )  # fmt: skip
    more = {"regions": (1, 2, 3), "activation": "sigmoid"} if regions else {}
    manifest = manifest_of(range(1, 4 if regions else 6), anisotropy=3.0, spacing=spacing[::-1], **more)
    grid = Geometry.from_spacing(shape, spacing[::-1])
    matrix = np.diag([*image_spacing[::-1], 1.0])
    matrix[:3, 3] = [0.5 * (b - a) for a, b in zip(spacing[::-1], image_spacing[::-1], strict=True)]
    ours = write(scores, grid, Geometry(image, matrix), manifest)
    assert len(np.unique(theirs)) > 2
    assert (ours.labels == theirs).mean() >= 0.9995


@pytest.mark.parametrize("spacing", [(1.3, 0.8, 1.1), (0.9, 0.8, 4.4)])
@pytest.mark.parametrize("settings", [
    {"grid": "edges", "spacing": (1.0, 1.1, 1.2), "anisotropy": 3.0},
    {"grid": "cover", "spacing": (1.0, 1.1, 1.2)},
    {"grid": "centres", "spacing": (1.5, 1.5, 1.5), "orientation": "SAR"},
    {"grid": "edges", "spacing": (1.0, 1.1, 9.0), "anisotropy": 3.0, "keep_slices": True, "orientation": "LPS"},
])  # fmt: skip
def test_an_image_on_the_models_grid_comes_back_as_it_was(spacing, settings):
    """Prepared by the engine's own way in, thresholded by the way out: the axes are neither swapped nor shifted."""
    rng = np.random.default_rng(3)
    array = ndimage.gaussian_filter(rng.standard_normal((21, 24, 20)), 2.5).astype(np.float32)
    array /= array.std()
    geometry = Geometry.from_spacing(array.shape, spacing, (4.0, 5.0, 6.0)).transpose((0, 2, 1)).flip(0)
    volume = Volume(array.transpose(0, 2, 1)[::-1].copy(), geometry)
    manifest = manifest_of([1])
    manifest = manifest.model_copy(update={"prepare": PrepareSettings(**settings, channels=(ChannelEntry(),))})
    prepared = prepare(volume, manifest.prepare)
    scores = np.concatenate([np.zeros_like(prepared.array), prepared.array])
    labels = write(scores, prepared.grid, geometry, manifest).labels
    assert (labels == (volume.array > 0)).mean() > 0.93
    for axis in range(3):
        assert (np.roll(labels, 1, axis) == (volume.array > 0)).mean() < (labels == (volume.array > 0)).mean()


def test_measures_are_those_of_the_whole_softmax():
    manifest = manifest_of([3, 5, 300])
    scores = fields(4, GRID.shape, seed=6, scale=2.0)
    agreement, information = np.random.default_rng(1).random((2, *GRID.shape), dtype=np.float32)
    maps = {"agreement": agreement, "mutual_information": information}
    target = image_over(GRID, (0.8, 0.9, 1.0), 1)
    written = write(scores, GRID, target, manifest, maps=maps, entropy=True)
    assert written.labels.dtype == np.uint16
    p = np.exp(scores.astype(np.float64))
    p /= p.sum(axis=0)
    winner = np.argmax(scores, axis=0)
    padded = np.pad(winner, 1, mode="edge")
    edge = np.zeros(winner.shape, bool)
    for axis in range(3):
        for shift in (-1, 1):
            edge |= np.roll(padded, shift, axis)[1:-1, 1:-1, 1:-1] != winner
    for channel, label in enumerate((3, 5, 300), start=1):
        fact, inside = written.facts[f"label {label}"], winner == channel
        assert fact["label"] == label
        assert fact["voxels"] == (written.labels == label).sum() > 0
        assert fact["model_voxels"] == inside.sum()
        assert fact["mean_probability"] == pytest.approx(p[channel][inside].mean(), rel=1e-5)
        assert fact["mean_agreement"] == pytest.approx(agreement[inside].mean(), rel=1e-5)
        assert fact["mean_mutual_information"] == pytest.approx(information[inside].mean(), rel=1e-5)
        assert fact["boundary_share"] == pytest.approx(edge[inside].mean(), rel=1e-9)
    entropy = -(p * np.log(p)).sum(axis=0) / np.log(4)
    for channel, label in enumerate((3, 5, 300), start=1):
        expected = entropy[winner == channel].mean()
        assert written.facts[f"label {label}"]["mean_entropy"] == pytest.approx(expected, rel=1e-4)
    for name, values in {"entropy": entropy, **maps}.items():
        expected, inside = dense(values[None], GRID, target)
        expected = undo(np.where(inside, expected[0], 0), GRID, target)
        assert written.maps[name].dtype == np.float32
        np.testing.assert_allclose(written.maps[name], expected, atol=2e-5)


def test_measures_of_regions_are_of_the_region_that_painted():
    manifest = manifest_of([1, 2], regions=(1, 2), activation="sigmoid")
    scores = fields(2, GRID.shape, seed=8)
    facts = write(scores, GRID, GRID, manifest, entropy=True)
    p = 1 / (1 + np.exp(-scores.astype(np.float64)))
    second = p[1] > 0.5
    first = (p[0] > 0.5) & ~second
    assert facts.facts["label 1"]["mean_probability"] == pytest.approx(p[0][first].mean(), rel=1e-5)
    assert facts.facts["label 2"]["mean_probability"] == pytest.approx(p[1][second].mean(), rel=1e-5)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean(axis=0) / np.log(2)
    np.testing.assert_allclose(facts.maps["entropy"], entropy, atol=1e-5)


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_other_activations_without_regions(activation):
    manifest = manifest_of([1, 2], activation=activation)
    scores = fields(3, GRID.shape, seed=9, scale=2.0)
    p = 1 / (1 + np.exp(-scores)) if activation == "none" else scores
    p = p.astype(np.float32)
    written = write(p, GRID, GRID, manifest, entropy=True)
    winner = np.argmax(scores, axis=0)
    np.testing.assert_array_equal(written.labels, winner)
    probability = 1 / (1 + np.exp(-scores.astype(np.float64)))
    expected = probability[1][winner == 1].mean()
    assert written.facts["label 1"]["mean_probability"] == pytest.approx(expected, rel=1e-5)
    assert 0 < written.maps["entropy"].mean() < 1


def test_a_label_that_is_nowhere_has_no_numbers():
    scores = np.zeros((3, 6, 6, 6), np.float32)
    scores[1] = 1
    grid = Geometry.from_spacing((6, 6, 6))
    facts = write(scores, grid, grid, manifest_of([1, 2])).facts
    assert facts["label 2"] == {
        "label": 2, "voxels": 0, "model_voxels": 0, "boundary_share": None, "mean_probability": None,
    }  # fmt: skip
    assert facts["label 1"]["voxels"] == 216
    assert facts["label 1"]["boundary_share"] == 0


def test_an_image_beside_the_box_is_background():
    far = Geometry.from_spacing((5, 6, 7), (1.0, 1.0, 1.0), (500.0, 0.0, 0.0))
    maps = {"agreement": np.ones(GRID.shape, np.float32)}
    written = write(fields(3, GRID.shape) + 5, GRID, far, manifest_of([1, 2]), maps=maps, entropy=True)
    assert written.labels.shape == (5, 6, 7)
    for array in (written.labels, *written.maps.values()):
        assert not array.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("regions", [(), (1, 2, 1)])
def test_scores_that_are_no_numbers_are_refused(value, regions):
    scores = fields(3, GRID.shape)
    scores[1, 9, 4, 4] = value
    activation = "sigmoid" if regions else "softmax"
    with pytest.raises(ModelError, match="NaN or infinite"):
        write(scores, GRID, image_over(GRID, (1, 1, 1)), manifest_of([1, 2], regions=regions, activation=activation))


def test_slabs_that_do_not_fit_are_refused():
    scores = fields(3, GRID.shape)
    writer = LabelWriter(GRID, GRID, manifest_of([1, 2]), maps=("agreement",), cancel=CancelToken())
    agreement = np.ones((4, *GRID.shape[1:]), np.float32)
    for slab, message in [
        (Slab(1, scores[:, 1:5], {"agreement": agreement}), "slab from slice 0"),
        (Slab(0, scores[:2, :4], {"agreement": agreement}), r"shape \(3, slices"),
        (Slab(0, scores[:, :4]), "map 'agreement'"),
        (Slab(0, np.concatenate([scores, scores], axis=1), {"agreement": agreement}), "at most to 14"),
    ]:
        with pytest.raises(ValueError, match=message):
            writer.feed(slab)
    writer.feed(Slab(0, scores[:, :4], {"agreement": agreement}))
    with pytest.raises(ValueError, match="up to slice 14"):
        writer.finish()


def test_grids_that_are_not_parallel_are_refused():
    angle = np.deg2rad(5)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    with pytest.raises(GeometryError, match="not parallel"):
        LabelWriter(GRID, Geometry.from_spacing((9, 9, 9), direction=turn), manifest_of([1]), cancel=CancelToken())


@pytest.mark.parametrize("poll", [1, 5, 12])
def test_cancel_stops_inside_a_slab(cancel_at_poll, poll):
    scores = fields(30, (40, 40, 40))
    grid = Geometry.from_spacing((40, 40, 40))
    writer = LabelWriter(
        grid, grid.with_spacing((0.6, 0.6, 0.6)), manifest_of(range(1, 30)), cancel=cancel_at_poll(poll)
    )
    with pytest.raises(Cancelled):
        writer.feed(Slab(0, scores))


def test_memory_does_not_grow_with_classes_times_voxels():
    grid = Geometry.from_spacing((24, 48, 48), (2.0, 2.0, 2.0))
    target = grid.with_spacing((0.5, 0.5, 0.5))
    extra = {}
    for channels in (8, 64):
        small = fields(channels, (12, 24, 24), seed=channels, smooth=1.0)
        scores = np.ascontiguousarray(small.repeat(2, 1).repeat(2, 2).repeat(2, 3))
        manifest = manifest_of(range(1, channels))
        tracemalloc.start()
        writer = LabelWriter(grid, target, manifest, cancel=CancelToken())
        for start in range(0, 24, 4):
            writer.feed(Slab(start, scores[:, start : start + 4]))
        writer.finish()
        extra[channels] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    labels = np.prod(target.shape) / 2**20
    dense_scores = 64 * 4 * labels
    # Beyond the labels: some MiB a thread, and one slice of scores.
    assert extra[64] < labels + 64 < dense_scores / 10
    assert extra[64] - extra[8] < 32


def test_tensors_are_taken_as_they_are():
    torch = pytest.importorskip("torch")
    manifest, target = manifest_of([1, 2, 3]), image_over(GRID, (0.7, 1.0, 0.9))
    scores = fields(4, GRID.shape, seed=11)
    writer = LabelWriter(GRID, target, manifest, maps=("agreement",), cancel=CancelToken())
    writer.feed(Slab(0, torch.from_numpy(scores), {"agreement": torch.ones(GRID.shape)}))
    written = writer.finish()
    np.testing.assert_array_equal(written.labels, reference(scores, GRID, target, manifest))
    assert written.maps["agreement"].min() == 1


@pytest.mark.parametrize("channels", [6, 300])
def test_scores_without_structure_are_exact_too(channels):
    """Noise and far more classes than a block holds: nothing can be left out, every class may win anywhere."""
    manifest = manifest_of(range(1, channels))
    grid = Geometry.from_spacing((6, 7, 9), (1.5, 1.5, 1.5))
    scores = np.random.default_rng(0).standard_normal((channels, *grid.shape)).astype(np.float32)
    target = image_over(grid, (0.5, 0.6, 0.7), 1)
    written = write(scores, grid, target, manifest)
    assert (written.labels == reference(scores, grid, target, manifest)).mean() >= 0.9999
    assert len(np.unique(written.labels)) > min(channels - 2, 100)
