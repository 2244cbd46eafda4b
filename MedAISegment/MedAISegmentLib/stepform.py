"""The form of one step, made from its settings' schema, with what is wrong said at the field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

from MedAISegmentLib.fieldwidgets import Field, fieldFor

LABEL_PX = 96
ON_LIGHT, ON_DARK = "#b00020", "#ff8a80"


def problemStyle(widget: Any) -> str:
    """Return the style of a complaint: a red that can be read on the widget's own background."""
    dark = widget.palette.color(qt.QPalette.Window).lightness() < 128
    return f"color: {ON_DARK if dark else ON_LIGHT};"


class StepForm:
    """Rows of a title and a widget inside a parent widget.

    Parameters
    ----------
    parent : qt.QWidget
        An empty widget with a vertical layout.
    onChanged : callable
        ``onChanged(key, value)`` when the user has changed a setting.
    """

    def __init__(self, parent: Any, onChanged: Callable[[str, Any], Any]) -> None:
        self._parent = parent
        self._onChanged = onChanged
        self._shown: Any = None
        self._frame: Any = None
        self._fields: dict[str, Field] = {}
        self._problems: dict[str, Any] = {}

    @property
    def fields(self) -> dict[str, Field]:
        """The fields shown, by key."""
        return self._fields

    def show(
        self,
        what: Any,
        fields: Sequence[Any],
        values: dict[str, Any],
        problems: dict[str, str],
        names: Sequence[str] = (),
    ) -> None:
        """Show a step's settings.

        Parameters
        ----------
        what : hashable
            Which step this is: the widgets are made anew only if it differs from the last.
        fields : sequence of FormField
        values : dict
            Settings; a missing key counts with its default.
        problems : dict
            What is wrong, by key.
        names : sequence of str
            Segments that a field may offer.
        """
        wanted = (what, tuple(field.key for field in fields), tuple(names))
        if wanted != self._shown:
            self._build(fields, names)
            self._shown = wanted
        for key, shown in self._fields.items():
            shown.show(values.get(key, shown.field.default))
            self._complain(key, problems.get(key, ""))

    def clear(self) -> None:
        """Show nothing."""
        self.show(None, (), {}, {})

    def problemAt(self, key: str) -> str:
        """Return what the form says is wrong with a field."""
        label = self._problems[key]
        return "" if label.isHidden() else str(label.property("text"))

    def _build(self, fields: Sequence[Any], names: Sequence[str]) -> None:
        if self._frame is not None:
            self._frame.setVisible(False)
            self._frame.deleteLater()
        self._fields, self._problems = {}, {}
        self._frame = qt.QWidget()
        rows = qt.QFormLayout(self._frame)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(qt.QFormLayout.AllNonFixedFieldsGrow)
        rows.setRowWrapPolicy(qt.QFormLayout.WrapLongRows)
        for field in fields:
            shown = fieldFor(field, lambda key=field.key: self._told(key), names)
            title = qt.QLabel(f"{field.title}:")
            title.setMinimumWidth(LABEL_PX)
            title.setToolTip(field.description)
            cell = qt.QWidget()
            column = qt.QVBoxLayout(cell)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(0)
            problem = qt.QLabel()
            problem.setWordWrap(True)
            # One long word that somebody gave must not make the whole panel wider.
            problem.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Preferred)
            problem.setVisible(False)
            column.addWidget(shown.widget)
            column.addWidget(problem)
            rows.addRow(title, cell)
            self._fields[field.key], self._problems[field.key] = shown, problem
        self._parent.layout().addWidget(self._frame)

    def _complain(self, key: str, text: str) -> None:
        label = self._problems[key]
        label.setText(text)
        label.setVisible(bool(text))
        if text:
            label.setStyleSheet(problemStyle(self._parent))

    def _told(self, key: str) -> None:
        self._onChanged(key, self._fields[key].value())
