"""Small questions that the panel of MedAI Segment asks."""

from __future__ import annotations

from typing import Any

from MedAISegmentLib.pipelines import Steps


def fillChoices(box: Any, members: dict[str, Any], chosen: str) -> str:
    """Fill a combo box with members by id and return the id that it shows; nothing if there are none."""
    ids = list(members)
    shown = chosen if chosen in ids else (ids[0] if ids else "")
    box.blockSignals(True)
    box.clear()
    for name, member in members.items():
        box.addItem(member.title, name)
    box.setCurrentIndex(ids.index(shown) if shown else -1)
    box.blockSignals(False)
    return shown


def segmentNames(*nodes: Any) -> list[str]:
    """Return the names of the segments of segmentation nodes, each once."""
    found: dict[str, None] = {}
    for node in nodes:
        if node is not None:
            segmentation = node.GetSegmentation()
            count = segmentation.GetNumberOfSegments()
            found.update({segmentation.GetNthSegment(n).GetName(): None for n in range(count)})
    return list(found)


def needsAtlas(steps: Steps) -> bool:
    """Tell whether a list of steps looks for regions by the brain template, which is a package of its own."""
    return any(
        step["step"] == "atlas_brain"
        or (step["step"] == "unet" and step.get("settings", {}).get("regions", "atlas") == "atlas")
        for step in steps
        if step.get("enabled", True)
    )
