"""The version, for copies that no package manager knows, such as a Slicer extension's; equals ``pyproject.toml``'s."""

VERSION = "0.1.0"
