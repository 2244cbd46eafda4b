"""How fast features are, against the same numbers written down plainly with numpy and scikit-image.

Run ``python Testing/performance/bench_features.py``; it prints a table and fails if the two disagree.  The plain
version works label by label on the whole volume, as a first script would, and measures 16 of the features only.
"""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume
from medai.features import extract

SHAPE = (256, 256, 256)
SPACING = (0.8, 0.8, 1.5)


def plain(volume: Volume, labels: LabelMap) -> dict[tuple[str, str], float]:
    """Measure a sample of the features for each label, straight from their definitions."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist
    from skimage.measure import marching_cubes

    spacing = volume.geometry.spacing_kji
    found: dict[tuple[str, str], float] = {}
    for segment in labels.segments:
        mask = labels.array == segment.label
        points, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5, spacing=spacing)
        a, b, c = (points[faces[:, n]].astype(np.float64) for n in range(3))
        centres = np.argwhere(mask) * spacing
        axes = np.sort(np.linalg.eigvalsh(np.cov(centres.T)))
        x = volume.array[mask].astype(np.float64)
        counts = np.unique(np.floor((x - x.min()) / 25), return_counts=True)[1] / x.size
        values = {
            "voxel_volume": mask.sum() * math.prod(spacing),
            "surface_area": np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2,
            "mesh_volume": abs((a * np.cross(b, c)).sum() / 6),
            "maximum_3d_diameter": pdist(points[ConvexHull(points).vertices]).max(),
            "major_axis_length": 4 * math.sqrt(axes[2]),
            "least_axis_length": 4 * math.sqrt(axes[0]),
            "mean": x.mean(),
            "variance": x.var(),
            "skewness": ((x - x.mean()) ** 3).mean() / x.std() ** 3,
            "excess_kurtosis": ((x - x.mean()) ** 4).mean() / x.var() ** 2 - 3,
            "median": np.median(x),
            "percentile_10": np.percentile(x, 10),
            "percentile_90": np.percentile(x, 90),
            "mean_absolute_deviation": np.abs(x - x.mean()).mean(),
            "energy": (x**2).sum(),
            "entropy": -(counts * np.log2(counts)).sum(),
        }
        found.update({(segment.name, name): float(value) for name, value in values.items()})
    return found


def ellipsoid(centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """Return a boolean ellipsoid in the volume; centre and radii in voxels, axes K, J, I."""
    k, j, i = (((np.arange(n) - c) / r) ** 2 for n, c, r in zip(SHAPE, centre, radii, strict=True))
    return k[:, None, None] + j[:, None] + i < 1


def cases() -> dict[str, tuple[Volume, LabelMap]]:
    """Return 20 organs of 10 to 50 thousand voxels, and one of two million."""
    rng = np.random.default_rng(7)
    grid = Geometry.from_spacing(SHAPE, SPACING)
    image = Volume(rng.normal(100, 20, SHAPE).astype(np.int16), grid, unit="[hnsf'U]")
    many = np.zeros(SHAPE, np.uint8)
    for label in range(1, 21):
        many[ellipsoid(tuple(rng.uniform(40, 216, 3)), tuple(rng.uniform(12, 24, 3)))] = label
    liver = ellipsoid((128, 118, 120), (62, 78, 94))
    liver |= ellipsoid((110, 150, 170), (40, 50, 60))
    return {"20 labels in 256^3": (image, LabelMap(many, grid)), "one blob": (image, LabelMap(liver, grid))}


def timed(work: Callable[[], object], repeats: int) -> tuple[float, float, object]:
    """Return the best time in s, the peak memory in MiB of one more run, and what it returned."""
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return best, peak, result


def main() -> None:
    """Print time, memory and ratios."""
    print(f"{'case':22} {'voxels':>9} {'values':>9} {'ours s':>8} {'plain s':>8} {'ratio':>6} {'MiB':>6} {'plain':>6}")
    for name, (volume, labels) in cases().items():
        ours, our_peak, table = timed(lambda v=volume, m=labels: extract(v, m), 3)
        slow, slow_peak, expected = timed(lambda v=volume, m=labels: plain(v, m), 1)
        for (segment, feature), value in expected.items():
            found = table.value(segment, feature)
            if not math.isclose(found, value, rel_tol=1e-4, abs_tol=1e-6):
                raise SystemExit(f"{segment} {feature}: {found} instead of {value}")
        voxels = int(np.count_nonzero(labels.array))
        print(
            f"{name:22} {voxels:9} {len(table.rows):9} {ours:8.3f} {slow:8.3f} {slow / ours:6.1f}"
            f" {our_peak:6.0f} {slow_peak:6.0f}"
        )


if __name__ == "__main__":
    main()
