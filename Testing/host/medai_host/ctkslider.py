"""ctkSliderWidget: a slider and a spin box that show one number."""

from __future__ import annotations

import math
from typing import Any

from PySide6 import QtCore, QtWidgets

from medai_host.declare import stored
from medai_host.uiloader import stand_in

_STEPS = 1000


@stand_in
class ctkSliderWidget(QtWidgets.QWidget):
    """The number lives in the spin box; the slider shows where it lies in the range."""

    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_page_step = 10.0
        self._host_tick_interval = 0.0
        self._host_tracking = True
        self._host_spin = QtWidgets.QDoubleSpinBox(self)
        self._host_spin.setRange(0.0, 99.0)
        self._host_spin.setDecimals(2)
        self._host_slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._host_slider.setRange(0, _STEPS)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._host_slider, 1)
        row.addWidget(self._host_spin)
        self._host_spin.valueChanged.connect(self._host_spin_changed)
        self._host_slider.sliderMoved.connect(self._host_slider_moved)

    def spinBox(self) -> QtWidgets.QDoubleSpinBox:
        return self._host_spin

    def _host_place(self) -> None:
        low, high = self._host_spin.minimum, self._host_spin.maximum
        share = (self._host_spin.value - low) / (high - low) if high > low else 0.0
        self._host_slider.setValue(round(_STEPS * share))

    def _host_spin_changed(self, value: float) -> None:
        self._host_place()
        self.valueChanged.emit(value)

    def _host_slider_moved(self, position: int) -> None:
        low, high = self._host_spin.minimum, self._host_spin.maximum
        self._host_spin.setValue(low + (high - low) * position / _STEPS)

    @QtCore.Slot(float)
    def setValue(self, value: float) -> None:
        self._host_spin.setValue(_number(value))

    def setMinimum(self, value: float) -> None:
        self._host_spin.setMinimum(_number(value))
        self._host_place()

    def setMaximum(self, value: float) -> None:
        self._host_spin.setMaximum(_number(value))
        self._host_place()

    def setRange(self, low: float, high: float) -> None:
        self._host_spin.setRange(_number(low), _number(high))
        self._host_place()

    def setSingleStep(self, step: float) -> None:
        self._host_spin.setSingleStep(_number(step))

    def setPageStep(self, step: float) -> None:
        self._host_page_step = _number(step)

    def setDecimals(self, decimals: int) -> None:
        self._host_spin.setDecimals(decimals)

    def setPrefix(self, prefix: str) -> None:
        self._host_spin.setPrefix(prefix)

    def setSuffix(self, suffix: str) -> None:
        self._host_spin.setSuffix(suffix)

    def setTickInterval(self, interval: float) -> None:
        self._host_tick_interval = _number(interval)

    def setTracking(self, tracking: bool) -> None:
        self._host_tracking = bool(tracking)

    @QtCore.Slot(bool)
    def setSpinBoxVisible(self, visible: bool) -> None:
        self._host_spin.setVisible(bool(visible))

    @QtCore.Slot()
    def reset(self) -> None:
        self.setValue(0.0)

    value = QtCore.Property(float, lambda self: self._host_spin.value, setValue)
    minimum = QtCore.Property(float, lambda self: self._host_spin.minimum, setMinimum)
    maximum = QtCore.Property(float, lambda self: self._host_spin.maximum, setMaximum)
    singleStep = QtCore.Property(float, lambda self: self._host_spin.singleStep, setSingleStep)
    pageStep = stored(float, "_host_page_step", setPageStep)
    decimals = QtCore.Property(int, lambda self: self._host_spin.decimals, setDecimals)
    prefix = QtCore.Property(str, lambda self: self._host_spin.prefix, setPrefix)
    suffix = QtCore.Property(str, lambda self: self._host_spin.suffix, setSuffix)
    tickInterval = stored(float, "_host_tick_interval", setTickInterval)
    tracking = stored(bool, "_host_tracking", setTracking)
    spinBoxVisible = QtCore.Property(bool, lambda self: not self._host_spin.isHidden(), setSpinBoxVisible)


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"A ctkSliderWidget takes numbers, not a {type(value).__name__}.")
    # The connectors of the parameter node wrapper write infinities for an open end.
    return math.copysign(1.0e308, value) if math.isinf(value) else float(value)
