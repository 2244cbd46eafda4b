"""Samples by domain randomisation: a label map, bent at random, becomes an image of a contrast nobody has seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medai.core.errors import SettingsError
from medai.core.progress import CancelToken

from ..inference.normalising import Chain, apply_all
from .label_maps import TissueMap
from .recipe import Recipe
from .samples import Sample, digest_of, order_of, seed_of
from .scanner import acquire_matrix, sample_matrix
from .synthesis_settings import SynthesisSettings

if TYPE_CHECKING:
    import torch

Random = np.random.Generator


class SyntheticSamples:
    """Images made from label maps by a recipe's ``synthesis`` settings.

    A label map is sampled at bent positions in its own voxel size (1 mm as a rule); each tissue gets a mean and an SD;
    the scanner's slice profile, noise and bias field follow; the result is on the model's grid, normalised as in
    inference.  The classes are the label map's at the centres of the model's voxels.

    Parameters
    ----------
    maps : sequence of TissueMap
        Held in memory.

    Raises
    ------
    SettingsError
        If the recipe has no synthesis, or a model grid whose voxels are no multiple of the label maps'.
    """

    def __init__(self, maps: Sequence[TissueMap], recipe: Recipe) -> None:
        settings, spacing = recipe.synthesis, recipe.prepare.spacing
        if settings is None or spacing is None or len(set(spacing)) != 1:
            raise SettingsError("Domain randomisation needs the recipe's 'synthesis' and one voxel size for all axes.")
        factor = spacing[0] / settings.detail_mm
        if abs(factor - round(factor)) > 1e-6 or factor < 1:
            raise SettingsError(
                f"The model's voxels ({spacing[0]:g} mm) must be a multiple of the label maps' "
                f"({settings.detail_mm:g} mm)."
            )
        self._maps, self._recipe, self._settings, self._factor = maps, recipe, settings, round(factor)
        numbers = {entry.label: index for index, entry in enumerate(recipe.labels, start=1)}
        unknown = {t.label for t in settings.tissues} - {0} - set(numbers)
        if unknown:
            raise SettingsError(f"Tissues name labels that the recipe does not have: {sorted(unknown)[:5]}.")
        self._class_of = np.array([0] + [numbers.get(t.label, 0) for t in settings.tissues], dtype=np.uint8)
        self._mirrored = np.arange(len(recipe.labels) + 1, dtype=np.uint8)
        for left, right in settings.pairs:
            self._mirrored[numbers[left]], self._mirrored[numbers[right]] = numbers[right], numbers[left]
        kept = {0, *settings.strip_to}
        self._outside = np.array([True] + [t.label not in kept for t in settings.tissues])
        self._order: tuple[int, list[int]] = (-1, [])
        self.digest = digest_of((one.name, (one.tissues,)) for one in maps)

    def __len__(self) -> int:
        """Return the number of samples of one epoch."""
        return self._recipe.optimiser.samples_per_epoch or len(self._maps)

    def sample(self, epoch: int, position: int) -> Sample:
        """Return one made image (1, K, J, I) float32 and its classes (K, J, I) uint8."""
        seed = self._recipe.seed
        known, order = self._order
        if known != epoch:
            order = order_of(seed, epoch, len(self._maps), len(self))
            self._order = (epoch, order)
        random = np.random.default_rng(seed_of(seed, epoch, position))
        return self._make(self._maps[order[position]], random)

    def _make(self, tissue_map: TissueMap, random: Random) -> Sample:
        import torch

        s = self._settings
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        where = positions(tissue_map, self._recipe.patch, self._factor, s, random, generator)
        coarse = _look_up(tissue_map.tissues, where)
        fine_where = _finer(where, self._factor)
        fine = _look_up(tissue_map.tissues, fine_where)
        image, stripped = self._intensities(fine, random, generator)
        image = scan(image, self._recipe.patch, self._factor, s, random, generator)
        classes = self._class_of[coarse.numpy()]
        if stripped:
            classes = np.where(self._outside[coarse.numpy()], np.uint8(0), classes)
        if random.random() < s.cut:
            _cut(image, classes, s.cut_share, random)
        array = self._normalised(np.maximum(image, 0.0), random)
        if s.deform.flip and random.random() < 0.5:
            array, classes = array[..., ::-1], self._mirrored[classes[..., ::-1]]
        return np.ascontiguousarray(array)[None], np.ascontiguousarray(classes)

    def _intensities(
        self, tissues: torch.Tensor, random: Random, generator: torch.Generator
    ) -> tuple[torch.Tensor, bool]:
        """Return an image with each tissue's own mean and SD; whether the skull was removed."""
        import torch

        s = self._settings
        names = s.contrasts
        if names and random.random() < s.typical:
            name = names[int(random.integers(len(names)))]
            mean = [random.uniform(*t.typical[name]) for t in s.tissues]
            sd = random.uniform(0.0, s.typical_sd, len(s.tissues))
        else:
            mean = list(random.uniform(*s.mean, len(s.tissues)))
            sd = random.uniform(*s.sd, len(s.tissues))
        black = random.random() < s.empty_background
        ground = (0.0, 0.0) if black else (random.uniform(*s.mean), random.uniform(*s.sd))
        means = np.array([ground[0], *mean], dtype=np.float32)
        sds = np.array([ground[1], *sd], dtype=np.float32)
        stripped = bool(s.strip_to) and random.random() < s.stripped
        if stripped:
            means[self._outside] = sds[self._outside] = 0.0
        index = tissues.long()
        noise = torch.randn(tissues.shape, generator=generator)
        return torch.from_numpy(means)[index] + torch.from_numpy(sds)[index] * noise, stripped

    def _normalised(self, image: npt.NDArray[np.float32], random: Random) -> npt.NDArray[np.float32]:
        low, high = float(image.min()), float(image.max())
        image = (image - low) / max(high - low, 1e-6)
        image **= np.float32(np.exp(random.normal(0.0, self._settings.acquire.gamma)))
        channels = self._recipe.prepare.channels
        steps = channels[0].normalise if channels else ()
        chain = Chain(lambda a, b: image[a:b].copy(), image.shape, None, "", CancelToken())
        made = apply_all(chain.resolve(steps), image, None)
        return np.asarray(made * np.float32(random.uniform(*self._settings.acquire.gain)), dtype=np.float32)


def positions(
    tissue_map: TissueMap,
    patch: tuple[int, int, int],
    factor: int,
    settings: SynthesisSettings,
    random: Random,
    generator: torch.Generator,
) -> torch.Tensor:
    """Return where in the label map each voxel of the patch lies: float32 (3, K, J, I), voxels along K, J, I.

    An affine map (rotation, scaling, shear, shift) and smooth displacements: normally distributed at control points,
    linear between them.
    """
    import torch
    import torch.nn.functional as nn

    d = settings.deform
    axes = [(torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * factor for n in patch]
    turned = torch.from_numpy(_affine(d.rotate_deg, d.scale, d.shear, random))
    shift = random.uniform(-1.0, 1.0, 3) * d.shift_mm / settings.detail_mm
    centre = torch.tensor([m + x for m, x in zip(tissue_map.middle, shift, strict=True)], dtype=torch.float32)
    where = sum(turned[:, a].view(3, 1, 1, 1) * axes[a].view([-1 if b == a else 1 for b in range(3)]) for a in range(3))
    where = where + centre.view(3, 1, 1, 1)
    for distance, sd in d.bend_mm:
        points = [max(2, int(np.ceil(n * factor * settings.detail_mm / distance)) + 1) for n in patch]
        amount = random.uniform(0.0, sd) / settings.detail_mm
        field = torch.randn((1, 3, *points), generator=generator) * amount
        where = where + nn.interpolate(field, size=patch, mode="trilinear", align_corners=True)[0]
    return where


def scan(
    image: torch.Tensor,
    patch: tuple[int, int, int],
    factor: int,
    settings: SynthesisSettings,
    random: Random,
    generator: torch.Generator,
) -> npt.NDArray[np.float32]:
    """Return the image as a random scanner sees it, on the model's grid (K, J, I).

    Blur and sampling are separable: two small matrices per axis, with the noise between them, where it arises.
    """
    import torch
    import torch.nn.functional as nn

    a = settings.acquire
    base = random.uniform(*a.voxel_mm)
    steps = [base / settings.detail_mm] * 3
    if random.random() < a.thick:
        steps[int(random.integers(3))] = random.uniform(*a.thickness_mm) / settings.detail_mm
    places = []
    for axis in range(3):
        matrix, at = acquire_matrix(image.shape[axis], steps[axis], random.random())
        places.append(at)
        if steps[axis] > 1.0:
            image = _along(image, torch.from_numpy(matrix), axis)
    points = [max(2, int(np.ceil(n * factor * settings.detail_mm / random.uniform(*a.bias_mm))) + 1) for n in patch]
    field = torch.randn((1, 1, *points), generator=generator) * random.uniform(*a.bias)
    bias = nn.interpolate(field, size=tuple(image.shape), mode="trilinear", align_corners=True)[0, 0].exp()
    noise = torch.randn(image.shape, generator=generator) * random.uniform(*a.noise)
    # The magnitude of a noisy complex signal is never negative, and black air is grey noise in it.
    image = (image * bias + noise).abs()
    for axis in range(3):
        targets = (np.arange(patch[axis], dtype=np.float64) + 0.5) * factor - 0.5
        image = _along(image, torch.from_numpy(sample_matrix(places[axis], targets)), axis)
    made: npt.NDArray[np.float32] = image.numpy()
    return made


def _affine(rotate_deg: float, scale: float, shear: float, random: Random) -> npt.NDArray[np.float32]:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(random.uniform(-rotate_deg, rotate_deg, 3))):
        b, c = [x for x in range(3) if x != axis]
        turn = np.eye(3)
        turn[b, b] = turn[c, c] = np.cos(angle)
        turn[b, c], turn[c, b] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    sheared = np.eye(3) + random.uniform(-shear, shear, (3, 3)) * (1 - np.eye(3))
    # One factor for the size of the head, a smaller one for its form.
    sizes = np.diag((1 + random.uniform(-scale, scale)) * (1 + random.uniform(-scale, scale, 3) / 3))
    return np.asarray(matrix @ sheared @ sizes, dtype=np.float32)


def _finer(where: torch.Tensor, factor: int) -> torch.Tensor:
    import torch.nn.functional as nn

    if factor == 1:
        return where
    return nn.interpolate(where[None], scale_factor=factor, mode="trilinear", align_corners=False)[0]


def _look_up(tissues: npt.NDArray[np.uint8], where: torch.Tensor) -> torch.Tensor:
    """Return the tissue nearest to each position; background outside the map."""
    import torch

    flat: Any = None
    inside: Any = None
    for axis, size in enumerate(tissues.shape):
        at = where[axis].round().to(torch.int32)
        fits = (at >= 0) & (at < size)
        inside = fits if inside is None else inside & fits
        at = at.clamp(0, size - 1)
        flat = at if flat is None else flat * size + at
    found = torch.from_numpy(tissues).reshape(-1).take(flat.long())
    return found * inside


def _along(image: torch.Tensor, matrix: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the image with ``matrix`` (new, old) applied along an axis."""
    import torch

    return torch.movedim(torch.tensordot(matrix, image, dims=([1], [axis])), 0, axis).contiguous()


def _cut(image: npt.NDArray[np.float32], classes: npt.NDArray[np.uint8], share: float, random: Random) -> None:
    """Blacken one end of one axis in place: the field of view ends there."""
    axis = int(random.integers(3))
    size = image.shape[axis]
    edge = int(size * random.uniform(0.0, share))
    part = [slice(None)] * 3
    part[axis] = slice(0, edge) if random.random() < 0.5 else slice(size - edge, size)
    image[tuple(part)] = 0.0
    classes[tuple(part)] = 0
