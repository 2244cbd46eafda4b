"""Operations that change one segment's mask at a time, and what they may not touch."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag, Severity
from medai.segment.boxes import Box, bounding_box, label_boxes, widened
from medai.segment.components import Connectivity
from medai.segment.distance import distance_mm

from ._base import Post, SegmentsSettings, chosen

Mask = npt.NDArray[np.bool_]
Within = Literal["volume", "axial", "coronal", "sagittal"]
RAS_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}


class ComponentsSettings(SegmentsSettings):
    """Base of the settings of operations on connected components."""

    connectivity: Connectivity = Field(
        6,
        title="Connectivity",
        description="Voxels are connected if they share a face (6), also an edge (18), or also a corner (26).",
    )


class GrowSettings(SegmentsSettings):
    """Base of the settings of operations by which a segment may grow."""

    overwrite: bool = Field(
        False,
        title="Overwrite",
        description="True: a segment that grows takes voxels of segments not worked on; false: background only.",
    )


def within_field() -> Any:
    """Return the field ``within``: the whole volume, or each plane across an anatomical axis alone."""
    return Field(
        "volume",
        title="Within",
        description="Work in three dimensions, or in each axial, coronal or sagittal plane (the nearest grid planes).",
    )


def flat_axis(geometry: Geometry, within: Within) -> int | None:
    """Return the array axis (0 to 2 for K, J, I) across the planes to work in, or None for the whole volume."""
    if within == "volume":
        return None
    wanted = RAS_AXIS[within]
    return next(2 - column for column, (axis, _) in enumerate(geometry.axis_map) if axis == wanted)


@dataclass(frozen=True)
class Part:
    """A segment's mask on a box of the image.

    Parameters
    ----------
    mask : bool array
        True where the segment is.
    box : tuple of slice
        Where the mask lies in the image.
    geometry : Geometry
        The whole image's grid.
    segment : Segment
        Whose mask it is.
    """

    mask: Mask
    box: Box
    geometry: Geometry
    segment: Segment

    @property
    def spacing_kji(self) -> tuple[float, float, float]:
        """Voxel size in mm along K, J, I."""
        return self.geometry.spacing_kji

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel in mm3."""
        return self.geometry.voxel_volume_mm3


class MaskPost(Post):
    """Changes the mask of each chosen segment on its own box.

    Voxels that a segment loses become background.  Voxels that it gains must be background, or with ``overwrite`` of a
    segment not worked on; one that two segments gain goes to the nearer (in mm, between voxel centres), or to the first
    of the two if they are equally near.  Every segment starts from the labels as they were, so that their order matters
    in no other way.
    """

    def margin(self, geometry: Geometry, settings: Any) -> tuple[int, int, int]:
        """Return how many voxels around the segment's box are needed, along K, J, I."""
        return 0, 0, 0

    @abstractmethod
    def change(self, part: Part, settings: Any, *, progress: ProgressFn, cancel: CancelToken) -> Mask:
        """Return the new mask on the same box; ``part.mask`` is never changed and holds at least one voxel."""

    def apply(self, value: LabelMap, settings: Any, *, progress: ProgressFn, cancel: CancelToken) -> LabelMap:
        """Change every chosen segment.

        Raises
        ------
        InputError
            If there is no segment of a name.
        """
        segments = chosen(value, settings.segments)
        own = [segment.label for segment in segments]
        before = value.array
        boxes = label_boxes(before, own)
        result = before.copy()
        margin = self.margin(value.geometry, settings)
        overwrite = bool(getattr(settings, "overwrite", False))
        for number, segment in enumerate(segments):
            label = segment.label
            cancel.check()
            share = sub_progress(progress, number / len(own), (number + 1) / len(own))
            if label in boxes:
                box = widened(boxes[label], margin, before.shape)
                part = Part(before[box] == label, box, value.geometry, segment)
                new = self.change(part, settings, progress=share, cancel=cancel)
                out, old = result[box], before[box]
                np.copyto(out, 0, where=part.mask & ~new)
                gained = new & (np.isin(old, own, invert=True) if overwrite else old == 0)
                # Another segment was there first where the result is no longer what it was.
                rivals = gained & (out != old)
                np.copyto(out, label, where=gained & ~rivals)
                if rivals.any():
                    _settle(out, rivals, label, before, box, boxes, value.geometry)
            share(1.0, self.title)
        return finished(value, result)


def _settle(
    out: npt.NDArray[Any],
    rivals: Mask,
    label: int,
    before: npt.NDArray[Any],
    box: Box,
    boxes: dict[int, Box],
    geometry: Geometry,
) -> None:
    """Give contested voxels of a box to the nearest segment."""
    own = distance_mm(before[box] != label, geometry.spacing_kji)
    for other in np.unique(out[rivals]).tolist():
        here = rivals & (out == other)
        place = bounding_box(here)
        assert place is not None
        whole = tuple(
            slice(min(part.start + inner.start, home.start), max(part.start + inner.stop, home.stop))
            for part, inner, home in zip(box, place, boxes[other], strict=True)
        )
        far = distance_mm(before[whole] != other, geometry.spacing_kji)
        # The contested box within that of the rival's distances.
        k, j, i = (
            slice(part.start + inner.start - start.start, part.start + inner.stop - start.start)
            for part, inner, start in zip(box, place, whole, strict=True)
        )
        # Distances are single precision: what differs by less counts as equal.
        nearer = own[place] < far[k, j, i] * (1 - 1e-5)
        np.copyto(out[place], label, where=here[place] & nearer)


def finished(
    before: LabelMap,
    array: npt.NDArray[Any],
    segments: tuple[Segment, ...] | None = None,
    heirs: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> LabelMap:
    """Return the label map that an operation made, with a flag for each segment that is empty.

    Parameters
    ----------
    before : LabelMap
        What the operation was given.
    array : array of labels, shape (K, J, I)
        The new labels, on the same grid.
    segments : tuple of Segment, optional
        The new segments; those before if not given.
    heirs : mapping
        Name of a segment that is gone -> names of those that it became; what was noticed about it concerns them now.
        What was noticed about a segment without heirs is dropped.
    """
    new = before.segments if segments is None else segments
    gone = {s.name for s in before.segments} - {s.name for s in new}
    # Which segments are empty is looked at afresh.
    told = {f.affects: f for f in before.flags if f.code == "MASK_EMPTY"}
    flags: list[QCFlag] = []
    for flag in before.flags:
        names = heirs.get(flag.affects, () if flag.affects in gone else (flag.affects,))
        moved = (flag if name == flag.affects else dataclasses.replace(flag, affects=name) for name in names)
        flags += [f for f in moved if f.code != "MASK_EMPTY" and f not in flags]
    result = before.replace(array=array, segments=new, flags=tuple(flags))
    counts = result.counts()
    empty = tuple(
        told.get(s.name) or QCFlag("MASK_EMPTY", Severity.WARNING, f"The segment {s.name!r} is empty.", affects=s.name)
        for s in result.segments
        if not counts[s.label]
    )
    return result.replace(flags=result.flags + empty) if empty else result
