"""Sums of segments' volumes, asymmetry and shares, as rows of the feature table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from medai.core.labelmap import LabelMap

from ..result import FeatureTable, FeatureValue
from .settings import Derived, Pair, Total

FAMILY = "volumetry"
TOTAL, SHARE, ASYMMETRY = "total_volume", "share_of_reference", "asymmetry_index"
TITLES = {TOTAL: "Total volume", SHARE: "Share of the reference volume", ASYMMETRY: "Asymmetry index"}
"""Names for people, by feature."""
MILLILITRE, PER_MILLE, PERCENT = "mL", "[ppth]", "%"
"""UCUM units."""


def derive(labels: LabelMap, settings: Derived, reasons: Mapping[str, str] | None = None) -> tuple[FeatureValue, ...]:
    """Return the derived volumes of a label map.

    - ``total_volume`` of each total: the sum of its segments' volumes by voxel counting, in mL.
    - ``share_of_reference``: total / reference, in per mille.  The proportion method of correcting for head size
      (compared with the residual method by O'Brien et al., Psychiatry Research: Neuroimaging 193, 113 (2011), doi
      10.1016/j.pscychresns.2011.01.007).  No regression against norms is made: that needs a population's data.
    - ``asymmetry_index`` of each pair: 100 (L - R) / ((L + R) / 2) %, positive if the left is larger (Shi et al.,
      Hippocampus 19, 1055 (2009), doi 10.1002/hipo.20573, use the same difference over the mean).

    Parameters
    ----------
    labels : LabelMap
        The segments; two segments never share a voxel, so that volumes add up.
    settings : Derived
        What is summed and compared.
    reasons : mapping of str to str, optional
        Why a segment is not there, by its name.

    Returns
    -------
    tuple of FeatureValue
        Totals in their order, each with its share; then the pairs.  A value is NaN with a reason if a segment that it
        needs is missing or empty.
    """
    counts = labels.counts()
    volumes = labels.volumes_ml()
    known = {segment.name: counts[segment.label] for segment in labels.segments}
    found: dict[str, FeatureValue] = {}
    for total in settings.totals:
        why = _missing(total, known, reasons or {})
        value = math.nan if why else math.fsum(volumes[name] for name in total.segments)
        found[total.name] = FeatureValue(total.name, FAMILY, TOTAL, value, MILLILITRE, reason=why)
    rows: list[FeatureValue] = []
    for total in settings.totals:
        rows.append(found[total.name])
        if settings.reference and total.name != settings.reference:
            rows.append(_share(found[total.name], found[settings.reference]))
    rows += [_asymmetry(pair, found[pair.left], found[pair.right]) for pair in settings.pairs]
    return tuple(rows)


def add_derived(
    table: FeatureTable, labels: LabelMap, settings: Derived, reasons: Mapping[str, str] | None = None
) -> FeatureTable:
    """Return a feature table with the derived volumes as further rows, and their settings among its settings.

    Parameters
    ----------
    table : FeatureTable
        Of the same segments; its flags stay.
    labels, settings, reasons
        See :func:`derive`.
    """
    if not settings.totals:
        return table
    rows = derive(labels, settings, reasons)
    return replace(table, rows=table.rows + rows, settings={**table.settings, "derived": settings.to_dict()})


def _missing(total: Total, known: Mapping[str, int], reasons: Mapping[str, str]) -> str:
    """Return why a total cannot be summed, empty if it can."""
    absent = [name for name in total.segments if name not in known]
    if absent:
        return reasons.get(absent[0]) or f"there is no segment {_listed(absent)}"
    empty = [name for name in total.segments if not known[name]]
    return f"no voxels in {_listed(empty)}" if empty else ""


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - 2} more" if len(found) > 2 else ""
    return ", ".join(found[:2]) + more


def _share(total: FeatureValue, reference: FeatureValue) -> FeatureValue:
    why = total.reason or (f"no {reference.segment}: {reference.reason}" if reference.reason else "")
    value = math.nan if why else 1000.0 * total.value / reference.value
    return FeatureValue(total.segment, FAMILY, SHARE, value, PER_MILLE, reason=why)


def _asymmetry(pair: Pair, left: FeatureValue, right: FeatureValue) -> FeatureValue:
    why = left.reason or right.reason
    value = math.nan if why else 100.0 * (left.value - right.value) / ((left.value + right.value) / 2.0)
    return FeatureValue(pair.name, FAMILY, ASYMMETRY, value, PERCENT, reason=why)
