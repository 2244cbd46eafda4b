"""From a torch module to an OpenVINO model: traced on a small input, checked on another one.

Tracing runs the network once in torch.  At the size of a real window that takes as long as a window does, so the
network is traced at about 1/32 of it, which is the same graph as long as nothing in it depends on the size.  Two things
tell: torch warns when a size decides something in Python, and the converted network must give on an input of another
small shape what torch gives.  What depends on the size is traced at the real one, and compared there.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from medai.core.errors import ModelError
from medai.core.progress import CancelToken

from ._memory import is_out_of_memory
from ._openvino import core, first_line
from ._output import class_scores

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-3
"""Largest difference to torch as a share of the largest class score; rounding in float32 gives about 1e-5."""


def convert(module: torch.nn.Module, shape: tuple[int, ...], cancel: CancelToken) -> Any:
    """Return an ``openvino.Model`` for batches of ``shape``.

    Parameters
    ----------
    module : torch.nn.Module
        On the CPU, float32, in evaluation mode; a scripted module has its graph already.
    shape : tuple of int
        (B, C, K, J, I) or (B, C, J, I).
    cancel : CancelToken
        Polled between the stages.

    Raises
    ------
    ModelError
        If a layer cannot be converted, or the result differs from torch's.
    """
    import torch

    with torch.inference_mode():
        for trial, other in _small_shapes(shape):
            cancel.check()
            model = _from_small(module, trial, other, cancel)
            if model is not None and _reshaped(model, shape):
                return model
        cancel.check()
        return _from_full_size(module, shape, cancel)


def _from_small(
    module: torch.nn.Module, trial: tuple[int, ...], other: tuple[int, ...], cancel: CancelToken
) -> Any | None:
    """Return the model if it was traced at ``trial`` and is right at ``other``; else None."""
    try:
        traced, _, depends = _trace(module, trial)
        if depends:
            return None
        cancel.check()
        expected = _run(module, _noise(other))
        cancel.check()
        model = _to_openvino(traced)
        cancel.check()
        return model if _reshaped(model, other) and _difference(model, other, expected) <= TOLERANCE else None
    except _UnknownLayer:
        raise  # the full size would only tell the same, later
    except ModelError:
        return None
    except _FAILURES as error:
        if is_out_of_memory(error):
            raise
        return None  # too small for this network's layers, or a layer that the full size will tell about


def _from_full_size(module: torch.nn.Module, shape: tuple[int, ...], cancel: CancelToken) -> Any:
    try:
        traced, expected, _ = _trace(module, shape)
        cancel.check()
        model = _to_openvino(traced)
        cancel.check()
        if not _reshaped(model, shape):
            raise ModelError("OpenVINO cannot run this network: a layer does not fit the window's size.")
        difference = _difference(model, shape, expected)
    except _FAILURES as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(f"OpenVINO cannot run this network: {first_line(error)}.") from None
    if not difference <= TOLERANCE:
        raise ModelError(f"OpenVINO's result of this network differs from PyTorch's by {difference:.1%}.")
    return model


class _UnknownLayer(ModelError):
    """OpenVINO has no rule for a layer, at any size."""


_FAILURES = (RuntimeError, ValueError, TypeError, AssertionError, IndexError, NotImplementedError)


def _small_shapes(shape: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return pairs of small shapes, the smallest first: one to trace, one to check.

    One axis is twice as long as the others, so that layers which need more than one voxel (instance normalisation)
    still have two where the deepest level is reached.
    """
    full = shape[2:]
    pairs = []
    for part in (4, 3, 2):
        small = [n // part if n % part == 0 and n // part >= 8 else n for n in full]
        cut = [axis for axis, n in enumerate(full) if small[axis] < n]
        if len(cut) < 2:
            continue
        one, two = (
            tuple(min(2 * n, full[axis]) if axis == double else n for axis, n in enumerate(small)) for double in cut[:2]
        )
        pairs.append(((1, shape[1], *one), (min(shape[0], 2), shape[1], *two)))
    return pairs


def _noise(shape: tuple[int, ...]) -> torch.Tensor:
    import torch

    # A generator of its own: the program's random numbers stay as they are.
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _run(module: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return class_scores(module(batch), batch)


def _trace(module: torch.nn.Module, shape: tuple[int, ...]) -> tuple[Any, torch.Tensor, bool]:
    """Return the module's graph, its output, and whether a size decided something in Python."""
    import torch

    batch = _noise(shape)
    if isinstance(module, torch.jit.ScriptModule):
        return module, _run(module, batch), False
    outputs: list[Any] = []
    hook = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            traced = torch.jit.trace(module, batch, check_trace=False)
    finally:
        hook.remove()
    # torch's own layers only check sizes, for example that normalisation has more than one voxel.
    own = os.path.dirname(os.path.abspath(torch.nn.__file__))
    depends = any(issubclass(w.category, torch.jit.TracerWarning) and not w.filename.startswith(own) for w in caught)
    return traced, class_scores(outputs[0], batch), depends


def _to_openvino(traced: Any) -> Any:
    core()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    # openvino.convert_model does the same, but traces and checks at the example's size first: 12 to 20 s for a 1.2 M
    # parameter network at 96^3, where this takes 0.1 s.
    decoder = TorchScriptPythonDecoder(traced)
    frontend = FrontEndManager().load_by_framework("pytorch")
    try:
        return frontend.convert(frontend.load(decoder))
    except Exception as error:  # OpenVINO's own classes of conversion errors derive from Exception only
        if is_out_of_memory(error):
            raise
        raise _UnknownLayer(f"OpenVINO cannot run this network: {first_line(error)}.") from None


def _reshaped(model: Any, shape: tuple[int, ...]) -> bool:
    import openvino

    if len(model.inputs) != 1:
        raise ModelError(f"OpenVINO cannot run this network: it has {len(model.inputs)} inputs, expected 1.")
    model.inputs[0].get_node().set_element_type(openvino.Type.f32)
    try:
        model.reshape(list(shape))
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        return False
    return True


def _difference(model: Any, shape: tuple[int, ...], expected: torch.Tensor) -> float:
    """Return the largest difference to torch as a share of the largest score; infinity for another shape."""
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})
    found = compiled([_noise(shape).numpy()])[0]
    wanted = expected.numpy()
    if found.shape != wanted.shape:
        return float("inf")
    return float(abs(found - wanted).max() / max(float(abs(wanted).max()), 1e-12))
