"""One run of a panel or of the console: a job in the worker, tied to the MRML nodes it was started from.

MRML is touched on the main thread only: the job gets values, and its result is delivered by a timer's tick.
A result is delivered only while its inputs are still there and unchanged; otherwise nothing is made at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

POLL_MS = 100

_busyOutputs: set[str] = set()


def ignore(*_args: Any) -> None:
    """Do nothing; the default of every callback."""


class InputGuard:
    """Remembers the nodes that a run reads or will write, and says what became of them."""

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self._present: list[tuple[Any, str]] = []
        self._fingerprints: list[tuple[Callable[[], str], str, str]] = []

    def require(self, node: Any, role: str) -> None:
        """The run makes no sense once ``node`` has left the scene."""
        if node is not None:
            self._present.append((node, role))

    def requireSame(self, node: Any, role: str, value: Any, read: Callable[[], Any]) -> None:
        """The result is only valid while ``read()`` gives what ``value`` was: both have a ``digest()``."""
        self.require(node, role)
        self._fingerprints.append((lambda: read().digest(), value.digest(), role))

    def missing(self) -> str:
        """Role of the first node that has left the scene, or nothing."""
        return next((role for node, role in self._present if not self.scene.IsNodePresent(node)), "")

    def changed(self) -> str:
        """Role of the first input whose content is no longer what the run was started with, or nothing."""
        for read, digest, role in self._fingerprints:
            try:
                same = read() == digest
            except Exception:  # an input that cannot be read any more (a new transform, no voxels) has changed
                same = False
            if not same:
                return role
        return ""


class SceneRun:
    """Polls jobs, one after the other, and tells the end exactly once.

    Parameters
    ----------
    jobs : list of callable
        Each gets the result of the job before (the first an empty dict), submits a job and returns it.
    guard : InputGuard
        What the result is tied to.
    deliver : callable
        ``deliver(result) -> info``, called on the main thread; the only place that writes to the scene.
    onProgress : callable
        ``onProgress(fraction, message)``.
    onFinished, onFailed : callable
        ``onFinished(info)``; ``onFailed(exception)``.
    onStopped : callable
        ``onStopped(reason)``: cancelled by the user, or its inputs went away.  Nothing was made.
    release : callable
        ``release()`` is called at the end of every run, before its end is told.
    outputKey : str
        Node ID or folder that the run will write; a second run on it is refused.
    """

    def __init__(
        self,
        jobs: list[Callable[[dict[str, Any]], Any]],
        guard: InputGuard,
        deliver: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        onProgress: Callable[[float, str], Any] = ignore,
        onFinished: Callable[[dict[str, Any]], Any] = ignore,
        onFailed: Callable[[Exception], Any] = ignore,
        onStopped: Callable[[str], Any] = ignore,
        release: Callable[[], Any] = ignore,
        outputKey: str = "",
    ) -> None:
        self._waiting = list(jobs)
        self._count = len(jobs)
        self.job = self._waiting.pop(0)({})
        self.active = True
        self._guard = guard
        self._deliver = deliver
        self._onProgress, self._onFinished = onProgress, onFinished
        self._onFailed, self._onStopped = onFailed, onStopped
        self._release = release
        self._reason = ""
        self._outputKey = outputKey
        if outputKey:
            _busyOutputs.add(outputKey)
        scene = guard.scene
        self._observers = [
            (scene, scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, self._onSceneCloses)),
            (scene, scene.AddObserver(slicer.vtkMRMLScene.NodeRemovedEvent, self._onNodeRemoved)),
        ]
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)
        self._timer.start()

    def cancel(self) -> None:
        """Ask the job to stop; ``onStopped`` follows within two seconds."""
        self._reason = self._reason or _("Cancelled. Nothing was changed.")
        self.job.cancel()

    def abandon(self, reason: str) -> None:
        """Stop at once and tell why, without waiting for the worker."""
        if self.active:
            self.job.cancel()
            self._end(self._onStopped, reason)

    def _onSceneCloses(self, _caller: Any = None, _event: Any = None) -> None:
        self.abandon(_("Stopped: the scene was closed."))

    def _onNodeRemoved(self, _caller: Any = None, _event: Any = None) -> None:
        role = self._guard.missing() if self.active else ""
        if role:
            self.abandon(_("Stopped: the {role} was removed. Nothing was changed.").format(role=role))

    def _poll(self) -> None:
        if not self.active:
            return
        done = self.job.done  # asked before draining: whatever a finished job has said is then in the queue
        told = [event for event in self.job.events() if event.kind == "progress"]
        if told and not self._reason:  # the last one is enough: nobody can read more than one in a tick
            finished = self._count - len(self._waiting) - 1
            self._onProgress((finished + told[-1].fraction) / self._count, told[-1].message)
        if done:
            self._finish()

    def _finish(self) -> None:
        from medai.core.errors import Cancelled, SceneError

        self._timer.stop()  # delivering may process events; the next tick must not find this run again
        try:
            result = self.job.result(timeout=0)
            if self._reason:
                raise Cancelled()
            role = self._guard.missing() or self._guard.changed()
            if role:
                raise SceneError(
                    _("The {role} was changed while the run was going on, so its result was discarded.").format(
                        role=role
                    ),
                    hint=_("Run again."),
                )
            if self._waiting:
                self.job = self._waiting.pop(0)(result)
                self._timer.start()
                return
            info = self._deliver(result)
        except Cancelled:
            self._end(self._onStopped, self._reason or _("Cancelled. Nothing was changed."))
        except Exception as error:
            self._end(self._onFailed, error)
        else:
            self._end(self._onFinished, info)

    def _end(self, tell: Callable[[Any], Any], what: Any) -> None:
        if not self.active:
            return
        self.active = False
        self._timer.stop()
        self._timer.deleteLater()
        for subject, tag in self._observers:
            subject.RemoveObserver(tag)
        _busyOutputs.discard(self._outputKey)
        self._release()
        # The closures hold images; whoever keeps this object to look at it must not keep those.
        self._deliver, self._guard, self._waiting = ignore, None, []
        tell(what)


def refuseBusyOutput(key: str, name: str) -> None:
    """Raise :class:`medai.core.errors.SceneError` if a run that is going on will write to ``key``."""
    from medai.core.errors import SceneError

    if key and key in _busyOutputs:
        raise SceneError(
            _("Another run is going on that will write to {name}.").format(name=repr(name)),
            hint=_("Wait for it, cancel it, or choose another output."),
        )
