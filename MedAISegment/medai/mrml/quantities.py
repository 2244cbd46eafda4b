"""What a volume's numbers mean: modality and unit as MedAI attributes and as Slicer's coded voxel quantity and units.

Codes: DICOM PS3.16 CID 7180/7181 and UCUM; the same ones that Slicer's DICOM reader sets for CT, MR and PET.
"""

from __future__ import annotations

from typing import Any

from ..core.volume import Volume
from ._slicer import slicer
from .attributes import get_text, set_text
from .texts import storable_line

_QUANTITIES = {
    "CT": ("112031", "DCM", "Attenuation Coefficient"),
    "MR": ("110852", "DCM", "MR signal intensity"),
}
_SUV_BODY_WEIGHT = ("126401", "DCM", "SUVbw")
_UNIT_MEANINGS = {
    "[hnsf'U]": "Hounsfield unit",
    "{SUVbw}g/ml": "Standardized Uptake Value body weight",
    "Bq/ml": "Becquerels/milliliter",
    "mm2/s": "mm2/s",
}
_NO_UNIT = "1"


def set_quantity(node: Any, volume: Volume) -> None:
    """Write a volume's modality and unit to a scalar volume node."""
    set_text(node, "Modality", volume.modality)
    set_text(node, "Unit", volume.unit)
    quantity = _SUV_BODY_WEIGHT if volume.unit == "{SUVbw}g/ml" else _QUANTITIES.get(volume.modality)
    node.SetVoxelValueQuantity(_entry(*quantity) if quantity else None)
    unit = storable_line(volume.unit)
    node.SetVoxelValueUnits(_entry(unit, "UCUM", _UNIT_MEANINGS.get(unit, unit)) if unit else None)


def modality_of(node: Any) -> str:
    """Return a volume node's DICOM modality: as MedAI wrote it, as the DICOM reader did, or as its quantity implies."""
    written = get_text(node, "Modality") or _dicom_modality(node)
    if written:
        return written
    code = _code(node.GetVoxelValueQuantity())
    return {"112031": "CT", "110852": "MR", "126401": "PT"}.get(code, "")


def unit_of(node: Any) -> str:
    """Return the UCUM unit of a volume node's voxels, empty if arbitrary."""
    code = _code(node.GetVoxelValueUnits()) or get_text(node, "Unit")
    return "" if code == _NO_UNIT else code


def _entry(value: str, scheme: str, meaning: str) -> Any:
    entry = slicer.vtkCodedEntry()
    entry.SetValueSchemeMeaning(value, scheme, meaning)
    return entry


def _code(entry: Any) -> str:
    return str(entry.GetCodeValue() or "") if entry is not None else ""


def _dicom_modality(node: Any) -> str:
    scene = node.GetScene()
    # Looking for a hierarchy would create one in a scene that has none.
    if scene is None or scene.GetNumberOfNodesByClass("vtkMRMLSubjectHierarchyNode") == 0:
        return ""
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():
        return ""
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return str(hierarchy.GetItemAttribute(item, name) or "")
