"""The list of steps with its buttons and the chosen step's form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from MedAISegmentLib.pipelines import Steps
from MedAISegmentLib.stepform import StepForm, problemStyle
from MedAISegmentLib.stepsmenu import Catalogue, fillMenu

ROWS, ROW_PX, FRAME_PX = 5, 20, 4
MERGE = "merge"


class StepsEditor:
    """Shows a pipeline and tells every change of it.

    Parameters
    ----------
    ui : object
        ``stepsList``, ``addStepButton``, ``removeStepButton``, ``upStepButton``, ``downStepButton``, ``stepInfo``,
        ``stepFormFrame``, ``stepProblem``.
    onChanged : callable
        ``onChanged(steps)`` after the user has changed something.
    onSelected : callable
        ``onSelected()`` when another step was chosen.
    """

    def __init__(self, ui: Any, onChanged: Callable[[Steps], Any], onSelected: Callable[[], Any]) -> None:
        self.ui = ui
        self.catalogue = Catalogue()
        self._onChanged, self._onSelected = onChanged, onSelected
        self._steps: Steps = []
        self._row = -1
        self._names: tuple[str, ...] = ()
        self._menuFilled = False
        self.form = StepForm(ui.stepFormFrame, self._fieldChanged)
        ui.stepsList.setDragDropMode(qt.QAbstractItemView.InternalMove)
        ui.stepsList.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        ui.stepsList.setFixedHeight(ROWS * ROW_PX + 2 * FRAME_PX)
        ui.stepsList.connect("itemChanged(QListWidgetItem*)", self._ticked)
        ui.stepsList.connect("currentRowChanged(int)", self._rowChosen)
        ui.stepsList.model().connect("rowsMoved(QModelIndex,int,int,QModelIndex,int)", self._dragged)
        self._menu = qt.QMenu(ui.addStepButton)
        self._menu.connect("aboutToShow()", self.fillMenu)
        ui.addStepButton.setMenu(self._menu)
        ui.removeStepButton.connect("clicked()", self.remove)
        ui.upStepButton.connect("clicked()", self.moveUp)
        ui.downStepButton.connect("clicked()", self.moveDown)

    # What the panel asks

    def steps(self) -> Steps:
        """Return the steps shown."""
        return self._steps

    def stepsToSelected(self) -> Steps:
        """Return the steps up to the chosen one; all of them if none is chosen."""
        return self._steps if self._row < 0 else self._steps[: self._row + 1]

    def show(self, steps: Steps, names: Sequence[str] = ()) -> None:
        """Show these steps; ``names`` are the segments that fields may offer."""
        self._steps, self._names = list(steps), tuple(names)
        if not self._steps:
            self._row = -1
        elif not 0 <= self._row < len(self._steps):
            self._row = len(self._steps) - 1
        self._showList()
        self._showForm()

    def fillMenu(self) -> Any:
        """Fill the menu of steps at its first showing and return it."""
        if not self._menuFilled:
            self._menuFilled = fillMenu(self._menu, self.catalogue, self.add)
        return self._menu

    # What the user does

    def add(self, name: str) -> None:
        """Put a step after the chosen one."""
        self._row += 1
        steps = list(self._steps)
        steps.insert(self._row, {"step": name})
        self._tell(steps)

    def remove(self) -> None:
        """Take the chosen step away."""
        if self._row >= 0:
            steps = self._steps[: self._row] + self._steps[self._row + 1 :]
            self._row = min(self._row, len(steps) - 1)
            self._tell(steps)

    def moveUp(self) -> None:
        """Let the chosen step run earlier."""
        self._move(-1)

    def moveDown(self) -> None:
        """Let the chosen step run later."""
        self._move(1)

    def select(self, row: int) -> None:
        """Choose a step."""
        self.ui.stepsList.setCurrentRow(row)

    def _move(self, by: int) -> None:
        row = self._row + by
        if self._row >= 0 and 0 <= row < len(self._steps):
            steps = list(self._steps)
            steps.insert(row, steps.pop(self._row))
            self._row = row
            self._tell(steps)

    def _dragged(self, *_args: Any) -> None:
        order = [self.ui.stepsList.item(row).data(qt.Qt.UserRole) for row in range(len(self._steps))]
        self._row = order.index(self._row) if self._row in order else self._row
        steps = [self._steps[number] for number in order]
        # The list is still in the middle of its own move: it is written anew when that is over.
        qt.QTimer.singleShot(0, lambda: self._tell(steps))

    def _ticked(self, item: Any) -> None:
        row = self.ui.stepsList.row(item)
        step = {key: value for key, value in self._steps[row].items() if key != "enabled"}
        if item.checkState() != qt.Qt.Checked:
            step["enabled"] = False
        self._replace(row, step)

    def _rowChosen(self, row: int) -> None:
        if row >= 0 and row != self._row:
            self._row = row
            self._showForm()
            self._onSelected()

    def _fieldChanged(self, key: str, value: Any) -> None:
        step = dict(self._steps[self._row])
        if key == MERGE:
            step = {k: v for k, v in step.items() if k != MERGE} | ({} if value == "replace" else {MERGE: value})
        else:
            given = self.catalogue.withoutDefaults(step["step"], {**step.get("settings", {}), key: value})
            step = {k: v for k, v in step.items() if k != "settings"} | ({"settings": given} if given else {})
        self._replace(self._row, step)

    def _replace(self, row: int, step: dict[str, Any]) -> None:
        self._tell([step if number == row else old for number, old in enumerate(self._steps)])

    def _tell(self, steps: Steps) -> None:
        self._onChanged(steps)

    # What is shown

    def _showList(self) -> None:
        box = self.ui.stepsList
        box.blockSignals(True)
        while box.property("count") > len(self._steps):
            box.takeItem(box.property("count") - 1)
        while box.property("count") < len(self._steps):
            box.addItem("")
        for row, step in enumerate(self._steps):
            item = box.item(row)
            problem = self.catalogue.problem(step)
            item.setText(self.catalogue.summary(step) + (_(" - see below") if problem else ""))
            item.setToolTip(problem or self.catalogue.help(step["step"]))
            item.setData(qt.Qt.UserRole, row)
            item.setFlags(
                qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable | qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsDragEnabled
            )
            item.setCheckState(qt.Qt.Checked if step.get("enabled", True) else qt.Qt.Unchecked)
        box.setCurrentRow(self._row)
        box.blockSignals(False)
        self.ui.removeStepButton.setEnabled(self._row >= 0)
        self.ui.upStepButton.setEnabled(self._row > 0)
        self.ui.downStepButton.setEnabled(0 <= self._row < len(self._steps) - 1)

    def _showForm(self) -> None:
        self.ui.upStepButton.setEnabled(self._row > 0)
        self.ui.downStepButton.setEnabled(0 <= self._row < len(self._steps) - 1)
        if self._row < 0:
            self.form.clear()
            self.ui.stepInfo.setText(_("Add the first step with the button above."))
            self.ui.stepProblem.setVisible(False)
            return
        step = self._steps[self._row]
        name = step["step"]
        values = dict(step.get("settings", {})) | ({MERGE: step.get(MERGE, "replace")})
        problems = self.catalogue.problems(step)
        fields = self.catalogue.fields(name)
        self.form.show((self._row, name, len(self._steps)), fields, values, problems, self._names)
        self.ui.stepInfo.setText(self.catalogue.help(name))
        rest = [text for key, text in problems.items() if key not in self.form.fields]
        self.ui.stepProblem.setText(" ".join(rest))
        self.ui.stepProblem.setStyleSheet(problemStyle(self.ui.stepFormFrame))
        self.ui.stepProblem.setVisible(bool(rest))
