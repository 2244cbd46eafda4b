"""What a network kind is: an architecture that is built by its name from plain values, never from code in a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from medai.core.registry import Member

if TYPE_CHECKING:
    import torch


class NetworkKind(Member, ABC):
    """One architecture.

    ``Settings`` holds plain values only.  Where an architecture has input and output channels, they are called
    ``in_channels`` and ``out_channels``: the manifest compares ``out_channels`` with its labels.
    """

    @abstractmethod
    def build(self, settings: Any) -> torch.nn.Module:
        """Return the network with random weights, float32, on the CPU.

        Parameters
        ----------
        settings : Settings
            An instance of this class' ``Settings``.

        Raises
        ------
        SettingsError
            If the values are valid one by one but not together.
        """
