"""Where a structure lies in a whole head: affine registration of the MNI152 T1 template to the image.

The template is the one that nilearn's wheel ships (ICBM 152 nonlinear 2009, Fonov et al., NeuroImage 47, S102 (2009)),
a brain without skull, so the metric is evaluated inside its brain only.
"""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medai.core.errors import DependencyError, InputError
from medai.core.geometry import FloatArray
from medai.core.progress import CancelToken, ProgressFn
from medai.core.resample import reorient_array
from medai.core.sitk import to_sitk
from medai.core.volume import Volume

if TYPE_CHECKING:
    import SimpleITK

TEMPLATE = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
LARGEST_MM = 3000.0
"""Longest side of an image that may hold a head: a whole body; more is a wrong spacing, and would not fit in memory."""
COARSE_MM, FINE_MM = 6.0, 4.0
"""Spacing of the images that are compared; finer costs time and does not move the regions."""
UP_MM, FORWARD_MM = (-15, 0, 15, 30, 45, 60), (-20, 0, 20)
"""Start positions relative to the head's centre of mass, which a neck in the field of view pulls down."""
PITCH_DEG, YAW_DEG = (-20, 0, 20), (-15, 0, 15)
STARTS = 12
LEAST_OVERLAP = 0.75
"""Share of the template's brain that must lie inside the field of view."""
LEAST_INFORMATION = 0.22
"""Fits that were right had 0.37 and more, wrong ones 0.16 and less (nats, at 4 mm)."""
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
    one is refined.  Repeatable: one thread, every voxel
    of the template's brain, no random numbers, and one orientation of the image whatever the file's is.

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
    if extent.max() > LARGEST_MM:
        raise InputError(
            f"The image covers {extent[0]:.0f} x {extent[1]:.0f} x {extent[2]:.0f} mm, too much for a head.",
            hint="Check the spacing, or crop the image to the head.",
        )
    template = sitk.Cast(sitk.ReadImage(str(template_path())), sitk.sitkFloat32)
    brain = sitk.Cast(template > 0, sitk.sitkUInt8)
    head = _clipped(volume)
    progress(0.1, "locating the brain")
    coarse = _Level(template, brain, head, COARSE_MM)
    found = []
    for number, start in enumerate(_starts(coarse, cancel)):
        metric = _optimise(coarse, start, 4.0, 80, cancel)
        found.append((metric * min(1.0, coarse.overlap(start) / LEAST_OVERLAP), number, start))
        progress(0.3 + 0.4 * (number + 1) / STARTS, "locating the brain")
    if not found:
        raise _not_located()
    similarity = min(found, key=lambda item: item[:2])[2]
    affine = sitk.AffineTransform(3)
    affine.SetCenter(similarity.GetCenter())
    affine.SetMatrix(similarity.GetMatrix())
    affine.SetTranslation(similarity.GetTranslation())
    _optimise(coarse, affine, 0.5, 100, cancel)
    fine = _Level(template, brain, head, FINE_MM)
    fit = AtlasFit(_matrix_ras(affine), -_optimise(fine, affine, 0.5, 100, cancel))
    progress(1.0, "located the brain")
    if fit.mutual_information < LEAST_INFORMATION or not 0.3 < np.linalg.det(fit.matrix[:3, :3]) < 2.5:
        raise _not_located(f" (mutual information {fit.mutual_information:.2f}, at least {LEAST_INFORMATION} expected)")
    return fit


class _Level:
    """Template, brain mask and head at one spacing.

    The mask leaves the template's empty background out: with it the dark gap between brain and skull is taken for the
    background, and the brain grows until it fills the head.
    """

    def __init__(self, template: Any, brain: Any, head: Any, mm: float) -> None:
        import SimpleITK as sitk

        self.template = _isotropic(template, mm)
        self.head = _isotropic(head, mm)
        self.mask = sitk.BinaryErode(_isotropic(brain, mm), [1, 1, 1])
        where = np.argwhere(sitk.GetArrayViewFromImage(self.mask))[::7, ::-1]
        self._points = np.array([self.mask.TransformIndexToPhysicalPoint([int(n) for n in p]) for p in where])
        axes = np.asarray(self.head.GetDirection()).reshape(3, 3) * np.asarray(self.head.GetSpacing())
        self._to_index = np.linalg.inv(axes)

    def overlap(self, transform: Any) -> float:
        """Share of the template's brain that lies inside the head image's field of view."""
        matrix, centre = np.asarray(transform.GetMatrix()).reshape(3, 3), np.asarray(transform.GetCenter())
        moved = (self._points - centre) @ matrix.T + centre + np.asarray(transform.GetTranslation())
        index = (moved - np.asarray(self.head.GetOrigin())) @ self._to_index.T
        return float(((index >= 0) & (index <= np.asarray(self.head.GetSize()) - 1)).all(axis=1).mean())


def _starts(level: _Level, cancel: CancelToken) -> list[Any]:
    """Return the most promising of a grid of positions and rotations, each different from the others."""
    import SimpleITK as sitk

    centre = _centre_of_mass(level.template, level.head)
    method = _method(level)
    candidates: list[tuple[float, int, Any]] = []
    for up, forward, pitch, yaw in itertools.product(UP_MM, FORWARD_MM, PITCH_DEG, YAW_DEG):
        cancel.check()
        start = sitk.Similarity3DTransform()
        start.SetCenter(TEMPLATE_CENTRE_LPS)
        rotation = sitk.Euler3DTransform()
        rotation.SetRotation(float(np.deg2rad(pitch)), 0.0, float(np.deg2rad(yaw)))
        start.SetMatrix(rotation.GetMatrix())
        start.SetTranslation([centre[0], centre[1] - forward, centre[2] + up])
        if level.overlap(start) < LEAST_OVERLAP:
            continue
        method.SetInitialTransform(start, inPlace=False)
        try:
            candidates.append((float(method.MetricEvaluate(level.template, level.head)), len(candidates), start))
        except RuntimeError:  # too few samples fall into the image
            continue
    chosen: list[Any] = []
    for _, _, start in sorted(candidates, key=lambda item: item[:2]):
        if len(chosen) < STARTS and all(_differ(start, other) for other in chosen):
            chosen.append(start)
    return chosen


def _differ(a: Any, b: Any) -> bool:
    apart = np.linalg.norm(np.subtract(a.GetTranslation(), b.GetTranslation()))
    return bool(apart > 14 or np.abs(np.subtract(a.GetMatrix(), b.GetMatrix())).max() > 0.2)


def _not_located(detail: str = "") -> InputError:
    return InputError(
        f"The brain could not be located in the image{detail}.",
        hint="Check that it shows a whole head, or give the regions yourself.",
    )


def _clipped(volume: Volume) -> SimpleITK.Image:
    # In one orientation whatever the file's is: the same head then gives the same fit to the last bit.
    turned, grid = reorient_array(volume.array, volume.geometry, "RAS")
    array = turned.astype(np.float32)
    low, high = (float(v) for v in np.percentile(array, (1.0, 99.5)))
    # From 0 up: the values are the weights of the centre of mass, and air may hold negative numbers.
    return to_sitk(np.clip(array, low, max(high, low + 1e-6)) - np.float32(low), grid)


def _isotropic(image: SimpleITK.Image, mm: float) -> SimpleITK.Image:
    """Return the image's box at cubic voxels; smoothed first, unless it is a mask."""
    import SimpleITK as sitk

    mask = image.GetPixelID() == sitk.sitkUInt8
    size = [max(1, int(np.ceil(n * s / mm))) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    axes = np.asarray(image.GetDirection()).reshape(3, 3)
    origin = np.asarray(middle) - axes @ ((np.asarray(size) - 1) / 2 * mm)
    return sitk.Resample(
        image if mask else sitk.SmoothingRecursiveGaussian(image, 0.4 * mm), size, sitk.Transform(3, sitk.sitkIdentity),
        sitk.sitkNearestNeighbor if mask else sitk.sitkLinear, origin.tolist(), [mm] * 3, image.GetDirection(), 0.0,
    )  # fmt: skip


def _centre_of_mass(fixed: SimpleITK.Image, moving: SimpleITK.Image) -> list[float]:
    import SimpleITK as sitk

    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    return list(start.GetTranslation())


def _method(level: _Level) -> Any:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # the sum over threads would differ in the last digits
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(level.mask)
    # Every voxel counts: ITK shakes even a regular grid of samples at random.
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _optimise(level: _Level, transform: Any, rate: float, iterations: int, cancel: CancelToken) -> float:
    """Improve a transform in place; returns the metric, the negative mutual information."""
    cancel.check()
    method = _method(level)
    method.SetOptimizerAsRegularStepGradientDescent(rate, 1e-2, iterations, 0.5, 1e-9)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    import SimpleITK as sitk

    method.AddCommand(sitk.sitkIterationEvent, lambda: method.StopRegistration() if cancel.cancelled else None)
    try:
        method.Execute(level.template, level.head)
    except RuntimeError:
        cancel.check()
        raise _not_located() from None
    cancel.check()
    return float(method.GetMetricValue())


def _matrix_ras(affine: Any) -> FloatArray:
    matrix, centre = np.asarray(affine.GetMatrix()).reshape(3, 3), np.asarray(affine.GetCenter())
    lps = np.eye(4)
    lps[:3, :3] = matrix
    lps[:3, 3] = np.asarray(affine.GetTranslation()) + centre - matrix @ centre
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    return np.asarray(turn @ lps @ turn)
