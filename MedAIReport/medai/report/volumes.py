"""The table of derived volumes: left beside right, asymmetry, shares of the reference; made from the feature table."""

from __future__ import annotations

from collections.abc import Iterator

from medai.core.errors import SettingsError
from medai.features import FeatureTable
from medai.features.volumetry import Derived
from medai.features.volumetry.derive import ASYMMETRY, SHARE, TOTAL

from .findings import quantity_of
from .model import VolumeRow, Volumes
from .quantity import Quantity


def make_volumes(features: FeatureTable) -> Volumes:
    """Return the derived volumes of a feature table; without rows if it holds none.

    A pair becomes one row with both sides, and with their union if a total has the pair's name; every other total
    becomes a row of its own.  Every number is one of the feature table's.
    """
    given = features.settings.get("derived")
    if not given:
        return Volumes()
    try:
        derived = Derived.parse(given, where="derived")
    except SettingsError:
        return Volumes()  # a table of another version
    rows = tuple(_rows(features, derived))
    reference = quantity_of(features, derived.reference, TOTAL) if derived.reference else None
    seen: dict[str, None] = {}
    for row in rows:
        for cell in (row.left, row.right, row.total, row.asymmetry):
            if cell is not None and cell.reason:
                seen.setdefault(f"{row.structure}: {cell.reason}")
    notes = [f"{total.name}: {total.note}" for total in derived.totals if total.note]
    return Volumes(
        reference=derived.reference, reference_volume=reference, rows=rows, notes=tuple(notes), undefined=tuple(seen)
    )


def _rows(features: FeatureTable, derived: Derived) -> Iterator[VolumeRow]:
    def of(name: str, feature: str) -> Quantity | None:
        return quantity_of(features, name, feature)

    names = [total.name for total in derived.totals]
    for pair in derived.pairs:
        whole = pair.name if pair.name in names else ""
        yield VolumeRow(
            structure=pair.name,
            left=of(pair.left, TOTAL),
            right=of(pair.right, TOTAL),
            total=of(whole, TOTAL),
            asymmetry=of(pair.name, ASYMMETRY),
            left_share=of(pair.left, SHARE),
            right_share=of(pair.right, SHARE),
            total_share=of(whole, SHARE),
        )
    taken = {name for pair in derived.pairs for name in (pair.name, pair.left, pair.right)}
    for name in names:
        if name not in taken:
            yield VolumeRow(structure=name, total=of(name, TOTAL), total_share=of(name, SHARE))
