"""ONNX Runtime: ONNX files on the CPU, and on CUDA where its package brings that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medai.core.errors import DeviceError, ModelError
from medai.core.progress import CancelToken

from ..inference.network import NetworkSource
from ._base import Backend, Session
from ._hardware import cpu_name, threads
from ._memory import is_out_of_memory, out_of_memory
from ._onnx_files import Files, folder_with, verified
from ._output import class_scores

if TYPE_CHECKING:
    import torch

PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


class OnnxRuntimeBackend(Backend):
    """Runs ONNX files in float32."""

    name = "onnxruntime"
    title = "ONNX Runtime"
    requires = ("onnxruntime", "torch")
    kinds = ("onnx",)

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return the devices that this build of ONNX Runtime can use, best first."""
        here = _onnxruntime().get_available_providers()
        return tuple(name for name, provider in PROVIDERS.items() if provider in here)

    @classmethod
    def precision_reason(cls, device: str, precision: str) -> str:
        """Return why a precision cannot be used; empty if it can."""
        return "" if precision == "f32" else "ONNX Runtime runs a file in the numbers that it holds"

    @classmethod
    def auto_half(cls, device: str) -> str:
        """Return nothing: a file runs as it is."""
        return ""

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
        """Load the file; see :meth:`Backend.open`."""
        reason = "it has no random dropout" if dropout else self.precision_reason(device, precision)
        if not reason and device not in self.devices():
            reason = "this build has no support for it"
        if reason:
            raise DeviceError(f"ONNX Runtime cannot run {precision} on the device {device!r}: {reason}.")
        with out_of_memory(device, shape):
            return OnnxRuntimeSession(source, device, cancel)


class OnnxRuntimeSession(Session):
    """An ONNX file; batches and results are in main memory, ONNX Runtime moves them to its device itself."""

    def __init__(self, source: NetworkSource, device: str, cancel: CancelToken) -> None:
        runtime = _onnxruntime()
        name, files = verified(source, cancel)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = _session(runtime, name, files, options, PROVIDERS[device])
        except Exception as error:  # onnxruntime has an exception class for every kind of failure, without a base
            if is_out_of_memory(error):
                raise
            raise ModelError(f"ONNX Runtime cannot load {name}: {_plain(error)}.") from None
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(f"{name} has {len(inputs)} inputs, expected 1.")
        if PROVIDERS[device] not in session.get_providers():
            raise DeviceError(f"ONNX Runtime could not start on the device {device!r}.", hint="Use the CPU.")
        self._session: Any = session
        self._name = inputs[0].name
        size = inputs[0].shape[0]
        self._fixed = size if isinstance(size, int) and size > 0 else 0
        self._last = source.channels_last
        self._title = name
        self.facts: dict[str, Any] = {
            "backend": "onnxruntime",
            "version": runtime.__version__,
            "device": device,
            "device_name": cpu_name() if device == "cpu" else "CUDA",
            "precision": "f32",
            "threads": threads() if device == "cpu" else None,
        }

    @property
    def device(self) -> str:
        """Torch device of batches and results: always the CPU."""
        return "cpu"

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the network; see :meth:`Session.__call__`."""
        import torch

        if self._fixed and batch.shape[0] != self._fixed:
            # A file made for one batch size: in parts of that size, the last one filled up with zeros.
            missing = -batch.shape[0] % self._fixed
            full = torch.cat([batch, batch.new_zeros(missing, *batch.shape[1:])]) if missing else batch
            return torch.cat([self._run(part).clone() for part in full.split(self._fixed)])[: batch.shape[0]]
        return self._run(batch)

    def close(self) -> None:
        """Drop the network."""
        self._session = None

    def _run(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        given = (batch.movedim(1, -1) if self._last else batch).contiguous().numpy()
        with out_of_memory(self.facts["device"], tuple(batch.shape)):
            try:
                found = self._session.run(None, {self._name: given})[0]
            except Exception as error:
                if is_out_of_memory(error):
                    raise MemoryError from None
                raise ModelError(f"ONNX Runtime cannot run {self._title}: {_plain(error)}.") from None
        scores = torch.from_numpy(found)
        return class_scores(scores.movedim(-1, 1).contiguous() if self._last else scores, batch)


def _session(runtime: Any, name: str, files: Files, options: Any, provider: str) -> Any:
    beside = [path for path in files if path != name]
    if beside and not hasattr(options, "add_external_initializers_from_files_in_memory"):  # before 1.23
        with folder_with(files) as folder:
            return runtime.InferenceSession(str(folder / name), options, providers=[provider])
    if beside:
        buffers = [files[path] for path in beside]
        options.add_external_initializers_from_files_in_memory(beside, buffers, [len(b) for b in buffers])
    return runtime.InferenceSession(files[name], options, providers=[provider])


def _onnxruntime() -> Any:
    import onnxruntime

    # Builds for Windows send usage events to their maker unless told not to.
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _plain(error: BaseException) -> str:
    """Return the error's first line without paths of this computer."""
    lines = str(error).splitlines() or [type(error).__name__]
    words = [
        word.replace("\\", "/").rpartition("/")[2] if "/" in word or "\\" in word else word for word in lines[0].split()
    ]
    return " ".join(words)[:200].rstrip(".")
