"""What filters, segmenters and label operations have in common: a group, and the labels made so far."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeVar

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.settings import Settings
from medai.core.step import Step
from medai.core.volume import Volume

Out = TypeVar("Out")
LabelsUse = Literal["no", "optional", "required"]


class ImageStep(Step[Volume, Out]):
    """A step that takes an image and may look at the labels made so far.

    A step that ignores labels implements :meth:`apply`.  One that uses them sets ``uses_labels`` and implements
    :meth:`apply_with`.
    """

    group: ClassVar[str] = ""
    """Heading under which a chooser shows the step, for example ``Denoise``."""
    uses_labels: ClassVar[LabelsUse] = "no"
    """Whether the labels made so far (a start region, painted seeds, the segment to work inside) are looked at."""
    weight: ClassVar[float] = 1.0
    """Share of a pipeline's progress bar, relative to other steps."""

    def run(
        self,
        value: Volume,
        settings: Settings | dict[str, Any] | None = None,
        *,
        progress: ProgressFn = no_progress,
        cancel: CancelToken | None = None,
        labels: LabelMap | None = None,
    ) -> Out:
        """Validate the settings and run the step; see :meth:`medai.core.step.Step.run`.

        Parameters
        ----------
        labels : LabelMap, optional
            The labels made so far, on the image's grid; never changed.

        Raises
        ------
        InputError
            If the step needs labels and none are given.
        GeometryError
            If the labels lie on another grid.
        """
        parsed = self.Settings.parse(settings, where=self.name)
        token = cancel or CancelToken()
        token.check()
        if self.uses_labels == "required" and labels is None:
            raise InputError(
                f"{self.title} needs segments to start from, and there are none.",
                hint="Put a segmenter before it, or give a label map.",
            )
        if labels is not None and self.uses_labels != "no":
            value.geometry.require_same(labels.geometry, "labels")
        result = self.apply_with(value, labels, parsed, progress=progress, cancel=token)
        token.check()
        progress(1.0, self.title)
        return result

    def apply(self, value: Volume, settings: Any, *, progress: ProgressFn, cancel: CancelToken) -> Out:
        """Do the work without labels."""
        return self.apply_with(value, None, settings, progress=progress, cancel=cancel)

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: Any, *, progress: ProgressFn, cancel: CancelToken
    ) -> Out:
        """Do the work; ``labels`` are those made so far, or None."""
        return self.apply(value, settings, progress=progress, cancel=cancel)
