"""What a TorchScript archive would do, read from its text before torch sees it.

TorchScript cannot call Python, but it has operators that write and read files.  The archive's code is parsed as text
and refused if it uses them, an operator library other than torch's own arithmetic, or classes of libraries.
"""

from __future__ import annotations

import ast
import pickletools
import zipfile

from medai.core.errors import ModelError, UnsafeModel

from ..models._plain_zip import open_plain

MAX_MEMBERS = 100_000
MAX_TEXT = 64 * 2**20
FORBIDDEN = {"save", "from_file", "load", "load_tensor", "PythonOp", "IgnoredPythonOp", "classes", "_save", "hub"}
"""Names that may not follow ``torch.`` or ``ops.X.``: files, Python, libraries' classes."""
FILES = {"save", "from_file", "PythonOp", "IgnoredPythonOp", "rpc_sync", "rpc_async", "rpc_remote"}
"""Operators that may not follow anything: TorchScript lets a program call them by other ways too."""
ROOTS = {"torch", "ops", "__torch__"}
LIBRARIES = {"aten", "prim", "quantized", "prepacked"}
"""``ops.X`` that may be used."""
GLOBALS = {
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_qtensor"),
    ("collections", "OrderedDict"),
    ("torch", "device"),
}
"""What its pickles may name besides storages, ``torch.jit._pickle`` and the archive's own classes."""


def check_archive(data: bytes, what: str) -> None:
    """Refuse an archive that is no TorchScript or could do more than compute.

    Parameters
    ----------
    data : bytes
        The whole file.
    what : str
        Its name, for messages.

    Raises
    ------
    ModelError
        If it is no TorchScript archive.
    UnsafeModel
        If it names an operator or a class that is not allowed; the name is in the message.
    """
    try:
        with open_plain(data, what) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            _check_members(members, what)
            if not any("/code/" in name for name in names) or not any(n.endswith("/constants.pkl") for n in names):
                raise ModelError(
                    f"{what} is no TorchScript: it has no code.",
                    hint="Weights alone (a state dict) need a manifest that names their network.",
                )
            for member in members:
                name = member.filename.lower()  # PyTorch finds members whatever the case of their names
                if name.endswith(".py"):
                    _check_code(archive.read(member).decode("utf-8"), what)
                elif name.endswith(".pkl"):
                    _check_pickle(archive.read(member), what)
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, EOFError) as error:
        raise ModelError(f"{what} is no TorchScript archive ({type(error).__name__}).") from None


def _check_members(members: list[zipfile.ZipInfo], what: str) -> None:
    names = [member.filename for member in members]
    if len(names) > MAX_MEMBERS or len({n.partition("/")[0] for n in names}) != 1:
        raise UnsafeModel(f"{what} has too many or misplaced members.")
    for member in members:
        text = member.filename.lower().endswith((".py", ".pkl"))
        # torch stores without compression; a compressed member could unpack to anything.
        if member.file_size != member.compress_size and not text and not member.filename.endswith(".debug_pkl"):
            raise UnsafeModel(f"{what} has a compressed array, {member.filename!r}.")
        if text and member.file_size > MAX_TEXT:
            raise UnsafeModel(f"{what} has {member.filename!r} with {member.file_size} bytes, allowed are {MAX_TEXT}.")


def _check_code(text: str, what: str) -> None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UnsafeModel(f"{what} has code that cannot be read.") from None
    inner = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            # "import __torch__.x" names a file of the archive.
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            bad = [name for name in modules if name.partition(".")[0] != "__torch__"]
            if bad:
                raise UnsafeModel(f"{what} imports {bad[0]!r}.")
        if (step := _step(node)) is None:
            continue
        inner.add(step[0])
        if parts := _chain(node):
            _check_name(parts, what)
        if step[1] in FILES:
            raise UnsafeModel(f"{what} uses {step[1]!r}, which reads or writes files or calls other programs.")
    for node in ast.walk(tree):
        # A second name for a library would hide what is taken from it.
        root = [node.id] if isinstance(node, ast.Name) else _chain(node)
        if node not in inner and (root in [[name] for name in ROOTS] or root == ["__torch__", "torch"]):
            raise UnsafeModel(f"{what} gives {'.'.join(root)!r} another name.")


def _check_name(parts: list[str], what: str) -> None:
    if parts[0] == "ops" and len(parts) > 1 and parts[1] not in LIBRARIES:
        raise UnsafeModel(f"{what} uses operators of {parts[1]!r}, which are not torch's own arithmetic.")
    own = parts[0] in ("torch", "ops") or parts[:3] == ["__torch__", "torch", "classes"]
    bad = FORBIDDEN.intersection(parts[1:]) if own else set()
    if bad:
        raise UnsafeModel(f"{what} uses {'.'.join(parts)!r}, which reads or writes files or calls other programs.")


def _step(node: ast.AST) -> tuple[ast.AST, str] | None:
    """Return ``(x, "name")`` for ``x.name`` and ``getattr(x, "name")``, which TorchScript writes for odd names."""
    match node:
        case ast.Attribute(value=value, attr=name):
            return value, name
        case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(name)), *_]):
            return value, name
    return None


def _chain(node: ast.AST) -> list[str]:
    """Return ``["torch", "conv3d"]`` for ``torch.conv3d``; empty if it starts with no plain name."""
    parts: list[str] = []
    while (step := _step(node)) is not None:
        node = step[0]
        parts.append(step[1])
    return [node.id, *reversed(parts)] if parts and isinstance(node, ast.Name) else []


def _check_pickle(data: bytes, what: str) -> None:
    try:
        found = [(code.name, argument) for code, argument, _ in pickletools.genops(data)]
    except (ValueError, IndexError, UnicodeDecodeError):
        raise UnsafeModel(f"{what} has a pickle that cannot be read.") from None
    for name, argument in found:
        if name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            raise UnsafeModel(f"{what} has a pickle with the instruction {name}.")
        if name == "GLOBAL":
            module, _, attribute = str(argument).partition(" ")
            inside = module.partition(".")[0] == "__torch__" and not module.startswith("__torch__.torch.classes")
            storage = module == "torch" and attribute.endswith(("Storage", "Tensor"))
            if not (inside or storage or module == "torch.jit._pickle" or (module, attribute) in GLOBALS):
                raise UnsafeModel(f"{what} has a pickle that names {module}.{attribute}.")
