"""Which windows a network can take besides its own."""

from __future__ import annotations

from typing import Any

from medai.core.errors import MedAIError

from ..manifest import Manifest
from ..networks import NETWORKS
from .windows import Triple

FIXED_FACTOR = {"basic_unet": 16, "vnet": 16, "swin_unetr": 32}
"""Down-sampling of architectures whose number of levels is not a setting."""
SMALLEST = 32
"""Voxels along an axis below which a window sees too little around each voxel."""
LEVELS = 2
"""At least this many voxels must be left on the coarsest level: instance norm of one voxel is undefined."""


def window_factor(manifest: Manifest) -> Triple | None:
    """Return by what each size of a window must be divisible along K, J, I, or None if the window cannot be changed.

    Known for networks that are built from settings; a scripted or ONNX network may depend on its window in ways that
    cannot be seen, and UNETR has weights for each place in it.
    """
    spec = manifest.network
    kind = next((k for k in NETWORKS.classes() if k.name == spec.name), None)
    if kind is None:
        return None
    try:
        settings: Any = kind.Settings.parse(spec.settings, where="network.settings")
    except MedAIError:
        return None
    if spec.name in FIXED_FACTOR:
        factors = [FIXED_FACTOR[spec.name]] * 3
    elif hasattr(settings, "strides"):
        factors = [1, 1, 1]
        for stride in settings.strides:
            sizes = [stride] * 3 if isinstance(stride, int) else [1] * (3 - len(stride)) + list(stride)
            factors = [a * b for a, b in zip(factors, sizes, strict=True)]
    elif hasattr(settings, "blocks_down"):
        factors = [2 ** (len(settings.blocks_down) - 1)] * 3
    elif spec.name == "unet3d":
        factors = [2 ** (len(settings.filters) - 1)] * 3
    else:
        return None
    k, j, i = factors
    return (1 if manifest.inference.dims == 2 else k), j, i


def smaller_window(window: Triple, factor: Triple) -> Triple | None:
    """Return the window with its longest axis halved, rounded up to a multiple of ``factor``, or None at the end.

    No axis becomes smaller than :data:`SMALLEST` voxels or :data:`LEVELS` times the factor.
    """
    for axis in sorted(range(3), key=lambda a: -window[a]):
        step = factor[axis]
        size = -(-window[axis] // (2 * step)) * step
        if size < window[axis] and size >= max(SMALLEST, LEVELS * step):
            sizes = list(window)
            sizes[axis] = size
            return sizes[0], sizes[1], sizes[2]
    return None
