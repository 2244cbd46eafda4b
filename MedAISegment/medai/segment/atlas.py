"""Where a structure lies in a whole head: affine registration of the MNI152 T1 template to the image.

The template is the one that nilearn's wheel ships (ICBM 152 nonlinear 2009, Fonov et al., NeuroImage 47, S102 (2009)),
a brain without skull, so the metric is evaluated inside its brain only.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medai.core.errors import DependencyError, InputError
from medai.core.geometry import FloatArray
from medai.core.progress import CancelToken, ProgressFn
from medai.core.sitk import to_sitk
from medai.core.volume import Volume

if TYPE_CHECKING:
    import SimpleITK

TEMPLATE = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
WORKING_MM = 2.0
"""Both images are brought to about this spacing: finer costs time and does not move the regions."""
SHIFTS_MM = (0.0, 30.0)
"""Start positions along S: with a neck in the field of view the head's centre of mass lies below the brain's."""


TEMPLATE_CENTRE_LPS = (0.0, 20.0, 10.0)
"""About the middle of the template's brain: rotations turn about it."""


@dataclass(frozen=True)
class AtlasFit:
    """An affine map from template space to an image.

    Parameters
    ----------
    matrix : array, shape (4, 4)
        Template RAS mm -> image RAS mm.
    mutual_information : float
        Mattes mutual information in nats at the optimum; larger is better.
    """

    matrix: FloatArray
    mutual_information: float

    def to_image(self, ras: tuple[float, float, float]) -> tuple[float, float, float]:
        """Map a template position (RAS mm) into the image (RAS mm)."""
        r, a, s = self.matrix[:3, :3] @ np.asarray(ras) + self.matrix[:3, 3]
        return float(r), float(a), float(s)


def template_path() -> Path:
    """Return the file of the template inside nilearn's installation, without importing nilearn.

    Raises
    ------
    DependencyError
        If nilearn, or the file in it, is missing.
    """
    spec = importlib.util.find_spec("nilearn")
    file = Path(spec.origin).parent / "datasets" / "data" / TEMPLATE if spec and spec.origin else None
    if file is None or not file.is_file():
        raise DependencyError(
            "The MNI152 template that the package nilearn ships is not installed.",
            hint="Install nilearn, or give the regions yourself.",
        )
    return file


def fit_template(volume: Volume, *, progress: ProgressFn, cancel: CancelToken) -> AtlasFit:
    """Register the template to a head.

    Mattes mutual information with an affine transform, coarse to fine; two starts from the centre of mass, the better
    one is refined.  Deterministic: regular sampling, no random numbers.

    Parameters
    ----------
    volume : Volume
        A scalar image of a whole head, or of a brain.

    Raises
    ------
    InputError
        If the field of view is too small to hold a brain, the values are constant or not finite, or the registration
        finds no overlap.
    Cancelled
        If somebody asked to stop.
    """
    import SimpleITK as sitk

    volume.require_scalar("Locating a structure by the atlas")
    extent = np.asarray(volume.geometry.size) * np.asarray(volume.geometry.spacing)
    values = volume.array
    if not np.isfinite(values).all() or values.min() == values.max():
        raise InputError(
            "The image holds NaN or infinite voxels, or one value only; no brain can be located in it.",
            hint="Repair the image, or give the regions yourself.",
        )
    if min(volume.geometry.size) < 8:
        raise InputError(
            f"The image has {' x '.join(map(str, volume.geometry.size))} voxels, too few to locate a brain.",
            hint="Give the regions yourself, or segment the whole image.",
        )
    if extent.min() < 80:
        raise InputError(
            f"The image covers {extent[0]:.0f} x {extent[1]:.0f} x {extent[2]:.0f} mm, too little to hold a brain.",
            hint="Give the regions yourself, or segment the whole image.",
        )
    template = sitk.Cast(sitk.ReadImage(str(template_path())), sitk.sitkFloat32)
    brain = sitk.Cast(template > 0, sitk.sitkUInt8)
    brain = sitk.BinaryDilate(_shrunk(brain), [2, 2, 2])
    template = _shrunk(template)
    head = _shrunk(_clipped(volume))
    cancel.check()
    progress(0.1, "locating the brain")
    centre = _centre_of_mass(template, head)
    starts = []
    for number, shift in enumerate(SHIFTS_MM):
        rigid = sitk.Euler3DTransform()
        rigid.SetCenter(TEMPLATE_CENTRE_LPS)
        rigid.SetTranslation([centre[0], centre[1], centre[2] + shift])
        metric, rigid = _optimise(template, head, brain, rigid, [4], [2.0], 60, cancel)
        starts.append((metric, number, rigid))
        progress(0.1 + 0.2 * (number + 1), "locating the brain")
    rigid = min(starts, key=lambda item: item[:2])[2]
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    affine.SetCenter(rigid.GetCenter())
    metric, affine = _optimise(template, head, brain, affine, [4, 2], [2.0, 1.0], 100, cancel)
    progress(1.0, "located the brain")
    return AtlasFit(_matrix_ras(affine), -float(metric))


def _clipped(volume: Volume) -> SimpleITK.Image:
    array = volume.array.astype(np.float32)
    low, high = (float(v) for v in np.percentile(array, (1.0, 99.5)))
    # From 0 up: the values are the weights of the centre of mass, and air may hold negative numbers.
    return to_sitk(np.clip(array, low, max(high, low + 1e-6)) - np.float32(low), volume.geometry)


def _shrunk(image: SimpleITK.Image) -> SimpleITK.Image:
    import SimpleITK as sitk

    factors = [max(1, round(WORKING_MM / s)) for s in image.GetSpacing()]
    if image.GetPixelID() == sitk.sitkUInt8:
        return sitk.Shrink(image, factors)
    return sitk.BinShrink(image, factors)


def _centre_of_mass(fixed: SimpleITK.Image, moving: SimpleITK.Image) -> list[float]:
    import SimpleITK as sitk

    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    return list(start.GetTranslation())


def _optimise(
    fixed: SimpleITK.Image, moving: SimpleITK.Image, mask: SimpleITK.Image, start: Any,
    shrink: list[int], sigmas: list[float], iterations: int, cancel: CancelToken,
) -> tuple[float, Any]:  # fmt: skip
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # the sum over threads would differ in the last digits
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.5)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, iterations, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel(sigmas)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    method.AddCommand(sitk.sitkIterationEvent, lambda: method.StopRegistration() if cancel.cancelled else None)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        cancel.check()
        raise InputError(
            "The brain could not be located in the image.",
            hint="Check that it shows a whole head, or give the regions yourself.",
        ) from None
    cancel.check()
    return float(method.GetMetricValue()), start


def _matrix_ras(affine: Any) -> FloatArray:
    matrix, centre = np.asarray(affine.GetMatrix()).reshape(3, 3), np.asarray(affine.GetCenter())
    lps = np.eye(4)
    lps[:3, :3] = matrix
    lps[:3, 3] = np.asarray(affine.GetTranslation()) + centre - matrix @ centre
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    return np.asarray(turn @ lps @ turn)
