"""Fixtures of the scene tests; they run over pip's slicer-core and inside the Slicer application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer")

from medai.core.geometry import Geometry
from medai.core.labelmap import Code, LabelMap, Segment
from medai.core.volume import Volume
from medai.mrml import HeadlessSession


@pytest.fixture(autouse=True)
def vtk_is_silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail a test that makes VTK print an error, a warning or a leak report."""
    yield
    printed = "".join(capfd.readouterr())
    for sign in ("ERR|", "WARN|", "vtkDebugLeaks"):
        assert sign not in printed, printed


@pytest.fixture
def session() -> Iterator[HeadlessSession]:
    with HeadlessSession() as opened:
        yield opened


@pytest.fixture
def scene(session: HeadlessSession) -> Any:
    return session.scene


@pytest.fixture
def oblique() -> Geometry:
    """A left-handed oblique grid with spacings that no decimal text holds exactly."""
    axes, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    if np.linalg.det(axes) > 0:
        axes[:, 0] *= -1
    return Geometry.from_spacing((5, 6, 7), (0.7, 1 / 3, 2.1), (1 / 7, -33.3, 12.0), axes)


@pytest.fixture
def volume(oblique: Geometry) -> Volume:
    array = np.random.default_rng(6).normal(100, 40, oblique.shape).astype(np.float32)
    return Volume(array, oblique, modality="MR", name="head", meta={"kernel": 'B30; "é"'})


@pytest.fixture
def labels(oblique: Geometry) -> LabelMap:
    """Two coded segments, one without codes, one empty."""
    array = np.random.default_rng(7).integers(0, 4, oblique.shape).astype(np.uint8)
    anatomy = Code("123037004", "SCT", "Anatomical Structure")
    return LabelMap(
        array,
        oblique,
        (
            Segment(
                1,
                "Left front",
                (0.1, 0.2, 0.3),
                anatomy,
                Code("4421005", "SCT", "Cell"),
                Code("7771000", "SCT", "Left"),
            ),
            Segment(2, "Left back", (0.4, 0.5, 0.6), anatomy, Code("4421005", "SCT", "Cell: 2")),
            Segment(3, "Plain"),
            Segment(9, "Empty", (1.0, 0.0, 0.0)),
        ),
    )


@pytest.fixture
def first_of(scene: Any) -> Callable[[str], Any]:
    """Return the scene's first node of a class."""
    return lambda class_name: scene.GetFirstNodeByClass(class_name)
