"""N4 bias field correction of MR images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume

from ..hu import HU
from ..inside import InsideSettings, inside_mask
from ..slabs import for_slabs
from ._base import Filter
from ._bias import ORDER, SmoothField, control_points, spans
from ._values import real_type

if TYPE_CHECKING:
    import SimpleITK

MOST_VOXELS = 2_000_000
"""Voxels of the shrunken image at most: one iteration, which cannot be interrupted, then takes about a second."""


class N4Settings(InsideSettings):
    """Where and how finely the field is fitted."""

    mask: Literal["otsu", "image"] = Field(
        "otsu",
        title="Fit to",
        description="Voxels brighter than Otsu's threshold, or all above 0; with 'inside', the segment instead.",
    )
    shrink: int = Field(
        4,
        ge=1,
        le=16,
        title="Shrink factor",
        description="The field is fitted to every n-th voxel along each axis and evaluated at all. Raised where the"
        " shrunken image would have more than 2 million voxels; axes shorter than 8 n voxels are shrunk less.",
    )
    levels: int = Field(
        4, ge=1, le=6, title="Levels", description="Fits, each with twice the control points of the one before."
    )
    iterations: int = Field(50, ge=1, le=500, title="Iterations", description="Of each level, at most.")
    convergence: float = Field(
        0.001, gt=0, lt=1, title="Convergence", description="A level ends when the field changes by less than this."
    )
    fwhm: float = Field(
        0.15, gt=0, le=2, title="Width", description="Full width at half maximum of the assumed bias, in log units."
    )


class N4(Filter):
    """N4ITK (Tustison et al., IEEE Trans. Med. Imaging 29, 1310 (2010)): divides by a smooth multiplicative field.

    SimpleITK's ``N4BiasFieldCorrectionImageFilter`` is run on the image shrunk by taking every n-th voxel, and the
    image is divided by its field at full resolution; the field is the B-spline that ``GetLogBiasFieldAsImage`` gives,
    to 1e-4, evaluated slab by slab.  Voxels not above 0 and NaN take no part in the fit; all voxels are divided.  The
    result is float32 (float64 stays float64).  A single slice is fitted in its plane.  It is meant for MR; CT, whose
    values are no products of a field, is refused, and other modalities are flagged ``MODALITY_MISMATCH``.
    """

    name = "n4"
    title = "Bias field correction (N4)"
    group = "Enhance"
    requires = ("SimpleITK",)
    uses_labels = "optional"
    weight = 20.0
    Settings = N4Settings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: N4Settings, *, progress: ProgressFn, cancel: CancelToken
    ) -> Volume:
        """Correct a scalar volume.

        Raises
        ------
        UnsupportedInput
            For colour.
        InputError
            For CT, for an image without enough positive voxels or of one line, and if the fit fails.
        """
        value.require_scalar(self.title)
        if value.modality == "CT" or value.unit == HU:
            raise InputError(
                "N4 corrects the bias field of MR images; this image is CT, in which there is none.",
                hint="Leave this step out, or clip and equalise instead.",
            )
        flags: tuple[QCFlag, ...] = ()
        if value.modality not in ("", "MR"):
            message = f"N4 is made for MR, the image is {value.modality}."
            flags = (QCFlag("MODALITY_MISMATCH", Severity.WARNING, message, value.modality, "MR"),)
        mask = inside_mask(labels, settings.inside)
        steps = _steps(value, settings.shrink)
        field = _fitted(value, mask, steps, settings, sub_progress(progress, 0.0, 0.9), cancel)
        array = value.array
        result = np.empty(array.shape, dtype=real_type(array))

        def part(start: int, stop: int) -> None:
            bias = field.slices(start, stop)
            np.exp(bias, out=bias)
            np.divide(array[start:stop], bias, out=result[start:stop], casting="same_kind")

        slab = max(1, (1 << 20) // array[0].size)
        last = sub_progress(progress, 0.9, 1.0)
        for_slabs(len(array), part, slab=slab, progress=last, cancel=cancel, message=self.title)
        return value.replace(array=result).with_flags(*flags)


def _steps(value: Volume, shrink: int) -> tuple[int, int, int]:
    """Return how many voxels apart the fitted ones are, along K, J, I."""
    while True:
        k, j, i = (max(1, min(shrink, size // 8)) for size in value.geometry.shape)
        if math.prod(-(-n // s) for n, s in zip(value.geometry.shape, (k, j, i), strict=True)) <= MOST_VOXELS:
            return k, j, i
        if shrink > max(value.geometry.shape):
            return k, j, i
        shrink += 1


def _fitted(
    value: Volume,
    mask: npt.NDArray[np.bool_] | None,
    steps: tuple[int, int, int],
    settings: N4Settings,
    progress: ProgressFn,
    cancel: CancelToken,
) -> SmoothField:
    import SimpleITK as sitk

    # The middle one of each group of voxels, as sitk.Shrink takes it.
    chosen = tuple(
        slice((n % s + s) // 2 if n > s else 0, None, s) for n, s in zip(value.geometry.shape, steps, strict=True)
    )
    with np.errstate(over="ignore"):
        small = value.array[chosen].astype(np.float32)
    usable = np.isfinite(small) & (small > 0)
    small[~usable] = 0
    if mask is not None:
        usable &= mask[chosen]
    elif settings.mask == "otsu" and usable.any():
        image = sitk.GetImageFromArray(small)
        usable &= sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1, 200)) > 0
    if np.unique(small[usable]).size < 2:
        raise InputError(
            "N4 needs at least two different values above 0 to fit to; fewer are left here.",
            hint="Choose another mask, or a smaller shrink factor.",
        )
    axes = [axis for axis, size in enumerate(small.shape) if size > 1]
    if len(axes) < 2:
        raise InputError(f"N4 needs at least two axes of several voxels, given {value.geometry.shape} (K, J, I).")
    shape = tuple(small.shape[axis] for axis in axes)
    image, region = (sitk.GetImageFromArray(a.reshape(shape)) for a in (small, usable.astype(np.uint8)))
    for item in (image, region):
        item.SetSpacing([value.geometry.spacing_kji[axis] * steps[axis] for axis in reversed(axes)])
    method = sitk.N4BiasFieldCorrectionImageFilter()
    method.SetMaximumNumberOfIterations([settings.iterations] * settings.levels)
    method.SetConvergenceThreshold(settings.convergence)
    method.SetBiasFieldFullWidthAtHalfMaximum(settings.fwhm)
    _execute(method, image, region, settings, progress, cancel)
    intervals = spans(settings.levels)
    side = intervals + ORDER + 1
    field = method.GetLogBiasFieldAsImage(sitk.Image([side] * len(axes), sitk.sitkUInt8))
    samples = sitk.GetArrayFromImage(field)
    if not np.isfinite(samples).all():
        raise InputError("N4 found no finite field.", hint="Use fewer levels or another mask.")
    points = control_points(samples, intervals)
    thin = tuple(axis for axis in range(3) if axis not in axes)
    return SmoothField(np.expand_dims(points, thin), value.geometry.shape, intervals)


def _execute(
    method: Any,
    image: SimpleITK.Image,
    region: SimpleITK.Image,
    settings: N4Settings,
    progress: ProgressFn,
    cancel: CancelToken,
) -> None:
    """Run N4.  ITK looks at ``Abort`` in no place of it, but an exception after an iteration ends it."""
    import SimpleITK as sitk

    class Watch(sitk.Command):  # type: ignore[misc]
        def Execute(self) -> None:
            cancel.check()
            done = method.GetCurrentLevel() + method.GetElapsedIterations() / settings.iterations
            progress(done / settings.levels, N4.title)

    progress(0.0, N4.title)
    cancel.check()
    watch = Watch()
    method.AddCommand(sitk.sitkIterationEvent, watch)
    try:
        method.Execute(image, region)
    except RuntimeError as error:
        cancel.check()
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise InputError(f"N4 failed: {lines[-1].strip().rstrip('.') if lines else 'no reason given'}.") from None
    finally:
        method.RemoveAllCommands()
