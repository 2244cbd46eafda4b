"""From class scores on the model's grid to labels on the image's grid: ours, nnU-Net's export, MONAI's way.

The scores look like a whole-body network's: organs of many sizes in a body, one class far ahead inside each, the others
far below with smooth noise of their own.  The full size (118 channels, 273 x 273 x 200 to 512 x 512 x 300) is made slab
by slab and runs ours only: the peers hold all scores on the image's grid, 37 GB there.  Its ``seconds`` are those spent
in ours, without making the slabs.  ``agreement`` and ``dice`` (least and mean over classes) compare ours with
nnU-Net's export.  MONAI aligns grids by the first voxel's centre and not by the edges: the same work, other labels.
Importing the peers is not timed.
"""

from __future__ import annotations

import importlib
import time

import numpy as np

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.segment.inference.slab import Slab
from medai.segment.inference.writer import LabelWriter
from medai.segment.manifest import Manifest

SLAB = 16
FULL = (118, (200, 273, 273), (300, 512, 512))
SMALL = (31, (100, 137, 137), (150, 256, 256))
FEW = (3, (100, 137, 137), (150, 256, 256))
SAME = (3, (150, 256, 256), (150, 256, 256))


class Body:
    """Scores of a body full of ellipsoids, made for any range of slices."""

    def __init__(self, channels: int, shape: tuple[int, int, int], seed: int = 0) -> None:
        from scipy.ndimage import gaussian_filter

        rng = np.random.default_rng(seed)
        self.channels, self.shape = channels, shape
        size = np.asarray(shape)
        place = rng.uniform(-0.62, 0.62, (channels, 3))
        self.centre = (0.5 + 0.5 * place * (0.97, 0.7, 0.85)) * size
        # Few organs are large ones: about the same share of the body in all cases.
        radius = np.exp(rng.uniform(np.log(0.02), np.log(0.11), channels))[:, None] * (118 / channels) ** (1 / 3)
        self.radius = radius * rng.uniform(0.6, 1.6, (channels, 3)) * size.min() * (1, 1, 1)
        self.offset = rng.uniform(-3.0, 0.0, channels).astype(np.float32)
        self.shift = rng.integers(0, 40, (channels, 2))
        noise = rng.standard_normal((shape[0], shape[1] + 40, shape[2] + 40)).astype(np.float32)
        noise = gaussian_filter(noise, 2.5)
        self.noise = noise * np.float32(1.2 / noise.std())

    def fill(self, scores: np.ndarray, start: int) -> None:
        """Write slices from ``start`` on into ``scores`` (channels, slices, J, I)."""
        slices = scores.shape[1]
        k, j, i = (np.arange(n, dtype=np.float32) for n in (slices, *self.shape[1:]))
        k = k + start
        nearest = np.full(scores.shape[1:], 9.0, dtype=np.float32)
        for c in range(1, self.channels):
            parts = [((x - self.centre[c, a]) / self.radius[c, a]) ** 2 for a, x in enumerate((k, j, i))]
            value = np.sqrt(parts[0][:, None, None] + parts[1][None, :, None] + parts[2][None, None, :])
            value -= 1
            value *= np.float32(self.radius[c].mean() / 3)  # in units of 3 voxels from the surface
            np.minimum(nearest, value, out=nearest)
            np.clip(value, -1.5, 1.5, out=value)
            value *= -7.0
            y, x = self.shift[c]
            noise = self.noise[start : start + slices, y : y + self.shape[1], x : x + self.shape[2]]
            np.add(value, noise, out=scores[c])
            scores[c] += self.offset[c]
        np.clip(nearest, -1.5, 1.5, out=nearest)
        scores[0] = 7.0 * nearest
        scores[0] += self.noise[start : start + slices, 20 : 20 + self.shape[1], : self.shape[2]]


def manifest_of(channels: int) -> Manifest:
    """Return a manifest with so many channels."""
    return Manifest.parse(
        {
            "id": "bench",
            "version": "1.0.0",
            "description": {
                "title": "t",
                "summary": "s",
                "intended_use": "s",
                "limits": ["s"],
                "training_data": "s",
                "licence": "s",
            },
            "network": {"name": "unet3d"},
            "prepare": {"spacing": None},
            "window": [8, 8, 8],
            "labels": [{"label": n, "name": f"label {n}"} for n in range(1, channels)],
            "weights": {"path": "weights.pt", "bytes": 1, "sha256": "0" * 64},
        }
    )


def grids(shape: tuple[int, int, int], image: tuple[int, int, int]) -> tuple[Geometry, Geometry]:
    """Return the model's grid and the image's over the same box."""
    grid = Geometry.from_spacing(shape, (1.5, 1.5, 1.5))
    ratio = [a / b for a, b in zip(shape, image, strict=True)]
    matrix = grid.ijk_to_ras.copy()
    matrix[:3, :3] = matrix[:3, :3] @ np.diag(ratio[::-1])
    matrix[:3, 3] = grid.to_ras([0.5 * r - 0.5 for r in ratio[::-1]])
    return grid, Geometry(image, matrix)


def dice(one: np.ndarray, other: np.ndarray, channels: int) -> dict:
    """Return how far two label arrays agree."""
    both = np.bincount(one.ravel()[(one == other).ravel()], minlength=channels)[1:channels]
    total = np.bincount(one.ravel(), minlength=channels) + np.bincount(other.ravel(), minlength=channels)
    total = total[1:channels]
    score = 2 * both[total > 0] / total[total > 0]
    return {"agreement": float((one == other).mean()), "least dice": float(score.min()), "dice": float(score.mean())}


def ours(scores: np.ndarray, shape: tuple, image: tuple, **more) -> np.ndarray:
    """Return labels by our writer, the scores cut into slabs."""
    grid, target = grids(shape, image)
    writer = LabelWriter(grid, target, manifest_of(len(scores)), cancel=CancelToken(), **more)
    for start in range(0, shape[0], SLAB):
        writer.feed(Slab(start, scores[:, start : start + SLAB]))
    return writer.finish().labels


def nnunet(scores: np.ndarray, shape: tuple, image: tuple) -> np.ndarray:
    """Return labels by nnU-Net's own export."""
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    spacing = [1.5 * a / b for a, b in zip(shape, image, strict=True)]
    kwargs = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    plans = PlansManager(
        {
            "dataset_name": "Dataset001_Bench",
            "plans_name": "nnUNetPlans",
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "configurations": {
                "3d_fullres": {
                    "architecture": {},
                    "spacing": [1.5, 1.5, 1.5],
                    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                    "resampling_fn_probabilities_kwargs": kwargs,
                }
            },
        }
    )
    names = {f"label {n}": n for n in range(1, len(scores))}
    dataset = {"labels": {"background": 0, **names}, "file_ending": ".nii.gz"}
    properties = {
        "spacing": spacing,
        "shape_before_cropping": image,
        "shape_after_cropping_and_before_resampling": image,
        "bbox_used_for_cropping": [[0, n] for n in image],
    }
    return convert_predicted_logits_to_segmentation_with_correct_shape(
        scores, plans, plans.get_configuration("3d_fullres"), plans.get_label_manager(dataset), properties,
        num_threads_torch=2,
    )  # fmt: skip


def monai(scores: np.ndarray, shape: tuple, image: tuple) -> np.ndarray:
    """Return labels the way a bundle's post-processing does: Invertd of the scores, then AsDiscreted."""
    import torch
    from monai.data import MetaTensor
    from monai.transforms import AsDiscreted, Compose, Invertd, Spacingd

    affine = np.diag([1.5 * a / b for a, b in zip(shape, image, strict=True)] + [1.0])
    before = Compose([Spacingd("image", pixdim=(1.5, 1.5, 1.5), mode="bilinear", align_corners=False)])
    item = before({"image": MetaTensor(torch.zeros((1, *image)), affine=affine)})
    item["pred"] = MetaTensor(torch.from_numpy(scores[:, : item["image"].shape[1]]), affine=item["image"].affine)
    after = Compose(
        [
            Invertd("pred", transform=before, orig_keys="image", nearest_interp=False, to_tensor=True),
            AsDiscreted("pred", argmax=True),
        ]
    )
    return after(item)["pred"][0].numpy().astype(np.uint8)


def small(channels: int, shape: tuple, image: tuple):
    """Return a case with all scores in memory."""

    def case():
        body = Body(channels, shape)
        scores = np.empty((channels, *shape), dtype=np.float32)
        body.fill(scores, 0)
        for name in ("nnunetv2.inference.export_prediction", "monai.transforms"):
            importlib.import_module(name)
        expected = ours(scores, shape, image)

        def timed(function) -> None:
            function(scores, shape, image)

        return {
            "ours": lambda: timed(ours),
            "nnU-Net": lambda: timed(nnunet),
            "MONAI Invertd": lambda: timed(monai),
            "(nnU-Net against ours)": lambda: dice(nnunet(scores, shape, image), expected, channels),
        }

    return case


def full(**more):
    """Return the full size, made slab by slab; ours only."""

    def case():
        channels, shape, image = FULL
        body = Body(channels, shape)
        scores = np.ones((channels, SLAB, *shape[1:]), dtype=np.float32)  # not zeros: memory counts once it is written
        grid, target = grids(shape, image)

        def run() -> dict:
            writer = LabelWriter(grid, target, manifest_of(channels), cancel=CancelToken(), **more)
            seconds = 0.0
            for start in range(0, shape[0], SLAB):
                part = scores[:, : min(SLAB, shape[0] - start)]
                body.fill(part, start)
                begun = time.perf_counter()
                writer.feed(Slab(start, part))
                seconds += time.perf_counter() - begun
            begun = time.perf_counter()
            written = writer.finish()
            seconds += time.perf_counter() - begun
            found = sum(fact["voxels"] > 0 for fact in written.facts.values())
            share = written.how["interpolated_blocks"] / written.how["blocks"]
            return {"seconds": seconds, "labels": found, "interpolated blocks": round(share, 3)}

        return {"ours": run}

    return case


CASES = {
    "labels 256x256x150, 30 classes": small(*SMALL),
    "labels 256x256x150, 2 classes": small(*FEW),
    "labels 256x256x150, 2 classes, same grid": small(*SAME),
    "labels 512x512x300, 117 classes, full size": full(),
    "labels and entropy 512x512x300, 117 classes, full size": full(entropy=True),
}
