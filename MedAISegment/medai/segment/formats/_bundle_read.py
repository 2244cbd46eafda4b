"""A bundle's files: its configuration and metadata as plain values, and where its weights lie."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from medai.core.errors import DependencyError, ManifestError, SettingsError
from medai.core.settings import MAX_SETTINGS_BYTES, load_json_file, plain_json

from ._bundle_config import Code, Config

METADATA = "configs/metadata.json"
CONFIGS = ("configs/inference.json", "configs/inference.yaml", "configs/inference.yml")
WEIGHTS = ("models/model.safetensors", "models/model.pt", "models/model.pth", "models/model.ts")


def config_file(folder: Path) -> str | None:
    """Return the first of the configurations that is there."""
    return next((name for name in CONFIGS if (folder / name).is_file()), None)


def read_values(folder: Path, name: str) -> dict[str, Any]:
    """Return a JSON or YAML file's values: plain ones only.

    Raises
    ------
    ManifestError
        If it cannot be read, or holds no table.
    DependencyError
        If it is YAML and PyYAML is missing.
    """
    try:
        value = load_json_file(folder / name, where=name) if name.endswith(".json") else _read_yaml(folder / name, name)
    except SettingsError as error:
        raise ManifestError(error.message, hint=error.hint) from None
    if not isinstance(value, dict):
        raise ManifestError(f"{name}: a table was expected.")
    return value


def _read_yaml(path: Path, name: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise DependencyError(
            f"{name} cannot be read: the package PyYAML is not installed.", hint="Install pyyaml."
        ) from None
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_SETTINGS_BYTES + 1)
        if len(content) > MAX_SETTINGS_BYTES:
            raise ManifestError(f"{name}: the file is larger than {MAX_SETTINGS_BYTES} bytes.")
        if b"&" in content and any(isinstance(t, yaml.AliasToken) for t in yaml.scan(content, Loader=yaml.SafeLoader)):
            # Repeated values can make terabytes of a few lines.
            raise ManifestError(f"{name}: YAML anchors are not read.", hint="Write the values where they are used.")
        value = yaml.safe_load(content)
    except OSError as error:
        raise ManifestError(f"{name}: cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where is not None else ""
        raise ManifestError(f"{name}: not valid YAML{line}.") from None
    return plain_json(value, where=name)


def weights_path(folder: Path, config: Config) -> str:
    """Return the path of the weights that the configuration loads, else of the usual place.

    Raises
    ------
    ManifestError
        If there are none.
    """
    for loader in _loaders(config):
        path = config.get(f"{loader}::load_path") if config.has(f"{loader}::load_path") else None
        if isinstance(path, str) and not isinstance(path, Code):
            # bundle_root is a dot.
            parts = PurePosixPath(path.replace("\\", "/")).parts
            inside = "/".join(parts)
            if parts and ".." not in parts and parts[0] != "/" and (folder / inside).is_file():
                return inside
    found = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise ManifestError(f"The bundle has no {WEIGHTS[1]}.", hint="Get the weights (large_files.yml).")
    return found


def _loaders(config: Config) -> list[str]:
    """Return the paths of the configuration's CheckpointLoaders."""
    found = [key for key, value in config.values.items() if _is_loader(value)]
    handlers = config.values.get("handlers")
    if isinstance(handlers, list):
        found += [f"handlers::{number}" for number, value in enumerate(handlers) if _is_loader(value)]
    return found


def _is_loader(value: Any) -> bool:
    name = value.get("_target_") if isinstance(value, dict) else None
    return isinstance(name, str) and name.rsplit(".", 1)[-1] == "CheckpointLoader"
