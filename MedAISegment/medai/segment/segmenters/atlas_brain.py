"""Brain in a whole-head MR by registration of the MNI152 template."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn, sub_progress
from medai.core.settings import Settings
from medai.core.sitk import to_array
from medai.core.volume import Volume

from ..anatomy import named
from ..atlas import AtlasFit, fit_template, template_path
from ._base import Segmenter


class AtlasBrainSettings(Settings):
    """How generous the mask is, and what it is called."""

    margin_mm: float = Field(
        0.0,
        ge=-20,
        le=30,
        title="Margin",
        description="Grow (or, negative, shrink) the template's brain by so much in the image.",
        json_schema_extra={"unit": "mm"},
    )
    name: str = Field("Brain", min_length=1, max_length=64, title="Name", description="Name of the segment.")


class AtlasBrain(Segmenter):
    """The brain mask of the MNI152 template (ICBM 152 nonlinear 2009, as nilearn ships it), brought to the head.

    The registration is affine (see :mod:`medai.segment.atlas`): the mask lies within some millimetres of the brain's
    surface and does not follow sulci.  It is meant as the region in which other steps look at intensities.  The fit is
    kept in the labels' ``meta["atlas"]``.
    """

    name = "atlas_brain"
    title = "Brain by atlas (MR)"
    group = "Atlas"
    weight = 5.0
    requires = ("SimpleITK", "nilearn")
    Settings = AtlasBrainSettings

    def apply(
        self, value: Volume, settings: AtlasBrainSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Segment a whole head, or a brain.

        Raises
        ------
        InputError
            If no brain can be located.
        """
        fit = fit_template(value, progress=sub_progress(progress, 0.0, 0.9), cancel=cancel)
        inside = template_brain(value, fit, settings.margin_mm)
        cancel.check()
        fact = {"matrix": fit.matrix.tolist(), "mutual_information": round(fit.mutual_information, 6)}
        return LabelMap(inside.astype(np.uint8), value.geometry, (named(1, settings.name),), meta={"atlas": fact})


def template_brain(volume: Volume, fit: AtlasFit, margin_mm: float = 0.0) -> npt.NDArray[np.bool_]:
    """Return the voxels (K, J, I) of an image that the template's brain covers.

    Parameters
    ----------
    volume : Volume
        Only its grid counts.
    fit : AtlasFit
        Template to image.
    margin_mm : float
        Added all around, measured in the image.
    """
    import SimpleITK as sitk

    template = sitk.ReadImage(str(template_path()))
    brain = sitk.BinaryFillhole(sitk.Cast(template > 0, sitk.sitkUInt8))
    # A signed distance instead of the mask: its interpolation is smooth, and the margin is one number.  The map scales
    # distances by about the cube root of its determinant.
    scale = float(np.cbrt(np.linalg.det(fit.matrix[:3, :3])))
    distance = sitk.SignedMaurerDistanceMap(brain, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    back = np.linalg.inv(turn @ fit.matrix @ turn)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(back[:3, :3].reshape(-1).tolist())
    affine.SetTranslation(back[:3, 3].tolist())
    lps = volume.geometry.ijk_to_lps
    spacing = np.asarray(volume.geometry.spacing)
    found = sitk.Resample(
        sitk.Cast(distance, sitk.sitkFloat32), list(volume.geometry.size), affine, sitk.sitkLinear,
        [float(v) for v in lps[:3, 3]], list(volume.geometry.spacing),
        [float(v) for v in (lps[:3, :3] / spacing).reshape(-1)], 1e6,
    )  # fmt: skip
    # Distance 0 is the centre of the outermost voxel inside; the surface runs half a voxel further out.
    half = 0.5 * float(min(template.GetSpacing()))
    return np.asarray((to_array(found) - half) * scale <= margin_mm)
