"""Noticing that an input changed or went away while something was computed from it."""

from __future__ import annotations

from typing import Any

from ..core.errors import SceneError
from ..core.volume import Volume
from .nodes import TransformChoice, label_of
from .volumes import volume_from_node


class InputGuard:
    """The value of a volume node at one moment, and the check that the node still holds it.

    Take it before a long computation and call :meth:`check` before its result goes into the scene.

    Parameters
    ----------
    node : vtkMRMLVolumeNode
        The input; must be in a scene.
    transform : {"error", "harden"}
        As :func:`medai.mrml.volume_from_node`.

    Raises
    ------
    SceneError
        If the node is in no scene or cannot be read.
    """

    def __init__(self, node: Any, *, transform: TransformChoice = "error") -> None:
        self._volume = volume_from_node(node, transform=transform)
        self._digest = self._volume.digest()
        self._node, self._scene, self._id = node, node.GetScene(), node.GetID()
        self._transform = transform
        if self._scene is None:
            raise SceneError(f"The volume {label_of(node)} is not in a scene.", hint="Add it to a scene first.")

    @property
    def volume(self) -> Volume:
        """The copy that was taken."""
        return self._volume

    @property
    def digest(self) -> str:
        """SHA-256 of the copy: what results are tied to (``input_sha256`` in their provenance)."""
        return self._digest

    def check(self) -> None:
        """Raise :class:`SceneError` if the node left its scene, or its voxels or position changed."""
        if self._node.GetScene() is not self._scene or self._scene.GetNodeByID(self._id) is not self._node:
            raise SceneError(
                "The input image was removed from the scene meanwhile, so the result is dropped.",
                hint="Load the image again and start over.",
            )
        try:
            now = volume_from_node(self._node, transform=self._transform).digest()
        except SceneError as error:
            raise _edited() from error
        if now != self._digest:
            raise _edited()


def _edited() -> SceneError:
    return SceneError(
        "The input image was changed meanwhile, so the result does not belong to it and is dropped.",
        hint="Start again with the changed image.",
    )
