"""Label maps for domain randomisation: turned to the model's orientation, in one voxel size, as tissue numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.io import read_labelmap
from medai.core.resample import reorient_array, resample_array

from .recipe import Recipe


@dataclass(frozen=True)
class TissueMap:
    """A label map as tissue numbers, cut to what is not background.

    Parameters
    ----------
    tissues : array of uint8, shape (K, J, I)
        Place in ``SynthesisSettings.tissues`` + 1; 0 is background.
    middle : tuple of float
        Voxel (K, J, I) around which patches lie.
    """

    name: str
    tissues: npt.NDArray[np.uint8]
    middle: tuple[float, float, float]


def load_tissues(path: Path, recipe: Recipe, name: str = "") -> TissueMap:
    """Read a label map for a recipe with ``synthesis``.

    Raises
    ------
    InputError
        If it holds a value that no tissue names, or none of the labels that patches lie around.
    """
    settings = recipe.synthesis
    if settings is None:
        raise InputError("The recipe has no part 'synthesis'; images cannot be made from label maps.")
    label = name or path.name
    found = read_labelmap(path)
    array, grid = reorient_array(found.array, found.geometry, recipe.prepare.orientation)
    if not np.allclose(grid.spacing, settings.detail_mm, rtol=0, atol=1e-3):
        wanted = grid.with_spacing((settings.detail_mm,) * 3)
        array = resample_array(found.array, found.geometry, wanted, "nearest")
    lookup = np.full(65536, -1, dtype=np.int16)
    lookup[0] = 0
    for number, tissue in enumerate(settings.tissues, start=1):
        lookup[list(tissue.values)] = number
    tissues = lookup[array]
    if (tissues < 0).any():
        unknown = sorted({int(v) for v in np.unique(array[tissues < 0])})
        raise InputError(f"Case {label}: the label map holds values that no tissue names: {unknown[:8]}.")
    around = settings.centre_on or tuple({t.label for t in settings.tissues} - {0})
    chosen = [n for n, t in enumerate(settings.tissues, start=1) if t.label in around]
    inside = np.isin(tissues, chosen)
    if not inside.any():
        raise InputError(f"Case {label}: the label map holds none of the labels that patches lie around.")
    box = _box(tissues > 0)
    middle = [float(np.mean(np.nonzero(inside.any(axis=tuple(b for b in range(3) if b != a)))[0])) for a in range(3)]
    start = [part.start for part in box]
    return TissueMap(
        label,
        np.ascontiguousarray(tissues[box]).astype(np.uint8),
        (middle[0] - start[0], middle[1] - start[1], middle[2] - start[2]),
    )


def _box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    parts = []
    for axis in range(3):
        at = np.nonzero(mask.any(axis=tuple(b for b in range(3) if b != axis)))[0]
        parts.append(slice(int(at[0]), int(at[-1]) + 1))
    return parts[0], parts[1], parts[2]
