"""Work inside one of the segments made so far."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.settings import Settings


class InsideSettings(Settings):
    """Base of the settings of steps that can be limited to a segment."""

    inside: str = Field(
        "",
        max_length=64,
        title="Inside",
        description="Name of a segment made so far; only its voxels count. Empty: all.",
    )


def inside_mask(labels: LabelMap | None, name: str) -> npt.NDArray[np.bool_] | None:
    """Return the voxels (K, J, I) of the segment called ``name``, or None if the name is empty.

    Raises
    ------
    InputError
        If there are no labels, no segment of that name, or it is empty.
    """
    if not name:
        return None
    if labels is None:
        raise InputError(
            f"There is no segment {name!r} to work inside, because nothing was segmented so far.",
            hint="Put a segmenter before this step, or leave 'inside' empty.",
        )
    mask = labels.mask(labels.segment(name))
    if not mask.any():
        raise InputError(f"The segment {name!r} to work inside is empty.", hint="Check the steps before.")
    return mask
