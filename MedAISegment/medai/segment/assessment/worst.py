"""The worst cases of each label as pictures: image, reference and result on three planes, and the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.labelmap import LabelMap
from medai.core.resample import reorient_array
from medai.core.volume import Volume

from .figure import SMALL, TEXT, footed, new_figure, save, wrapped
from .rows import Row

COUNT = 3
REFERENCE, FOUND = "#00e5ff", "#ff9a1f"
_PAPER, _WHITE = "#101214", "#f4f4f4"
MARGIN_MM = 12.0
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Plane:
    """How a plane is cut and shown: axis of the array (K, J, I in RAS) that it is at right angles to, and its letters.

    Radiological convention: the patient's right is on the left of the picture, as if seen from the feet or the front;
    in sagittal pictures anterior is on the left.  Superior, or anterior in axial pictures, is on top.
    """

    name: str
    axis: int
    along: str
    left: str
    right: str
    top: str
    bottom: str

    def shown(self, array: npt.NDArray[Any], place: int) -> npt.NDArray[Any]:
        """Return one slice of an array (K, J, I) in RAS as rows from top to bottom, columns from left to right."""
        # The two axes that remain grow upwards and to the right (R, A or S): up stays up by turning the rows; the
        # patient's right, and anterior, come to the left by turning the columns.
        return np.asarray(np.take(array, place, self.axis)[::-1, ::-1])


PLANES = (
    Plane("Axial", 0, "S", "R", "L", "A", "P"),
    Plane("Coronal", 1, "A", "R", "L", "S", "I"),
    Plane("Sagittal", 2, "R", "A", "P", "S", "I"),
)


def worst_rows(rows: Sequence[Row], label: int, count: int = COUNT) -> list[Row]:
    """Return the cases of a label with the lowest Dice, worst first; ties by HD95, then by name.

    A case without a result, or one in which both are empty, has no Dice and is not among them.
    """
    known = [row for row in rows if row.label == label and row.dice is not None]
    return sorted(known, key=lambda r: (r.dice, -(r.hd95_mm or 0.0), r.case))[:count]


def centre_of(reference: Mask, found: Mask) -> tuple[int, int, int]:
    """Return K, J, I of the slices to show: on each axis the one with the most wrong voxels.

    Without a wrong voxel it is the one with the most voxels of the reference; the first of equal ones.
    """
    wrong = reference != found
    shown = wrong if wrong.any() else reference
    places = [int(np.argmax(shown.sum(axis=tuple(a for a in range(3) if a != axis)))) for axis in range(3)]
    return places[0], places[1], places[2]


def draw_worst(
    path: Path, image: Volume, reference: LabelMap, found: LabelMap, row: Row, *, rank: int, title: str
) -> None:
    """Draw one case.

    Parameters
    ----------
    path : Path
        The PNG file.
    image : Volume
        Scalar, or its first channel is shown.
    reference, found : LabelMap
        On the image's grid.
    row : Row
        Which label, and its numbers.
    rank : int
        1 for the worst.
    title : str
        The model's title.

    Raises
    ------
    DependencyError
        If matplotlib is missing.
    OutputError
        If the file cannot be written.
    """
    grey = image.array if image.components == 1 else image.array[..., 0]
    values, grid = reorient_array(grey, image.geometry, "RAS")
    masks = [reorient_array(labels.array == row.label, labels.geometry, "RAS")[0] for labels in (reference, found)]
    places = centre_of(*masks)
    box = _box(masks, grid.spacing_kji)
    cut = tuple(slice(a, b) for a, b in box)
    inner = [place - a for place, (a, _) in zip(places, box, strict=True)]
    values, masks = values[cut], [mask[cut] for mask in masks]
    window = _window(values)
    figure = new_figure(10.0, 5.2, facecolor=_PAPER)
    order = ("lowest", "second lowest", "third lowest")[rank - 1] if rank <= 3 else f"number {rank} of the lowest"
    heading = f"{wrapped(row.name, 60)}: case {row.case}, {order} Dice"
    bottom, top = footed(figure, heading, [_numbers(row), _where(grid, places)], color=_WHITE)
    figure.text(0.5, top + 0.018, title, ha="center", va="top", fontsize=SMALL, color=_WHITE, parse_math=False)
    legend = 0.085
    for number, plane in enumerate(PLANES):
        axes = figure.add_axes((0.005 + number / 3, bottom + legend, 1 / 3 - 0.01, top - bottom - legend - 0.03))
        pair = [plane.shown(mask, inner[plane.axis]) for mask in masks]
        _panel(axes, plane, plane.shown(values, inner[plane.axis]), pair, grid.spacing_kji, window)
    _legend(figure, bottom + 0.55 * legend)
    save(figure, path)


def edges(mask: Mask) -> npt.NDArray[np.float64]:
    """Return the voxel edges between a mask and its outside, as segments ((x0, y0), (x1, y1)).

    Voxel (row, column) reaches from (column - 0.5, row - 0.5) to (column + 0.5, row + 0.5); beyond the border is
    outside.  Unlike a contour through voxel centres this shows the mask as it is.

    Returns
    -------
    array, shape (n, 2, 2)
    """
    padded = np.pad(mask.astype(np.int8), 1)
    lying = np.argwhere(np.diff(padded, axis=0)[:, 1:-1])
    standing = np.argwhere(np.diff(padded, axis=1)[1:-1, :])
    y, x = lying.T - 0.5
    across = np.stack([np.stack([x + 0.0, y], -1), np.stack([x + 1.0, y], -1)], 1)
    v, u = standing.T - 0.5
    down = np.stack([np.stack([u, v + 0.0], -1), np.stack([u, v + 1.0], -1)], 1)
    return np.concatenate([across, down])


def _panel(
    axes: Any, plane: Plane, grey: npt.NDArray[Any], masks: Sequence[Mask], spacing: tuple[float, float, float],
    window: tuple[float, float],
) -> None:  # fmt: skip
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    rows, columns = (size for axis, size in enumerate(spacing) if axis != plane.axis)
    axes.imshow(grey, cmap="gray", vmin=window[0], vmax=window[1], interpolation="nearest", aspect=rows / columns)
    axes.set_axis_off()
    # The reference is wide and below, the result narrow and on top: where they agree both are seen.  Both are narrower
    # where voxels are small, so that they hide little of the image.
    wide = float(np.clip(120.0 / max(grey.shape), 1.5, 3.4))
    for mask, color, width in zip(masks, (REFERENCE, FOUND), (wide, max(0.7, 0.42 * wide)), strict=True):
        axes.add_collection(LineCollection(list(edges(mask)), colors=color, linewidths=width, capstyle="round"))
    rim = [withStroke(linewidth=2.5, foreground="black")]
    spots = {"left": (0.03, 0.5), "right": (0.97, 0.5), "top": (0.5, 0.965), "bottom": (0.5, 0.035)}
    for side, (x, y) in spots.items():
        axes.text(x, y, getattr(plane, side), transform=axes.transAxes, color=_WHITE, fontsize=TEXT + 2,
                  weight="bold", ha="center", va="center", path_effects=rim)  # fmt: skip
    axes.text(0.03, 0.965, plane.name, transform=axes.transAxes, color=_WHITE, fontsize=SMALL, va="center",
              path_effects=rim)  # fmt: skip


def _legend(figure: Any, height: float) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=REFERENCE, linewidth=3.4, label="Reference"),
        Line2D([], [], color=FOUND, linewidth=1.6, label="Found by the model"),
    ]
    figure.legend(handles=handles, loc="center", bbox_to_anchor=(0.5, height), ncols=2, frameon=False,
                  fontsize=TEXT, labelcolor=_WHITE)  # fmt: skip


def _box(masks: Sequence[Mask], spacing: tuple[float, float, float]) -> list[tuple[int, int]]:
    """Return the part to show on each axis: both masks and a margin."""
    both = masks[0] | masks[1]
    box = []
    for axis, size in enumerate(both.shape):
        there = np.flatnonzero(both.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(there):
            box.append((0, size))
            continue
        margin = int(np.ceil(max(MARGIN_MM / spacing[axis], 0.25 * (there[-1] - there[0] + 1))))
        box.append((max(0, int(there[0]) - margin), min(size, int(there[-1]) + 1 + margin)))
    return box


def _window(values: npt.NDArray[Any]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    low, high = (float(v) for v in np.percentile(known, (0.5, 99.5))) if known.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0


def _numbers(row: Row) -> str:
    def text(value: float | None, digits: int, unit: str = "") -> str:
        return "undefined" if value is None else f"{value:.{digits}f}{unit}"

    return (
        f"Dice {text(row.dice, 3)}   HD95 {text(row.hd95_mm, 2, ' mm')}   ASSD {text(row.assd_mm, 2, ' mm')}   "
        f"reference {text(row.reference_ml, 3, ' mL')}   found {text(row.predicted_ml, 3, ' mL')}   "
        f"error {text(row.volume_error_percent, 1, ' %')}"
    )


def _where(grid: Any, places: tuple[int, int, int]) -> str:
    ras = grid.to_ras(places[::-1])
    text = ", ".join(f"{plane.name.lower()} {plane.along} {ras[2 - plane.axis]:+.1f} mm" for plane in PLANES)
    oblique = " Oblique image: the letters name the nearest directions." if grid.is_oblique else ""
    return f"Slices with the most wrong voxels: {text}. The patient's right is on the left.{oblique}"
