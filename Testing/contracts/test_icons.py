"""Slicer shows an icon for each module; the extension manager shows one of 128 x 128."""

from __future__ import annotations

from pathlib import Path

import pytest

MODULES = ("MedAISegment", "MedAIFeatures", "MedAIReport")


@pytest.mark.parametrize("module", MODULES)
def test_module_icon_is_a_128_by_128_png(module: str, repo: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    path = repo / module / "Resources" / "Icons" / f"{module}.png"
    with image_module.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == (128, 128)
        assert len(image.convert("RGB").getcolors(maxcolors=1 << 16) or range(1 << 16)) > 2, "the icon shows something"


def test_icons_differ(repo: Path) -> None:
    data = {(repo / module / "Resources" / "Icons" / f"{module}.png").read_bytes() for module in MODULES}
    assert len(data) == len(MODULES)
