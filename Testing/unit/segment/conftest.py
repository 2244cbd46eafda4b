"""A tiny model folder with random weights, written by the real exporter; a token that cancels inside the work."""

import threading

import pytest

from medai.core.progress import CancelToken

RECIPE = {
    "id": "tiny",
    "description": {
        "title": "Tiny",
        "summary": "For tests.",
        "intended_use": "Tests.",
        "limits": ["Random weights."],
        "training_data": "None.",
        "licence": "Apache-2.0",
        "modality": "MR",
        "side": "left",
        "spacing_range_mm": [0.5, 1.6],
        "volume_range_ml": {"Front": [0.001, 0.002]},
    },
    "labels": [{"label": 1, "name": "Front"}, {"label": 2, "name": "Back"}],
    "region": {"size_mm": [16, 16, 16], "centroid": [0.5, 0.5, 0.5], "mni152": {"left": [-26, -22, -14]}},
    "patch": [16, 16, 16],
    "filters": [4, 8, 8],
    "optimiser": {"epochs": 2, "batch": 2, "threads": 1, "warmup_steps": 1},
    "seed": 3,
}


@pytest.fixture(scope="session")
def recipe_dict():
    return RECIPE


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Folder of a model with fixed random weights that labels about every class somewhere."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("monai")
    from medai.segment.networks import build_network
    from medai.segment.training.export import write_model
    from medai.segment.training.loop import network_settings
    from medai.segment.training.recipe import Recipe

    recipe = Recipe.parse(RECIPE)
    torch.manual_seed(11)
    network = build_network("unet3d", network_settings(recipe, deep_supervision=True))
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "output_block" in name and value.ndim > 1:
                value.mul_(5)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    metrics = {"labels": {}, "mean_dice": 0.0, "cases": 0}
    history = {"losses": [1.0], "minutes": 0.0, "software": {}}
    split = {"training": ["a"], "held_back": []}
    return write_model(network, recipe, folder, split=split, history=history, measure=lambda path: metrics)


class CancelAtPoll(CancelToken):
    """Cancels itself when it is asked for the ``number``-th time, and counts how often it is asked."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.polls, self._number, self._lock = 0, number, threading.Lock()

    def _asked(self) -> None:
        with self._lock:
            self.polls += 1
            if self.polls == self._number:
                self.cancel()

    @property
    def cancelled(self) -> bool:
        self._asked()
        return super().cancelled

    def check(self) -> None:
        self._asked()
        super().check()


@pytest.fixture
def cancel_at_poll() -> type[CancelAtPoll]:
    """A token that cancels at its n-th poll: shows without a clock that work is stopped inside."""
    return CancelAtPoll


@pytest.fixture
def engine_manifest():
    """Make a manifest of a model with random weights: ``engine_manifest(window, classes, **inference entries)``."""
    from medai.segment.manifest import Manifest

    def make(window=(8, 8, 8), classes=3, **inference):
        regions = inference.pop("regions", ())
        count = len({n for n in regions if n}) if regions else classes - 1
        text = dict.fromkeys(("title", "summary", "intended_use", "training_data", "licence"), "Tests")
        return Manifest.parse({
            "id": "tiny", "version": "1.0.0", "description": {**text, "limits": ["Random weights."]},
            "network": {"name": "unet3d"}, "prepare": {}, "window": list(window),
            "inference": {**inference, "regions": list(regions)},
            "labels": [{"label": n + 1, "name": f"Part {n + 1}"} for n in range(count)],
            "weights": {"path": "w.safetensors", "bytes": 1, "sha256": "0" * 64},
        })  # fmt: skip

    return make


@pytest.fixture
def engine_networks():
    """Make plain torch networks ready for a window run: ``sources, opener = engine_networks(module, ...)``."""
    from medai.segment.backends import Session
    from medai.segment.inference.network import NetworkSource

    class Plain(Session):
        def __init__(self, module):
            self.module, self.facts = module, {"backend": "plain", "device": "cpu"}

        device = "cpu"

        def __call__(self, batch):
            return self.module(batch)

    def make(*modules):
        sources = [NetworkSource(str(n), f"member {n}", "torch", lambda cancel, m=m: m) for n, m in enumerate(modules)]
        return sources, lambda source, shape, options, **more: Plain(source.load(more["cancel"]))

    return make


@pytest.fixture
def write_case():
    """Write a case of a training set: a ball (1) with a core (2) in noise; keywords change one thing at a time.

    ``write_case(folder, name, seed, shape=..., spacing=..., orientation="RAS", values=..., labels=...)`` writes
    ``images/NAME.nii.gz`` and ``labels/NAME.nii.gz`` and returns both arrays (K, J, I, in RAS).
    """
    import numpy as np

    from medai.core.geometry import Geometry
    from medai.core.io import write_volume
    from medai.core.resample import reorient_array
    from medai.core.volume import Volume

    def write(folder, name, seed=0, *, shape=(18, 20, 22), spacing=(1.0, 1.0, 1.0), label_spacing=None, values=None,
              labels=None, orientation="RAS", names=("images", "labels"), channels=0, suffix=".nii.gz"):  # fmt: skip
        rng = np.random.default_rng(seed)
        centre = np.array(shape) / 2 + rng.uniform(-2, 2, 3)
        distance = np.linalg.norm(np.indices(shape).transpose(1, 2, 3, 0) - centre, axis=-1)
        drawn = np.where(distance < 3, 2, np.where(distance < 6, 1, 0)).astype(np.uint8)
        labels = drawn if labels is None else labels
        if values is None:
            values = (rng.normal(0, 0.3, shape) + np.choose(drawn, (0, 2, -2))).astype(np.float32)
        files = [(names[1], name, labels, label_spacing or spacing)]
        if channels:
            files += [(names[0], f"{name}_{n:04d}", values + n, spacing) for n in range(channels)]
        else:
            files.append((names[0], name, values, spacing))
        for part, stem, array, used in files:
            (folder / part).mkdir(exist_ok=True, parents=True)
            turned, grid = reorient_array(array, Geometry.from_spacing(shape, used, (5, -3, 2)), orientation)
            write_volume(Volume(np.ascontiguousarray(turned), grid), folder / part / f"{stem}{suffix}")
        return values, labels

    return write
