"""A scene without the Slicer application: create, save and load .mrb files with pip's slicer-core."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from ..core.atomic import atomic_path
from ..core.errors import InputError, OutputError, SceneError
from ._slicer import register_converters, slicer, vtk
from .bundle import check_bundle, check_unpacked, check_written, count_lines, pack, safe_stem
from .nodes import nodes_of

SCENE_VERSION = "Slicer 5.12.0 0"
"""What the scene file says it was written for.

The classes are Slicer's own; slicer-core's default name makes Slicer warn about a foreign application on loading.
"""
_LOGICS = (
    "vtkMRMLColorLogic",
    "vtkSlicerSegmentationsModuleLogic",
    "vtkSlicerVolumesLogic",
    "vtkSlicerVolumeRenderingLogic",
    "vtkSlicerSubjectHierarchyModuleLogic",
    "vtkSlicerTablesLogic",
    "vtkSlicerSequencesLogic",
    "vtkSlicerSceneViewsModuleLogic",
)
"""The logics that register node classes or add the colour tables that display nodes refer to."""


class HeadlessSession:
    """An MRML scene of its own, with every node class registered that MedAI or a saved Slicer scene needs.

    Use it as a context manager; the scene is emptied and its temporary files are removed at the end.

    Examples
    --------
    >>> with HeadlessSession() as session:
    ...     node = volume_to_node(volume, session.scene)
    ...     session.save("result.mrb")
    """

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._scene: Any = None
        self._kept: list[Any] = []

    def __enter__(self) -> HeadlessSession:
        self._folder = tempfile.TemporaryDirectory(prefix="medai-scene-")
        try:
            self._scene = self._new_scene(Path(self._folder.name))
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scene, self._scene = self._scene, None
        with _quiet_vtk():
            scene.Clear(1)
            for item in self._kept:
                if item.IsA("vtkMRMLAbstractLogic"):
                    item.SetMRMLScene(None)
        scene.SetDataIOManager(None)
        scene.SetCacheManager(None)
        self._kept.clear()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def scene(self) -> Any:
        """The vtkMRMLScene; raises :class:`SceneError` before the session starts and after it ends."""
        if self._scene is None:
            raise SceneError("This session is not open.", hint="Use it inside its with block.")
        return self._scene

    def save(self, path: str | Path) -> None:
        """Save the scene as one .mrb file that Slicer opens; an old file is replaced at once or not at all.

        Parameters
        ----------
        path : str or Path
            Must end in ``.mrb``; its folder must exist.

        Raises
        ------
        OutputError
            If the name, the folder or the disk does not allow it.  An old file is unchanged then.
        """
        target = Path(path)
        if target.suffix.lower() != ".mrb":
            raise OutputError(f"A scene is saved as .mrb, given {target.name!r}.", hint="End the file name in .mrb.")
        scene = self.scene
        with atomic_path(target) as temporary, self._temporary_folder() as folder:
            bundle = folder / safe_stem(target.stem, "scene")
            bundle.mkdir()
            _name_files(scene)
            messages = slicer.vtkMRMLMessageCollection()
            with _quiet_vtk():
                saved = scene.SaveSceneToSlicerDataBundleDirectory(str(bundle), None, messages)
            check_written(bundle)
            if not saved:
                raise OutputError(f"The scene could not be saved: {_failed(messages)}.")
            _check_tables(scene, bundle)
            pack(bundle, temporary)

    def load(self, path: str | Path) -> None:
        """Replace the scene's content by that of a .mrb file.

        Raises
        ------
        TruncatedFile, InputError
            If the file is missing, damaged, no scene, or unsafe.  The scene is unchanged then.
        SceneError
            If Slicer's reader fails on a file in it.  The scene is empty then.
        """
        source, scene = Path(path), self.scene
        if not source.is_file():
            raise InputError(f"There is no scene file {source.name!r}.", hint="Check the path.")
        with self._temporary_folder() as folder:
            check_bundle(source, folder)
            messages = slicer.vtkMRMLMessageCollection()
            with _quiet_vtk():
                mrml = slicer.vtkMRMLScene.UnpackSlicerDataBundle(str(source), str(folder), messages)
                if not mrml:
                    raise InputError(f"The scene {source.name!r} cannot be unpacked.", hint="Copy or save it again.")
                check_unpacked(source, folder)
                scene.SetURL(mrml)
                read = scene.Connect(messages)
            scene.SetURL("")
            if not read or messages.GetNumberOfMessagesOfType(vtk.vtkCommand.ErrorEvent):
                scene.Clear(0)
                raise SceneError(
                    f"The scene {source.name!r} could not be read: {_failed(messages)}.",
                    hint="Save it again in Slicer.",
                )

    def _new_scene(self, folder: Path) -> Any:
        scene = slicer.vtkMRMLScene()
        scene.SetVersion(SCENE_VERSION)
        register_converters()
        cache, manager = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
        cache.SetRemoteCacheDirectory(str(folder))
        cache.SetMRMLScene(scene)
        manager.SetCacheManager(cache)
        scene.SetCacheManager(cache)
        scene.SetDataIOManager(manager)
        self._kept = [cache, manager]
        for name in _LOGICS:
            logic = getattr(slicer, name)()
            logic.SetMRMLScene(scene)
            self._kept.append(logic)
        return scene

    @contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        assert self._folder is not None
        with tempfile.TemporaryDirectory(dir=self._folder.name) as folder:
            yield Path(folder)


def _name_files(scene: Any) -> None:
    """Give each new data file a short ASCII name.

    Slicer makes the name from the node's, which may be too long, reserved on Windows, or not survive a zip reader that
    runs in another locale.
    """
    taken: set[str] = set()
    for node in nodes_of(scene, "vtkMRMLStorableNode"):
        if not node.GetSaveWithScene():
            continue
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        if storage is None:
            continue
        old = Path((storage.GetFileName() or "").replace("\\", "/")).name
        suffix = storage.GetSupportedFileExtension(old) if old else ""
        suffix = suffix or f".{storage.GetDefaultWriteFileExtension()}"
        stem = wanted = safe_stem(node.GetName() or "")
        number = 2
        while stem.lower() in taken:
            stem, number = f"{wanted}_{number}", number + 1
        taken.add(stem.lower())
        if old != stem + suffix:
            storage.ResetFileNameList()
            storage.SetFileName(stem + suffix)


def _check_tables(scene: Any, bundle: Path) -> None:
    for node in nodes_of(scene, "vtkMRMLTableNode"):
        storage = node.GetStorageNode()
        name = Path(storage.GetFileName() or "").name if storage is not None else ""
        path = bundle / "Data" / name
        if name.endswith((".csv", ".tsv")) and path.is_file() and count_lines(path) < node.GetNumberOfRows() + 1:
            raise OutputError("The scene could not be saved: a table file was cut short.", hint="Is the disk full?")


def _failed(messages: Any) -> str:
    """Return which nodes failed, by ID: the messages themselves hold file paths and node names."""
    texts = [messages.GetNthMessageText(n) for n in range(messages.GetNumberOfMessages())]
    found = sorted({name for text in texts for name in re.findall(r"vtkMRML\w+Node\w*", text)})
    return f"Slicer failed on {', '.join(found[:5])}" if found else "Slicer gave no reason"


@contextmanager
def _quiet_vtk() -> Iterator[None]:
    """Keep VTK's console messages back; they hold full paths, and the error that is raised says what happened."""
    before = vtk.vtkLogger.GetCurrentVerbosityCutoff()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtk.vtkLogger.SetStderrVerbosity(before)
