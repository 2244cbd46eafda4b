"""The panel's part for models: the list, the card, adding, removing, and giving memory back."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MedAISegmentLib.modelcard import cardOf, tipOf
from MedAISegmentLib.modelentries import ModelEntry, modelEntries

INSTALL, REMOVE, RELEASE = (f"medai.segment.tasks:{name}" for name in ("install_model", "remove_model", "release"))
FILES = "*.zip *.whl *.onnx *.pt *.ts *.pth"
PLAIN = qt.Qt.PlainText
"""A licence is named by whoever made the model: it is shown as text, whatever it holds."""


class ModelPart:
    """Shows the models of the store in the panel's widgets.

    Parameters
    ----------
    ui : namespace
        ``modelField``, ``modelCard``, ``modelCardButton``, ``addModelButton``, ``removeModelButton``,
        ``freeMemoryButton`` and ``openvinoButton``.
    begin : callable
        ``begin(steps, deliver, failed)`` runs tasks in the worker as the panel's one run; see
        :meth:`MedAISegmentLib.segmentpanel.SegmentPanel.runTasks`.
    choose : callable
        ``choose(entry)`` is told of the model that the user has chosen.
    guarded : callable
        A context in which errors are shown once.
    """

    def __init__(
        self, ui: Any, begin: Callable[..., None], choose: Callable[[ModelEntry], None], guarded: Callable[[], Any]
    ) -> None:
        self.ui = ui
        self.known = False  # whether the packages that read models are installed
        self._entries: list[ModelEntry] = []
        self._begin, self._choose, self._guarded = begin, choose, guarded
        self._menu = qt.QMenu(ui.addModelButton)
        self._menu.addAction(_("Folder...")).connect("triggered()", self.onAddFolder)
        self._menu.addAction(_("File...")).connect("triggered()", self.onAddFile)
        ui.addModelButton.setMenu(self._menu)
        ui.modelField.currentIndexChanged.connect(self._onChosen)
        ui.removeModelButton.connect("clicked()", self.onRemove)
        ui.freeMemoryButton.connect("clicked()", self.onFreeMemory)
        ui.openvinoButton.connect("clicked()", self.onGetOpenvino)

    # The list

    def fill(self, chosen: str) -> str:
        """List the models and return the id of the one that is shown; the chosen one if it can be used."""
        found = modelEntries()
        self.known = found is not None
        self._entries = found or []
        usable = [entry.id for entry in self._entries if not entry.reason]
        shown = chosen if chosen in usable else (usable[0] if usable else "")
        box = self.ui.modelField
        box.blockSignals(True)
        box.clear()
        for index, entry in enumerate(self._entries):
            box.addItem(entry.title, entry.id)
            box.setItemData(index, tipOf(entry), qt.Qt.ToolTipRole)
            box.model().item(index).setEnabled(not entry.reason)
        box.setCurrentIndex([entry.id for entry in self._entries].index(shown) if shown else -1)
        box.blockSignals(False)
        return shown

    def entry(self, name: str) -> ModelEntry | None:
        """Return the model of an id, if it is there and can be used."""
        return next((entry for entry in self._entries if entry.id == name and not entry.reason), None)

    def usable(self) -> bool:
        """Whether there is a model to choose."""
        return any(not entry.reason for entry in self._entries)

    def show(self, name: str) -> None:
        """Show what belongs to the chosen model."""
        entry = self.entry(name)
        ids = [item.id for item in self._entries]
        index = ids.index(name) if entry is not None else -1
        if self.ui.modelField.property("currentIndex") != index:
            self.ui.modelField.blockSignals(True)
            self.ui.modelField.setCurrentIndex(index)
            self.ui.modelField.blockSignals(False)
        self.ui.modelField.setToolTip(tipOf(entry) if entry is not None else _("The trained model."))
        self.ui.modelCardButton.setEnabled(entry is not None)
        self.ui.removeModelButton.setEnabled(any(item.own for item in self._entries))
        self.ui.addModelButton.setEnabled(self.known)
        self.ui.openvinoButton.setVisible(self.known and importlib.util.find_spec("openvino") is None)
        text = cardOf(entry) if entry is not None else ""
        if self.ui.modelCard.property("cardOf") != text:
            self.ui.modelCard.setProperty("cardOf", text)
            self.ui.modelCard.setHtml(text)

    def _onChosen(self, *_args: Any) -> None:
        index = self.ui.modelField.property("currentIndex")
        if 0 <= index < len(self._entries) and not self._entries[index].reason:
            self._choose(self._entries[index])

    # Adding and removing

    def onAddFolder(self) -> None:
        self._add(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Add a model's folder"), ""))

    def onAddFile(self) -> None:
        files = _("Models ({patterns});;All files (*)").format(patterns=FILES)
        self._add(qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Add a model's file"), "", files))

    def _add(self, path: str, **agreed: bool) -> None:
        if not path:
            return

        def deliver(result: dict[str, Any]) -> dict[str, Any]:
            self.fill(result["id"])
            entry = self.entry(result["id"])
            if entry is not None:
                self._choose(entry)
            return {"text": _("{title} was added. Licence: {licence}.").format(**result)}

        def failed(error: Exception) -> str:
            """Ask what the library wants to know before it installs; return what to say if nothing goes on."""
            question = _questionOf(error)
            if question is None:
                raise error
            key, text = question
            if key in agreed:
                raise error
            if not slicer.util.confirmYesNoDisplay(text, windowTitle=_("Add a model"), textFormat=PLAIN):
                return _("The model was not added.")
            self._add(path, **agreed, **{key: True})
            return ""

        with self._guarded():
            self._begin([lambda _before: (INSTALL, {}, {"source": path, **agreed})], deliver, failed)

    def onRemove(self) -> None:
        own = [entry for entry in self._entries if entry.own]
        menu = qt.QMenu(self.ui.removeModelButton)
        for entry in own:
            menu.addAction(f"{entry.title} ({entry.id})").connect("triggered()", lambda e=entry: self.remove(e))
        menu.popup(self.ui.removeModelButton.mapToGlobal(qt.QPoint(0, self.ui.removeModelButton.height)))
        self._removeMenu = menu

    def remove(self, entry: ModelEntry) -> None:
        """Delete a model of the user, who is asked first."""
        question = _("Delete the model {title} from this computer?").format(title=repr(entry.title))
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Remove a model"), textFormat=PLAIN):
            return

        def deliver(_result: dict[str, Any]) -> dict[str, Any]:
            shown = self.fill(self.ui.modelField.property("currentData") or "")
            left = self.entry(shown)
            if left is not None:
                self._choose(left)
            return {"text": _("{title} was removed.").format(title=entry.title)}

        with self._guarded():
            self._begin([lambda _before: (REMOVE, {}, {"id": entry.id})], deliver)

    # Memory and packages

    def onFreeMemory(self) -> None:
        def deliver(result: dict[str, Any]) -> dict[str, Any]:
            count = result["released"]
            text = _("The memory of {count} network(s) was given back.").format(count=count)
            return {"text": text if count else _("No network was loaded.")}

        with self._guarded():
            self._begin([lambda _before: (RELEASE, {}, {})], deliver)

    def onGetOpenvino(self) -> None:
        from MedAISegmentLib.dependencies import ensureExtras

        with self._guarded():
            ensureExtras(("openvino",))
            self.ui.openvinoButton.setVisible(False)


def _questionOf(error: Exception) -> tuple[str, str] | None:
    """Return what to agree to (the task's setting and the question) if that is all that keeps a model out."""
    code = getattr(error, "code", "")
    if code == "LICENCE":
        return "accept_licence", _("{message}\n\nHave you read the licence, and do you accept it?").format(
            message=error.message
        )
    if code == "TRUST":
        return "trust", _("{message}\n\nDo you know where it comes from, and trust it?").format(message=error.message)
    return None
