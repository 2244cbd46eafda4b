"""What a detector found: boxes along the image's own axes, scores, and a mask for each box if there is one.

Edge coordinates: voxel n of an axis reaches from n to n + 1, so the box of that voxel alone is (n, n + 1), and the
middle of a voxel, which :class:`~medai.core.geometry.Geometry` counts as n, lies at n + 0.5.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.qc import QCFlag
from medai.core.table import Column, Table

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]
FloatArray = npt.NDArray[np.float64]
Corner = Sequence[float] | FloatArray


@dataclass(frozen=True)
class Detection:
    """One finding.

    Make it with :meth:`of`, which works out the millimetres.

    Parameters
    ----------
    low, high : tuple of float
        Corners of the box along I, J, K in edge coordinates; ``low < high``.  A finding in a 2D image has K from 0
        to 1.
    centre_ras : tuple of float
        Middle of the box, RAS mm.
    size_mm : tuple of float
        Lengths of the box along I, J, K in mm.
    direction : tuple of tuples
        Unit vectors of I, J, K in RAS as columns (rows R, A, S), as ``Geometry.direction``.
    score : float
        From 0 to 1; ranks findings, is no probability.
    label : int
        The model's class, from 1.
    name : str
        What the class is called.
    mask_label : int, optional
        Value of this finding in the label map of all findings; None if it has no mask.
    ignore : bool
        For a reference: neither finding it nor missing it counts (LUNA16's irrelevant findings).
    """

    low: Triple
    high: Triple
    centre_ras: Triple
    size_mm: Triple
    direction: Matrix
    score: float = 1.0
    label: int = 1
    name: str = "Finding"
    mask_label: int | None = None
    ignore: bool = False

    def __post_init__(self) -> None:
        numbers = (*self.low, *self.high, *self.centre_ras, *self.size_mm, self.score)
        if len(self.low) != 3 or len(self.high) != 3 or not np.isfinite(numbers).all():
            raise InputError(f"A finding's box needs three finite numbers a corner, given {self.low} and {self.high}.")
        if any(a >= b for a, b in zip(self.low, self.high, strict=True)):
            raise InputError(f"A finding's box must have a size, given the corners {self.low} and {self.high}.")
        if not 0.0 <= self.score <= 1.0:
            raise InputError(f"A finding's score must lie from 0 to 1, given {self.score:g}.")
        if self.label < 1:
            raise InputError(f"A finding's label must be 1 or more, given {self.label}.")

    @classmethod
    def of(cls, geometry: Geometry, low: Corner, high: Corner, score: float = 1.0, **more: Any) -> Detection:
        """Make a finding from its corners (I, J, K, edge coordinates) in an image's grid."""
        if len(low) != 3 or len(high) != 3:
            raise InputError("A finding's box needs three numbers a corner, along I, J and K.")
        a = np.asarray(low, dtype=np.float64)
        b = np.asarray(high, dtype=np.float64)
        centre = geometry.to_ras((a + b) / 2 - 0.5)
        size = (b - a) * np.asarray(geometry.spacing)
        return cls(
            _triple(a), _triple(b), _triple(centre), _triple(size), _matrix(geometry.direction), float(score), **more
        )

    @property
    def diameter_mm(self) -> float:
        """Mean of the lengths in mm; of the two in the plane for a finding in a single slice."""
        flat = self.low[2] == 0 and self.high[2] == 1
        return float(np.mean(self.size_mm[:2] if flat else self.size_mm))

    @property
    def volume_mm3(self) -> float:
        """Volume of the box in mm3, correct on sheared grids too."""
        return float(np.prod(self.size_mm) * abs(np.linalg.det(np.asarray(self.direction))))

    def replace(self, **changes: Any) -> Detection:
        """Return a copy with other fields."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-ready values."""
        values = dataclasses.asdict(self)
        for key in ("low", "high", "centre_ras", "size_mm"):
            values[key] = list(values[key])
        return {**values, "direction": [list(row) for row in self.direction]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Detection:
        """Rebuild a finding that :meth:`to_dict` wrote.

        Raises
        ------
        InputError
            If it is not one.
        """
        try:
            values = dict(data)
            for key in ("low", "high", "centre_ras", "size_mm"):
                values[key] = _triple(values[key])
            values["direction"] = _matrix(values["direction"])
            return cls(**values)
        except (KeyError, TypeError, ValueError):
            raise InputError("A finding is incomplete or has unknown keys.", hint="Detect again.") from None


@dataclass(frozen=True, eq=False)
class Detections:
    """All findings in one image, best first.

    Parameters
    ----------
    items : tuple of Detection
        Sorted here by falling score; ties keep their order.
    geometry : Geometry
        Grid of the image.
    flags : tuple of QCFlag
    masks : LabelMap, optional
        On the same grid: each finding's voxels under its ``mask_label``.
    meta : mapping
        JSON-ready facts: model, device, windows, seconds.
    name : str
        Of the image, for people; never a patient's.

    Raises
    ------
    GeometryError
        If the masks lie on another grid.
    InputError
        If a finding's mask is not among the masks' segments.
    """

    items: tuple[Detection, ...]
    geometry: Geometry
    flags: tuple[QCFlag, ...] = ()
    masks: LabelMap | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(sorted(self.items, key=lambda item: -item.score)))
        object.__setattr__(self, "flags", tuple(self.flags))
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))
        if self.masks is not None:
            self.geometry.require_same(self.masks.geometry, "masks'")
            known = {segment.label for segment in self.masks.segments}
            missing = [d.mask_label for d in self.items if d.mask_label is not None and d.mask_label not in known]
            if missing:
                raise InputError(f"The masks have no segment {missing[0]}, which a finding names.")

    def __len__(self) -> int:
        return len(self.items)

    def above(self, score: float) -> Detections:
        """Return the findings whose score is at least ``score``; the masks of the others stay in the label map."""
        return dataclasses.replace(self, items=tuple(d for d in self.items if d.score >= score))

    def boxes(self) -> FloatArray:
        """Return the corners, shape (N, 6): I, J, K of the low corner, then of the high one, in edge coordinates."""
        return np.array([(*d.low, *d.high) for d in self.items], dtype=np.float64).reshape(-1, 6)

    def scores(self) -> FloatArray:
        """Return the scores, shape (N,)."""
        return np.array([d.score for d in self.items], dtype=np.float64)

    def centres_ras(self) -> FloatArray:
        """Return the middles of the boxes in RAS mm, shape (N, 3)."""
        return np.array([d.centre_ras for d in self.items], dtype=np.float64).reshape(-1, 3)

    def to_labelmap(self) -> LabelMap:
        """Return the findings' masks: one segment for each finding.

        Raises
        ------
        InputError
            If the detector makes no masks.
        """
        if self.masks is None:
            raise InputError("These findings have no masks.", hint="Use a model with a mask stage.")
        return self.masks

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the masks as JSON-ready values."""
        return {
            "schema": "medai.detections",
            "schema_version": 1,
            "intended_use": "research use only, not for diagnosis",
            "name": self.name,
            "geometry": self.geometry.to_dict(),
            "findings": [item.to_dict() for item in self.items],
            "flags": [flag.to_dict() for flag in self.flags],
            "meta": dict(self.meta),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], masks: LabelMap | None = None) -> Detections:
        """Rebuild what :meth:`to_dict` wrote, with the label map that was stored beside it.

        Raises
        ------
        InputError, GeometryError
            If it is something else.
        """
        if data.get("schema") != "medai.detections" or data.get("schema_version") != 1:
            raise InputError("This is no list of findings of a known version.")
        try:
            items = tuple(Detection.from_dict(item) for item in data["findings"])
            flags = tuple(QCFlag.from_dict(flag) for flag in data["flags"])
            geometry = Geometry.from_dict(data["geometry"])
            return cls(items, geometry, flags, masks, data["meta"], str(data["name"]))
        except (KeyError, TypeError, ValueError):
            raise InputError("The list of findings is damaged.", hint="Detect again.") from None

    def to_table(self) -> Table:
        """Return one row a finding, best first, with units and descriptions."""
        columns = [
            Column("finding", tuple(range(1, len(self) + 1)), "", "Rank by score."),
            Column("name", tuple(d.name for d in self.items), "", "What the model calls it."),
            Column("label", tuple(d.label for d in self.items), "", "The model's class."),
            Column("score", tuple(d.score for d in self.items), "", "0 to 1; ranks findings, is no probability."),
        ]
        for index, axis in enumerate("RAS"):
            about = f"Middle of the box along {axis}."
            columns.append(
                Column(f"centre_{axis.lower()}", tuple(d.centre_ras[index] for d in self.items), "mm", about)
            )
        for index, axis in enumerate("ijk"):
            about = f"Length of the box along the image's axis {axis.upper()}."
            columns.append(Column(f"size_{axis}", tuple(d.size_mm[index] for d in self.items), "mm", about))
        for end in ("low", "high"):
            for index, axis in enumerate("ijk"):
                about = f"The box's {end} side along {axis.upper()}; voxel n reaches from n to n + 1."
                columns.append(Column(f"{end}_{axis}", tuple(getattr(d, end)[index] for d in self.items), "", about))
        masks = tuple(d.mask_label or 0 for d in self.items)
        columns.append(Column("mask_label", masks, "", "Value in the label map of masks; 0: no mask."))
        volumes = self._mask_volumes()
        columns.append(Column("mask_volume", volumes, "mm3", "Volume of the mask; empty without one."))
        return Table("findings", tuple(columns))

    def _mask_volumes(self) -> tuple[float, ...]:
        counts = self.masks.counts() if self.masks is not None else {}
        voxel = self.geometry.voxel_volume_mm3
        return tuple(counts[d.mask_label] * voxel if d.mask_label in counts else float("nan") for d in self.items)

    @classmethod
    def from_table(cls, table: Table, geometry: Geometry, masks: LabelMap | None = None) -> Detections:
        """Rebuild the findings of :meth:`to_table` on the image's grid.

        Raises
        ------
        InputError
            If a column is missing.
        """
        names = ("score", "label", "name", "mask_label", *(f"{end}_{a}" for end in ("low", "high") for a in "ijk"))
        rows = zip(*(table.column(name).values for name in names), strict=True)
        items = []
        for score, label, name, mask, *corners in rows:
            numbers = [float(value) for value in corners if value is not None]
            items.append(
                Detection.of(
                    geometry, numbers[:3], numbers[3:], float(score or 0.0), label=int(label or 0), name=str(name),
                    mask_label=int(mask) if mask else None,
                )
            )  # fmt: skip
        return cls(tuple(items), geometry, masks=masks)


def _triple(values: Any) -> Triple:
    a, b, c = (float(value) for value in values)
    return a, b, c


def _matrix(values: Any) -> Matrix:
    a, b, c = (_triple(row) for row in values)
    return a, b, c
