"""What a backend is: a library that runs one network on batches of windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from medai.core.progress import CancelToken
from medai.core.registry import Member

from ..inference.network import NetworkSource

if TYPE_CHECKING:
    import torch


class Session(ABC):
    """A network, loaded and ready on a device, for batches of one shape."""

    facts: dict[str, Any]
    """JSON-ready: ``backend``, ``version``, ``device``, ``device_name``, ``precision``, ``threads``."""

    @abstractmethod
    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the network.

        Parameters
        ----------
        batch : torch.Tensor, float32, shape (B, C, K, J, I), or (B, C, J, I) for a 2D network
            Contiguous, on the session's device (``session.device``); B may be smaller than the shape it was opened for.

        Returns
        -------
        torch.Tensor, shape (B, classes, K, J, I) or (B, classes, J, I)
            Any float type, on the session's device; valid until the next call.

        Raises
        ------
        OutOfMemory
            If the device has too little memory.
        """

    @property
    @abstractmethod
    def device(self) -> str:
        """Torch device on which batches are expected and results appear (``cpu``, ``cuda``, ``mps``)."""

    def for_one_user(self) -> Session:
        """Return this network with results of its own: no other user's call changes the result of this one's."""
        return self

    def close(self) -> None:  # noqa: B027 (most have nothing to give back)
        """Give memory back; the session is not used any more."""


class Backend(Member, ABC):
    """One library."""

    kinds: ClassVar[tuple[str, ...]] = ("torch",)
    """Kinds of :class:`~medai.segment.inference.network.NetworkSource` that it runs."""

    @classmethod
    @abstractmethod
    def devices(cls) -> tuple[str, ...]:
        """Devices that it can use here, best first."""

    @classmethod
    @abstractmethod
    def precision_reason(cls, device: str, precision: str) -> str:
        """Return why a precision cannot be used on one of its devices; empty if it can."""

    @classmethod
    def auto_half(cls, device: str) -> str:
        """Return the half precision that it takes by itself where a model allows it; empty for none."""
        return "f16" if device == "cuda" else ""

    @abstractmethod
    def open(
        self,
        source: NetworkSource,
        shape: tuple[int, ...],
        *,
        device: str,
        precision: str,
        dropout: bool,
        cancel: CancelToken,
    ) -> Session:
        """Load a network for batches of ``shape``, (B, C, K, J, I) or (B, C, J, I).

        Parameters
        ----------
        precision : {"f32", "f16", "bf16"}
        dropout : bool
            Keep dropout layers random (Monte-Carlo dropout).

        Raises
        ------
        ModelError
            If the network cannot be run, for example because a layer is not known.
        DeviceError
            If the device, or the precision on it, is not there; ``OutOfMemory`` if it has too little memory.
        """
