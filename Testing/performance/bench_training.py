"""Samples per second of our training loop beside MONAI's plain loop, on the same drawn images, one after the other.

    python Testing/performance/bench_training.py [WORDS] [--repeat 3] [--steps 6] [--threads 2] [--device cpu]

The network, patch, batch and random changes are those of the shipped hippocampus recipe (DynUNet with 24, 48, 96, 128
features, 40 x 56 x 40 voxels, 2 patches a step).  Every contender runs in a process of its own, in turns, ``--repeat``
times; the best turn counts.  Beside the time of the clock there is the processors' time, workers included, which says
more on a machine that others use as well.  Each reads NIfTI files; the first step (start of threads and workers) and,
for ``CacheDataset`` and for us, the reading of everything are not timed.

- ``ours``: the recipe as it is shipped (bfloat16), ``ours float32``: the same in single precision;
- ``MONAI plain``: ``Dataset`` and ``DataLoader`` with two workers, float32, as MONAI's tutorials begin: files are read,
  turned, resampled and normalised for each sample; outputs of coarser levels are enlarged by ``DynUNet`` itself,
  ``DiceCELoss`` with one-hot classes, ``AdamW``;
- ``MONAI cached``: the same with ``CacheDataset``; ``MONAI cached bfloat16``: also with automatic mixed precision.

We also keep averaged weights and a checkpoint, which MONAI's plain loop does not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CASES, BATCH, PATCH, FILTERS = 12, 2, (40, 56, 40), (24, 48, 96, 128)
CONTENDERS = ("ours", "ours float32", "MONAI plain", "MONAI cached", "MONAI cached bfloat16")


def draw(folder: Path) -> None:
    """Write drawn images of the size of the hippocampus crops."""
    from medai.core.geometry import Geometry
    from medai.core.io import write_volume
    from medai.core.volume import Volume

    for part in ("images", "labels"):
        (folder / part).mkdir()
    for number in range(CASES):
        random = np.random.default_rng(number)
        shape = tuple(int(n) for n in random.integers((32, 44, 30), (44, 58, 44)))
        at = np.indices(shape).transpose(1, 2, 3, 0) - np.array(shape) / 2
        distance = np.linalg.norm(at / np.array(shape) * 40, axis=-1)
        labels = np.where(distance < 10, np.where(at[..., 1] > 0, 1, 2), 0).astype(np.uint8)
        image = (random.normal(400, 60, shape) + 200 * (labels > 0)).astype(np.int16)
        grid = Geometry.from_spacing(shape, (1.0, 1.0, 1.0), (0, 0, 0))
        for part, values in (("images", image), ("labels", labels)):
            write_volume(Volume(values, grid), folder / part / f"case{number:02d}.nii.gz")


def clocks() -> tuple[float, float]:
    """Return the clock's time and the processors' time of this process and its workers, in seconds."""
    import psutil

    mine = psutil.Process()
    spent = 0.0
    for process in (mine, *mine.children(recursive=True)):
        used = process.cpu_times()
        spent += used.user + used.system
    return time.perf_counter(), spent


def pace(samples: int, before: tuple[float, float], after: tuple[float, float]) -> dict[str, float]:
    """Return samples per second, and the processors' seconds per sample."""
    return {"per_second": samples / (after[0] - before[0]), "cpu_seconds": (after[1] - before[1]) / samples}


def ours(folder: Path, steps: int, threads: int, device: str, precision: str) -> dict[str, float]:
    """Return the pace of our loop."""
    from medai.core.progress import CancelToken
    from medai.segment.training.cases import find_pairs, load_case
    from medai.segment.training.loop import train
    from medai.segment.training.patches import PatchSamples
    from medai.segment.training.recipe import Recipe

    text = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "Benchmark")
    recipe = Recipe.parse({
        "id": "bench", "description": {**text, "limits": ["None."]},
        "labels": [{"label": 1, "name": "Front"}, {"label": 2, "name": "Back"}],
        "patch": PATCH, "filters": FILTERS, "augment": {"translate": 6.0},
        "optimiser": {"epochs": 2, "samples_per_epoch": BATCH * steps, "batch": BATCH, "precision": precision,
                      "threads": threads, "device": device, "workers": 0 if device == "cpu" else 8},
    })  # fmt: skip
    samples = PatchSamples([load_case(pair, recipe) for pair in find_pairs(folder)], recipe)
    times = [clocks()]
    with tempfile.TemporaryDirectory() as work:
        train(
            samples, recipe, progress=lambda fraction, message="": None, cancel=CancelToken(),
            checkpoint=Path(work) / "state.pt", on_epoch=lambda *_: times.append(clocks()),
        )  # fmt: skip
    return pace(BATCH * steps, times[1], times[2])


def monai(folder: Path, steps: int, threads: int, device: str, cached: bool, mixed: bool) -> dict[str, float]:
    """Return the pace of MONAI's plain loop."""
    import torch
    from monai.data import CacheDataset, DataLoader, Dataset
    from monai.losses import DiceCELoss
    from monai.networks.nets import DynUNet
    from monai.transforms import (
        Compose,
        EnsureChannelFirstd,
        EnsureTyped,
        LoadImaged,
        NormalizeIntensityd,
        Orientationd,
        RandAdjustContrastd,
        RandAffined,
        RandBiasFieldd,
        RandGaussianNoised,
        RandGaussianSmoothd,
        RandScaleIntensityd,
        RandSimulateLowResolutiond,
        RandSpatialCropd,
        Spacingd,
        SpatialPadd,
    )
    from monai.utils import set_determinism

    set_determinism(1)
    torch.set_num_threads(threads)
    both = ["image", "label"]
    size = PATCH[::-1]
    transforms = Compose([
        LoadImaged(both), EnsureChannelFirstd(both), Orientationd(both, axcodes="RAS"),
        Spacingd(both, pixdim=(1.0, 1.0, 1.0), mode=("bilinear", "nearest")),
        NormalizeIntensityd("image"), EnsureTyped(both), SpatialPadd(both, size),
        RandSpatialCropd(both, size, random_size=False),
        RandAffined(both, prob=0.7, rotate_range=[0.26] * 3, scale_range=[0.15] * 3, translate_range=[6] * 3,
                    mode=("bilinear", "nearest"), padding_mode="zeros"),
        RandGaussianNoised("image", prob=0.2, std=0.15),
        RandGaussianSmoothd("image", prob=0.2, sigma_x=(0.3, 0.9), sigma_y=(0.3, 0.9), sigma_z=(0.3, 0.9)),
        RandSimulateLowResolutiond("image", prob=0.2, zoom_range=(0.5, 1.0)),
        RandBiasFieldd("image", prob=0.2, degree=2, coeff_range=(-0.15, 0.15)),
        RandScaleIntensityd("image", prob=0.3, factors=0.25),
        RandAdjustContrastd("image", prob=0.3, gamma=(0.7, 1.5)),
    ])  # fmt: skip
    files = [
        {"image": str(path), "label": str(folder / "labels" / path.name)}
        for path in sorted((folder / "images").iterdir())
    ]
    data = CacheDataset(files, transforms, progress=False) if cached else Dataset(files, transforms)
    # One long epoch: starting workers anew is not timed.
    data = torch.utils.data.ConcatDataset([data] * (2 + BATCH * (steps + 1) // CASES))
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=2 if not cached or device == "cuda" else 0)
    network = DynUNet(
        3, 1, 3, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=FILTERS, norm_name="instance", deep_supervision=True,
        deep_supr_num=2,
    ).to(device).train()  # fmt: skip
    criterion = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-4)
    total, before = 0.0, clocks()
    for done, batch in enumerate(loader):
        if done == 1:
            before = clocks()
        image, label = batch["image"].to(device), batch["label"].to(device)
        optimiser.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
            outputs = torch.unbind(network(image), dim=1)
        loss = sum(0.5**n * criterion(out.float(), label) for n, out in enumerate(outputs)) / 1.75
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
        optimiser.step()
        total += float(loss)
        if done == steps:
            break
    after = clocks()
    assert np.isfinite(total)
    return pace(BATCH * steps, before, after)


def run(name: str, folder: Path, steps: int, threads: int, device: str) -> dict[str, float]:
    """Run one contender in this process."""
    if name.startswith("ours"):
        return ours(folder, steps, threads, device, "float32" if "float32" in name else "bfloat16")
    return monai(folder, steps, threads, device, "cached" in name, "bfloat16" in name)


def ratios(values: dict[str, float], name: str, *, inverse: bool = False) -> list[str]:
    """Return how many times as fast as the two peers, or dashes."""
    cells = []
    for peer, width in (("MONAI plain", 9), ("MONAI cached bfloat16", 15)):
        known = values.get(peer)
        times = (known / values[name] if inverse else values[name] / known) if known else None
        cells.append(f"{times:{width}.2f}" if times else f"{'-':>{width}}")
    return cells


def main() -> None:
    """Run all in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", default="")
    parser.add_argument("--child", nargs=2, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        found = run(given.child[0], Path(given.child[1]), given.steps, given.threads, given.device)
        print(json.dumps(found))
        return
    names = [name for name in CONTENDERS if not given.words or any(word in name for word in given.words)]
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        folder.mkdir()
        draw(folder)
        for _ in range(given.repeat):
            for name in names:
                command = [sys.executable, __file__, "--child", name, str(folder), "--steps", str(given.steps),
                           "--threads", str(given.threads), "--device", given.device]  # fmt: skip
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
                turns[name].append(json.loads(done.stdout.splitlines()[-1]))
    best = {name: max(turn["per_second"] for turn in turns[name]) for name in names}
    least = {name: min(turn["cpu_seconds"] for turn in turns[name]) for name in names}
    head = (("samples/s", 10), ("x plain", 9), ("x cached bf16", 15), ("CPU s/sample", 14), ("x plain", 9),
            ("x cached bf16", 15))  # fmt: skip
    print(" " * 24 + "".join(f"{text:>{width}}" for text, width in head))
    for name in names:
        cells = [f"{best[name]:10.3f}", *ratios(best, name), f"{least[name]:14.3f}", *ratios(least, name, inverse=True)]
        print(f"{name:<24}{''.join(cells)}")
    if given.json:
        Path(given.json).write_text(json.dumps(turns, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
