"""A stand-in for what slicer-core lacks of the Slicer application: `qt`, `ctk`, some widgets, `slicer.app` and friends.

It serves tests only. In a real Slicer `install()` changes nothing and returns False, and the same tests run there.
It imitates the documented behaviour of Slicer; what is not here raises NotInHost. It is not changed to please a test.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any

from medai_host.errors import NotInHost, Unanswered
from medai_host.state import RECORD

__all__ = ["RECORD", "NotInHost", "Unanswered", "install", "is_real_slicer", "reset"]


def is_real_slicer() -> bool:
    """Whether this Python runs inside the Slicer application."""
    import slicer

    app = getattr(slicer, "app", None)
    return app is not None and not type(app).__module__.startswith("medai_host")


def install() -> bool:
    """Enter the stand-ins in `sys.modules` and `slicer`. Returns False in a real Slicer, where nothing is changed."""
    if is_real_slicer():
        return False
    import slicer

    if getattr(slicer, "app", None) is not None:
        return True
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

    from medai_host import pythonqt

    pythonqt.patch()

    from medai_host import application, ctkwidgets, modules, qtmodule, state

    qtmodule.make()
    ctkwidgets.make()
    from medai_host import i18n, packaging, parameters, scripted
    from medai_host.uiloader import STAND_INS

    for name in ("ctkslider", "nodecombobox", "segments", "tableview"):
        importlib.import_module(f"medai_host.{name}")  # for the stand-ins that they declare

    application.start()
    sys.excepthook = state.record_slot_error
    slicer.modules = modules.Modules()
    modules.start_logics()
    slicer.selfTests = {}
    for name, cls in STAND_INS.items():
        if not name.startswith("ctk"):
            setattr(slicer, name, cls)
    slicer.qSlicerScriptedLoadableModule = modules.qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = modules.qSlicerScriptedLoadableModuleWidget
    submodules: dict[str, ModuleType] = {
        "ScriptedLoadableModule": scripted,
        "parameterNodeWrapper": parameters,
        "i18n": i18n,
        "packaging": packaging,
    }
    for name, module in submodules.items():
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
    slicer.__getattr__ = _missing
    return True


def reset() -> None:
    """Forget what the last test showed, asked and set."""
    RECORD.clear()
    if not is_real_slicer():
        import qt

        qt.QSettings().clear()


def _missing(name: str) -> Any:
    raise NotInHost("slicer", name)
