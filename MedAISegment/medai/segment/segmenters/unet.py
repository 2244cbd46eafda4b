"""U-Net segmentation with a model from the store, a model's folder or file, everywhere or in regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.core.volume import Volume

from ..inference.options import InferenceOptions
from ..inference.regions import Region
from ..models import ModelStore
from ._base import Segmenter

if TYPE_CHECKING:
    from ..inference.result import Result


class WhereSettings(Settings):
    """Which model, and where in the image."""

    model: str = Field("hippocampus", min_length=1, title="Model", description="Id of a model, or a model's folder.")
    regions: Literal["auto", "segments", "locator", "atlas", "image"] | tuple[Region, ...] = Field(
        "auto",
        title="Regions",
        description=(
            "For models of one structure: 'segments' looks where segments made before show it; 'locator' runs the "
            "model that finds it in a whole image; 'atlas' registers a template; 'image' takes all; or boxes. 'auto' "
            "takes the first of these that is here (the atlas also where the locator finds nothing plausible), and the "
            "whole image for all other models."
        ),
    )
    recentre: bool = Field(
        True, title="Recentre", description="Run regions that were found again, centred on what the first run found."
    )
    keep_located: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        max_length=64,
        title="Keep of the locator",
        description=(
            "Segments of the model that finds the structure to keep under the new ones, as unions: name of the union "
            "and the names of its segments."
        ),
    )
    largest_component: bool | None = Field(
        None,
        title="Largest component",
        description="Keep the largest connected part of each region only; if not given, for models with a region.",
    )


class UNetSettings(InferenceOptions, WhereSettings):
    """Which model, where, and how it runs."""

    def options(self) -> InferenceOptions:
        """Return the part that says how it runs."""
        return InferenceOptions(**{name: getattr(self, name) for name in InferenceOptions.model_fields})


class UNet(Segmenter):
    """A network from the model store, in windows over the image or over boxes.

    Orientation and spacing go to the model and back, windows are weighted by a Gaussian, and class scores, not labels,
    are brought back to the image's grid.  See :func:`medai.segment.inference.run.run_model` and, for models that were
    trained on crops, :func:`medai.segment.inference.located.run_located`.
    """

    name = "unet"
    title = "U-Net"
    group = "Model"
    weight = 20.0
    uses_labels = "optional"
    requires = ("torch", "monai", "safetensors")
    Settings = UNetSettings

    def apply_with(
        self, value: Volume, labels: LabelMap | None, settings: UNetSettings, *, progress: ProgressFn,
        cancel: CancelToken,
    ) -> LabelMap:  # fmt: skip
        """Segment an image; its components are the model's channels.

        Parameters
        ----------
        labels : LabelMap, optional
            Segments made before; for models of one structure they may show where it lies.

        Raises
        ------
        ModelError
            If the model is missing or its files do not fit its manifest.
        InputError
            If the image does not fit the model, or a region lies outside the image.
        DeviceError
            If the device is missing or has too little memory.
        """
        return predict(value, settings, labels=labels, progress=progress, cancel=cancel).labels


def predict(
    value: Volume, settings: UNetSettings, *, labels: LabelMap | None = None, progress: ProgressFn, cancel: CancelToken
) -> Result:
    """Segment an image and return the maps of uncertainty too; raises as :meth:`UNet.apply_with`."""
    from ..inference.run import run_model

    if isinstance(settings.regions, tuple) and not settings.regions:
        raise InputError("The list of regions is empty.", hint="Give at least one region, 'atlas' or 'image'.")
    model = ModelStore().find(settings.model, cancel=cancel)
    if model.manifest.region is not None:
        from ._regions import predict_in_regions

        return predict_in_regions(model, value, labels, settings, progress=progress, cancel=cancel)
    if settings.regions in ("atlas", "locator", "segments"):
        raise InputError(
            f"The model {model.id!r} does not say where its structure lies: it takes whole images.",
            hint="Use regions 'image', or give the boxes.",
        )
    boxes = settings.regions if isinstance(settings.regions, tuple) else ()
    return run_model(
        model, value, settings.options(), regions=boxes, largest_component=bool(settings.largest_component),
        progress=progress, cancel=cancel,
    )  # fmt: skip
