"""A list whose entries can be ticked; names that cannot be ticked are shown grey with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

MAX_ROWS = 6
ROW_PX = 18
FRAME_PX = 4


class CheckList:
    """Wraps a QListWidget.

    Parameters
    ----------
    widget : qt.QListWidget
    onChanged : callable
        Called without arguments when the user ticks or unticks an entry.
    """

    def __init__(self, widget: Any, onChanged: Callable[[], Any]) -> None:
        self._widget = widget
        self._entries: list[tuple[str, str, str]] = []
        widget.itemChanged.connect(onChanged)

    def show(self, entries: list[tuple[str, str, str]], unticked: set[str]) -> None:
        """Show (name, title, why it is unavailable) entries; names in ``unticked`` have no tick."""
        self._widget.blockSignals(True)
        if entries != self._entries:
            self._widget.clear()
            self._entries = list(entries)
            for row, (_name, title, reason) in enumerate(entries):
                self._widget.addItem(title)
                item = self._widget.item(row)
                item.setToolTip(reason)
                item.setFlags(qt.Qt.NoItemFlags if reason else qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
        for row, (name, _title, reason) in enumerate(self._entries):
            state = qt.Qt.Unchecked if reason or name in unticked else qt.Qt.Checked
            self._widget.item(row).setCheckState(state)
        rows = min(max(len(self._entries), 2), MAX_ROWS)
        hint = self._widget.sizeHintForRow(0)
        self._widget.setFixedHeight(rows * (hint if hint > 0 else ROW_PX) + 2 * FRAME_PX)
        self._widget.blockSignals(False)

    def ticked(self) -> list[str]:
        """Return the names that have a tick, in their order."""
        return [e[0] for row, e in enumerate(self._entries) if self._widget.item(row).checkState() == qt.Qt.Checked]

    def unticked(self) -> list[str]:
        """Return the names that could have a tick and have none."""
        ticked = set(self.ticked())
        return [name for name, _title, reason in self._entries if name not in ticked and not reason]
