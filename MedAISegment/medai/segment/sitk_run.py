"""Run a SimpleITK filter so that it reports progress and can be cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medai.core.progress import CancelToken, ProgressFn

if TYPE_CHECKING:
    import SimpleITK


def execute(
    method: Any, *images: SimpleITK.Image, progress: ProgressFn, cancel: CancelToken, message: str = ""
) -> SimpleITK.Image:
    """Execute a SimpleITK filter object on images.

    Raises
    ------
    Cancelled
        If somebody asked to stop; ITK looks at it whenever it reports progress.
    """
    import SimpleITK as sitk

    highest = 0.0

    def tick() -> None:
        nonlocal highest
        if cancel.cancelled:
            method.Abort()
            return
        # Filters made of several parts start again from zero.
        if method.GetProgress() > highest:
            highest = min(1.0, float(method.GetProgress()))
            progress(highest, message)

    method.AddCommand(sitk.sitkProgressEvent, tick)
    try:
        return method.Execute(*images)
    except RuntimeError:
        cancel.check()  # an aborted filter raises
        raise
    finally:
        method.RemoveAllCommands()
