"""The live preview: before and after on the slice that a view shows, computed in the worker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from MedAISegmentLib.previewdraw import AFTER, histogramPixmap, pixmapOf, rangeText
from MedAISegmentLib.previewsource import TASK, PreviewRequest, SlabSource, sliceNode

DEBOUNCE_MS = 40
POLL_MS = 10
PICTURE_PX, HISTOGRAM_PX = 190, 64


class PreviewPane:
    """Asks the worker for a preview whenever something changes, and shows the newest answer only.

    Parameters
    ----------
    ui : object
        ``previewGroup``, ``previewBefore``, ``previewAfter``, ``previewHistogram``, ``previewNote``.
    submit : callable
        ``submit(task, inputs, settings)`` returns a job, or None while the worker is busy with a run.
    source : callable
        Returns a :class:`PreviewRequest`, or a text that says why there is nothing to show.
    """

    def __init__(self, ui: Any, submit: Callable[..., Any], source: Callable[[], PreviewRequest | str]) -> None:
        self.ui = ui
        self.shown: dict[str, Any] | None = None
        self._submit, self._source = submit, source
        self._slabs = SlabSource()
        self._job: Any = None
        self._wanted = False
        self._observed: list[tuple[Any, int]] = []
        self._costs: tuple[Any, list[float]] = (None, [])
        self._key: Any = None
        self._thin = 1
        self._timer, self._poller = qt.QTimer(), qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._start)
        self._poller.setInterval(POLL_MS)
        self._poller.timeout.connect(self._poll)
        ui.previewGroup.connect("contentsCollapsed(bool)", self._folded)
        for label in (ui.previewBefore, ui.previewAfter):
            label.setFixedHeight(PICTURE_PX)
        ui.previewHistogram.setFixedHeight(HISTOGRAM_PX)

    def ask(self) -> None:
        """Show a new preview soon; many calls in a row give one."""
        if not self.ui.previewGroup.property("collapsed") and not self.ui.previewGroup.isHidden():
            self._timer.start()

    def stop(self) -> None:
        """Forget what was asked for, and leave the worker."""
        self._timer.stop()
        self._wanted = False
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._poller.stop()

    def close(self) -> None:
        """Stop, and follow nothing any more."""
        self.stop()
        self._follow()

    @property
    def busy(self) -> bool:
        """True while an answer is awaited."""
        return bool(self._timer.property("active")) or self._job is not None or self._wanted

    def _folded(self, collapsed: bool) -> None:
        if collapsed:
            self.close()
        else:
            self.ask()

    def _follow(self, *nodes: Any) -> None:
        """Ask again whenever one of these nodes changes."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        events = (
            vtk.vtkCommand.ModifiedEvent,
            slicer.vtkMRMLMarkupsNode.PointModifiedEvent,
            slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
        )
        self._observed = [
            (node, node.AddObserver(event, lambda *_args: self.ask()))
            for node in nodes
            if node is not None
            for event in events
        ]

    def _start(self) -> None:
        if self._job is not None:
            self._wanted = True
            self._job.cancel()
            return
        request = self._source()
        if isinstance(request, str):
            self._follow()
            self._say(request)
            return
        self._follow(sliceNode(request.view), request.volumeNode, request.seedsNode, request.roiNode)
        key = (request.volumeNode.GetID(), tuple(s["step"] for s in request.steps if s.get("enabled", True)))
        known = self._costs[1] if self._costs[0] == key else []
        # The first answer also loaded libraries, so what it took says nothing about the next.
        cost = known[-1] if len(known) > 1 else None
        try:
            inputs, settings = self._slabs.cut(request, cost)
            self._job = self._submit(TASK, inputs, settings)
        except Exception as error:
            self._fail(error)
            return
        if self._job is None:
            self._say(_("No preview while a run is going on."))
            return
        self._key, self._thin = key, settings["thin"]
        if self.shown is None:
            self.ui.previewNote.setText(_("Computing the preview..."))
        self._poller.start()

    def _poll(self) -> None:
        job = self._job
        if job is None or not job.done:
            return
        self._poller.stop()
        self._job = None
        again, self._wanted = self._wanted, False
        if again:
            self._start()
            return
        from medai.core.errors import Cancelled

        try:
            self._show(job.result(timeout=0))
        except Cancelled:
            pass
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Say why there is no preview; a preview never opens a dialog."""
        if isinstance(error, ImportError):
            self._say(_("The preview works when the first run has installed its packages."))
            return
        text = _("Something unexpected went wrong ({kind}).").format(kind=type(error).__name__)
        with contextlib.suppress(ImportError):
            from medai.core.errors import MedAIError

            text = str(error) if isinstance(error, MedAIError) else text
        self._say(_("No preview: {text}").format(text=text))

    def _say(self, text: str) -> None:
        self.shown = None
        for label in (self.ui.previewBefore, self.ui.previewAfter, self.ui.previewHistogram):
            label.clear()
        self.ui.previewNote.setText(text)

    def _show(self, found: dict[str, Any]) -> None:
        self.shown = found
        known = self._costs[1] if self._costs[0] == self._key else []
        self._costs = self._key, [*known[-1:], found["seconds"] * self._thin**2 / max(1, found["slices"])]
        width = max(120, self.ui.previewBefore.property("width"))
        for label, name in ((self.ui.previewBefore, "before"), (self.ui.previewAfter, "after")):
            label.setPixmap(pixmapOf(found[name], found["pixel_mm"], width, PICTURE_PX))
        histogram = self.ui.previewHistogram
        wide = max(160, histogram.property("width"))
        histogram.setPixmap(histogramPixmap(found["histograms"], wide, HISTOGRAM_PX, histogram.palette))
        self.ui.previewNote.setText(self._text(found))

    def _text(self, found: dict[str, Any]) -> str:
        before, after = found["histograms"]
        words = _("Histograms before ({before}) and <span style='color:{color}'>after</span> ({after}).")
        if rangeText(before) == rangeText(after):  # one axis for both
            words = _("Before and <span style='color:{color}'>after</span>: {before}.")
        lines = [
            words.format(before=rangeText(before), color=AFTER, after=rangeText(after)),
            _("Preview of this slice alone; limits found from the whole image may differ."),
        ]
        if not found["same_scale"]:
            lines.append(_("The two pictures have their own grey scales."))
        if self._thin > 1:
            lines.append(_("Every {n}th voxel only, because these steps are slow.").format(n=self._thin))
        return " ".join([*lines, *found["notes"]])
