"""What every preprocessing filter is: a step from Volume to Volume."""

from __future__ import annotations

from typing import ClassVar

from medai.core.volume import Volume

from ..steps import ImageStep


class Filter(ImageStep[Volume]):
    """A filter: new values, and the same grid unless ``changes_grid`` says otherwise."""

    changes_grid: ClassVar[bool] = False
    """True for resampling, cropping and the like; a pipeline then moves the labels along."""
