"""Components chosen by volume, by the border they reach and by where they lie."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from medai.core.progress import CancelToken, ProgressFn

from ._components import FACES_HELP, RAS_FACES, Components, Faces, first
from ._masks import ComponentsSettings, Mask, MaskPost, Part

Order = Literal["volume", "central", "left", "right", "anterior", "posterior", "superior", "inferior"]


class SelectComponentsSettings(ComponentsSettings):
    """The conditions; a component must meet all of them."""

    minimum_ml: float = Field(
        0.0,
        ge=0,
        le=1e6,
        title="Minimum volume",
        description="Smallest volume of a component.",
        json_schema_extra={"unit": "mL"},
    )
    maximum_ml: float | None = Field(
        None,
        gt=0,
        le=1e6,
        title="Maximum volume",
        description="Largest volume of a component; none for no limit.",
        json_schema_extra={"unit": "mL"},
    )
    reaches: Faces = Field(
        "none", title="Reaches", description=f"A component must reach one of these faces of the image: {FACES_HELP}"
    )
    avoids: Faces = Field(
        "none", title="Avoids", description=f"A component must reach none of these faces of the image: {FACES_HELP}"
    )
    order: Order = Field(
        "volume",
        title="Order",
        description=(
            "Which come first: the largest, those whose centre of mass lies nearest to the image's middle, or farthest "
            "in a direction."
        ),
    )
    number: int | None = Field(
        None, ge=1, le=1000, title="Number", description="How many of them to keep, in that order; none for all."
    )

    @model_validator(mode="after")
    def _limits_fit(self) -> SelectComponentsSettings:
        if self.maximum_ml is not None and self.maximum_ml < self.minimum_ml:
            raise ValueError(f"maximum_ml {self.maximum_ml:g} is less than minimum_ml {self.minimum_ml:g}")
        return self


class SelectComponents(MaskPost):
    """Keeps the components of each segment that meet every condition.

    For example the trachea among dark components of a chest CT: ``reaches`` superior, ``minimum_ml`` 5, ``order``
    central, ``number`` 1.  Directions are the patient's; faces are those nearest to them.  Of equally placed components
    the one whose first voxel comes first is taken.
    """

    name = "select_components"
    title = "Select components"
    group = "Components"
    requires = ("scipy",)
    weight = 2.0
    Settings = SelectComponentsSettings

    def change(
        self, part: Part, settings: SelectComponentsSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> Mask:
        """Return the components that meet the conditions."""
        found = Components(part, settings.connectivity, progress=progress, cancel=cancel)
        volumes = found.sizes * part.voxel_mm3 / 1000.0
        keep = volumes >= settings.minimum_ml * (1 - 1e-9)
        if settings.maximum_ml is not None:
            keep &= volumes <= settings.maximum_ml * (1 + 1e-9)
        if settings.reaches != "none":
            keep &= found.touching(settings.reaches)
        keep &= ~found.touching(settings.avoids)
        keep[0] = False
        if settings.number is not None and keep.sum() > settings.number:
            if settings.order == "volume":
                merit = found.sizes.astype(np.float64)
            elif settings.order == "central":
                merit = -np.linalg.norm(found.centroids_ras() - part.geometry.centre, axis=1)
            else:
                axis, sign = RAS_FACES[settings.order]
                merit = found.centroids_ras()[:, axis] * sign
            keep &= first(np.where(keep, merit, -np.inf), settings.number, found.sizes)
        return found.mask(keep)
