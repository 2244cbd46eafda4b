"""Windows that would wait for a person: each is recorded, none blocks."""

from __future__ import annotations

from typing import Any

from PySide6 import QtGui, QtWidgets

from medai_host.errors import Unanswered
from medai_host.state import RECORD, Box, FileDialog

_KINDS = {"Information": "information", "Warning": "warning", "Critical": "error", "Question": "question"}


class QMessageBox(QtWidgets.QMessageBox):
    """qt.QMessageBox: shown boxes go to the record; a choice takes its answer from `RECORD.box_answers`."""

    def _host_show(self) -> Any:
        buttons = self.standardButtons
        choices = [b for b in QtWidgets.QMessageBox.StandardButton if b in buttons and b.value & (b.value - 1) == 0]
        if RECORD.box_answers:
            answer = RECORD.box_answers.popleft()
        elif len(choices) <= 1:
            answer = choices[0] if choices else QtWidgets.QMessageBox.NoButton
        else:
            answer = None
        RECORD.boxes.append(
            Box(
                kind=_KINDS.get(self.icon.name, "plain"),
                title=self.windowTitle,
                text=self.text,
                informative=self.informativeText,
                details=self.detailedText,
                answer=getattr(answer, "name", "") or "",
            )
        )
        if answer is None:
            raise Unanswered(
                f"The question '{self.text}' was shown and the test gave no answer: append one to RECORD.box_answers."
            )
        return answer

    def exec_(self) -> Any:
        return self._host_show()

    def exec(self) -> Any:
        return self._host_show()

    def open(self, *_: Any) -> None:
        self._host_show()

    def show(self) -> None:
        # A box without buttons is only a notice (slicer.util.MessageDialog); it is shown for real, without waiting.
        if self.standardButtons == QtWidgets.QMessageBox.NoButton:
            RECORD.boxes.append(Box(_KINDS.get(self.icon.name, "plain"), self.windowTitle, self.text))
            super().show()
        else:
            self._host_show()


def _static(icon: str) -> Any:
    def show(parent: Any, title: str, text: str, buttons: Any = QtWidgets.QMessageBox.Ok, /, *_: Any) -> Any:
        box = QMessageBox(parent)
        box.setIcon(getattr(QtWidgets.QMessageBox, icon))
        box.setWindowTitle(title)
        box.setText(text)
        box.setStandardButtons(buttons)
        return box._host_show()

    return staticmethod(show)


for _name, _icon in (
    ("information", "Information"),
    ("warning", "Warning"),
    ("critical", "Critical"),
    ("question", "Question"),
):
    setattr(QMessageBox, _name, _static(_icon))


class ctkMessageBox(QMessageBox):
    """ctk.ctkMessageBox: a message box with 'don't show again'."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._host_dont_show_again = False
        self._host_key = ""

    @property
    def dontShowAgain(self) -> bool:
        return self._host_dont_show_again

    @dontShowAgain.setter
    def dontShowAgain(self, value: bool) -> None:
        self._host_dont_show_again = bool(value)

    @property
    def dontShowAgainSettingsKey(self) -> str:
        return self._host_key

    @dontShowAgainSettingsKey.setter
    def dontShowAgainSettingsKey(self, key: str) -> None:
        self._host_key = key


class QFileDialog(QtWidgets.QFileDialog):
    """qt.QFileDialog: the static questions only. Without an answer in `RECORD.file_answers` the person cancelled."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise Unanswered("A QFileDialog object was made: use the static methods, or add the object to Testing/host.")


def _file_question(method: str, cancelled: Any) -> Any:
    def ask(parent: Any = None, caption: str = "", directory: str = "", filter: str = "", /, *_: Any) -> Any:
        # PythonQt gives the path alone, where PySide6 gives it with the chosen filter.
        answer = RECORD.file_answers.popleft() if RECORD.file_answers else cancelled
        RECORD.file_dialogs.append(FileDialog(method, caption, str(directory), str(filter), answer))
        return answer

    return staticmethod(ask)


for _name, _cancelled in (
    ("getOpenFileName", ""),
    ("getOpenFileNames", ()),
    ("getSaveFileName", ""),
    ("getExistingDirectory", ""),
):
    setattr(QFileDialog, _name, _file_question(_name, _cancelled))


class QDesktopServices(QtGui.QDesktopServices):
    """qt.QDesktopServices: addresses are recorded, nothing is opened."""

    @staticmethod
    def openUrl(url: Any) -> bool:
        RECORD.opened_urls.append(url.toString())
        return True
