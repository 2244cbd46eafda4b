"""What every part of the bridge asks of a node or a scene."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from ..core.errors import SceneError
from ..core.geometry import FloatArray
from ._slicer import slicer, vtk
from .arrays import from_matrix
from .texts import storable_line

TransformChoice = Literal["error", "harden"]


def require_scene(scene: Any) -> Any:
    """Return ``scene`` if it is an open MRML scene.

    Raises
    ------
    SceneError
        If it is something else, or is just being closed.
    """
    if not isinstance(scene, slicer.vtkMRMLScene):
        raise SceneError(
            f"An MRML scene is needed, given {type(scene).__name__}.",
            hint="Pass slicer.mrmlScene, or the scene of a HeadlessSession.",
        )
    if scene.IsClosing():
        raise SceneError("The scene is being closed; nothing was added to it.", hint="Start again in the new scene.")
    return scene


def require_node(node: Any, class_name: str, what: str) -> Any:
    """Return ``node`` if it is of an MRML class; raises :class:`SceneError` that names what was given otherwise."""
    if not isinstance(node, slicer.vtkMRMLNode) or not node.IsA(class_name):
        given = node.GetClassName() if isinstance(node, slicer.vtkMRMLNode) else type(node).__name__
        raise SceneError(f"A {what} is needed ({class_name}), given {given}.", hint=f"Choose a {what}.")
    return node


def require_target(node: Any, class_name: str, what: str, scene: Any) -> Any:
    """Return an output node if it is of an MRML class and still in ``scene``."""
    require_node(node, class_name, what)
    if node.GetScene() is not scene:
        raise SceneError(
            f"The output {what} is not in the scene any more.", hint="It was deleted meanwhile; choose another output."
        )
    return node


def label_of(node: Any) -> str:
    """Return the name for messages: the node's ID, because its name may be a patient's."""
    return str(node.GetID() or node.GetClassName())


def to_world(node: Any, transform: TransformChoice) -> FloatArray:
    """Return the 4 x 4 matrix from a node's own RAS to world RAS, mm.

    Parameters
    ----------
    node : vtkMRMLTransformableNode
    transform : {"error", "harden"}
        What to do about a parent transform that is not the identity.

    Raises
    ------
    SceneError
        If there is one and ``transform`` is "error", or it is not linear.
    """
    if transform not in ("error", "harden"):
        raise ValueError(f"transform must be 'error' or 'harden', given {transform!r}")
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise SceneError(
            f"The node {label_of(node)} is under a transform that is not linear, which would need resampling.",
            hint="Harden the transform on it in Slicer first.",
        )
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    result = from_matrix(matrix)
    if transform == "error" and not np.array_equal(result, np.eye(4)):
        raise SceneError(
            f"The node {label_of(node)} is under a transform, so its position is ambiguous.",
            hint='Harden or remove the transform, or ask for transform="harden".',
        )
    return result


def nodes_of(scene: Any, class_name: str) -> list[Any]:
    """Return the scene's nodes of a class in the order of the scene."""
    return [scene.GetNthNodeByClass(n, class_name) for n in range(scene.GetNumberOfNodesByClass(class_name))]


def free_name(scene: Any, name: str | None, default: str) -> str:
    """Return ``name`` as MRML can store it, or a name that the scene does not have yet made from ``default``."""
    return storable_line(name) if name is not None else str(scene.GenerateUniqueName(storable_line(default)))


@contextmanager
def added(scene: Any, *nodes: Any) -> Iterator[None]:
    """Add finished nodes to the scene; if the block fails they are removed again with their display nodes.

    Raises
    ------
    SceneError
        If an observer of the scene removed a node at once.
    """
    try:
        for node in nodes:
            scene.AddNode(node)
        yield
        if any(node.GetScene() is not scene for node in nodes):
            raise SceneError("The new node was removed while it was being added.", hint="Start again.")
    except BaseException:
        for node in nodes:
            displays = [node.GetNthDisplayNode(n) for n in range(_displays(node))]
            for item in (node, *displays):
                if item is not None and item.GetScene() is scene:
                    scene.RemoveNode(item)
        raise


@contextmanager
def one_modification(node: Any) -> Iterator[None]:
    """Let a node report everything that the block does to it as one modification."""
    before = node.StartModify()
    try:
        yield
    finally:
        node.EndModify(before)


def _displays(node: Any) -> int:
    return int(node.GetNumberOfDisplayNodes()) if node.IsA("vtkMRMLDisplayableNode") else 0
