"""What every preprocessing filter is: a step from Volume to Volume."""

from __future__ import annotations

from medai.core.step import Step
from medai.core.volume import Volume


class Filter(Step[Volume, Volume]):
    """A filter: same grid, new values."""
