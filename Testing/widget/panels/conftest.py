"""Fixtures of the three panels' tests: phantoms in the scene, and pressing buttons until a run has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

WAIT_S = 60.0


@pytest.fixture
def phantom(scene: Any) -> Callable[..., Any]:
    """`phantom(shape=...)` -> a volume node: a bright ball of 12 mm radius in noise, voxels of 1 x 1 x 2 mm."""
    import slicer

    def make(shape: tuple[int, int, int] = (24, 48, 48), name: str = "Phantom") -> Any:
        k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
        centre = [n / 2 for n in shape]
        ball = (i - centre[2]) ** 2 + (j - centre[1]) ** 2 + (2.0 * (k - centre[0])) ** 2 <= 12.0**2
        array = np.where(ball, 200.0, 50.0) + np.random.default_rng(1).normal(0, 5, shape)
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(node, array.astype(np.float32))
        node.SetSpacing(1, 1, 2)
        return node

    return make


@pytest.fixture
def two_boxes(scene: Any) -> tuple[Any, Any]:
    """A volume node of noise and a segmentation node of two boxes of 1,200 mm3 and 480 mm3 on its grid."""
    from medai.core.geometry import Geometry
    from medai.core.labelmap import Code, LabelMap, Segment
    from medai.core.volume import Volume
    from medai.mrml import labels_to_segmentation, volume_to_node

    array = np.zeros((16, 40, 40), np.uint8)
    array[3:9, 5:15, 5:15] = 1
    array[3:9, 20:30, 22:26] = 2
    grid = Geometry.from_spacing(array.shape, (1.0, 1.0, 2.0), (-20.0, -20.0, 5.0))
    noise = np.random.default_rng(2).normal(100, 10, array.shape) + 40.0 * (array > 0)
    volume = Volume(noise.astype(np.float32), grid, modality="MR")
    tissue = Code("85756007", "SCT", "Tissue")
    segments = (
        Segment(1, "Large box", (0.9, 0.5, 0.1), tissue, tissue),
        Segment(2, "Small box", (0.2, 0.6, 0.9), tissue, tissue),
    )
    volume_node = volume_to_node(volume, scene, "Noise")
    return volume_node, labels_to_segmentation(LabelMap(array, grid, segments), scene, "Boxes", reference=volume_node)


@pytest.fixture
def press(process_events: Callable[..., bool]) -> Callable[[Any], str]:
    """`press(widget)` presses Apply, waits for the end of the run and returns the status text."""

    def run(widget: Any, wait: bool = True) -> str:
        assert widget.ui.applyButton.enabled, widget.ui.applyButton.toolTip
        widget.ui.applyButton.click()
        if wait:
            assert process_events(until=lambda: widget._run is None, timeout=WAIT_S), "the run did not end"
        return widget.ui.statusLabel.text

    return run


@pytest.fixture
def count(scene: Any) -> Callable[[str], int]:
    """`count("vtkMRMLTableNode")` -> how many nodes of a class the scene has."""
    return lambda name: int(scene.GetNumberOfNodesByClass(name))
