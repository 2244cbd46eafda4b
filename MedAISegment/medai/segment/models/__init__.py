"""Models: where they live, what each says about itself, and loading one only after its files were checked."""

from .info import ModelInfo
from .loading import load_network, unload_networks
from .reading import read_model, verify_file
from .roots import FOLDER, shipped_roots
from .store import ModelStore

__all__ = [
    "FOLDER", "ModelInfo", "ModelStore", "load_network", "read_model", "shipped_roots", "unload_networks",
    "verify_file",
]  # fmt: skip
