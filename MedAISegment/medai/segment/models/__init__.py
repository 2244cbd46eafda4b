"""Models: where they live, what each says about itself, and loading one only after its files were checked."""

from .info import ModelInfo
from .loading import load_network, unload_networks
from .reading import read_model, verify_file
from .roots import FOLDER, shipped_roots, user_root
from .store import ModelStore
from .trust import is_trusted, record_trust, require_trust

__all__ = [
    "FOLDER", "ModelInfo", "ModelStore", "is_trusted", "load_network", "read_model", "record_trust", "require_trust",
    "shipped_roots", "unload_networks", "user_root", "verify_file",
]  # fmt: skip
