"""Fixtures of the widget tests. Without a Slicer application they run over the stand-in in Testing/host."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "Testing" / "output"
HOST = str(ROOT / "Testing" / "host")
if HOST not in sys.path:
    sys.path.insert(0, HOST)


@pytest.fixture(scope="session")
def _installed() -> bool:
    """Install the stand-in once; False in a real Slicer."""
    pytest.importorskip("slicer", reason="needs slicer-core or Slicer")
    import medai_host

    if not medai_host.is_real_slicer():
        pytest.importorskip("PySide6", minversion="6.10", reason="needs PySide6-Essentials 6.10 or newer, or Slicer")
    return medai_host.install()


@pytest.fixture
def host(_installed: bool) -> Iterator[SimpleNamespace]:
    """The stand-in's record, empty at the start of each test.

    `host.installed` is False in a real Slicer. `host.record` holds boxes, file dialogs, package requests and errors
    that left a slot; a test fails at its end if such an error was neither shown to the user nor taken from
    `host.record.slot_errors`.
    """
    import medai_host

    medai_host.reset()
    yield SimpleNamespace(installed=_installed, record=medai_host.RECORD)
    left = medai_host.RECORD.unshown_slot_errors()
    medai_host.reset()
    if left:
        pytest.fail(f"{len(left)} exceptions left a slot or an observer, the first: {left[0]!r}")


@pytest.fixture
def scene(host: SimpleNamespace) -> Iterator[Any]:
    """slicer.mrmlScene, empty before and after; modules' parameter nodes, which outlive a closed scene, go too."""
    import slicer

    def empty() -> None:
        slicer.mrmlScene.Clear(0)
        if host.installed:
            for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
                slicer.mrmlScene.RemoveNode(node)

    empty()
    yield slicer.mrmlScene
    empty()


@pytest.fixture
def load_module(scene: Any) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """`load_module("MedAISegment")` -> (module object, widget object), set up and entered; unloaded at the end."""
    import medai_host
    import slicer

    loaded: list[Any] = []

    def load(name: str, *, enter: bool = True) -> tuple[Any, Any]:
        if medai_host.is_real_slicer():
            module = slicer.util.getModule(name)
        else:
            from medai_host.modules import load_scripted_module

            module = load_scripted_module(ROOT / name / f"{name}.py")
        loaded.append(module)
        panel = module.widgetRepresentation()
        if enter:
            panel.enter()
        return module, panel.self()

    yield load
    for module in loaded:
        if medai_host.is_real_slicer():
            module.widgetRepresentation().exit()
        else:
            from medai_host.modules import unload_scripted_module

            unload_scripted_module(module)
    slicer.app.processEvents()


@pytest.fixture
def process_events(host: SimpleNamespace) -> Callable[..., bool]:
    """`process_events()` handles what waits; `process_events(until=callable, timeout=10)` waits, tells if it came."""
    import slicer

    def process(until: Callable[[], bool] | None = None, timeout: float = 10.0) -> bool:
        if until is None:
            slicer.app.processEvents()
            return True
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            slicer.app.processEvents()
            if until():
                return True
            time.sleep(0.005)
        return False

    return process


@pytest.fixture
def screenshot(process_events: Callable[..., bool]) -> Callable[..., Path]:
    """`screenshot(widget, "name")` saves Testing/output/name.png at a readable size and returns its path."""
    import qt

    def save(widget: Any, name: str, size: tuple[int, int] = (520, 900)) -> Path:
        OUTPUT.mkdir(parents=True, exist_ok=True)
        widget.resize(qt.QSize(*size))
        widget.show()
        process_events()
        path = OUTPUT / f"{name}.png"
        assert widget.grab().save(str(path)), f"{path.name} could not be written"
        return path

    return save


@pytest.fixture
def shown_errors(host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """`shown_errors()` -> the texts of the error boxes so far; boxes are shown (and recorded), not only logged."""
    import slicer

    if host.installed:
        host.record.testing = False
        return lambda: [box.text for box in host.record.errors]
    shown: list[str] = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, *args, **kwargs: shown.append(text))
    return lambda: shown
