"""How values of each type lie in a parameter node: as texts, references, and numbered or dotted names of these."""

from __future__ import annotations

import enum
import pathlib
import typing
from collections.abc import Callable
from typing import Any

import slicer

from medai_host.parameters.annotations import IsInstance, IsNone, NotNone, Validator, splitAnnotations

PATH_TYPES = (
    pathlib.Path,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
)


class Storage:
    """Reads and writes one type under a name; checks values first."""

    validators: list[Validator]
    cached = True

    def __init__(self, *validators: Validator) -> None:
        self.validators = list(validators)

    def validate(self, value: Any) -> None:
        for validator in self.validators:
            validator.validate(value)

    def write(self, node: Any, name: str, value: Any) -> None:
        self.validate(value)
        self.put(node, name, value)

    # The four below are each type's own.
    def default(self) -> Any:
        raise NotImplementedError

    def put(self, node: Any, name: str, value: Any) -> None:
        raise NotImplementedError

    def read(self, node: Any, name: str) -> Any:
        raise NotImplementedError

    def is_in(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)


class TextStorage(Storage):
    """Anything that is one text: str, int, float, bool, paths, members of an Enum."""

    def __init__(
        self,
        default: Callable[[], Any],
        to_text: Callable[[Any], str],
        from_text: Callable[[str], Any],
        *checks: Validator,
    ) -> None:
        super().__init__(*checks)
        self._default, self._to_text, self._from_text = default, to_text, from_text

    def default(self) -> Any:
        return self._default()

    def put(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, self._to_text(value))

    def read(self, node: Any, name: str) -> Any:
        return self._from_text(node.GetParameter(name))


class NodeStorage(Storage):
    """A MRML node: a reference with the parameter's name, and an empty text that says 'it was set'."""

    def default(self) -> None:
        return None

    def put(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class NoneStorage(Storage):
    """The None of an Optional."""

    def default(self) -> None:
        return None

    def put(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "True")

    def read(self, node: Any, name: str) -> None:
        return None


class UnionStorage(Storage):
    """One of several types; which one, is in the number at the end of the name."""

    def __init__(self, kinds: list[Any], parts: list[Storage]) -> None:
        super().__init__()
        self.kinds, self.parts = kinds, parts
        self.cached = all(part.cached for part in parts)

    def default(self) -> Any:
        if len(self.parts) == 2 and isinstance(self.parts[1], NoneStorage):
            return None
        return self.parts[0].default()

    def _fitting(self, value: Any) -> int:
        error: Exception = TypeError(f"A value of {type(value)} cannot be written.")
        for index, part in enumerate(self.parts):
            if isinstance(part, NodeStorage) and not isinstance(value, slicer.vtkMRMLNode | None):
                continue
            try:
                part.validate(value)
            except (TypeError, ValueError) as problem:
                error = problem
                continue
            return index
        raise error

    def validate(self, value: Any) -> None:
        self._fitting(value)

    def put(self, node: Any, name: str, value: Any) -> None:
        index = self._fitting(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            self.parts[index].write(node, f"{name}_{index}", value)

    def read(self, node: Any, name: str) -> Any:
        for index, part in enumerate(self.parts):
            if part.is_in(node, f"{name}_{index}"):
                return part.read(node, f"{name}_{index}")
        raise KeyError(name)

    def is_in(self, node: Any, name: str) -> bool:
        return any(part.is_in(node, f"{name}_{index}") for index, part in enumerate(self.parts))

    def remove(self, node: Any, name: str) -> None:
        for index, part in enumerate(self.parts):
            part.remove(node, f"{name}_{index}")


MAKERS: list[Callable[[Any], Storage | None]] = []


def storage_of(hint: Any) -> Storage:
    """The storage of a type hint, with the limits that annotate it; annotations of other kinds are not looked at."""
    kind, notes = splitAnnotations(hint)
    for make in MAKERS:
        storage = make(kind)
        if storage is not None:
            storage.validators += [note for note in notes if isinstance(note, Validator)]
            return storage
    raise TypeError(f"A parameter node cannot hold values of the type {kind}.")


def _simple(kind: Any) -> Storage | None:
    if kind is str:
        return TextStorage(str, str, str, NotNone(), IsInstance(str))
    if kind is bool:
        return TextStorage(bool, lambda v: "True" if v else "False", lambda t: t == "True", NotNone(), IsInstance(bool))
    if kind in (int, float):
        accepted = (int, float) if kind is float else int
        return TextStorage(lambda: 0, str, kind, NotNone(), IsInstance(accepted))
    if kind in PATH_TYPES:
        return TextStorage(kind, str, kind, NotNone(), IsInstance(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return TextStorage(lambda: next(iter(kind)), lambda v: v.name, lambda t: kind[t], IsInstance(kind))
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return NodeStorage(IsInstance(kind))
    if kind is type(None):
        return NoneStorage(IsNone())
    return None


def _union(kind: Any) -> Storage | None:
    # `A | None` has another origin and Slicer's wrapper does not know it: use Optional[A].
    if typing.get_origin(kind) is not typing.Union:
        return None
    kinds = list(typing.get_args(kind))
    return UnionStorage(kinds, [storage_of(part) for part in kinds])


MAKERS += [_simple, _union]
