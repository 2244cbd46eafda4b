"""parameterPack: several parameters that travel together, stored under dotted names."""

from __future__ import annotations

import typing
from typing import Any

import slicer

from medai_host.errors import NotInHost
from medai_host.parameters.annotations import IsInstance, NotNone, splitAnnotations, take_default, unannotatedType
from medai_host.parameters.storage import MAKERS, Storage, storage_of

_MARK = "_is_parameterPack"


class Member:
    """One parameter of a pack or of a wrapped node."""

    def __init__(self, name: str, hint: Any, assigned: Any, has_assigned: bool) -> None:
        _, notes = splitAnnotations(hint)
        given, _others = take_default(notes)
        self.basename = name
        self.unalteredType = hint
        self.serializer = storage_of(hint)
        self._assigned, self._has_assigned, self._given = assigned, has_assigned, given

    def first_value(self) -> Any:
        """The default: what was assigned in the class, else Default(...), else the type's own."""
        if self._has_assigned:
            return self._assigned
        return self._given.value if self._given is not None else self.serializer.default()


def members_of(cls: type) -> dict[str, Member]:
    """The parameters that a class declares by its annotations."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: Member(name, hint, getattr(cls, name, None), hasattr(cls, name)) for name, hint in hints.items()}


def split_name(name: str) -> tuple[str, str | None]:
    """`a.b.c` as `a` and `b.c`."""
    top, dot, rest = name.partition(".")
    return top, (rest if dot else None)


def isParameterPack(candidate: Any) -> bool:
    """Whether a class or object is a parameter pack."""
    return bool(getattr(candidate, _MARK, False))


def nestedParameterNames(pack: Any) -> list[str]:
    """The dotted names of all values in a pack."""
    if not isParameterPack(pack):
        pack = unannotatedType(pack)
    names: list[str] = []
    for name, member in pack.allParameters.items():
        kind = unannotatedType(member.unalteredType)
        names += [f"{name}.{rest}" for rest in nestedParameterNames(kind)] if isParameterPack(kind) else [name]
    return names


class _PackMethods:
    allParameters: dict[str, Member]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = dict(zip(self.allParameters, args, strict=False))
        unknown = set(kwargs) - set(self.allParameters)
        if unknown or len(args) > len(self.allParameters) or set(given) & set(kwargs):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self.allParameters)}, each once.")
        given |= kwargs
        self.__dict__["_values"] = {}
        self.__dict__["_saved_in"] = None
        for name, member in self.allParameters.items():
            setattr(self, name, given[name] if name in given else member.first_value())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PackMethods) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._values.items())})"

    def __setattr__(self, name: str, value: Any) -> None:
        if self._saved_in is not None and name not in self.allParameters:
            raise AttributeError(f"A {type(self).__name__} in a parameter node takes no new attribute '{name}'.")
        super().__setattr__(name, value)

    def _changed(self) -> None:
        if self._saved_in is not None:
            node, storage, name = self._saved_in
            storage.write(node, name, self)

    def getValue(self, name: str) -> Any:
        top, rest = split_name(name)
        _require(self, top)
        value = getattr(self, top)
        return value if rest is None else value.getValue(rest)

    def setValue(self, name: str, value: Any) -> None:
        top, rest = split_name(name)
        _require(self, top)
        if rest is None:
            setattr(self, top, value)
        else:
            getattr(self, top).setValue(rest, value)
            self._changed()

    @classmethod
    def dataType(cls, name: str) -> Any:
        top, rest = split_name(name)
        _require(cls, top)
        hint = cls.allParameters[top].unalteredType
        return hint if rest is None else unannotatedType(hint).dataType(rest)


def _require(pack: Any, name: str) -> None:
    if name not in pack.allParameters:
        raise ValueError(f"The pack has no '{name}', only {', '.join(pack.allParameters)}.")


def _member_property(member: Member) -> property:
    def put(self: Any, value: Any) -> None:
        member.serializer.validate(value)
        self._values[member.basename] = value
        self._changed()

    return property(lambda self: self._values[member.basename], put)


def parameterPack(classtype: type | None = None) -> Any:
    """Class decorator: make the annotated members of a class one value that a parameter can hold."""
    if classtype is None:
        return parameterPack
    members = members_of(classtype)
    if not members:
        raise ValueError(f"{classtype.__name__} declares no parameters.")
    if "__init__" in classtype.__dict__:
        raise NotInHost("parameterPack", "__init__", "Packs with their own __init__ are not imitated.")
    for member in members.values():
        member.serializer.validate(member.first_value())
    for name in ("allParameters", "getValue", "setValue", "dataType"):
        if name in members or name in classtype.__dict__:
            raise ValueError(f"'{name}' cannot be used in a parameterPack.")
    body = {name: value for name, value in classtype.__dict__.items() if name not in ("__dict__", "__weakref__")}
    body |= {name: _member_property(member) for name, member in members.items()}
    body |= {"allParameters": members, _MARK: True}
    return type(classtype.__name__, (_PackMethods, *[b for b in classtype.__bases__ if b is not object]), body)


class PackStorage(Storage):
    """`<name>.<member>` for every member."""

    cached = False

    def __init__(self, kind: type) -> None:
        super().__init__(NotNone(), IsInstance(kind))
        self.kind = kind
        self.members = kind.allParameters

    def default(self) -> Any:
        return self.kind()

    def put(self, node: Any, name: str, value: Any) -> None:
        with slicer.util.NodeModify(node):
            for member in self.members.values():
                member.serializer.write(node, f"{name}.{member.basename}", getattr(value, member.basename))

    def read(self, node: Any, name: str) -> Any:
        stored = {
            member.basename: member.serializer.read(node, f"{name}.{member.basename}")
            for member in self.members.values()
        }
        pack = self.kind(**stored)
        pack.__dict__["_saved_in"] = (node, self, name)
        return pack

    def is_in(self, node: Any, name: str) -> bool:
        first = next(iter(self.members.values()))
        return first.serializer.is_in(node, f"{name}.{first.basename}")

    def remove(self, node: Any, name: str) -> None:
        for member in self.members.values():
            member.serializer.remove(node, f"{name}.{member.basename}")


MAKERS.append(lambda kind: PackStorage(kind) if isParameterPack(kind) else None)
