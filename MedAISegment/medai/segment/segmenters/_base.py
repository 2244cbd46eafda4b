"""What every segmenter is: a step from Volume to LabelMap."""

from __future__ import annotations

from medai.core.labelmap import LabelMap

from ..steps import ImageStep


class Segmenter(ImageStep[LabelMap]):
    """A segmenter: the labels lie on the image's own grid."""
