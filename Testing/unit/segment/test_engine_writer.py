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
    turned, place = reorient_array(np.zeros(target.shape), target, grid.orientation)
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
