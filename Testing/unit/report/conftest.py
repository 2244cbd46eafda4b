"""A small head-like phantom and reports of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.labelmap import Code, LabelMap, Segment
from medai.core.volume import Volume
from medai.features import FeatureTable, extract
from medai.report import Report, build_report

VOID = {"meta", "img", "br", "wbr", "hr", "link", "input"}
CREATED = datetime(2026, 3, 29, 1, 30, tzinfo=timezone.utc)
LEFT, RIGHT = Code("7771000", "SCT", "Left"), Code("24028007", "SCT", "Right")
ORGAN = Code("5366008", "SCT", "Hippocampus")
SEGMENTS = (
    Segment(1, "Left organ front", (1.0, 0.8, 0.1), type=ORGAN, modifier=LEFT),
    Segment(2, "Left organ back", (0.1, 0.8, 1.0), type=ORGAN, modifier=LEFT),
    Segment(3, "Right organ front", (1.0, 0.4, 0.1), type=ORGAN, modifier=RIGHT),
    Segment(4, "Right organ back", (0.4, 0.4, 1.0), type=ORGAN, modifier=RIGHT),
)


def make_case() -> tuple[Volume, LabelMap]:
    """A 40 x 48 x 36 mm image in RAS with two boxes a side; the left ones are larger."""
    array = np.random.default_rng(5).normal(100.0, 10.0, (36, 48, 40)).astype(np.float32)
    geometry = Geometry.from_spacing((36, 48, 40), (1.0, 1.0, 1.0), (-20.0, -24.0, -10.0))
    labels = np.zeros(array.shape, np.uint8)
    labels[10:20, 26:36, 4:12] = 1  # small i is the patient's left
    labels[10:20, 14:26, 4:12] = 2
    labels[10:20, 26:34, 28:36] = 3
    labels[10:20, 16:26, 28:36] = 4
    array += 40.0 * (labels > 0)
    volume = Volume(array, geometry, modality="MR", name="phantom")
    return volume, LabelMap(labels, geometry, SEGMENTS)


def report_of(volume: Volume, labels: LabelMap, features: FeatureTable | None = None, **more: Any) -> Report:
    """A report at a fixed time."""
    table = extract(volume, labels) if features is None else features
    settings: dict[str, Any] = {
        "protocol": {"title": "Phantom", "pipeline": [{"step": "median", "settings": {"radius": 1}}, {"step": "unet"}]},
        "provenance": {"medai": "0.1.0"},
        "created": CREATED,
    }
    return build_report(volume, labels, table, **{**settings, **more})


class Page(HTMLParser):
    """A strict reader: every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.problems: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if len({name for name, _ in attrs}) != len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.pieces.append(data)

    @property
    def text(self) -> str:
        """The visible text, one space between words."""
        return " ".join(" ".join(self.pieces).split())


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """Helpers that make cases, reports and read pages."""
    return SimpleNamespace(case=make_case, report=report_of, page=Page, created=CREATED, segments=SEGMENTS)


@pytest.fixture(scope="session")
def report(kit: SimpleNamespace) -> Report:
    """The phantom's report."""
    return kit.report(*kit.case())


@pytest.fixture
def shrink() -> Callable[[LabelMap, int], LabelMap]:
    """Keep only the first voxels of every segment."""

    def keep(labels: LabelMap, voxels: int) -> LabelMap:
        array = np.zeros_like(labels.array)
        for segment in labels.segments:
            index = np.argwhere(labels.array == segment.label)[:voxels]
            array[tuple(index.T)] = segment.label
        return labels.replace(array=array)

    return keep
