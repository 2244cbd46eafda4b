"""Fixtures that every test may use."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# The models of whoever runs the tests are not part of them.
os.environ["MEDAI_MODELS"] = str(Path(tempfile.gettempdir()) / f"medai-test-models-{os.getpid()}")


@pytest.fixture(scope="session")
def repo() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real images (MEDAI_TEST_DATA); tests that need it are skipped without it."""
    folder = Path(os.environ.get("MEDAI_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip("no test data: set MEDAI_TEST_DATA")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20261122)


@pytest.fixture(scope="session")
def model_folder() -> Callable[..., Path]:
    """Return a function that writes a model which looks at the whole image.

    Its random weights label every class somewhere: 1 "Front" and 4 "Back".  Keywords replace keys of its manifest.
    """

    def write(folder: Path, channels: int = 1, **changes: Any) -> Path:
        torch = pytest.importorskip("torch")
        pytest.importorskip("monai")
        from safetensors.torch import save

        from medai.segment.networks import build_network

        inputs = channels + (2 if changes.get("previous") else 0)
        settings = {"in_channels": inputs, "out_channels": 3, "filters": [4, 8, 8]}
        with torch.random.fork_rng():
            torch.manual_seed(1)
            network = build_network("unet3d", settings)
            # Without the last layer's bias, and with large weights, each class wins somewhere.
            for name, value in network.state_dict().items():
                if name.startswith("output_block"):
                    value.mul_(5.0 if value.ndim > 1 else 0.0)
        data = save({k: v.contiguous() for k, v in network.state_dict().items() if not k.startswith("skip_layers.")})
        folder.mkdir(exist_ok=True)
        weights = changes.pop("file", "weights.safetensors")
        (folder / weights).write_bytes(data)
        chain = [{"method": "zscore"}]
        manifest = {
            "id": "whole", "version": "1.0.0",
            "description": {
                "title": "Whole", "summary": "For tests.", "intended_use": "Tests.", "limits": ["Random weights."],
                "training_data": "None.", "licence": "Apache-2.0", "modality": "MR",
            },
            "network": {"name": "unet3d", "settings": settings},
            "prepare": {
                "spacing": [1, 1, 1],
                "channels": [{"name": name, "normalise": chain} for name in ["T1", "T2"][:channels]],
            },
            "window": [16, 16, 16],
            "inference": {"mirror_axes": [2]},
            "labels": [{"label": 1, "name": "Front"}, {"label": 4, "name": "Back"}],
            "weights": [{"path": weights, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}],
            **changes,
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        return folder

    return write
