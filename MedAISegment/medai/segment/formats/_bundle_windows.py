"""A bundle's inferer: how windows are laid and which axes the network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from medai.core.errors import ManifestError

from ._bundle_names import Arguments, target_of

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Windows:
    """Sliding windows.

    Parameters
    ----------
    window : tuple of int
        Along the axes K, J, I of MedAI's array.
    axes : tuple of int
        Which of MONAI's axes they are.
    overlap, blend, sigma
        As :class:`~medai.segment.manifest.InferenceEntry` has them.
    padding : str
        What stands around an image that is smaller than the window.
    """

    window: Triple
    axes: Triple
    overlap: float
    blend: Literal["gaussian", "constant"]
    sigma: float
    padding: str


def read_inferer(component: Any, where: str, dims: int) -> Windows:
    """Return the windows.

    Parameters
    ----------
    component : dict
        Resolved ``inferer``.
    dims : {2, 3}
        Axes that the network reads.

    Raises
    ------
    ManifestError
        If it is another inferer than SlidingWindowInferer or SliceInferer, or has a value that MedAI cannot reproduce.
    """
    name = target_of(component, where, "monai.inferers")
    given = Arguments(component, f"{where}: {name}")
    if name not in ("SlidingWindowInferer", "SliceInferer"):
        raise ManifestError(
            f"{where}: MedAI cannot reproduce the inferer {name!r}.", hint="It knows sliding windows and slices."
        )
    if (name == "SliceInferer") != (dims == 2):
        raise ManifestError(f"{where}: MedAI cannot reproduce {name} with a network of {dims} dimensions.")
    across = given.take("spatial_dim", 0) if dims == 2 else 0
    if across not in (0, 1, 2):
        raise given.refused("spatial_dim", across)
    size = given.take("roi_size")
    sizes = [size] * dims if type(size) is int else size
    if (
        not isinstance(sizes, list)
        or len(sizes) != dims
        or any(type(n) is not int or not 1 <= n <= 4096 for n in sizes)
    ):
        raise given.refused("roi_size", size)
    overlap = given.number("overlap", 0.25)
    if overlap is None or not 0 <= overlap < 1:
        raise given.refused("overlap", overlap)
    mode = given.take("mode", "constant")
    if mode not in ("constant", "gaussian"):
        raise given.refused("mode", mode)
    sigma = given.number("sigma_scale", 0.125)
    if sigma is None or not 0 < sigma <= 1:
        raise given.refused("sigma_scale", sigma)
    padding = given.take("padding_mode", "constant")
    given.only("cval", 0, 0.0)
    given.ignore("sw_batch_size", "sw_device", "device", "progress", "cache_roi_weight_map", "cpu_thresh",
                 "buffer_steps", "buffer_dim", "with_coord")  # fmt: skip
    given.done()
    rest = tuple(axis for axis in range(3) if dims == 3 or axis != across)
    return Windows(
        (1, sizes[0], sizes[1]) if dims == 2 else (sizes[0], sizes[1], sizes[2]),
        (across, rest[0], rest[1]) if dims == 2 else (0, 1, 2),
        overlap,
        "gaussian" if mode == "gaussian" else "constant",
        sigma,
        str(padding),
    )
