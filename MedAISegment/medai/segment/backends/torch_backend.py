"""PyTorch: CUDA, Apple GPU and CPU."""

from __future__ import annotations

import time
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

from medai.core.errors import DeviceError, ModelError
from medai.core.progress import CancelToken

from ..inference.network import NetworkSource
from ._base import Backend, Session
from ._hardware import cpu_name, devices, threads, torch_has_fast_bf16
from ._memory import is_out_of_memory, out_of_memory
from ._output import class_scores

if TYPE_CHECKING:
    import torch

DROPOUT = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")

_FAILURES = (RuntimeError, ValueError, TypeError, AssertionError, IndexError)
"""What torch's layers raise for sizes that do not suit them."""


class TorchBackend(Backend):
    """Runs modules and TorchScript in eager mode, without gradients."""

    name = "torch"
    title = "PyTorch"
    requires = ("torch",)
    kinds = ("torch", "torchscript")

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return the devices that torch finds, best first."""
        return tuple(name for name, reason in devices().items() if not reason)

    @classmethod
    def precision_reason(cls, device: str, precision: str) -> str:
        """Return why a precision cannot be used on a device; empty if it can.

        f16 on a CPU is refused because it is slower than f32 there, bf16 without instructions for it for the same
        reason.
        """
        import torch

        if precision == "f16" and device == "cpu":
            return "f16 is slower than f32 on a CPU"
        if precision == "bf16" and device == "cpu" and not torch_has_fast_bf16():
            return "this processor has no instructions for bf16"
        if precision == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
            return "this GPU does not support bf16"
        return "MedAI does not use bf16 on Apple GPUs" if precision == "bf16" and device == "mps" else ""

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
        """Load the network and move it to the device; see :meth:`Backend.open`."""
        reason = devices().get(device, "it is not known")
        reason = reason or self.precision_reason(device, precision)
        if reason:
            raise DeviceError(f"PyTorch cannot run {precision} on the device {device!r}: {reason}.")
        with out_of_memory(device, shape):
            module = source.load(cancel)
            if module is None:
                raise ModelError(f"PyTorch cannot run the network {source.title!r} of the kind {source.kind!r}.")
            cancel.check()
            return TorchSession(module, source, shape, device, precision, dropout, cancel)


class TorchSession(Session):
    """A module on a device.

    On CUDA and Apple GPUs half precision is torch's autocast: convolutions in half, normalisation and sums in float32,
    as nnU-Net runs its networks.  ``facts["layout"]`` says in which memory layout convolutions run.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        source: NetworkSource,
        shape: tuple[int, ...],
        device: str,
        precision: str,
        dropout: bool,
        cancel: CancelToken,
    ) -> None:
        import torch

        self._device, self._title = device, source.title
        self._half = {"f32": None, "f16": torch.float16, "bf16": torch.bfloat16}[precision]
        self._format = torch.contiguous_format
        for parameter in module.parameters():  # scripted modules have no requires_grad_ of their own
            parameter.requires_grad_(False)
        self._module = module.eval().to(device)
        if dropout:
            switch_on_dropout(self._module, source.title)
        cancel.check()
        self.facts: dict[str, Any] = {
            "backend": "torch",
            "version": str(torch.__version__),
            "device": device,
            "device_name": torch.cuda.get_device_name() if device == "cuda" else cpu_name(),
            "precision": precision,
            "threads": threads() if device == "cpu" else None,
        }
        self._set_layout(self._fastest_layout(shape, dropout, cancel), len(shape))

    @property
    def device(self) -> str:
        """Torch device of batches and results."""
        return self._device

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the network; see :meth:`Session.__call__`."""
        import torch

        with out_of_memory(self._device, tuple(batch.shape)), torch.inference_mode(), self._numbers():
            try:
                return class_scores(self._module(batch.contiguous(memory_format=self._format)), batch)
            except NotImplementedError as error:
                raise DeviceError(
                    f"The device {self._device!r} cannot run a layer of this network ({str(error).split('.')[0]}).",
                    hint="Use the CPU.",
                ) from None
            except _FAILURES as error:
                if is_out_of_memory(error):
                    raise
                raise ModelError(
                    f"The network {self._title!r} cannot run on windows of {' x '.join(map(str, batch.shape[2:]))} "
                    f"voxels and {batch.shape[1]} channels: {_reason(error)}.",
                    hint="The manifest's window must suit the network; most need sizes divisible by their strides.",
                ) from None

    def close(self) -> None:
        """Drop the module, and give the device's cached memory back."""
        import torch

        del self._module
        if self._device == "cuda":
            torch.cuda.empty_cache()
        elif self._device == "mps":
            torch.mps.empty_cache()

    def _numbers(self) -> Any:
        import torch

        if self._device != "cuda":
            return torch.autocast(self._device, dtype=self._half) if self._half is not None else nullcontext()
        stack = ExitStack()
        # The window's shape does not change, so that the search for the fastest algorithm pays.  By itself cuDNN runs
        # float32 convolutions in TF32, with 10 bits of mantissa: what is stated as f32 must be f32.
        stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=self._half is not None))
        if self._half is not None:
            stack.enter_context(torch.autocast(self._device, dtype=self._half))
        return stack

    def _set_layout(self, layout: str, ndim: int) -> None:
        import torch

        last = torch.channels_last_3d if ndim == 5 else torch.channels_last
        self._format = last if layout == "channels_last" else torch.contiguous_format
        if layout == "channels_last":
            self._module.to(memory_format=last)
        self.facts["layout"] = layout

    def _fastest_layout(self, shape: tuple[int, ...], dropout: bool, cancel: CancelToken) -> str:
        """Return the memory layout to use.

        On a GPU both are tried.  On a CPU a trial would cost as much as many windows, and two runs must not differ by
        which one won: channels-last was the faster one in every network that was timed (a 1.2 M-parameter DynUNet at
        96^3: f32 1.81 against 1.97 s, bf16 0.83 s).
        """
        if self._device == "cpu":
            return "channels_last"
        if dropout or self._device == "mps":
            return "channels_first"
        import torch

        seconds = {}
        batch = torch.zeros(shape, device=self._device)
        for layout in ("channels_first", "channels_last"):
            self._set_layout(layout, len(shape))
            for _ in range(2):  # the first one searches for algorithms
                cancel.check()
                torch.cuda.synchronize()
                started = time.perf_counter()
                self(batch)
                torch.cuda.synchronize()
                seconds[layout] = time.perf_counter() - started
        best = min(seconds, key=lambda name: seconds[name])
        if best == "channels_first":
            self._module.to(memory_format=torch.contiguous_format)
        return best


def switch_on_dropout(module: torch.nn.Module, title: str) -> None:
    """Set dropout layers, and nothing else, to training mode (Monte-Carlo dropout, Gal and Ghahramani 2016).

    Raises
    ------
    ModelError
        If there is none that drops anything.
    """
    found = 0
    for part in module.modules():
        name = getattr(part, "original_name", type(part).__name__)  # scripted modules keep their class' name here
        if name in DROPOUT and getattr(part, "p", 0.0) > 0:
            part.train()
            found += 1
    if not found:
        raise ModelError(
            f"The network {title!r} has no dropout layers, so that repeated runs would not differ.",
            hint="Choose another kind of uncertainty.",
        )


def _reason(error: BaseException) -> str:
    # TorchScript shows its program first, and says what was wrong in the last line.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = lines[-1] if lines[0].startswith("The following operation failed") else lines[0]
    return line.removeprefix("RuntimeError: ")[:200].rstrip(".")
