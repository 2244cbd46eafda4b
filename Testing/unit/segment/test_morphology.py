"""Balls in mm: equal to SciPy's morphology with the ball as structure, and to distances voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medai.core.errors import Cancelled
from medai.core.progress import CancelToken
from medai.segment import morphology
from medai.segment.morphology import closed, dilated, eroded, opened, reach

GRIDS = [(1.0, 1.0, 1.0), (2.5, 0.7, 0.9), (0.5, 1.3, 3.0)]


def ball(radius: float, spacing: tuple[float, ...], flat: int | None = None) -> np.ndarray:
    """The ball by its definition, an odd box of booleans."""
    n = [0 if axis == flat else int(radius / s) + 1 for axis, s in enumerate(spacing)]
    places = np.meshgrid(*(np.arange(-m, m + 1) * s for m, s in zip(n, spacing, strict=True)), indexing="ij")
    return sum(p**2 for p in places) <= radius**2 * (1 + 1e-4)


def blobs(rng: np.random.Generator, shape: tuple[int, int, int] = (18, 21, 70)) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=shape), 1.5) > 0.05


@pytest.mark.parametrize("lines", [0, 10**6], ids=["by distances", "by lines"])
@pytest.mark.parametrize("spacing", GRIDS)
@pytest.mark.parametrize("radius", [0.2, 1.0, 2.6, 4.0])
def test_equal_to_scipy(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, spacing: tuple[float, ...], radius: float, lines: int
) -> None:
    """Both ways, with the image wider than a word, up to the image's border."""
    monkeypatch.setattr(morphology, "MOST_LINES", lines)
    mask = blobs(rng)
    kernel = ball(radius, spacing)
    grown = ndimage.binary_dilation(mask, kernel)
    assert np.array_equal(dilated(mask, radius, spacing), grown)
    shrunk = ndimage.binary_erosion(mask, kernel, border_value=1)
    assert np.array_equal(eroded(mask, radius, spacing), shrunk)
    assert np.array_equal(opened(mask, radius, spacing), ndimage.binary_dilation(shrunk, kernel))
    wide = np.pad(mask, 20)
    expected = ndimage.binary_closing(wide, kernel)[20:-20, 20:-20, 20:-20]
    assert np.array_equal(closed(mask, radius, spacing), expected)


@pytest.mark.parametrize("flat", [0, 1, 2])
@pytest.mark.parametrize("spacing", GRIDS)
def test_disks_equal_scipy(rng: np.random.Generator, spacing: tuple[float, ...], flat: int) -> None:
    mask = blobs(rng)
    kernel = ball(3.1, spacing, flat)
    assert np.array_equal(dilated(mask, 3.1, spacing, flat=flat), ndimage.binary_dilation(mask, kernel))
    expected = ndimage.binary_erosion(mask, kernel, border_value=1)
    assert np.array_equal(eroded(mask, 3.1, spacing, flat=flat), expected)
    expected = ndimage.binary_closing(np.pad(mask, 9), kernel)[9:-9, 9:-9, 9:-9]
    assert np.array_equal(closed(mask, 3.1, spacing, flat=flat), expected)


def test_one_voxel_becomes_the_ball_of_its_distances() -> None:
    mask = np.zeros((21, 31, 200), dtype=np.bool_)
    mask[10, 15, 127] = True
    spacing, radius = (1.7, 0.6, 0.4), 7.3
    k, j, i = np.indices(mask.shape)
    squared = ((k - 10) * 1.7) ** 2 + ((j - 15) * 0.6) ** 2 + ((i - 127) * 0.4) ** 2
    assert np.array_equal(dilated(mask, radius, spacing), squared <= radius**2)


def test_a_voxel_exactly_on_the_ball_belongs_to_it() -> None:
    """0.1 + 0.1 + 0.1 is more than 0.3 in binary."""
    mask = np.zeros((1, 1, 9), dtype=np.bool_)
    mask[0, 0, 4] = True
    assert dilated(mask, 0.3, (1.0, 1.0, 0.1)).sum() == 7
    assert reach(0.3, (1.0, 0.1, 0.1), flat=1) == (0, 0, 3)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 65), (6, 1, 64), (6, 63, 1), (1, 1, 130)])
@pytest.mark.parametrize("radius", [0.5, 2.0, 300.0])
def test_thin_images(rng: np.random.Generator, shape: tuple[int, int, int], radius: float) -> None:
    mask = rng.random(shape) < 0.4
    mask.flat[0] = True
    spacing = (1.2, 1.0, 0.8)
    places = np.argwhere(np.ones(shape)) * spacing
    near = ((places[:, None] - places[mask.reshape(-1)][None]) ** 2).sum(axis=2).min(axis=1) <= radius**2
    assert np.array_equal(dilated(mask, radius, spacing), near.reshape(shape))
    assert np.array_equal(eroded(~mask, radius, spacing), ~near.reshape(shape))


def test_empty_and_full() -> None:
    empty = np.zeros((5, 6, 7), dtype=np.bool_)
    for function in (dilated, eroded, opened, closed):
        assert not function(empty, 2.0, (1, 1, 1)).any()
        assert function(~empty, 2.0, (1, 1, 1)).all()


@pytest.mark.parametrize("function", [dilated, eroded, opened, closed])
def test_the_input_stays_and_a_slice_view_is_taken(rng: np.random.Generator, function: object) -> None:
    whole = blobs(rng)
    before = whole.copy()
    view = whole[::2, ::-1, 3:60]
    assert np.array_equal(function(view, 2.0, (2.0, 1.0, 1.0)), function(view.copy(), 2.0, (2.0, 1.0, 1.0)))
    assert np.array_equal(whole, before)


def test_cancel(rng: np.random.Generator) -> None:
    token = CancelToken()
    with pytest.raises(Cancelled):
        opened(blobs(rng), 2.0, (1, 1, 1), cancel=token, progress=lambda fraction, message="": token.cancel())
