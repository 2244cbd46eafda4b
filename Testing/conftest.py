"""Fixtures that every test may use."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

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
