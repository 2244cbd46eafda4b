"""The second stage over an image: a mask for each box, on the image's own grid."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from medai.core.geometry import FloatArray, Geometry
from medai.core.labelmap import Code, LabelMap, Segment
from medai.core.progress import CancelToken, ProgressFn
from medai.core.resample import resample_array
from medai.core.volume import Volume

from ..boxes import Box, widened
from ..inference.prepare import FloatImage
from .crops import crop_around, with_box
from .manifest import DetectorManifest
from .result import Detection

if TYPE_CHECKING:
    import torch

ROOM = 1.3
"""A crop is at least this much longer than the box in it."""
AROUND = 0.25
"""A mask may reach out of its box by this share of the box's length on every side."""


def add_masks(
    volume: Volume,
    items: Sequence[Detection],
    network: torch.nn.Module,
    manifest: DetectorManifest,
    *,
    device: str,
    progress: ProgressFn,
    cancel: CancelToken,
) -> tuple[tuple[Detection, ...], LabelMap]:
    """Return the findings with the labels of their masks, and the masks.

    Where masks overlap, the better finding's is kept.  A finding whose mask is empty has none.

    Parameters
    ----------
    items : sequence of Detection
        Best first.
    """
    geometry = volume.geometry
    array = np.zeros(geometry.shape, dtype=np.uint8 if len(items) < 256 else np.uint16)
    segments: list[Segment] = []
    made: list[Detection] = []
    for number, item in enumerate(items, start=1):
        cancel.check()
        box, mask = mask_of(volume, item, network, manifest, device)
        free = mask & (array[box] == 0)
        if free.any():
            array[box][free] = number
            made.append(item.replace(mask_label=number))
            segments.append(Segment(number, f"{item.name} {number}", _colour(number), *_codes(item, manifest)))
        else:
            made.append(item.replace(mask_label=None))
        progress(number / len(items), f"mask {number} of {len(items)}")
    return tuple(made), LabelMap(array, geometry, tuple(segments))


def mask_of(
    volume: Volume, item: Detection, network: torch.nn.Module, manifest: DetectorManifest, device: str
) -> tuple[Box, npt.NDArray[np.bool_]]:
    """Return a part of the image and the voxels of the finding in it."""
    import torch

    entry = manifest.mask
    assert entry is not None
    needed = ROOM * max(item.size_mm) / entry.size
    entry = entry.model_copy(update={"spacing_mm": max(entry.spacing_mm, needed)})
    crop, grid = crop_around(volume, item.centre_ras, manifest.prepare, entry)
    corners = np.array([*item.low, *item.high])
    both = with_box(crop, corners, volume.geometry, grid)
    with torch.inference_mode():
        output = network(torch.from_numpy(both[None]).to(device))
        scores = torch.sigmoid(output)[0, 0].float().cpu().numpy()
    return paste(scores, grid, item, volume.geometry, entry.threshold)


def paste(
    scores: FloatImage, grid: Geometry, item: Detection, geometry: Geometry, threshold: float
) -> tuple[Box, npt.NDArray[np.bool_]]:
    """Bring a crop's mask to the image's grid: the connected part that fills most of the box."""
    from scipy import ndimage

    low, high = np.asarray(item.low), np.asarray(item.high)
    more = AROUND * (high - low)
    first = np.clip(np.floor(low - more), 0, np.asarray(geometry.size) - 1).astype(int)
    last = np.clip(np.ceil(high + more), first + 1, geometry.size).astype(int)
    box = tuple(slice(int(a), int(b)) for a, b in zip(first[::-1], last[::-1], strict=True))
    k, j, i = box
    part = geometry.crop((k.start, j.start, i.start), (k.stop - k.start, j.stop - j.start, i.stop - i.start))
    mask = np.asarray(resample_array(scores.astype(np.float32), grid, part, "linear") >= threshold)
    parts, count = ndimage.label(mask, np.ones((3, 3, 3), dtype=bool))
    if count > 1:
        inside = _inside(low, high, first, mask.shape)
        sizes = np.bincount(parts[inside].reshape(-1), minlength=count + 1)
        sizes[0] = 0
        mask = parts == int(np.argmax(sizes)) if sizes.any() else np.zeros_like(mask)
    return widened((k, j, i), 0, geometry.shape), mask


def _inside(low: FloatArray, high: FloatArray, first: npt.NDArray[np.int_], shape: tuple[int, ...]) -> Box:
    """Return the box's own voxels within the part."""
    a = np.clip(np.floor(low - first).astype(int)[::-1], 0, np.asarray(shape) - 1)
    b = np.maximum(np.minimum(np.ceil(high - first).astype(int)[::-1], shape), a + 1)
    k, j, i = (slice(int(x), int(y)) for x, y in zip(a, b, strict=True))
    return k, j, i


def _codes(item: Detection, manifest: DetectorManifest) -> tuple[Code | None, Code | None]:
    segment = manifest.labels[item.label - 1].to_segment()
    return segment.category, segment.type


def _colour(number: int) -> tuple[float, float, float]:
    # Steps of the golden ratio around the circle of hues keep neighbours apart.
    return colorsys.hsv_to_rgb((0.08 + 0.618034 * (number - 1)) % 1.0, 0.75, 0.95)
