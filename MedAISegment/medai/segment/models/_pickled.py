"""What a PyTorch file would call when it is read: found out from its bytes, before anything of it is interpreted.

PyTorch's own reader with ``weights_only=True`` refuses unknown names too.  The look in advance does not depend on its
version, on environment variables, or on names that other code in the process has declared safe; and it can say which
name was refused.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Collection

from medai.core.errors import ModelError, UnsafeModel

from ._plain_zip import open_plain

MAX_BYTES = 16 << 30
"""Largest size of a checkpoint's entries together, unpacked."""
MAX_STRUCTURE_BYTES = 16 << 20
"""Largest description (``data.pkl``); a state dict with a thousand tensors takes about 0.2 MiB."""
MAX_ENTRIES = 100_000

_TENSOR_TYPES = ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")
SAFE = frozenset(
    {
        "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter",
        "torch.nn.parameter.Parameter", "torch.Size", "torch.device", "torch.storage.UntypedStorage",
        "builtins.set", "__builtin__.set", "_codecs.encode",
        "torch.float16", "torch.bfloat16", "torch.float32", "torch.float64", "torch.int64",
    }
    | {f"torch.{kind}Storage" for kind in _TENSOR_TYPES}
)  # fmt: skip
"""Names that a checkpoint may hold: tensors, parameters and plain containers."""
_STRINGS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_OTHER_CALLS = {"INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}

_DAMAGED = "an instruction that cannot be read"
MAX_BARE = 8
"""Pickles in a row that are looked at; files of PyTorch before 1.6 start with four."""


def check_checkpoint(data: bytes, name: str, allow: Collection[str]) -> None:
    """Refuse everything that is not a zip file of ``torch.save`` with tensors and plain values.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for messages.
    allow : collection of str
        Names that are allowed beside :data:`SAFE`.

    Raises
    ------
    UnsafeModel
        If the file names a function or class that is not allowed; the name is in the message.
    ModelError
        If it is damaged, too large, or of another kind.
    """
    if not data.startswith(b"PK"):
        _refuse_bare(data, name, allow)
    structure = _structure(data, name)
    refused = _calls(io.BytesIO(structure), allow)
    if refused:
        raise _unsafe(name, refused)


def _structure(data: bytes, name: str) -> bytes:
    """Return ``data.pkl`` of the archive, whose directory is plausible."""
    try:
        with open_plain(data, name) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(entries) > MAX_ENTRIES or len({item.partition("/")[0] for item in names}) != 1:
                raise ModelError(f"{name} is not a file of torch.save: it has too many or misplaced entries.")
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise ModelError(f"{name} would unpack to more than {MAX_BYTES >> 30} GiB.")
            if any(item.lower().rsplit("/", 1)[-1] == "constants.pkl" for item in names):
                raise ModelError(
                    f"{name} is a TorchScript program, not weights.", hint="Add it as a model of its own (TorchScript)."
                )
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ModelError(f"{name} is not a file of torch.save: its entries are compressed.")
            found = [item for item in names if item.count("/") == 1 and item.lower().endswith("/data.pkl")]
            if len(found) != 1:
                raise ModelError(f"{name} is a zip file, but not one of torch.save: it has no data.pkl.")
            if archive.getinfo(found[0]).file_size > MAX_STRUCTURE_BYTES:
                raise ModelError(f"{name}: its description is larger than {MAX_STRUCTURE_BYTES >> 20} MiB.")
            return archive.read(found[0])
    except (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{name} is a damaged zip file: {error}.", hint="Get the file again.") from None


def _refuse_bare(data: bytes, name: str, allow: Collection[str]) -> None:
    """Refuse a file that is no zip: pickles, one or several in a row, with the name that they would call."""
    stream = io.BytesIO(data[:MAX_STRUCTURE_BYTES])
    for _ in range(MAX_BARE):
        refused = _calls(stream, allow)
        if refused == _DAMAGED:
            break
        if refused:
            raise _unsafe(name, refused)
    raise ModelError(
        f"{name} is not a file of safetensors or of torch.save since PyTorch 1.6.",
        hint="Load it where it came from, if you trust it, and save its state dict again.",
    )


def _calls(stream: io.BytesIO, allow: Collection[str]) -> str:
    """Return the first name or instruction of a pickle that is not allowed, or nothing."""
    last: list[str] = []
    memo: dict[int, str] = {}
    odd = ""
    try:
        for code, argument, _position in pickletools.genops(stream):
            if code.name in _STRINGS:
                last = [*last[-1:], str(argument)]
            elif code.name in ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"):
                memo[len(memo) if argument is None else int(argument)] = last[-1] if last else ""
            elif code.name in ("BINGET", "LONG_BINGET", "GET"):
                last = [*last[-1:], memo.get(int(argument or 0), "")]
            elif code.name == "GLOBAL":
                called = str(argument).replace(" ", ".", 1)
                if called not in SAFE and called not in allow:
                    return called
            elif code.name == "STACK_GLOBAL":
                # torch.save never writes this; looked at only to say which name a foreign pickle would call.
                called, odd = ".".join(last), code.name
                if called not in SAFE and called not in allow:
                    return called
            elif code.name in _OTHER_CALLS:
                return str(argument or code.name).replace(" ", ".", 1)
    except (ValueError, IndexError):
        return _DAMAGED
    return odd


def _unsafe(name: str, refused: str) -> UnsafeModel:
    return UnsafeModel(
        f"{name} asks for {refused[:120]!r}, which is not on the list of what weights may hold; it was not loaded.",
        hint="Use a file with the weights only (a state dict), best as safetensors.",
    )
