"""Brain extraction by deepbet's two networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.resample import reorient_array
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..anatomy import named
from ..components import label_components
from ..inference.aside import aside
from ..inference.options import InferenceOptions
from ._base import Segmenter
from ._deepbet_files import KNOWN, deepbet_source

if TYPE_CHECKING:
    import torch

SMALL = (128, 128, 128)
LARGE = (256, 256, 256)
MARGIN = 0.1
"""Added on each side of the box, as a share of its size."""
ORIENTATION = "SAR"
"""deepbet reads arrays (R, A, S): K grows to R, J to A, I to S."""
Box = tuple[slice, slice, slice]


class DeepbetSettings(Settings):
    """Which voxels count as brain, and where the networks run."""

    threshold: float = Field(0.5, gt=0, lt=1, title="Threshold", description="Probability above which it is brain.")
    package: str = Field(
        "", title="Package", description="deepbet's wheel, or a folder with data/models; empty: the installed package."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", title="Device", description="Where networks run.")
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto", title="Backend", description="Which library runs them; auto takes the fastest that is installed."
    )


class Deepbet(Segmenter):
    """The brain in a T1-weighted MR of a healthy adult, by deepbet (Fisch et al. 2024, MIT licence).

    One network finds the head's box in the image shrunk to 128^3 voxels, a second one the brain in that box brought to
    256^3.  Both are read from deepbet's own package, which MedAI does not bring; sampling, normalisation, threshold,
    largest component and filled holes are as in deepbet 1.0.2, so that its mask is reproduced.
    """

    name = "deepbet"
    title = "Brain by deepbet (T1 MR)"
    group = "Model"
    weight = 10.0
    requires = ("torch", "scipy")
    Settings = DeepbetSettings

    def apply(self, value: Volume, settings: DeepbetSettings, *, progress: ProgressFn, cancel: CancelToken) -> LabelMap:
        """Segment a whole head.

        Raises
        ------
        InputError
            If no brain is found.
        DependencyError
            If deepbet's package is not installed and none is named.
        ModelError
            If its networks cannot be read, or are others than those of deepbet 1.0.
        DeviceError
            If the device is missing or has too little memory.
        """
        from scipy import ndimage

        value.require_scalar(self.title)
        progress(0.0, "loading the networks")
        array, _ = reorient_array(value.array, value.geometry, ORIENTATION)
        image = np.nan_to_num(np.ascontiguousarray(array, dtype=np.float32))
        options = InferenceOptions(device=settings.device, backend=settings.backend)
        small = _shrunk(image, SMALL)
        low, high = (float(v) for v in _quantiles(small))
        if not high > low:
            raise InputError("No brain was found: nearly all voxels have the same value.")
        scores, _ = _run("bbox_model.pt", _normalised(small, low, high), settings, options, cancel)
        progress(0.3, "box found")
        box = _box(_largest(scores > 0.5, cancel), image.shape)
        cropped = np.ascontiguousarray(image[box])
        scores, facts = _run("model.pt", _normalised(_shrunk(cropped, LARGE), low, high), settings, options, cancel)
        progress(0.8, "brain found")
        inside = _shrunk(scores, cropped.shape) > settings.threshold
        inside = ndimage.binary_fill_holes(_largest(inside, cancel))
        labels: npt.NDArray[np.uint8] = np.zeros(value.geometry.shape, dtype=np.uint8)
        view, _ = reorient_array(labels, value.geometry, ORIENTATION)  # a view: writing to it writes to labels
        view[box] = inside
        meta = {"deepbet": {"sha256": dict(KNOWN), "licence": "MIT", "run": facts}}
        return LabelMap(labels, value.geometry, (named(1, "Brain"),), meta=meta)


def _run(
    name: str, batch: torch.Tensor, settings: DeepbetSettings, options: InferenceOptions, cancel: CancelToken
) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """Return the probability of the brain (second channel) and the session's facts."""
    from ..backends.warm import open_session

    source = deepbet_source(name, settings.package)
    session = open_session(source, tuple(batch.shape), options, reduced=False, cancel=cancel)
    cancel.check()
    found = aside(lambda: np.array(session(batch.to(session.device))[0, 1].float().cpu().numpy()), cancel)
    return found, dict(session.facts)


def _shrunk(array: npt.NDArray[np.float32], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return the values of the nearest voxels on a grid of another size over the same box."""
    import torch
    import torch.nn.functional

    tensor = torch.from_numpy(array)[None, None]
    return np.asarray(torch.nn.functional.interpolate(tensor, shape, mode="nearest-exact")[0, 0].numpy())


def _quantiles(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    import torch

    return np.asarray(torch.from_numpy(array).flatten().quantile(torch.tensor([0.005, 0.995])).numpy())


def _normalised(array: npt.NDArray[np.float32], low: float, high: float) -> torch.Tensor:
    """Return (1, 1, K, J, I): clipped to low..high, mean 0.449 and SD 0.226."""
    import torch

    x = ((torch.from_numpy(array) - low) / (high - low)).clamp(min=0, max=1)
    return ((x - x.mean()) / x.std() * 0.226 + 0.449)[None, None]


def _largest(mask: npt.NDArray[np.bool_], cancel: CancelToken) -> npt.NDArray[np.bool_]:
    """Return the largest component; voxels touch at faces, edges and corners."""
    numbers, sizes = label_components(mask, 26, cancel=cancel)
    if not sizes.any():
        raise InputError("No brain was found in the image.", hint="deepbet reads T1-weighted MR of whole heads.")
    return np.asarray(numbers == int(sizes.argmax()))


def _box(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> Box:
    """Return the box in the image around the planes of the shrunk mask that hold more than 2 %."""
    slices = []
    for axis, length in enumerate(shape):
        others = tuple(a for a in range(3) if a != axis)
        planes = np.flatnonzero(mask.mean(axis=others) > 0.02)
        if not planes.size:
            raise InputError("No brain was found in the image.", hint="deepbet reads T1-weighted MR of whole heads.")
        scale = length / mask.shape[axis]
        first, last = int(planes[0]), int(planes[-1]) + 1
        centre = np.round(scale * (first + last) / 2)
        size = np.round((1 + 2 * MARGIN) * scale * (last - first))
        slices.append(slice(max(0, int(centre - size / 2)), min(length, int(centre + size / 2))))
    return slices[0], slices[1], slices[2]
