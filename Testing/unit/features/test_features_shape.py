"""Shape features against bodies whose shape is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medai.core.errors import GeometryError
from medai.core.geometry import Geometry
from medai.features import FAMILIES, FeatureTable, extract

ONLY = {"families": {"shape": {}}}
SEGMENT = "Label 1"
tiny = hnp.arrays(
    np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=4), elements=st.booleans()
).filter(np.any)


def values(table: FeatureTable) -> dict[str, float]:
    return {row.feature: row.value for row in table.rows}


@pytest.mark.parametrize(
    ("spacing", "excess"), [((1.0, 1.0, 1.0), 1.09), ((0.5, 0.8, 1.0), 1.12), ((0.6, 0.6, 3.0), 1.22)]
)
def test_ball(measure: Callable, ball: Callable, spacing: tuple[float, float, float], excess: float) -> None:
    """Spacing is I, J, K.

    A mesh of a binary mask has a larger area than the body, 8.7 % at equal spacing whatever the resolution: it cannot
    follow slopes between its own.  Volume, diameter and axes have no such bias.
    """
    radius = 20.0
    found = values(measure(ball((radius,) * 3, spacing[::-1]), settings=ONLY, spacing=spacing))
    assert found["voxel_volume"] == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.01)
    assert found["mesh_volume"] == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.02)
    assert excess - 0.03 < found["surface_area"] / (4 * math.pi * radius**2) < excess
    assert found["maximum_3d_diameter"] == pytest.approx(2 * radius, abs=max(spacing))
    for axis in ("major", "minor", "least"):
        assert found[f"{axis}_axis_length"] == pytest.approx(4 * radius / math.sqrt(5), rel=0.01)
    assert found["elongation"] == pytest.approx(1, abs=0.01)
    assert found["flatness"] == pytest.approx(1, abs=0.01)


def test_ellipsoid(measure: Callable, ball: Callable) -> None:
    """A solid ellipsoid with semi-axis a has the variance a^2 / 5 along it."""
    radii = (12.0, 18.0, 30.0)
    found = values(measure(ball(radii, (1.5, 0.75, 1.0)), settings=ONLY, spacing=(1.0, 0.75, 1.5)))
    assert found["mesh_volume"] == pytest.approx(4 / 3 * math.pi * math.prod(radii), rel=0.02)
    assert found["major_axis_length"] == pytest.approx(4 * 30 / math.sqrt(5), rel=0.01)
    assert found["minor_axis_length"] == pytest.approx(4 * 18 / math.sqrt(5), rel=0.01)
    assert found["least_axis_length"] == pytest.approx(4 * 12 / math.sqrt(5), rel=0.01)
    assert found["elongation"] == pytest.approx(18 / 30, rel=0.01)
    assert found["flatness"] == pytest.approx(12 / 30, rel=0.01)
    assert found["maximum_3d_diameter"] == pytest.approx(60, abs=1.5)


def test_box(measure: Callable) -> None:
    """The mesh of a box is the box with its edges cut off half a voxel deep: all its numbers have a closed form."""
    k, j, i = 6, 10, 20
    sk, sj, si = 2.0, 0.5, 0.25
    mask = np.zeros((k + 2, j + 3, i + 4), bool)
    mask[1:-1, 1:-2, 1:-3] = True
    found = values(measure(mask, settings=ONLY, spacing=(si, sj, sk)))
    assert found["voxel_volume"] == k * j * i * sk * sj * si
    # Four edges along each axis lose a triangular prism of 1/8 voxel section; each of 8 corners was counted 3 times
    # half a voxel too long, and keeps the octant of the octahedron (1/48).
    inner = (k - 1) * (j - 1) * (i - 1)
    faces = (k - 1) * (j - 1) + (k - 1) * (i - 1) + (j - 1) * (i - 1)
    edges = (k - 1) + (j - 1) + (i - 1)
    assert found["mesh_volume"] == pytest.approx((inner + faces + edges / 2 + 1 / 6) * sk * sj * si)
    flat = 2 * ((k - 1) * (j - 1) * sk * sj + (k - 1) * (i - 1) * sk * si + (j - 1) * (i - 1) * sj * si)
    bevels = 2 * ((k - 1) * sk * math.hypot(sj, si) + (j - 1) * sj * math.hypot(sk, si))
    bevels += 2 * (i - 1) * si * math.hypot(sk, sj)
    corners = math.sqrt((sk * sj) ** 2 + (sk * si) ** 2 + (sj * si) ** 2)
    assert found["surface_area"] == pytest.approx(flat + bevels + corners)
    extent = ((k - 1) * sk, (j - 1) * sj, (i - 1) * si)
    tips = np.asarray(extent) + np.diag((sk, sj, si))
    assert found["maximum_3d_diameter"] == pytest.approx(np.linalg.norm(tips, axis=1).max())
    # A row of n points s apart has the variance s^2 (n^2 - 1) / 12; the covariance divides by N - 1 instead of N.
    count = k * j * i
    rows = [s * math.sqrt((n * n - 1) / 12 * count / (count - 1)) for n, s in ((k, sk), (j, sj), (i, si))]
    lengths = sorted((4 * row for row in rows), reverse=True)
    assert found["major_axis_length"] == pytest.approx(lengths[0])
    assert found["minor_axis_length"] == pytest.approx(lengths[1])
    assert found["least_axis_length"] == pytest.approx(lengths[2])


def test_the_compactness_family_agrees(measure: Callable, rng: np.random.Generator) -> None:
    """Five features are functions of one another (IBSI's identities)."""
    found = values(measure(rng.random((7, 8, 9)) < 0.4, settings=ONLY, spacing=(0.7, 1.1, 2.0)))
    volume, area = found["mesh_volume"], found["surface_area"]
    compactness = 36 * math.pi * volume**2 / area**3
    assert found["compactness_2"] == pytest.approx(compactness)
    assert found["compactness_1"] == pytest.approx(math.sqrt(compactness) / (6 * math.pi))
    assert found["sphericity"] == pytest.approx(compactness ** (1 / 3))
    assert found["spherical_disproportion"] == pytest.approx(compactness ** (-1 / 3))
    assert found["asphericity"] == pytest.approx(compactness ** (-1 / 3) - 1)
    assert found["surface_to_volume_ratio"] == pytest.approx(area / volume)


def test_centre_of_mass_shift(measure: Callable) -> None:
    mask = np.zeros((3, 3, 6), bool)
    mask[1, 1, 1:5] = True
    image = np.zeros(mask.shape)
    image[1, 1, 1:5] = [0, 0, 0, 7]
    found = measure(mask, image, ONLY, spacing=(2.0, 1.0, 1.0))
    assert found.value(SEGMENT, "centre_of_mass_shift") == pytest.approx(1.5 * 2.0)
    flat = measure(mask, np.full(mask.shape, 3), ONLY, spacing=(2.0, 1.0, 1.0))
    assert flat.value(SEGMENT, "centre_of_mass_shift") == 0


def test_centre_of_mass_shift_uses_both_masks(measure: Callable) -> None:
    """The geometric centre is that of the whole segment, the weighted one that of the voxels inside the limits."""
    image = [[[1.0, 1.0, 1.0, 50.0, 1000.0]]]
    table = measure(np.ones((1, 1, 5)), image, {**ONLY, "limits": {"upper": 100}})
    weighted = (0 + 1 + 2 + 3 * 50) / 53
    assert table.value(SEGMENT, "centre_of_mass_shift") == pytest.approx(weighted - 2)
    outside = measure(np.ones((1, 1, 5)), image, {**ONLY, "limits": {"lower": 2000}})
    assert outside.row(SEGMENT, "centre_of_mass_shift").reason.endswith("intensity limits")
    assert outside.value(SEGMENT, "voxel_volume") == 5


def test_axes_are_the_principal_components_of_the_voxel_centres(measure: Callable) -> None:
    """A slanted body: its axes are not those of the grid."""
    k, j, i = np.indices((20, 24, 28))
    along = (k - 10) + 0.8 * (j - 12) - 0.6 * (i - 14)
    across = (k - 10) - (j - 12)
    mask = (along / 12) ** 2 + (across / 8) ** 2 + ((i - 14) / 11) ** 2 < 1
    spacing = (0.7, 1.1, 1.9)
    found = values(measure(mask, settings=ONLY, spacing=spacing))
    points = np.argwhere(mask) * spacing[::-1]
    covariance = np.cov(points.T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() > 1
    lengths = 4 * np.sqrt(np.linalg.eigvalsh(covariance))[::-1]
    assert [found[f"{axis}_axis_length"] for axis in ("major", "minor", "least")] == pytest.approx(lengths)
    assert found["elongation"] == pytest.approx(lengths[1] / lengths[0])
    assert found["flatness"] == pytest.approx(lengths[2] / lengths[0])


def test_centre_of_mass_shift_is_undefined_if_intensities_cancel(measure: Callable) -> None:
    row = measure([[[1, 1]]], [[[-1.0, 1.0]]], ONLY).row(SEGMENT, "centre_of_mass_shift")
    assert math.isnan(row.value)
    assert row.reason == "the intensities sum to zero"


def test_moves_flips_and_turns_change_nothing(measure: Callable, rng: np.random.Generator) -> None:
    body = rng.random((5, 6, 7)) < 0.6
    image = rng.normal(100, 10, body.shape)
    spacing = np.array([2.5, 1.0, 0.5])
    padded = np.pad(body, 2)
    expected = values(measure(padded, np.pad(image, 2), ONLY, spacing=tuple(spacing[::-1])))
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            turn = tuple(slice(None, None, f) for f in flips)
            mask, picture = body.transpose(axes)[turn], image.transpose(axes)[turn]
            moved = [(1, 4), (3, 1), (2, 2)]
            found = values(
                measure(np.pad(mask, moved), np.pad(picture, moved), ONLY, spacing=tuple(spacing[list(axes)][::-1]))
            )
            assert found == pytest.approx(expected, rel=1e-9)


def test_orientation_and_handedness_of_the_grid_change_nothing(pair: Callable, rng: np.random.Generator) -> None:
    """The same voxels in RAS, LPS, a left-handed and an oblique grid are the same body."""
    mask = np.pad(rng.random((5, 6, 7)) < 0.6, 1)
    angle = 0.4
    oblique = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tables = []
    for direction in (np.eye(3), np.diag([-1, -1, 1]), np.diag([-1, 1, 1]), oblique):
        grid = Geometry.from_spacing(mask.shape, (0.5, 1.0, 2.5), (7.0, -3.0, 11.0), direction)
        tables.append(values(extract(*pair(mask, geometry=grid), ONLY)))
    for other in tables[1:]:
        assert other == pytest.approx(tables[0], rel=1e-9)


def test_refuses_a_sheared_grid(pair: Callable) -> None:
    matrix = np.eye(4)
    matrix[0, 2] = 0.1
    grid = Geometry((3, 3, 3), matrix)
    with pytest.raises(GeometryError, match="right angles"):
        extract(*pair(np.ones((3, 3, 3)), geometry=grid), ONLY)
    intensities = extract(*pair(np.ones((3, 3, 3)), geometry=grid), {"families": {"first_order": {}}})
    assert all(row.defined for row in intensities.rows)


def test_one_voxel(measure: Callable) -> None:
    """Its mesh has a volume; it has no axes."""
    table = measure(np.pad([[[1]]], 1), settings=ONLY)
    undefined = {row.feature: row.reason for row in table.rows if not row.defined}
    axes = {"major_axis_length", "minor_axis_length", "least_axis_length", "elongation", "flatness"}
    assert undefined == dict.fromkeys(axes, "one voxel has no axes")
    assert table.value(SEGMENT, "voxel_volume") == 1
    assert table.value(SEGMENT, "maximum_3d_diameter") == 1


def test_three_voxels_in_a_row(measure: Callable) -> None:
    table = measure([[[0, 1, 1, 1, 0]]], settings=ONLY, spacing=(2.0, 1.0, 1.0))
    assert all(row.defined for row in table.rows)
    assert table.value(SEGMENT, "maximum_3d_diameter") == 6
    assert table.value(SEGMENT, "major_axis_length") == pytest.approx(4 * 2)
    assert table.value(SEGMENT, "elongation") == 0
    assert table.value(SEGMENT, "flatness") == 0


def test_a_single_slice_is_flat(measure: Callable) -> None:
    table = measure(np.pad(np.ones((8, 9)), 2)[None], settings=ONLY)
    assert table.value(SEGMENT, "flatness") == 0
    assert table.value(SEGMENT, "elongation") > 0.8


@given(tiny, st.tuples(*[st.floats(0.1, 5.0)] * 3))
@settings(max_examples=80, deadline=None)
def test_tiny_masks_keep_the_laws(measure: Callable, mask: np.ndarray, spacing: tuple[float, float, float]) -> None:
    found = values(measure(mask, settings=ONLY, spacing=spacing))
    count = int(mask.sum())
    assert found["voxel_volume"] == pytest.approx(count * math.prod(spacing))
    assert 0 < found["mesh_volume"] <= found["voxel_volume"] * 1.5
    assert found["surface_area"] > 0
    assert 0 < found["sphericity"] < 1
    box = [(n.max() - n.min() + 1) * s for n, s in zip(np.nonzero(mask), spacing[::-1], strict=True)]
    assert max(box) * (1 - 1e-9) <= found["maximum_3d_diameter"] <= math.hypot(*box) * (1 + 1e-9)
    if count > 1:
        assert found["major_axis_length"] >= found["minor_axis_length"] >= found["least_axis_length"] >= 0
        assert 0 <= found["flatness"] <= found["elongation"] <= 1


def test_documented_codes() -> None:
    """IBSI reference manual, chapter 3.1."""
    codes = {info.name: info.ibsi for info in FAMILIES.get("shape").features()}
    assert codes == {
        "mesh_volume": "RNU0", "voxel_volume": "YEKZ", "surface_area": "C0JK", "surface_to_volume_ratio": "2PR5",
        "compactness_1": "SKGS", "compactness_2": "BQWJ", "spherical_disproportion": "KRCK", "sphericity": "QCFX",
        "asphericity": "25C7", "centre_of_mass_shift": "KLMA", "maximum_3d_diameter": "L0JK",
        "major_axis_length": "TDIC", "minor_axis_length": "P9VJ", "least_axis_length": "7J51", "elongation": "Q3CK",
        "flatness": "N17B",
    }  # fmt: skip
