"""slicer.parameterNodeWrapper: the stand-in's public names are Slicer's."""

from medai_host.errors import NotInHost
from medai_host.parameters import collections_  # noqa: F401 - enters lists, tuples and dicts
from medai_host.parameters.annotations import (
    Choice,
    Decimals,
    Default,
    Exclude,
    IsInstance,
    Maximum,
    Minimum,
    NotNone,
    SingleStep,
    Validator,
    WithinRange,
    findFirstAnnotation,
    splitAnnotations,
    unannotatedType,
)
from medai_host.parameters.connectors import GuiConnector, createGuiConnector
from medai_host.parameters.packs import isParameterPack, nestedParameterNames, parameterPack
from medai_host.parameters.wrapper import (
    SlicerParameterNamePropertyName,
    findChildWidgetForParameter,
    isParameterNodeWrapper,
    parameterNodeWrapper,
)

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "GuiConnector",
    "IsInstance",
    "Maximum",
    "Minimum",
    "NotNone",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "createGuiConnector",
    "findChildWidgetForParameter",
    "findFirstAnnotation",
    "isParameterNodeWrapper",
    "isParameterPack",
    "nestedParameterNames",
    "parameterNodeWrapper",
    "parameterPack",
    "splitAnnotations",
    "unannotatedType",
]


def __getattr__(name: str) -> object:
    raise NotInHost("slicer.parameterNodeWrapper", name)
