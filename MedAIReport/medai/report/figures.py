"""Key images: for each segment one slice in each standard plane, with outline, letters, scale bar and window."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.geometry import FloatArray, Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume

from .boxes import Box
from .colors import RGB, outline_colors
from .drawing import Outline, draw, encode_png
from .exam import orientation_unknown
from .framing import field_of_view, native_centre, place, slice_centre
from .grey import Window, choose_window, is_hounsfield, percentile_window
from .model import KeyImage
from .slices import PLANES, Plane, edge_letters, native_axes, picture_grid, sample

MAX_BYTES = 3_300_000
"""All key images of a report together, as PNG; base64 adds a third, and the whole must stay below 5 MB."""
MAX_SEGMENTS = 30
_STEPS = ((320, 128), (320, 64), (256, 64), (224, 48), (192, 32), (160, 24), (128, 16))
"""(pixels, grey levels), tried in this order until a picture is small enough."""
_NO_LETTERS = {"left": "", "right": "", "top": "", "bottom": ""}


class Illustrator:
    """Draws the key images of one image's segments.

    Parameters
    ----------
    volume : Volume
        Scalar or RGB.
    labels : LabelMap
        On the same grid.
    pictures : int
        How many pictures the report will hold; they share :data:`MAX_BYTES`.
    """

    def __init__(self, volume: Volume, labels: LabelMap, pictures: int) -> None:
        self._volume = volume
        self._labels = labels
        self._array = _grey_values(volume)
        self._colors = outline_colors(labels.segments)
        self._budget = MAX_BYTES // max(1, pictures)
        self._default = percentile_window(volume, self._array)
        # Outside the image every picture is black, whatever its window.
        self._black = -1e6 if is_hounsfield(volume) else self._default.level - self._default.width
        self._step = 0
        self._lost = orientation_unknown(volume)

    @property
    def colors(self) -> Mapping[int, RGB]:
        """Outline colour by label."""
        return self._colors

    def illustrate(self, segment: Segment, box: Box) -> tuple[KeyImage, ...]:
        """Return the pictures of a segment that has voxels: three planes, or one for an image of one slice."""
        points = box.points(self._labels, segment)
        window = choose_window(self._volume, self._default, self._mean_inside(segment, box))
        geometry = self._volume.geometry
        if min(geometry.shape) == 1:
            plane, right, down = native_axes(geometry)
            if self._lost:
                right, down = geometry.direction[:, 0], geometry.direction[:, 1]
            fov = field_of_view(points, geometry)
            centre = native_centre(points, fov, geometry)
            return (self._picture(segment, plane, centre, right, down, fov, window, native=True),)
        fov = field_of_view(points, geometry)
        centres = [slice_centre(plane, points, fov, geometry) for plane in PLANES]
        return tuple(
            self._picture(segment, plane, centre, plane.right, plane.down, fov, window)
            for plane, centre in zip(PLANES, centres, strict=True)
        )

    def _mean_inside(self, segment: Segment, box: Box) -> float | None:
        if not is_hounsfield(self._volume):
            return None
        values = self._array[box.slices][self._labels.array[box.slices] == segment.label]
        return float(np.mean(values))

    def _picture(
        self,
        segment: Segment,
        plane: Plane,
        centre: FloatArray,
        right: npt.ArrayLike,
        down: npt.ArrayLike,
        fov: float,
        window: Window,
        native: bool = False,
    ) -> KeyImage:
        title = "Slice" if self._lost or (native and self._volume.geometry.is_oblique) else plane.title
        where = title if self._lost or native else f"{title} {place(plane, centre)}"
        data, pixels, letters = self._encode(segment, centre, (right, down), fov, (title, window))
        lost = "; orientation not recorded in the file" if self._lost else ""
        return KeyImage(
            plane="native" if native else plane.name,
            title=title,
            caption=f"{where} · {window.text} · width {fov:.0f} mm{lost}",
            alt=f"{where}: slice through {segment.name} with its outline{lost}",
            **letters,
            window=window.width,
            level=window.level,
            centre_ras_mm=(round(float(centre[0]), 3), round(float(centre[1]), 3), round(float(centre[2]), 3)),
            field_of_view_mm=fov,
            width_px=pixels,
            height_px=pixels,
            sha256=hashlib.sha256(data).hexdigest(),
            png_base64=base64.b64encode(data).decode("ascii"),
        )

    def _encode(
        self,
        segment: Segment,
        centre: FloatArray,
        axes: tuple[npt.ArrayLike, npt.ArrayLike],
        fov: float,
        look: tuple[str, Window],
    ) -> tuple[bytes, int, dict[str, str]]:
        """Return the PNG, its size in pixels and its letters; the first of :data:`_STEPS` that fits the budget."""
        title, window = look
        data, pixels, letters, image, colors = b"", 0, dict(_NO_LETTERS), None, []
        # What was too large for the picture before will be for this one: begin one step better than that ended.
        for step in range(max(0, self._step - 1), len(_STEPS)):
            self._step = step
            greys = _STEPS[step][1]
            if image is None or pixels != _STEPS[step][0]:
                pixels = _STEPS[step][0]
                grid = picture_grid(centre, axes[0], axes[1], fov, pixels)
                letters = dict(_NO_LETTERS) if self._lost else edge_letters(grid)
                outlines = self._outlines(grid, segment)
                values = sample(self._array, self._volume.geometry, grid, "linear", self._black, _as_float)
                image = draw(window.apply(values), outlines, letters, fov, (title, window.text))
                colors = [outline.color for outline in outlines]
            data = encode_png(image, colors, greys)
            if len(data) <= self._budget:
                break
        return data, pixels, letters

    def _outlines(self, grid: Geometry, segment: Segment) -> list[Outline]:
        labels = self._labels
        nearest = sample(labels.array, labels.geometry, grid, "nearest", 0)
        margin = int(np.ceil(max(labels.geometry.spacing) / grid.spacing[0])) + 2
        found = []
        for other in labels.segments:
            rows, columns = np.nonzero(nearest == other.label)
            if rows.size:
                # Only the part of the picture around the segment is interpolated.
                top, left = max(0, int(rows.min()) - margin), max(0, int(columns.min()) - margin)
                part = np.s_[top : int(rows.max()) + margin + 1, left : int(columns.max()) + margin + 1]
                mask = np.zeros(nearest.shape, dtype=np.float32)
                height, width = mask[part].shape
                pick = partial(_is_label, label=other.label)
                box = grid.crop((0, top, left), (1, height, width))
                mask[part] = sample(labels.array, labels.geometry, box, "linear", 0.0, pick)
                found.append(Outline(mask, self._colors[other.label], other.label == segment.label))
        return found


def _as_float(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(array, dtype=np.float32)


def _is_label(array: npt.NDArray[Any], label: int) -> npt.NDArray[Any]:
    return np.asarray(array == label, dtype=np.float32)


def _grey_values(volume: Volume) -> npt.NDArray[Any]:
    if volume.components == 1:
        return volume.array if volume.array.ndim == 3 else volume.array[..., 0]
    if volume.components in (3, 4):
        # Rec. 709 luma: how bright a colour looks.
        return np.asarray(volume.array[..., :3] @ np.asarray([0.2126, 0.7152, 0.0722], dtype=np.float32))
    volume.require_scalar("A key image")
    raise AssertionError("require_scalar refuses an image with components")
