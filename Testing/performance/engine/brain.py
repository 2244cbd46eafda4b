"""The whole head on 256^3 voxels of 1 mm: brain-mr alone, and with the hippocampus model after it.

Without brain-mr in the store there is nothing to time.  The head is a phantom of nested ellipsoids: the time depends on
the size of the image and on its empty surroundings, not on what it shows.
"""

from __future__ import annotations

import numpy as np

SIZE = 256
SHELLS = ((82, 105, 100, 0.8), (76, 98, 92, 0.1), (70, 90, 84, 0.5), (60, 78, 72, 0.75), (18, 30, 14, 0.15))
"""Half axes along R, A, S in mm and the value inside."""


def head():
    """Return a phantom of a head with noise, 0 mm at its middle."""
    from medai.core.geometry import Geometry
    from medai.core.volume import Volume

    axis = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    array = np.random.default_rng(0).normal(0.02, 0.02, (SIZE,) * 3).astype(np.float32)
    for r, a, s, value in SHELLS:
        inside = (axis[:, None, None] / s) ** 2 + (axis[:, None] / a) ** 2 + (axis / r) ** 2 < 1
        array[inside] += value
    low = -(SIZE - 1) / 2
    return Volume((array * 1000).astype(np.int16), Geometry.from_spacing(array.shape, (1, 1, 1), (low, low, low)))


def runs():
    """Return the two runs, none without brain-mr; what they find in a phantom is not looked at."""
    from medai.core.errors import ModelError
    from medai.segment.inference.locator import Found
    from medai.segment.inference.run import run_model
    from medai.segment.models import ModelStore

    try:
        brain, small = ModelStore().find("brain-mr"), ModelStore().find("hippocampus")
    except ModelError:
        return {}
    volume = head()
    options = {"device": "cpu"}

    def whole():
        facts = run_model(brain, volume, options).facts["inference"]
        return {key: facts[key] for key in ("backend", "precision", "windows", "skipped", "seconds")}

    def boxes():
        from medai.core.progress import CancelToken, no_progress
        from medai.segment.inference.locate import place
        from medai.segment.inference.located import run_located
        from medai.segment.inference.options import InferenceOptions

        hint = small.manifest.region
        regions = tuple(
            place(hint, side, hint.mni152[side], mirrored=small.manifest.description.mirrors(side))
            for side in ("left", "right")
        )
        run_located(
            small, volume, Found(regions), InferenceOptions(device="cpu"), recentre=True, largest_component=True,
            progress=no_progress, cancel=CancelToken(),
        )  # fmt: skip

    def both():
        whole()
        boxes()

    return {"ours": both, "brain-mr alone": whole, "refinement alone": boxes}


CASES = {"whole head, 256^3 of 1 mm": runs}
