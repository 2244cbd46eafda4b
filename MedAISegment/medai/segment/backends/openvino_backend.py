"""OpenVINO on the CPU."""

from __future__ import annotations

import weakref
from copy import copy
from importlib import metadata
from typing import TYPE_CHECKING, Any

from medai.core.errors import DeviceError, ModelError
from medai.core.progress import CancelToken

from ..inference.network import NetworkSource
from ._base import Backend, Session
from ._convert import convert
from ._exact import use_block_means
from ._hardware import cpu_name, threads
from ._memory import is_out_of_memory, out_of_memory
from ._onnx_files import Files, folder_with, verified
from ._openvino import core, first_line, has_bf16
from ._output import class_scores

if TYPE_CHECKING:
    import torch


class OpenVinoBackend(Backend):
    """Compiles networks for one batch shape, in float32 or bfloat16."""

    name = "openvino"
    title = "OpenVINO"
    requires = ("openvino>=2024.0", "torch")
    kinds = ("torch", "torchscript", "onnx")

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return the CPU only."""
        return ("cpu",)

    @classmethod
    def precision_reason(cls, device: str, precision: str) -> str:
        """Return why a precision cannot be used; empty if it can."""
        if device != "cpu":
            return "MedAI uses OpenVINO on the CPU only"
        if precision == "f16":
            return "f16 is slower than f32 on a CPU"
        return "this processor has no instructions for bf16" if precision == "bf16" and not has_bf16() else ""

    @classmethod
    def auto_half(cls, device: str) -> str:
        """Return bf16: it halves the time where the processor has instructions for it."""
        return "bf16"

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
        """Convert and compile the network; see :meth:`Backend.open`."""
        reason = "it has no random dropout" if dropout else self.precision_reason(device, precision)
        if reason:
            raise DeviceError(f"OpenVINO cannot run {precision} on the device {device!r}: {reason}.")
        with out_of_memory(device, shape):
            if source.kind == "onnx":
                model = read_onnx(source, shape, cancel)
            else:
                module = source.load(cancel)
                cancel.check()
                if module is None:
                    raise ModelError(f"The network {source.title!r} was not loaded.")
                model = convert(module, shape, cancel)
                del module
            cancel.check()
            return OpenVinoSession(model, source, shape, precision)


class OpenVinoSession(Session):
    """A compiled network; reads the batch's memory and gives its result without copying either."""

    def __init__(self, model: Any, source: NetworkSource, shape: tuple[int, ...], precision: str) -> None:
        self._shape = shape
        self._last = source.channels_last
        if precision == "f32":
            use_block_means(model)
        count = threads()
        # OpenVINO takes bf16 by itself where the processor has it, so f32 must be asked for.
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": count,
        }
        try:
            compiled = core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(f"OpenVINO cannot compile the network {source.title!r}: {first_line(error)}.") from None
        used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if used != precision:
            raise DeviceError(f"OpenVINO would run {used}, although {precision} was asked for.")
        self._compiled: Any = compiled
        self._request: Any = compiled.create_infer_request()
        self._free: list[Any] = [self._request]
        self.facts: dict[str, Any] = {
            "backend": "openvino",
            "version": metadata.version("openvino"),
            "device": "cpu",
            "device_name": cpu_name(),
            "precision": precision,
            "threads": count,
        }

    @property
    def device(self) -> str:
        """Torch device of batches and results."""
        return "cpu"

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the network; see :meth:`Session.__call__`."""
        import torch

        count = batch.shape[0]
        full = batch
        if count < self._shape[0]:
            # The compiled network has one shape only; the rest of the batch is thrown away.
            full = torch.cat([batch, batch.new_zeros(self._shape[0] - count, *batch.shape[1:])])
        if tuple(full.shape) != self._shape:
            raise ModelError(f"The network was opened for batches of {self._shape}, given {tuple(batch.shape)}.")
        given = (full.movedim(1, -1) if self._last else full).contiguous().numpy()
        with out_of_memory("cpu", self._shape):
            found = self._request.infer([given], share_inputs=True, share_outputs=True)[0]
        scores = torch.from_numpy(found)
        scores = scores.movedim(-1, 1).contiguous() if self._last else scores
        return class_scores(scores, full)[:count]

    def for_one_user(self) -> OpenVinoSession:
        """Return a session with a request of its own: results lie in the request's memory; ended users' serve again."""
        mine = copy(self)
        try:
            mine._request = self._free.pop()
        except IndexError:
            mine._request = self._compiled.create_infer_request()
        weakref.finalize(mine, self._free.append, mine._request)
        return mine

    def close(self) -> None:
        """Drop the compiled network."""
        self._request = self._compiled = None
        self._free.clear()


def read_onnx(source: NetworkSource, shape: tuple[int, ...], cancel: CancelToken) -> Any:
    """Return the ``openvino.Model`` of an ONNX file for batches of ``shape``.

    Raises
    ------
    ModelError
        If OpenVINO cannot read it, or it does not take one batch of this shape.
    """
    name, files = verified(source, cancel)
    size = (shape[0], *shape[2:], shape[1]) if source.channels_last else shape
    try:
        model = _read(name, files)
        if len(model.inputs) != 1:
            raise ModelError(f"{name} has {len(model.inputs)} inputs, expected 1.")
        model.reshape(list(size))
        return model
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(f"OpenVINO cannot run {name} with batches of {size}: {_plain(error)}.") from None


def _read(name: str, files: Files) -> Any:
    if len(files) == 1:
        return core().read_model(files[name])
    # Mapped into memory, the files could not be removed on Windows.
    core().set_property({"ENABLE_MMAP": False})
    with folder_with(files) as folder:
        return core().read_model(str(folder / name))


def _plain(error: BaseException) -> str:
    """Return the error's text without paths of this computer."""
    text = first_line(error)
    return "it says no reason" if "/" in text or "\\" in text else text
