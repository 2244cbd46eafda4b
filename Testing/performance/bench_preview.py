"""Time the live preview of MedAI Segment: from a changed setting to the pictures on the panel.

    python Testing/performance/bench_preview.py               # every step that can be previewed
    python Testing/performance/bench_preview.py median otsu   # some of them

The real panel runs over the stand-in of Slicer in ``Testing/host``, with its own worker process, on one 512 x 512
slice of a noisy int16 phantom of 40 slices.  ``all`` is what a person waits: the wait for further changes (40 ms), the
slab, the way to the worker, the steps, the way back, both pictures and the histogram.  ``steps`` is the steps' share.
The first four previews of each step load its libraries and teach the panel what it costs, and do not count; the median
of the others does.  ``slices`` is what the steps saw; ``every`` 2 means that they saw every second voxel only.  The
bar is 150 ms for ``all``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "Testing" / "host"), str(ROOT / "MedAISegment")]
SIZE, SLICES, WAIT_S = 512, 40, 120.0
START = [
    {"step": "threshold", "settings": {"method": "manual", "lower": 0.0}},
    {"step": "threshold", "settings": {"method": "manual", "upper": -500.0, "name": "Background"}, "merge": "over"},
]
"""What steps that need segments start from: two of them."""


def make_panel() -> Any:
    """Return the panel of MedAI Segment with the phantom, own steps chosen and the preview open."""
    import medai_host

    medai_host.install()
    import slicer
    from bench_steps import phantom
    from medai_host.modules import load_scripted_module

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom")
    slicer.util.updateVolumeFromArray(node, phantom(SLICES, SIZE))
    node.SetSpacing(0.8, 0.8, 2.0)
    module = load_scripted_module(ROOT / "MedAISegment" / "MedAISegment.py")
    module.widgetRepresentation().enter()
    panel = module.widgetRepresentation().self()
    panel.ui.methodField.setCurrentIndex(4)
    panel.parent.resize(420, 900)
    panel.parent.show()
    panel.ui.previewGroup.setCollapsed(False)
    return panel


def answer(panel: Any, change: Any) -> tuple[float, dict[str, Any] | None]:
    """Make a change and return the seconds until the preview that follows is shown, and the preview."""
    import slicer

    before = panel.preview.shown
    note = panel.ui.previewNote.text
    begun = time.perf_counter()
    change()
    while time.perf_counter() - begun < WAIT_S:
        slicer.app.processEvents()
        shown = panel.preview.shown
        if not panel.preview.busy and (shown is not before or panel.ui.previewNote.text != note):
            return time.perf_counter() - begun, shown
        time.sleep(0.001)
    return WAIT_S, None


def measured(panel: Any, name: str, steps: list[dict[str, Any]], repeat: int) -> str:
    """Return one row of the table."""
    from medai.segment.pipeline import all_steps

    title = next(cls.title for cls in all_steps() if cls.name == name)

    def change() -> None:
        panel._parameterNode.pipeline = json.dumps(steps)
        panel.editor.select(len(steps) - 1)
        panel.preview.ask()

    first, found = answer(panel, change)
    if found is None:
        return f"| {title} | - | - | - | - | - | {panel.ui.previewNote.text[:90]} |"
    for _ in range(3):  # until the pane knows what the steps cost
        answer(panel, panel.preview.ask)
    times, shares = [], []
    for _ in range(repeat):
        seconds, found = answer(panel, panel.preview.ask)
        if found is None:
            return f"| {title} | - | - | - | - | - | {panel.ui.previewNote.text[:90]} |"
        times.append(1000 * seconds)
        shares.append(1000 * found["seconds"])
    worst = max(times)
    return (
        f"| {title} | {statistics.median(times):.0f} | {worst:.0f} | {statistics.median(shares):.0f}"
        f" | {found['slices']} | {panel.preview._thin} | first {1000 * first:.0f} ms |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time the live preview of MedAI Segment.")
    parser.add_argument("words", nargs="*", help="names of steps; all of them if none is given")
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    panel = make_panel()
    from medai.segment.pipeline import all_steps
    from medai.segment.postprocess import Post
    from medai.segment.preview import UNSEEN

    print("| Step | all, ms | slowest | steps, ms | slices | every | |\n|---|---|---|---|---|---|---|")
    for cls in all_steps():
        if (given.words and cls.name not in given.words) or cls.group in UNSEEN or cls.unavailable_reason():
            continue
        step: dict[str, Any] = {"step": cls.name}
        if "seeds" in cls.Settings.model_fields:
            centre = [0.4 * SIZE, 0.4 * SIZE, SLICES]
            step["settings"] = {"seeds": [{"ras": centre, "segment": "Seed"}]}
        if cls.name in ("connected_threshold", "neighbourhood_connected"):
            step["settings"]["lower"] = -200.0
        before = START if issubclass(cls, Post) or getattr(cls, "uses_labels", "no") == "required" else []
        print(measured(panel, cls.name, [*before, step], given.repeat), flush=True)
    panel.cleanup()


if __name__ == "__main__":
    main()
