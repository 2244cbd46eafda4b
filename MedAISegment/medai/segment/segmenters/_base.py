"""What every segmenter is: a step from Volume to LabelMap."""

from __future__ import annotations

from typing import Any

import numpy as np

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.volume import Volume

from ..steps import ImageStep

LARGEST = 1e100
"""Squares of larger values, and sums of them, do not fit any number."""


class Segmenter(ImageStep[LabelMap]):
    """A segmenter: the labels lie on the image's own grid.

    Images with values beyond 1e100 are refused: their variance is no number.
    """

    def run(self, value: Volume, settings: Any = None, **more: Any) -> LabelMap:
        """Check the image and run the step; see :meth:`medai.segment.steps.ImageStep.run`.

        Raises
        ------
        InputError
            If a finite value is beyond :data:`LARGEST`.
        """
        if value.array.dtype.kind == "f" and value.array.dtype.itemsize == 8:
            for plane in value.array:
                # NaN is neither; infinity is every step's own matter.
                size = np.abs(plane)
                if ((size > LARGEST) & (size < np.inf)).any():
                    raise InputError(
                        f"{self.title} takes values up to {LARGEST:g}, the image holds larger ones.",
                        hint="Scale the image first.",
                    )
        return super().run(value, settings, **more)
