"""Sliding windows whose finished slices are given out while later ones are still being computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError, ModelError, OutOfMemory
from medai.core.progress import CancelToken, ProgressFn

from ..backends import Session
from ..backends._memory import out_of_memory
from ..manifest import Manifest
from .aside import aside
from .averages import Averages, Window
from .disagreement import Disagreement, compare
from .members import Members
from .network import NetworkSource
from .options import InferenceOptions
from .passes import plan_passes
from .reading import Reader, default_batch, flipped, windows_of
from .slab import Slab
from .telling import Telling
from .windows import Layout

if TYPE_CHECKING:
    import torch

MEMO_BYTES = 2**29
"""Outputs for constant windows that are kept at most."""


class WindowRun:
    """A network, or an ensemble, over an image; iterating gives the mean scores slab by slab.

    Windows lie in rows along axis 0.  Only the slices that a row covers are kept, for all classes in float32:
    ``4 * classes * window[0] * J * I`` bytes.  As the weights of all windows at a voxel are known beforehand, each
    window's scores are multiplied by their share of the mean, and finished slices are given out as they are.

    Windows in which each channel has one value (air after clipping, padding) all give the same output, so a network
    without randomness runs once for them and its output is used again; nothing is assumed about what it is.

    Parameters
    ----------
    array : array of float32, shape (C, K, J, I)
        Prepared image; zeros stand beyond its edge where it is smaller than the window.
    sources : sequence of NetworkSource
        Members of the ensemble; their scores are averaged before the activation.
    manifest : Manifest
        Window, placement, weights, mirroring, classes.
    options : InferenceOptions
    progress : callable
    cancel : CancelToken
        Polled while the network runs, too: the run ends at once, the pass beside it goes on and is dropped.
    opener : callable, optional
        ``opener(source, shape, options, reduced=..., dropout=..., cancel=...)`` instead of
        :func:`~medai.segment.backends.warm.open_session`.

    Attributes
    ----------
    facts : dict
        JSON-ready, complete after the last slab: those of the session (``device``, ``backend``, ``precision``...) and
        ``members``, ``passes``, ``window``, ``overlap``, ``windows``, ``batch``, ``skipped`` (windows that used a
        constant window's output again), ``sums_on``, ``sums_bytes``, ``one_at_a_time`` (members did not fit into memory
        together), ``seconds_windows`` (the caller's own time between slabs not counted).

    Raises
    ------
    InputError
        If the array does not have four axes, or a side of 0.
    SettingsError
        If mirroring or uncertainty is asked for that the model cannot give.
    """

    def __init__(
        self,
        array: npt.NDArray[np.float32],
        sources: Sequence[NetworkSource],
        manifest: Manifest,
        options: InferenceOptions,
        *,
        progress: ProgressFn,
        cancel: CancelToken,
        opener: Callable[..., Session] | None = None,
    ) -> None:
        if array.ndim != 4 or 0 in array.shape:
            raise InputError(
                f"The prepared image has shape {array.shape}, expected (channels, K, J, I), none of them 0."
            )
        self._manifest, self._options, self._progress, self._cancel = manifest, options, progress, cancel
        self._entry = manifest.inference
        self.plan = plan_passes(manifest, options, len(sources))
        overlap = self._entry.overlap if options.overlap is None else options.overlap
        shape = (array.shape[1], array.shape[2], array.shape[3])
        self.layout = Layout(shape, manifest.window, overlap, self._entry.placement)
        self._reader = Reader(
            np.ascontiguousarray(array, dtype=np.float32), manifest.window, self._entry.dims, self._entry.context
        )
        self._members = self._networks(sources, opener)
        self._averages: Averages | None = None
        self._memo: dict[int, tuple[tuple[float, ...], torch.Tensor]] = {}
        self.facts: dict[str, Any] = {}

    def _networks(self, sources: Sequence[NetworkSource], opener: Callable[..., Session] | None) -> Members:
        from ..backends import warm

        opening = opener or warm.open_session
        kind = sources[0].kind
        if self._options.batch is not None:
            self._batch = self._options.batch
        elif opener is not None:
            self._batch = default_batch("cpu", self._manifest.window)
        else:
            reduced, dropout = self._entry.reduced_precision, self.plan.dropout
            device = warm.choose(self._options, kind, reduced, dropout=dropout).device
            self._batch = default_batch(device, self._manifest.window)
        self._batch = min(self._batch, self.layout.row_windows * (self.layout.rows if self._entry.dims == 2 else 1))

        def one(source: NetworkSource) -> Session:
            return opening(
                source,
                self._reader.shape(self._batch),
                self._options,
                reduced=self._entry.reduced_precision,
                dropout=self.plan.dropout,
                cancel=self._cancel,
            )

        return Members(sources, one, warm.release, alone=not self.plan.spread)

    def __iter__(self) -> Iterator[Slab]:
        """Yield slabs in order; see :class:`~medai.segment.inference.slab.Slab`.

        Raises
        ------
        Cancelled
            Soon after somebody asked to stop.
        OutOfMemory
            If the scores, or the network, take more memory than there is.
        ModelError
            If the network gives another number of classes than the manifest names, or values of the first class that
            are not finite; whoever reads the scores looks at the others.
        """
        try:
            yield from self._stream()
        finally:  # now, not when Python finds the time
            self._averages = None
            self._memo.clear()
            self._members.close()

    def _stream(self) -> Iterator[Slab]:
        layout = self.layout
        self._telling = Telling(self._progress, layout.rows * layout.row_windows, self.plan.count)
        self._start()
        self._telling.ready()
        for group in self._groups():
            for member in range(1 if self.plan.spread else self.plan.members):
                with out_of_memory(self._means.place, self._manifest.window):
                    self._run_group(group, member)
            self.facts["one_at_a_time"] = self._members.one_at_a_time
            self.facts["seconds_windows"] = round(self._telling.seconds, 3)
            last = group[-1] + 1 == layout.rows
            stop = layout.shape[0] if last else layout.span(group[-1] + 1)[0]
            yield from self._slabs(layout.span(group[0])[0], stop)
        self._telling.finish()

    def _groups(self) -> list[range]:
        """Rows that are run together: one; of a 2D network's slices as many as fill a batch."""
        size = max(1, self._batch // self.layout.row_windows) if self._entry.dims == 2 else 1
        return [range(n, min(n + size, self.layout.rows)) for n in range(0, self.layout.rows, size)]

    def _start(self) -> None:
        manifest, layout = self._manifest, self.layout
        session = self._members.get(0)
        depth = max(layout.span(group[-1])[1] - layout.span(group[0])[0] for group in self._groups())
        with out_of_memory(session.device, manifest.window):
            averages = self._averages = Averages(layout, manifest, self.plan, depth, session.device)
        self._seed: int | None = self._options.seed if self.plan.dropout else None
        keep = 4 * manifest.classes * int(np.prod(manifest.window)) * self.plan.members
        self._remember = not self.plan.spread and keep <= MEMO_BYTES
        self.facts.update(
            session.facts,
            members=self.plan.members,
            passes=self.plan.count,
            window=list(manifest.window),
            overlap=layout.overlap,
            windows=self._telling.windows,
            batch=self._batch,
            skipped=0,
            sums_on=averages.place,
            sums_bytes=averages.bytes,
            one_at_a_time=False,
        )

    def _run_group(self, group: range, member: int) -> None:
        waiting: list[Window] = []
        for row in group:
            for box, fresh in self.layout.row(row):
                self._cancel.check()
                item = (row, box, fresh if member == 0 else None)
                values = self._reader.constant(box) if self._remember else None
                if values is not None:
                    self._run(waiting, member)
                    waiting = []
                    self._run_constant(item, values, member)
                    continue
                waiting.append(item)
                if len(waiting) == self._batch:
                    self._run(waiting, member)
                    waiting = []
        self._run(waiting, member)

    def _run(self, windows: list[Window], member: int) -> None:
        """Run one batch of windows through all passes of a member; of all members if they are compared."""
        if not windows:
            return
        batch: torch.Tensor | None = None
        spreads = [Disagreement(self._entry) for _ in windows] if self.plan.spread else []
        for number in range(self.plan.members) if self.plan.spread else (member,):
            session = self._members.get(number)
            if batch is None:
                batch = self._reader.batch([box for _, box, _ in windows], session.device)
            for turn, flip in enumerate(self.plan.flips):
                scores = self._pass(batch, flip, number)
                if spreads:
                    aside(partial(compare, spreads, scores, flip), self._cancel)
                    self._means.throttle(scores)
                else:
                    aside(partial(self._means.add, windows, scores, flip, turn > 0), self._cancel)
                del scores  # before the next pass makes new ones
                self._telling.tell(len(windows))
        if spreads:
            aside(partial(self._means.add_compared, windows, spreads), self._cancel)

    def _pass(self, batch: torch.Tensor, flip: tuple[int, ...], member: int) -> torch.Tensor:
        import torch

        dims, classes = self._entry.dims, self._manifest.classes

        def work(session: Session) -> torch.Tensor:
            if self._seed is not None:
                torch.manual_seed(self._seed)
                self._seed = None
            with torch.inference_mode():
                scores: torch.Tensor = windows_of(session(flipped(batch, flip, dims)), dims)
            return scores

        session = self._members.get(member)
        try:
            scores = aside(lambda: work(session), self._cancel)
        except OutOfMemory:
            del session
            alone = self._members.get_alone(member)
            if alone is None:
                raise
            scores = aside(lambda: work(alone), self._cancel)
        if scores.shape[1] != classes:
            raise ModelError(
                f"The network gives {scores.shape[1]} classes, the manifest names {classes}, background included.",
                hint="The labels in the manifest belong to another network.",
            )
        return scores

    def _run_constant(self, item: Window, values: tuple[float, ...], member: int) -> None:
        """Add a window of constant values, whose mirrored images are itself: one pass serves all of them."""
        known = self._memo.get(member)
        if known is None or known[0] != values:
            batch = self._reader.batch([item[1]], self._members.get(member).device)
            scores = self._pass(batch, (), member).clone()
            known = self._memo[member] = (values, scores)
        else:
            self.facts["skipped"] += 1
        for turn, flip in enumerate(self.plan.flips):
            self._means.add([item], known[1], flip, turn > 0)
        self._telling.tell(len(self.plan.flips))

    def _slabs(self, start: int, stop: int) -> Iterator[Slab]:
        import torch

        for slab in self._means.slabs(start, stop):
            self._cancel.check()
            if not bool(torch.isfinite(slab.scores[0]).all()):
                raise ModelError(
                    "The network's output holds values that are not finite.",
                    hint="Run it with precision 'f32'; if that does not help, its weights are damaged.",
                )
            paused = time.monotonic()
            yield slab
            self._telling.pause(time.monotonic() - paused)

    @property
    def _means(self) -> Averages:
        assert self._averages is not None, "the run is over"
        return self._averages
