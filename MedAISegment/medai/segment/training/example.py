"""A small data set to try training with: images that are drawn, so that there is nothing to download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.core.atomic import ensure_folder, write_text
from medai.core.errors import InputError, OutputError
from medai.core.geometry import Geometry
from medai.core.io import write_labelmap, write_volume
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.volume import Volume

SHAPE = (32, 32, 32)
CASES = 24
LABELS = {1: "Body", 2: "Core"}
_COLORS = {1: (0.9, 0.62, 0.0), 2: (0.34, 0.71, 0.91)}


def write_example(
    folder: str | Path,
    *,
    cases: int = CASES,
    seed: int = 1,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """Write images of an ellipsoid "organ" with a darker core among distractors, in noise, with their label maps.

    Nothing in them is of a patient.  ``images/example_01.nii.gz``, ``labels/example_01.nii.gz``, ... and a file
    ``labels.json`` with the labels' names.

    Parameters
    ----------
    folder : path
        A new or empty folder.
    cases : int
        2 to 999.

    Raises
    ------
    InputError
        If the number of cases is out of range.
    OutputError
        If the folder holds something or cannot be written to.
    Cancelled
        If somebody asked to stop.
    """
    if not 2 <= cases <= 999:
        raise InputError(f"{cases} example cases were asked for; 2 to 999 can be written.")
    token = cancel or CancelToken()
    root = ensure_folder(folder)
    if any(root.iterdir()):
        raise OutputError(f"The folder {root.name!r} is not empty.", hint="Choose a new folder.")
    for part in ("images", "labels"):
        ensure_folder(root / part)
    segments = tuple(Segment(n, name, _COLORS[n]) for n, name in LABELS.items())
    for number in range(1, cases + 1):
        token.check()
        image, labels = _drawn(np.random.default_rng([seed, number]))
        grid = Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        name = f"example_{number:02d}.nii.gz"
        write_volume(Volume(image, grid), root / "images" / name)
        write_labelmap(LabelMap(labels, grid, segments), root / "labels" / name)
        progress(number / cases, f"writing {name}")
    write_text(root / "labels.json", json.dumps({str(k): v for k, v in LABELS.items()}, indent=2) + "\n")
    return root


def _drawn(random: np.random.Generator) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    body = _ellipsoid(random, centre=(13, 19), radii=(6, 9.5))
    centre, radii, turn = body
    inside = _distance(centre, radii, turn) < 1
    core = _distance(centre + random.uniform(-1, 1, 3), radii * random.uniform(0.4, 0.55), turn) < 1
    labels = np.where(inside & core, 2, np.where(inside, 1, 0)).astype(np.uint8)
    level = {0: random.uniform(90, 120), 1: random.uniform(170, 210), 2: random.uniform(125, 150)}
    image = np.choose(labels, [level[0], level[1], level[2]]).astype(np.float64)
    # Blobs as bright as the organ, but small: brightness alone does not tell what belongs to it.
    for _ in range(6):
        blob = _distance(*_ellipsoid(random, centre=(3, 29), radii=(1.5, 2.8))) < 1
        image[blob & ~inside] = level[1] * random.uniform(0.9, 1.05)
    grid = np.indices(SHAPE).astype(np.float64) / SHAPE[0] - 0.5
    shading = 1 + np.tensordot(random.uniform(-0.2, 0.2, 3), grid, 1)
    noisy: npt.NDArray[Any] = image * shading + random.normal(0, 14, SHAPE)
    return np.clip(np.rint(noisy), 0, 1000).astype(np.int16), labels


def _ellipsoid(random: np.random.Generator, centre: tuple[float, float], radii: tuple[float, float]) -> Any:
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    return random.uniform(*centre, 3), random.uniform(*radii, 3), turn


def _distance(centre: Any, radii: Any, turn: Any) -> npt.NDArray[np.float64]:
    """Return the distance from an ellipsoid's centre, 1 on its surface."""
    offset = np.indices(SHAPE).reshape(3, -1) - np.reshape(centre, (3, 1))
    scaled = (turn @ offset) / np.reshape(radii, (3, 1))
    found: npt.NDArray[np.float64] = np.linalg.norm(scaled, axis=0).reshape(SHAPE)
    return found
