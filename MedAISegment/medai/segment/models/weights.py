"""Reading weights as arrays, whatever wrote them, and filling a network with them only if every one fits."""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from medai.core.errors import ModelError, UnsafeModel

from ._pickled import MAX_BYTES, check_checkpoint

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

NUMPY_SCALARS = frozenset(
    {"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype"}
)  # fmt: skip
"""Names of the numbers that trainers store beside the weights; plain Python numbers are made of them."""
STATE_KEYS = ("state_dict", "model_state_dict", "network_weights", "model", "network", "net", "weights")
"""Where a checkpoint with more than weights keeps them, in this order."""
PREFIXES = ("module.", "network.", "model.", "net.", "_orig_mod.")
"""What wrappers (data parallel, Lightning, torch.compile) put before every name."""

# torch keeps the names that are allowed beyond its own in one table for the whole process.
_LOCK = threading.Lock()


def read_weights(data: bytes, name: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file or of a ``torch.save`` file with a state dict.

    Parameters
    ----------
    data : bytes
        The file, already compared with its SHA-256.
    name : str
        Its name: the extension ``.safetensors`` admits that format only.

    Returns
    -------
    dict of str to torch.Tensor
        On the CPU, in the stored number formats.

    Raises
    ------
    UnsafeModel
        If the file would call a function or make an object of a class that is not allowed; it is not loaded then.
    ModelError
        If it is damaged, too large, or holds no state dict.
    """
    if name.lower().endswith(".safetensors"):
        return _read_safetensors(data, name)
    value = read_checkpoint(data, name)
    for where in ("", *STATE_KEYS):
        found = value.get(where) if where else value
        if isinstance(found, dict) and found and all(_is_entry(key, item) for key, item in found.items()):
            return {key: _plain_tensor(item, key, name) for key, item in found.items()}
    raise ModelError(
        f"{name} holds no state dict; its keys are {', '.join(map(repr, list(value)[:5])) or 'none'}.",
        hint=f"Tensors are expected at the top or under one of {', '.join(STATE_KEYS)}.",
    )


def read_checkpoint(data: bytes, name: str, *, allow: Collection[str] = NUMPY_SCALARS) -> dict[str, Any]:
    """Return what a ``torch.save`` file holds: tensors and plain values.

    Only names of a fixed list are accepted, whatever ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD`` or
    ``torch.serialization.add_safe_globals`` say: the file is looked through first, and ``torch.load`` is then told
    ``weights_only=True`` explicitly, which the variable cannot take back.

    Parameters
    ----------
    allow : collection of str
        Names beyond tensors and containers; a subset of :data:`NUMPY_SCALARS`.

    Raises
    ------
    UnsafeModel, ModelError
        As :func:`read_weights`.
    """
    import torch

    if unknown := set(allow) - NUMPY_SCALARS:
        raise ValueError(f"no stand-in for {sorted(unknown)}")
    if len(data) > MAX_BYTES:
        raise ModelError(f"{name} is larger than {MAX_BYTES >> 30} GiB.")
    check_checkpoint(data, name, allow)
    stand_ins: list[Any] = [(_DType if entry.endswith("dtype") else _scalar, entry) for entry in sorted(allow)]
    try:
        with _LOCK, torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True, mmap=False)
    except UnsafeModel:
        raise
    except Exception as error:
        # A damaged description can fail with any error inside PyTorch's reader.
        first = str(error).strip().split("\n")[0][:200]
        raise ModelError(
            f"{name} cannot be read by PyTorch ({type(error).__name__}: {first}).", hint="Get the file again."
        ) from None
    if not isinstance(value, dict):
        raise ModelError(f"{name} holds a {type(value).__name__}, a dict with weights was expected.")
    return value


def fill(network: torch.nn.Module, state: dict[str, torch.Tensor], what: str) -> torch.nn.Module:
    """Put weights into a network and switch it to evaluation mode; all names and shapes must fit.

    A prefix that a wrapper put before every name (:data:`PREFIXES`) is taken away if the names then fit better, and
    logged.  A layer that the network knows by two names (MONAI's DynUNet, nnU-Net's decoder) may be stored under one
    or both; both must then be equal.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    state : dict of str to torch.Tensor
        As read; number formats are converted to the network's.
    what : str
        The model or file, for messages.

    Raises
    ------
    ModelError
        If a weight is missing, unknown, of another shape or kind (the first five are named), NaN or infinite.
    """
    import torch

    wanted = network.state_dict()
    stored, taken = without_prefix(state, set(wanted))
    if taken:
        log.info("%s: the prefix %r was taken from the names of the weights", what, taken)
    names = _first_names(wanted)
    problems = _mismatches(stored, wanted, names)
    if problems:
        raise ModelError(
            f"{what}: the weights do not fit the network: {'; '.join(problems[:5])}"
            + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
            + ".",
            hint="The network's settings must be those of the training.",
        )
    spoiled = [n for n, v in stored.items() if v.is_floating_point() and not torch.isfinite(v.float()).all()]
    if spoiled:
        raise ModelError(f"{what}: the weights {', '.join(spoiled[:5])} hold NaN or infinity.")
    values = {names[name]: value for name, value in stored.items()}
    network.load_state_dict({name: values[names[name]] for name in wanted}, strict=True)
    return network.eval()


def without_prefix(state: dict[str, Any], wanted: set[str]) -> tuple[dict[str, Any], str]:
    """Return the weights by the names that a network knows, and the prefix that was taken away."""
    taken = ""
    while state:
        options = [p for p in PREFIXES if all(name.startswith(p) and name != p for name in state)]
        if not options or wanted & set(state):
            break
        state = {name.removeprefix(options[0]): value for name, value in state.items()}
        taken += options[0]
    return state, taken


def _read_safetensors(data: bytes, name: str) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    if len(data) > MAX_BYTES:
        raise ModelError(f"{name} is larger than {MAX_BYTES >> 30} GiB.")
    try:
        state: dict[str, torch.Tensor] = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError):
        raise ModelError(f"{name} is not a safetensors file.") from None
    return state


def _is_entry(key: Any, value: Any) -> bool:
    import torch

    return isinstance(key, str) and isinstance(value, torch.Tensor)


def _plain_tensor(value: torch.Tensor, key: str, name: str) -> torch.Tensor:
    """Return the tensor without gradient, if it is an ordinary one whose size is the size of its memory."""
    import torch

    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        raise ModelError(f"{name}: {key} is a sparse, quantised or empty-device tensor, which MedAI does not read.")
    # A stride of 0 would make terabytes of a few stored bytes.
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise ModelError(f"{name}: {key} is larger than the memory that is stored for it.")
    return value.detach()


def _first_names(state: dict[str, torch.Tensor]) -> dict[str, str]:
    """Map each name to the first name of the same memory, which is mostly itself."""
    first: dict[tuple[int, Any], str] = {}
    names: dict[str, str] = {}
    for name, value in state.items():
        names[name] = first.setdefault((value.data_ptr(), tuple(value.shape)), name) if value.numel() else name
    return names


def _mismatches(stored: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], names: dict[str, str]) -> list[str]:
    import torch

    by_first: dict[str, str] = {}
    for name in stored:
        if name in names:
            by_first.setdefault(names[name], name)
    problems = [f"{name} is missing" for name in wanted if names[name] == name and name not in by_first]
    problems += [f"{name} is unknown" for name in stored if name not in wanted]
    for name in stored:
        if name not in wanted:
            continue
        given, expected = stored[name], wanted[name]
        other = by_first[names[name]]
        if given.shape != expected.shape:
            problems.append(f"{name} has shape {tuple(given.shape)}, expected {tuple(expected.shape)}")
        elif given.is_floating_point() != expected.is_floating_point() or given.is_complex():
            problems.append(f"{name} has the type {given.dtype}, expected {expected.dtype}")
        elif other != name and not torch.equal(given, stored[other]):
            problems.append(f"{name} differs from {other}, which is the same layer")
    return problems


class _DType:
    """Stands in for ``numpy.dtype``: remembers the code of a number format."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = str(code), "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _scalar(kind: _DType, data: bytes) -> float | int | bool:
    """Stand in for numpy's maker of scalars: return a Python number."""
    codes = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I",
             "u2": "H", "u1": "B", "b1": "?"}  # fmt: skip
    value: float | int | bool = struct.unpack(kind.order + codes[kind.code], data)[0]
    return value
