"""What every reader does last: flags that follow from the values and the grid, and errors that are never raw ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import InputError, OutOfMemory
from medai.core.geometry import SHEAR_TOLERANCE, Geometry
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

SHEAR_LIMIT_DEG = round(math.degrees(math.asin(SHEAR_TOLERANCE)), 4)


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Turn what a machine or a third-party decoder may throw into our errors.

    Parameters
    ----------
    name : str
        File or folder name for the message.

    Raises
    ------
    OutOfMemory
        Instead of MemoryError.
    InputError
        Instead of RecursionError (nesting without end in a header).
    """
    try:
        yield
    except MemoryError:
        raise OutOfMemory(
            f"There is not enough memory to read {name!r}.", hint="Close other programs, or crop the image elsewhere."
        ) from None
    except RecursionError:
        raise InputError(f"The header of {name!r} is nested too deeply.", hint="The file is damaged.") from None


def finish(volume: Volume, name: str) -> Volume:
    """Return the volume with its name and the flags that its values and its grid deserve."""
    known = {flag.code for flag in volume.flags}
    shear = () if "GEOM_SHEAR_TILT" in known else shear_flag(volume.geometry)
    return volume.replace(name=name).with_flags(*shear, *value_flags(volume.array))


def shear_flag(geometry: Geometry) -> tuple[QCFlag, ...]:
    """Return a flag if the axes are not at right angles; the affine itself is kept as it is."""
    if not geometry.is_sheared:
        return ()
    angle = math.degrees(math.asin(min(geometry.max_shear, 1.0)))
    return (
        QCFlag(
            "GEOM_SHEAR_TILT",
            Severity.WARNING,
            f"The image axes are {angle:.2f} degrees away from right angles; the true affine is kept. "
            "Resample the image before radiomics.",
            measured=round(angle, 4),
            limit=SHEAR_LIMIT_DEG,
        ),
    )


def orientation_unknown(reason: str) -> QCFlag:
    """Return the flag that says why left and right cannot be trusted."""
    return QCFlag("ORIENT_UNKNOWN", Severity.WARNING, f"The patient orientation is not known: {reason}.")


def value_flags(array: npt.NDArray[Any]) -> tuple[QCFlag, ...]:
    """Return a flag if voxels are NaN or infinite; array of shape (K, J, I[, components])."""
    if array.dtype.kind != "f":
        return ()
    bad = sum(int(part.size - np.count_nonzero(np.isfinite(part))) for part in array)
    if not bad:
        return ()
    message = f"{bad} voxel values are NaN or infinite."
    return (QCFlag("INT_NAN", Severity.WARNING, message, measured=float(bad), limit=0.0),)
