"""The one place that imports Slicer: the application, or pip's slicer-core, which has the same MRML classes."""

from __future__ import annotations

from typing import Any

from ..core.errors import DependencyError


def _load() -> tuple[Any, Any]:
    try:
        import slicer
        import vtk
    except ImportError as error:
        raise DependencyError(
            "The scene bridge needs 3D Slicer's MRML classes, and none are installed here.",
            hint="Run inside 3D Slicer, or install the 'scene' extra (package slicer-core).",
        ) from error
    if not hasattr(slicer, "vtkMRMLScene"):
        # The package index also has an unrelated package called "slicer" (shap depends on it) that takes the name.
        raise DependencyError(
            "The installed Python package 'slicer' is not 3D Slicer.",
            hint="Uninstall the package 'slicer' and install 'slicer-core'.",
        )
    return slicer, vtk


slicer, vtk = _load()

BINARY_LABELMAP: str = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
CLOSED_SURFACE: str = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
REFERENCE_GEOMETRY: str = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()


def register_converters() -> None:
    """Register Slicer's surface <-> label map conversions, which the application does but slicer-core leaves out."""
    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    known = {rule.GetClassName() for rule in factory.GetConverterRules()}
    for name in ("vtkBinaryLabelmapToClosedSurfaceConversionRule", "vtkClosedSurfaceToBinaryLabelmapConversionRule"):
        if name not in known:
            factory.RegisterConverterRule(getattr(slicer, name)())
