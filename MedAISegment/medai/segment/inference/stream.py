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
from ..manifest import Manifest
from .aside import aside
from .disagreement import MAPS, Disagreement
from .members import Members
from .network import NetworkSource
from .options import InferenceOptions
from .passes import plan_passes
from .reading import Reader, default_batch, flipped, windows_of
from .ring import Ring, RowSums
from .room import place_for
from .slab import Slab
from .windows import Box, Layout, Triple, window_weights

if TYPE_CHECKING:
    import torch

MEMO_BYTES = 2**29
"""Outputs for constant windows that are kept at most."""
SLAB_BYTES = 2**28
"""Scores that are fetched from a GPU at a time."""


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
        self._total = self.layout.rows * self.layout.row_windows * self.plan.count
        self._done = 0
        self._began = 0.0
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
            If the network gives another number of classes than the manifest names, or values that are not finite.
        """
        self._began = time.monotonic()
        self._progress(0.0, "loading the network")
        self._start()
        layout = self.layout
        for group in self._groups():
            for member in range(1 if self.plan.spread else self.plan.members):
                self._run_group(group, member)
            self.facts["seconds_windows"] = round(time.monotonic() - self._began, 3)
            last = group[-1] + 1 == layout.rows
            stop = layout.shape[0] if last else layout.span(group[-1] + 1)[0]
            yield from self._slabs(layout.span(group[0])[0], stop)
        self._progress(1.0, f"window {self._windows} of {self._windows}")

    @property
    def _windows(self) -> int:
        return self.layout.rows * self.layout.row_windows

    def _groups(self) -> list[range]:
        """Rows that are run together: one; of a 2D network's slices as many as fill a batch."""
        size = max(1, self._batch // self.layout.row_windows) if self._entry.dims == 2 else 1
        return [range(n, min(n + size, self.layout.rows)) for n in range(0, self.layout.rows, size)]

    def _start(self) -> None:
        manifest, layout = self._manifest, self.layout
        session = self._members.get(0)
        depth = max(layout.span(group[-1])[1] - layout.span(group[0])[0] for group in self._groups())
        needed = Ring.bytes_for(manifest.classes, depth, layout.shape)
        place = place_for(needed, session.device)
        self._sums = RowSums(layout, window_weights(manifest.window, self._entry), place)
        self._ring = Ring(manifest.classes, depth, layout.shape, place)
        self._maps = Ring(len(MAPS), depth, layout.shape, place) if self.plan.spread else None
        self._place = place
        self._seed: int | None = self._options.seed if self.plan.dropout else None
        keep = 4 * manifest.classes * int(np.prod(manifest.window)) * self.plan.members
        self._remember = not self.plan.spread and keep <= MEMO_BYTES
        self._memo: dict[int, tuple[tuple[float, ...], torch.Tensor]] = {}
        self._event: Any = None
        self.facts.update(
            session.facts,
            members=self.plan.members,
            passes=self.plan.count,
            window=list(manifest.window),
            overlap=layout.overlap,
            windows=self._windows,
            batch=self._batch,
            skipped=0,
            sums_on=place,
            sums_bytes=needed,
            one_at_a_time=False,
        )

    def _run_group(self, group: range, member: int) -> None:
        waiting: list[tuple[int, Box, Triple | None]] = []
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

    def _run(self, windows: list[tuple[int, Box, Triple | None]], member: int) -> None:
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
                    aside(partial(self._compare, spreads, scores, flip), self._cancel)
                else:
                    aside(partial(self._add, windows, scores, flip, turn > 0), self._cancel)
                del scores  # before the next pass makes new ones
                self._tell(len(windows))
        if spreads:
            aside(lambda: self._add_compared(windows, spreads), self._cancel)

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

    def _add(
        self, windows: list[tuple[int, Box, Triple | None]], scores: torch.Tensor, flip: tuple[int, ...], later: bool
    ) -> None:
        import torch

        with torch.inference_mode():
            for part, (row, box, fresh) in zip(scores, windows, strict=True):
                share = self._sums.share(box, row) / self.plan.count
                self._ring.add(part.to(self._place), share, box, None if later else fresh, flip)
        self._throttle(scores)

    def _compare(self, spreads: list[Disagreement], scores: torch.Tensor, flip: tuple[int, ...]) -> None:
        import torch

        with torch.inference_mode():
            for spread, part in zip(spreads, scores, strict=True):
                spread.add(torch.flip(part, [axis + 1 for axis in flip]) if flip else part)
        self._throttle(scores)

    def _add_compared(self, windows: list[tuple[int, Box, Triple | None]], spreads: list[Disagreement]) -> None:
        import torch

        assert self._maps is not None
        with torch.inference_mode():
            for spread, (row, box, fresh) in zip(spreads, windows, strict=True):
                scores, maps = spread.finish()
                share = self._sums.share(box, row)
                self._ring.add(scores.to(self._place), share, box, fresh)
                self._maps.add(maps.to(self._place), share, box, fresh)

    def _run_constant(self, item: tuple[int, Box, Triple | None], values: tuple[float, ...], member: int) -> None:
        """Add a window of constant values, whose mirrored images are itself: one pass serves all of them."""
        import torch

        known = self._memo.get(member)
        if known is None or known[0] != values:
            batch = self._reader.batch([item[1]], self._members.get(member).device)
            scores = self._pass(batch, (), member).clone()
            known = self._memo[member] = (values, scores)
        else:
            self.facts["skipped"] += 1
        scores = known[1]
        with torch.inference_mode():
            mean = scores
            if len(self.plan.flips) > 1:
                mean = torch.zeros_like(scores, dtype=torch.float32)
                for flip in self.plan.flips:
                    mean += flipped(scores, flip, 3)
                mean /= len(self.plan.flips)
            row, box, fresh = item
            share = self._sums.share(box, row) / self.plan.members
            self._ring.add(mean[0].to(self._place), share, box, fresh)
        self._tell(1, passes=len(self.plan.flips))

    def _throttle(self, scores: torch.Tensor) -> None:
        """Wait for the batch before this one on a GPU, so that Cancel never waits for a long queue."""
        if not scores.is_cuda:
            return
        import torch

        event = torch.cuda.Event()
        event.record()
        if self._event is not None:
            self._event.synchronize()
        self._event = event

    def _slabs(self, start: int, stop: int) -> Iterator[Slab]:
        import torch

        step = max(stop - start, 1)
        if self._place != "cpu":
            step = max(1, SLAB_BYTES // Ring.bytes_for(self._manifest.classes, 1, self.layout.shape))
        for first in range(start, stop, step):
            for low, high, sums in self._ring.slices(first, min(first + step, stop)):
                self._cancel.check()
                scores = sums.to("cpu")
                if not bool(torch.isfinite(scores[0]).all()):
                    raise ModelError(
                        "The network's output holds values that are not finite.",
                        hint="Run it with precision 'f32'; if that does not help, its weights are damaged.",
                    )
                maps = {}
                if self._maps is not None:
                    (_, _, both), *_ = self._maps.slices(low, high)
                    maps = {name: both[n].to("cpu") for n, name in enumerate(MAPS)}
                paused = time.monotonic()
                yield Slab(low, scores, maps)
                self._began += time.monotonic() - paused

    def _tell(self, windows: int, passes: int = 1) -> None:
        self._done += windows * passes
        self.facts["one_at_a_time"] = self._members.one_at_a_time
        spent = time.monotonic() - self._began
        left = spent / self._done * (self._total - self._done)
        window = min(-(-self._done // self.plan.count), self._windows)
        self._progress(self._done / self._total, f"window {window} of {self._windows}, {_about(left)} left")


def _about(seconds: float) -> str:
    if seconds < 60:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"
