"""Synthetic nodules planted into an image: the scan, the boxes and the masks are then known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap, Segment
from medai.core.settings import Settings
from medai.core.volume import Volume

from .nodules import Nodule
from .result import Detection, Detections

ATTEMPTS = 60
"""Places tried for a nodule before it is left out."""
NODULE = "Nodule"


class SynthesisSettings(Settings):
    """What nodules are drawn from: a choice that looks like nodules in CT, not a measured population."""

    count: tuple[int, int] = Field((1, 4), description="Smallest and largest number of nodules in an image.")
    diameter_mm: tuple[float, float] = Field((4.0, 20.0), description="Log-uniform between these.")
    elongation: float = Field(1.4, ge=1, le=3, description="Largest ratio of the longest to the shortest axis.")
    roughness: float = Field(0.1, ge=0, le=0.4, description="SD of the surface as a share of the radius.")
    solid_hu: tuple[float, float] = (-20.0, 80.0)
    glass_hu: tuple[float, float] = Field((-650.0, -350.0), description="Ground-glass nodules.")
    glass_share: float = Field(0.15, ge=0, le=1)
    blur_mm: tuple[float, float] = Field((0.5, 1.0), description="SD of the scanner's blur.")
    noise_hu: tuple[float, float] = Field((5.0, 20.0), description="SD of the noise that replaces the image's own.")
    gap_mm: float = Field(4.0, ge=0, description="Smallest gap between two nodules.")
    depth: float = Field(0.4, ge=0, description="Smallest distance of a centre from the place's border, in radii.")

    @model_validator(mode="after")
    def _ranges_rise(self) -> SynthesisSettings:
        for name in ("count", "diameter_mm", "solid_hu", "glass_hu", "blur_mm", "noise_hu"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must rise, given {low} to {high}")
        if self.count[0] < 0 or self.diameter_mm[0] <= 0 or self.blur_mm[0] < 0 or self.noise_hu[0] < 0:
            raise ValueError("counts, diameters, blur and noise must not be negative, and diameters not 0")
        return self


@dataclass(frozen=True, eq=False)
class Planted:
    """An image with nodules.

    Parameters
    ----------
    volume : Volume
        float32.
    truth : Detections
        Boxes of the bodies themselves (before blur), with masks: voxels of which at least half lies inside, at least
        one for each nodule.
    nodules : tuple of Nodule
        In the order of the masks' labels.
    """

    volume: Volume
    truth: Detections
    nodules: tuple[Nodule, ...]


def plant(
    volume: Volume,
    place: npt.NDArray[np.bool_],
    settings: SynthesisSettings | None = None,
    *,
    seed: int | tuple[int, ...] = 0,
) -> Planted:
    """Plant nodules into an image.

    The material replaces the image by its share of each voxel, blurred as a scanner blurs, but never makes a voxel
    darker, so that a nodule beside the pleura or a vessel grows out of it.

    Parameters
    ----------
    volume : Volume
        Scalar, in HU; never changed.
    place : array of bool, shape (K, J, I)
        Where centres may lie, for example the lungs.
    seed : int or tuple of int
        Same image, settings and seed: same nodules.

    Raises
    ------
    InputError
        If the place is empty or of another shape.
    """
    chosen = settings or SynthesisSettings()
    volume.require_scalar("Planting nodules")
    if place.shape != volume.geometry.shape:
        raise InputError(f"The place's shape {place.shape} does not fit the image's {volume.geometry.shape}.")
    if not place.any():
        raise InputError("There is no place for nodules in the image.", hint="Give a mask that is not empty.")
    from scipy import ndimage

    # NumPy's seed sequence spreads several numbers over the generator's whole state.
    generator = np.random.default_rng(seed)
    depth = ndimage.distance_transform_edt(np.pad(place, 1), volume.geometry.spacing_kji)[1:-1, 1:-1, 1:-1]
    spots = np.argwhere(place)
    values = volume.array.astype(np.float32)
    labels = np.zeros(volume.geometry.shape, dtype=np.uint8)
    bodies: list[Nodule] = []
    for _ in range(int(generator.integers(chosen.count[0], chosen.count[1] + 1))):
        body = _drawn(generator, chosen)
        spot = _spot(generator, body, bodies, spots, depth, volume, chosen)
        if spot is None:
            continue
        bodies.append(body.at(spot))
        _blend(values, labels, bodies[-1], len(bodies), volume, generator, chosen)
    items = tuple(_finding(body, number, volume) for number, body in enumerate(bodies, start=1))
    segments = tuple(Segment(n, f"Nodule {n}", (0.9, 0.6, 0.2)) for n in range(1, len(bodies) + 1))
    meta: dict[str, Any] = {"synthetic": True, "settings": chosen.to_dict()}
    truth = Detections(items, volume.geometry, masks=LabelMap(labels, volume.geometry, segments), meta=meta)
    return Planted(volume.replace(array=values), truth, tuple(bodies))


def _drawn(generator: np.random.Generator, settings: SynthesisSettings) -> Nodule:
    low, high = np.log(settings.diameter_mm)
    glass = generator.uniform() < settings.glass_share
    value = generator.uniform(*(settings.glass_hu if glass else settings.solid_hu))
    diameter = float(np.exp(generator.uniform(low, high)))
    return Nodule.random(generator, diameter, settings.elongation, settings.roughness, float(value))


def _spot(
    generator: np.random.Generator, body: Nodule, others: list[Nodule], spots: npt.NDArray[np.int64],
    depth: npt.NDArray[np.float64], volume: Volume, settings: SynthesisSettings,
) -> npt.NDArray[np.float64] | None:  # fmt: skip
    """Return a centre in RAS mm, or None if no place was found in a number of attempts."""
    mean = float(np.prod(body.radii_mm) ** (1 / 3))
    reach = body.reach_mm
    for _ in range(ATTEMPTS):
        k, j, i = spots[generator.integers(len(spots))]
        point = volume.geometry.to_ras(np.array([i, j, k]) + generator.uniform(-0.5, 0.5, 3))
        if depth[k, j, i] < settings.depth * mean:
            continue
        apart = [np.linalg.norm(point - np.asarray(o.centre_ras)) - o.reach_mm - reach for o in others]
        if not apart or min(apart) >= settings.gap_mm:
            return point
    return None


def _blend(
    values: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], body: Nodule, label: int, volume: Volume,
    generator: np.random.Generator, settings: SynthesisSettings,
) -> None:  # fmt: skip
    from scipy import ndimage

    blur = generator.uniform(*settings.blur_mm)
    noise = generator.uniform(*settings.noise_hu)
    covered = body.coverage(volume.geometry, margin_mm=4 * blur)
    assert covered is not None  # the centre lies in the image
    box, share = covered
    inside = share >= 0.5
    if not inside.any():
        inside = share == share.max()
    labels[box][inside] = label
    seen = ndimage.gaussian_filter(share, blur / np.asarray(volume.geometry.spacing_kji), mode="nearest")
    grain = ndimage.gaussian_filter(generator.normal(size=share.shape), 0.6)
    material = body.value + noise * grain / max(float(grain.std()), 1e-6)
    part = values[box]
    values[box] = np.maximum(part, (1 - seen) * part + seen * material)


def _finding(body: Nodule, label: int, volume: Volume) -> Detection:
    low, high = body.extent(volume.geometry)
    return Detection.of(volume.geometry, low, high, name=NODULE, mask_label=label)
