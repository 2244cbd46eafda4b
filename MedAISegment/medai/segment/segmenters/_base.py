"""What every segmenter is: a step from Volume to LabelMap."""

from __future__ import annotations

from medai.core.labelmap import LabelMap
from medai.core.step import Step
from medai.core.volume import Volume


class Segmenter(Step[Volume, LabelMap]):
    """A segmenter: the labels lie on the image's own grid."""
