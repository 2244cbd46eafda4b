"""Which segment of a prediction belongs to which of a reference."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from medai.core.errors import InputError
from medai.core.labelmap import Code, LabelMap, Segment

from .settings import Match

MatchedBy = Literal["names", "codes", "labels"]
_MADE_UP = re.compile(r"(label|segment)[ _]?\d+( \(\d+\))?", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """Two segments that belong together; one of them may be missing.

    Parameters
    ----------
    key : str
        What they were matched by, the same in every case: a folded name, codes, or a label value.
    """

    key: str
    predicted: Segment | None
    reference: Segment | None


def matched_by(predicted: LabelMap, reference: LabelMap, match: Match) -> MatchedBy:
    """Return what ``auto`` means for two label maps: names if every segment of both has one, else labels."""
    if match != "auto":
        return match
    named = [labels.segments and all(real_name(s) for s in labels.segments) for labels in (predicted, reference)]
    return "names" if all(named) else "labels"


def real_name(segment: Segment) -> bool:
    """Return False for the names that a label gets where nobody named it: ``Label 3``, ``Segment_3``."""
    return _MADE_UP.fullmatch(segment.name.strip()) is None


def pair_up(predicted: LabelMap, reference: LabelMap, by: MatchedBy) -> list[Pair]:
    """Return every segment of both label maps once, in the order of the reference's labels, then the prediction's.

    Parameters
    ----------
    predicted, reference : LabelMap
    by : {"names", "codes", "labels"}
        Names are folded (:func:`fold`).  A segment without codes has no partner when matched by codes.

    Raises
    ------
    InputError
        If two segments of one label map have the same key, or, by names or codes, no segment has a partner.
    """
    ours, theirs = _keyed(predicted, "prediction", by), _keyed(reference, "reference", by)
    if by != "labels" and ours and theirs and not set(ours) & set(theirs):
        raise InputError(
            f"No segment of the prediction ({_names(predicted)}) has the {by[:-1]} of one of the reference "
            f"({_names(reference)}).",
            hint="Match by label values, or give both the same names or codes.",
        )
    pairs = [Pair(key, ours.get(key), segment) for key, segment in theirs.items()]
    return pairs + [Pair(key, segment, None) for key, segment in ours.items() if key not in theirs]


def fold(name: str) -> str:
    """Return a name without what people write differently: letter case, spaces, hyphens, underscores, Unicode form.

    Examples
    --------
    >>> fold("Left_Kidney") == fold("left kidney")
    True
    """
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip()


def _keyed(labels: LabelMap, side: str, by: MatchedBy) -> dict[str, Segment]:
    make: dict[str, Callable[[Segment], str]] = {
        "names": lambda segment: fold(segment.name),
        "codes": _codes,
        "labels": lambda segment: str(segment.label),
    }
    found: dict[str, Segment] = {}
    for segment in sorted(labels.segments, key=lambda s: s.label):
        key = make[by](segment) or f"no {by[:-1]}, {side}, label {segment.label}"
        if key in found:
            raise InputError(
                f"The segments {found[key].name!r} and {segment.name!r} of the {side} have the same {by[:-1]}.",
                hint="Match them by something else, or rename one of them.",
            )
        found[key] = segment
    return found


def _codes(segment: Segment) -> str:
    def text(code: Code) -> str:
        return f"{code.scheme}:{code.value}"

    if segment.type is None:
        return ""
    return text(segment.type) + (f"+{text(segment.modifier)}" if segment.modifier else "")


def _names(labels: LabelMap) -> str:
    names = [s.name for s in labels.segments]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
