"""Several images of one patient as one image with channels, for models that read more than one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medai.core.errors import InputError
from medai.core.volume import Volume


def stacked(volumes: Sequence[Volume]) -> Volume:
    """Return one image whose components are the given scalar images, in this order.

    Parameters
    ----------
    volumes : sequence of Volume
        Scalar, all on the grid of the first.  One alone is returned as it is.

    Raises
    ------
    GeometryError
        If a grid differs; both are shown.  Resample the image onto the first one's grid before.
    UnsupportedInput
        If one is not scalar.
    """
    if not volumes:
        raise InputError("A model needs at least one image.")
    if len(volumes) == 1:
        return volumes[0]
    first = volumes[0]
    for number, volume in enumerate(volumes):
        volume.require_scalar(f"Channel {number}")
        first.geometry.require_same(volume.geometry, f"image of channel {number}")
    array = np.stack([volume.array for volume in volumes], axis=-1)
    flags = tuple(dict.fromkeys(flag for volume in volumes for flag in volume.flags))
    return first.replace(array=array, flags=flags)
