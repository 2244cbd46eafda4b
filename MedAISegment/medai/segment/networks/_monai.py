"""What MONAI's networks share: settings that are called as MONAI's arguments, and building from them."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from medai.core.errors import DependencyError
from medai.core.settings import Settings

from ._base import NetworkKind

if TYPE_CHECKING:
    import torch

Size = Annotated[int, Field(ge=1, le=32)]
"""A kernel's or stride's size."""
Sizes = Size | tuple[Size, ...]
"""One size for all axes, or one per axis."""
Features = Annotated[int, Field(ge=1, le=4096)]
"""Channels of a feature map."""
Blocks = Annotated[int, Field(ge=1, le=32)]
"""Repeated blocks of a level."""
Probability = Annotated[float, Field(ge=0, lt=1)]


class MonaiSettings(Settings):
    """What all of them take; names and meaning are MONAI's."""

    spatial_dims: Literal[2, 3] = Field(3, description="2 for images, 3 for volumes.")
    in_channels: int = Field(1, ge=1, le=1024, description="Image channels.")
    out_channels: int = Field(2, ge=1, le=1024, description="Classes, background included, or regions.")


class MonaiNetwork(NetworkKind):
    """A network of MONAI."""

    requires: ClassVar[tuple[str, ...]] = ("torch", "monai>=1.4")
    monai: ClassVar[str] = ""
    """``module.Class`` below ``monai.networks.nets``, by which bundles name it."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names of the class."""

    @abstractmethod
    def architecture(self) -> Any:
        """Import and return MONAI's class."""

    def build(self, settings: Any) -> torch.nn.Module:
        """Return the network with random weights.

        Raises
        ------
        DependencyError
            If the installed MONAI does not know an argument that differs from its default.
        """
        kind = self.architecture()
        network: torch.nn.Module = kind(**self.arguments(settings, set(inspect.signature(kind.__init__).parameters)))
        return network

    def arguments(self, settings: Any, known: set[str]) -> dict[str, Any]:
        """Return MONAI's arguments; those that an older MONAI lacks are left out while they have their default."""
        values: dict[str, Any] = {}
        for name, field in type(settings).model_fields.items():
            value = getattr(settings, name)
            if name in known:
                values[name] = value
            elif value != field.default:
                raise DependencyError(
                    f"The installed MONAI's {self.monai.split('.')[-1]} has no argument {name!r}.",
                    hint="Install the version of MONAI that the model was made with.",
                )
        return values
