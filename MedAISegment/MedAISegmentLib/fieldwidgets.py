"""One small class for each kind of setting: a widget that shows a value and tells when the user has changed it.

A value that the widget cannot show exactly (too many digits, out of range) stays as it is until the user edits it.
Values are read with ``property()`` and written with setters, as everywhere in the panels.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

NO_LIMIT = 1e9
NO_LIMIT_WHOLE = 2**31 - 1
Told = Callable[[], Any]


class Field:
    """Shows one setting; ``told`` is called without arguments when the user has changed it."""

    def __init__(self, field: Any, told: Told) -> None:
        self.field = field
        self._told = told
        self.widget: Any = None

    def show(self, value: Any) -> None:
        """Show a value without telling anybody."""
        raise NotImplementedError

    def value(self) -> Any:
        """Return the value shown, as a JSON value; text that cannot be understood is returned as it is."""
        raise NotImplementedError

    def _changed(self, *_args: Any) -> None:
        self._told()


class NumberField(Field):
    """A spin box in the setting's range and unit; where none is possible, a tick says whether there is a number."""

    def __init__(self, field: Any, told: Told) -> None:
        super().__init__(field, told)
        whole = field.kind == "whole"
        self._box = qt.QSpinBox() if whole else qt.QDoubleSpinBox()
        self._type = int if whole else float
        least = 1 if whole else 10.0**-field.decimals
        limit = NO_LIMIT_WHOLE if whole else NO_LIMIT
        low = -limit if field.minimum is None else field.minimum + (least if field.above else 0)
        high = limit if field.maximum is None else field.maximum - (least if field.below else 0)
        if not whole:
            self._box.setDecimals(field.decimals)
        self._box.setRange(self._type(max(low, -limit)), self._type(min(high, limit)))
        self._box.setSingleStep(self._type(field.step))
        if field.unit:
            self._box.setSuffix(f" {field.unit}")
        self._box.setMinimumWidth(60)
        self._box.setToolTip(field.description)
        self._box.connect("valueChanged(int)" if whole else "valueChanged(double)", self._changed)
        self._tick: Any = None
        self.widget = self._box
        if field.optional:
            self.widget = qt.QWidget()
            row = qt.QHBoxLayout(self.widget)
            row.setContentsMargins(0, 0, 0, 0)
            self._tick = qt.QCheckBox()
            self._tick.setToolTip(_("Without the tick there is no number: {text}").format(text=field.description))
            row.addWidget(self._tick)
            row.addWidget(self._box, 1)
            self._tick.connect("toggled(bool)", self._ticked)

    def show(self, value: Any) -> None:
        self._box.blockSignals(True)
        if self._tick is not None:
            self._tick.blockSignals(True)
            self._tick.setChecked(value is not None)
            self._box.setEnabled(value is not None)
            self._tick.blockSignals(False)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self._box.setValue(self._type(min(max(value, -NO_LIMIT), NO_LIMIT)))
        self._box.blockSignals(False)

    def value(self) -> Any:
        if self._tick is not None and not self._tick.property("checked"):
            return None
        return self._type(self._box.property("value"))

    def _ticked(self, *_args: Any) -> None:
        self._box.setEnabled(bool(self._tick.property("checked")))
        self._told()


class FlagField(Field):
    """A tick."""

    def __init__(self, field: Any, told: Told) -> None:
        super().__init__(field, told)
        self.widget = qt.QCheckBox()
        self.widget.setToolTip(field.description)
        self.widget.connect("toggled(bool)", self._changed)

    def show(self, value: Any) -> None:
        self.widget.blockSignals(True)
        self.widget.setChecked(bool(value))
        self.widget.blockSignals(False)

    def value(self) -> Any:
        return bool(self.widget.property("checked"))


class ChoiceField(Field):
    """A combo box of the choices; a value that is none of them leaves it empty."""

    def __init__(self, field: Any, told: Told) -> None:
        super().__init__(field, told)
        self._choices = [*([None] if field.optional else []), *field.choices]
        self.widget = _narrow(qt.QComboBox())
        for choice in self._choices:
            self.widget.addItem(_("none") if choice is None else str(choice).replace("_", " "))
        self.widget.setToolTip(field.description)
        self.widget.connect("currentIndexChanged(int)", self._changed)

    def show(self, value: Any) -> None:
        self.widget.blockSignals(True)
        self.widget.setCurrentIndex(self._choices.index(value) if value in self._choices else -1)
        self.widget.blockSignals(False)

    def value(self) -> Any:
        index = self.widget.property("currentIndex")
        return self._choices[index] if index >= 0 else None


class SegmentField(Field):
    """A combo box of the segments that are known, in which another name can be written."""

    def __init__(self, field: Any, told: Told, names: Sequence[str] = ()) -> None:
        super().__init__(field, told)
        self.widget = _narrow(qt.QComboBox())
        self.widget.setEditable(True)
        self.widget.addItem("")
        for name in names:
            self.widget.addItem(name)
        self.widget.setToolTip(field.description)
        self.widget.connect("editTextChanged(QString)", self._changed)

    def show(self, value: Any) -> None:
        self.widget.blockSignals(True)
        self.widget.setEditText(value if isinstance(value, str) else "")
        self.widget.blockSignals(False)

    def value(self) -> Any:
        return str(self.widget.property("currentText"))


class LineField(Field):
    """A line of text; the subclasses say what it means."""

    hint = ""

    def __init__(self, field: Any, told: Told) -> None:
        super().__init__(field, told)
        self.widget = qt.QLineEdit()
        self.widget.setPlaceholderText(self.hint)
        self.widget.setToolTip(f"{field.description} {self.hint}".strip())
        self.widget.connect("textChanged(QString)", self._changed)

    def show(self, value: Any) -> None:
        if self.value() == value:
            return  # what is being written must not be rewritten under the cursor
        self.widget.blockSignals(True)
        self.widget.setText(self.toText(value))
        self.widget.blockSignals(False)

    def value(self) -> Any:
        return self.fromText(str(self.widget.property("text")))

    def toText(self, value: Any) -> str:
        return "" if value is None else str(value)

    def fromText(self, text: str) -> Any:
        return None if self.field.optional and not text else text


class NamesField(LineField):
    """Texts between commas; one that holds a comma stands in quotes."""

    hint = _("Names between commas; empty for none.")

    def toText(self, value: Any) -> str:
        if not isinstance(value, (list, tuple)):
            return super().toText(value)
        return ", ".join(f'"{name}"' if "," in str(name) else str(name) for name in value)

    def fromText(self, text: str) -> Any:
        names = next(csv.reader([text], skipinitialspace=True), [])
        return [name.strip() for name in names if name.strip()]


class NumbersField(LineField):
    """Numbers between commas."""

    hint = _("Numbers between commas.")

    def toText(self, value: Any) -> str:
        if not isinstance(value, (list, tuple)):
            return super().toText(value)
        return ", ".join(f"{v:.10g}" if isinstance(v, (int, float)) else str(v) for v in value)

    def fromText(self, text: str) -> Any:
        if not text.strip():
            return None if self.field.optional else []
        try:
            return [_number(part) for part in text.replace(";", ",").split(",") if part.strip()]
        except ValueError:
            return text


class JsonField(LineField):
    """Any value as JSON; a word alone is a text."""

    hint = _("A word, or a JSON value.")

    def toText(self, value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    def fromText(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text


class SeedsField(Field):
    """Says how many points there are; they come from a list of points in the scene."""

    def __init__(self, field: Any, told: Told) -> None:
        super().__init__(field, told)
        self._seeds: Any = []
        self.widget = qt.QLabel()
        self.widget.setWordWrap(True)
        self.widget.setToolTip(field.description)

    def show(self, value: Any) -> None:
        self._seeds = value
        count = len(value) if isinstance(value, (list, tuple)) else 0
        self.widget.setText(
            _("{count} points in the pipeline").format(count=count) if count else _("from the list of points above")
        )

    def value(self) -> Any:
        return self._seeds


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _narrow(box: Any) -> Any:
    box.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    return box


KINDS: dict[str, type[Field]] = {
    "number": NumberField,
    "whole": NumberField,
    "flag": FlagField,
    "choice": ChoiceField,
    "text": LineField,
    "segment": SegmentField,
    "segments": NamesField,
    "texts": NamesField,
    "numbers": NumbersField,
    "seeds": SeedsField,
    "json": JsonField,
}


def fieldFor(field: Any, told: Told, names: Sequence[str] = ()) -> Field:
    """Return the widget for a :class:`medai.segment.form.FormField`; ``names`` are the segments that are known."""
    if field.kind == "segment":
        return SegmentField(field, told, names)
    return KINDS[field.kind](field, told)
