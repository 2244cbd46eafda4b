"""Volume nodes to Volume values and back; voxels are always copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.errors import SceneError, UnsupportedInput
from ..core.geometry import Geometry
from ..core.volume import Volume
from ._slicer import slicer
from .arrays import from_image, storable, to_image, to_matrix
from .attributes import exact_geometry, get_flags, get_meta, image_geometry, set_affine, set_flags, set_json
from .display import show_volume, window_range
from .nodes import (
    TransformChoice,
    added,
    free_name,
    label_of,
    one_modification,
    require_node,
    require_scene,
    require_target,
    to_world,
)
from .provenance import facts_of, stamp
from .quantities import modality_of, set_quantity, unit_of
from .texts import storable_line


def volume_geometry(node: Any, *, transform: TransformChoice = "error") -> Geometry:
    """Return the grid of a volume node in world RAS mm, without touching its voxels.

    Raises
    ------
    SceneError
        As :func:`volume_from_node`.
    """
    image = _image(node)
    vtk_matrix = to_matrix(np.eye(4))
    node.GetIJKToRASMatrix(vtk_matrix)
    own = exact_geometry(node, image_geometry(image, vtk_matrix))
    world = to_world(node, transform)
    return own if np.array_equal(world, np.eye(4)) else Geometry(own.shape, world @ own.ijk_to_ras)


def volume_from_node(node: Any, *, transform: TransformChoice = "error") -> Volume:
    """Return a copy of a volume node's content.

    Parameters
    ----------
    node : vtkMRMLVolumeNode
        Scalar, label map or vector volume.
    transform : {"error", "harden"}
        What to do if the node is under a transform that moves it: refuse, or apply it to the copy's grid (linear ones
        only; no voxel is interpolated).  The node itself is never changed.

    Returns
    -------
    Volume
        Array (K, J, I) or (K, J, I, components); the affine maps voxel centres to world RAS in mm.

    Raises
    ------
    SceneError
        If the node is not a volume, is empty, or lies under a transform as described.
    """
    geometry = volume_geometry(node, transform=transform)
    array = np.array(from_image(node.GetImageData()), copy=True, order="C")
    scalar = node.IsA("vtkMRMLScalarVolumeNode")
    return Volume(
        array,
        geometry,
        modality=modality_of(node) if scalar else "",
        unit=unit_of(node) if scalar else "",
        name=node.GetName() or "",
        flags=get_flags(node),
        meta=get_meta(node),
    )


def volume_to_node(
    volume: Volume,
    scene: Any,
    name: str | None = None,
    *,
    node: Any = None,
    provenance: Mapping[str, Any] | None = None,
) -> Any:
    """Put a copy of a volume into a scene.

    Parameters
    ----------
    volume : Volume
        One value per voxel becomes a scalar volume node, more a vector volume node; 3 or 4 components of uint8 are
        marked as RGB or RGBA.  Voxel types that MRML cannot hold are changed without loss (see
        :func:`medai.mrml.arrays.storable`).
    scene : vtkMRMLScene
    name : str, optional
        The node's name; a free name made from ``volume.name`` if not given.
    node : vtkMRMLScalarVolumeNode or vtkMRMLVectorVolumeNode, optional
        An existing node of the scene whose content is replaced in one modification.
    provenance : mapping, optional
        Facts to add to the node's provenance, JSON values.

    Returns
    -------
    vtkMRMLScalarVolumeNode or vtkMRMLVectorVolumeNode

    Raises
    ------
    SceneError
        If the scene or node cannot be used.  Nothing was added or changed then.
    UnsupportedInput
        If the voxels cannot be stored without loss.
    """
    require_scene(scene)
    components = volume.components
    array = storable(volume.array if components > 1 else volume.array.reshape(volume.geometry.shape))
    class_name = "vtkMRMLVectorVolumeNode" if components > 1 else "vtkMRMLScalarVolumeNode"
    facts = facts_of(volume.digest(), provenance)
    window = window_range(array, volume.modality, volume.unit) if components == 1 else None
    image = to_image(array)
    if node is not None:
        require_target(node, class_name, "volume", scene)
        if node.GetClassName() != class_name:
            raise SceneError(
                f"The image needs an output of class {class_name}, given {node.GetClassName()}.",
                hint="Choose another output volume, or create a new one.",
            )
        if node.GetParentTransformNode() is not None:
            raise SceneError(
                f"The output volume {label_of(node)} is under a transform.", hint="Remove the transform from it first."
            )
        with one_modification(node):
            _fill(node, volume, image, facts)
            if name is not None:
                node.SetName(storable_line(name))
        return node
    created = getattr(slicer, class_name)()
    created.SetName(free_name(scene, name, volume.name or "Volume"))
    _fill(created, volume, image, facts)
    with added(scene, created):
        keep_orientation(created)
        show_volume(created, window)
    return created


def keep_orientation(node: Any) -> None:
    """Tell a volume's storage node to read a left-handed grid back as it was written.

    Slicer's default turns it into a right-handed one by flipping slices, so the array would not be the saved one.
    """
    node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    if storage is not None and storage.IsA("vtkMRMLVolumeArchetypeStorageNode"):
        storage.SetForceRightHandedIJKCoordinateSystem(False)


def _fill(node: Any, volume: Volume, image: Any, facts: Mapping[str, Any]) -> None:
    node.SetIJKToRASMatrix(to_matrix(volume.geometry.ijk_to_ras))
    node.SetAndObserveImageData(image)
    if node.IsA("vtkMRMLVectorVolumeNode"):
        kinds = {3: node.VoxelVectorTypeColorRGB, 4: node.VoxelVectorTypeColorRGBA}
        colour = volume.array.dtype == np.uint8
        node.SetVoxelVectorType(kinds.get(volume.components, 0) if colour else node.VoxelVectorTypeUndefined)
    if node.IsA("vtkMRMLScalarVolumeNode"):
        set_quantity(node, volume)
    set_affine(node, volume.geometry)
    set_flags(node, volume.flags)
    set_json(node, "Meta", dict(volume.meta))
    stamp(node, facts)


def _image(node: Any) -> Any:
    require_node(node, "vtkMRMLVolumeNode", "volume")
    image = node.GetImageData()
    if image is None or min(image.GetDimensions()) < 1:
        raise SceneError(f"The volume {label_of(node)} has no voxels.", hint="Load or create its image first.")
    if image.GetPointData().GetScalars() is None:
        raise UnsupportedInput(
            f"The volume {label_of(node)} holds no scalars or vectors (a tensor image?).",
            hint="Convert it to a scalar volume first.",
        )
    return image
