"""What a training tells while it runs: a CSV file always, TensorBoard's events if that is installed."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from medai.core.atomic import write_text

COLUMNS = ("epoch", "loss", "learning_rate", "seconds", "samples_per_second")


class EpochLog:
    """The log of a training; one that goes on appends to it.

    Parameters
    ----------
    file : Path
        The CSV file: a row per epoch; a row that a kill cut off is dropped.
    events : Path, optional
        Folder of TensorBoard's events; nothing is written there if the package ``tensorboard`` is missing.
    samples : int
        Samples per epoch.
    """

    def __init__(self, file: Path, events: Path | None, samples: int) -> None:
        self._file, self._samples = file, samples
        self._board = open_board(events) if events is not None else None
        self.rows = read_log(file)
        self._write()

    def add(self, epoch: int, loss: float, rate: float, seconds: float) -> None:
        """Note an epoch.

        Parameters
        ----------
        epoch : int
            From 1.
        loss, rate : float
            Mean loss and learning rate at the end.
        seconds : float
            How long it took.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        pace = self._samples / seconds if seconds > 0 else 0.0
        self.rows = [row for row in self.rows if int(row[0]) < epoch]
        self.rows.append((str(epoch), f"{loss:.6f}", f"{rate:.6g}", f"{seconds:.2f}", f"{pace:.3f}"))
        self._write()
        if self._board is not None:
            try:
                for name, value in (("loss", loss), ("learning rate", rate), ("samples per second", pace)):
                    self._board.add_scalar(name, value, epoch)
                self._board.flush()
            except OSError:
                self._board = None  # the curves are a convenience: a full disk there must not end a training

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self._board is not None:
            try:
                self._board.close()
            except OSError:
                pass

    def _write(self) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *self.rows])
        write_text(self._file, text.getvalue())


def read_log(file: Path) -> list[tuple[str, ...]]:
    """Return the complete rows of a log; none if there is no file."""
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError:
        return []
    whole = text[: text.rfind("\n") + 1]
    rows = [tuple(row) for row in csv.reader(whole.splitlines())]
    return [row for row in rows if len(row) == len(COLUMNS) and row[0].isdecimal()]


def open_board(folder: Path) -> Any:
    """Return torch's ``SummaryWriter`` for a folder, or None without the package ``tensorboard``."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    try:
        return SummaryWriter(str(folder))
    except OSError:
        return None
