"""Lists, tuples and dicts in a parameter node; changing one in place writes it."""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Iterator
from typing import Any

import slicer

from medai_host.parameters.storage import MAKERS, Storage, storage_of


class ObservedList(collections.abc.MutableSequence):
    """A list that writes itself to the parameter node when it changes; it has no `+` and no `*`."""

    def __init__(self, node: Any, storage: ListStorage, name: str, values: list[Any]) -> None:
        self._node, self._storage, self._name, self._list = node, storage, name, values

    def _save(self) -> None:
        try:
            self._storage.write(self._node, self._name, self._list)
        finally:
            self._list = self._storage.read(self._node, self._name)._list

    def __repr__(self) -> str:
        return f"ObservedList({self._list})"

    def __eq__(self, other: object) -> bool:
        return self._list == (other._list if isinstance(other, ObservedList) else other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._list)

    def __getitem__(self, index: Any) -> Any:
        return self._list[index]

    def __setitem__(self, index: Any, item: Any) -> None:
        self._list[index] = item
        self._save()

    def __delitem__(self, index: Any) -> None:
        del self._list[index]
        self._save()

    def __iadd__(self, other: Any) -> ObservedList:
        self._list += list(other)
        self._save()
        return self

    def __add__(self, other: Any) -> Any:
        raise NotImplementedError("A list of a parameter node has no '+'; '+=' changes it.")

    __radd__ = __mul__ = __rmul__ = __add__

    def insert(self, index: int, item: Any) -> None:
        self._list.insert(index, item)
        self._save()

    def sort(self, *args: Any, **kwargs: Any) -> None:
        self._list.sort(*args, **kwargs)
        self._save()


class ListStorage(Storage):
    """`<name>_len` and `<name>_0`, `<name>_1`, ..."""

    def __init__(self, item: Storage) -> None:
        super().__init__()
        self.item = item
        self.cached = item.cached

    def default(self) -> list[Any]:
        return []

    def _length(self, node: Any, name: str) -> int:
        return int(node.GetParameter(f"{name}_len")) if self.is_in(node, name) else 0

    def put(self, node: Any, name: str, values: Any) -> None:
        values = list(values)
        for value in values:
            self.item.validate(value)
        with slicer.util.NodeModify(node):
            old = self._length(node, name)
            for index, value in enumerate(values):
                self.item.write(node, f"{name}_{index}", value)
            node.SetParameter(f"{name}_len", str(len(values)))
            for index in range(len(values), old):
                self.item.remove(node, f"{name}_{index}")

    def read(self, node: Any, name: str) -> ObservedList:
        values = [self.item.read(node, f"{name}_{index}") for index in range(self._length(node, name))]
        return ObservedList(node, self, name, values)

    def is_in(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}_len"))

    def remove(self, node: Any, name: str) -> None:
        for index in range(self._length(node, name)):
            self.item.remove(node, f"{name}_{index}")
        node.UnsetParameter(f"{name}_len")


class TupleStorage(Storage):
    """`<name>_0`, `<name>_1`, ... with one type each."""

    def __init__(self, items: list[Storage]) -> None:
        super().__init__()
        self.items = items
        self.cached = all(item.cached for item in items)

    def default(self) -> tuple[Any, ...]:
        return tuple(item.default() for item in self.items)

    def put(self, node: Any, name: str, values: Any) -> None:
        values = tuple(values)
        if len(values) != len(self.items):
            raise ValueError(f"'{name}' has {len(self.items)} values, not {len(values)}.")
        with slicer.util.NodeModify(node):
            for index, (item, value) in enumerate(zip(self.items, values, strict=True)):
                item.write(node, f"{name}_{index}", value)

    def read(self, node: Any, name: str) -> tuple[Any, ...]:
        return tuple(item.read(node, f"{name}_{index}") for index, item in enumerate(self.items))

    def is_in(self, node: Any, name: str) -> bool:
        return self.items[0].is_in(node, f"{name}_0")

    def remove(self, node: Any, name: str) -> None:
        for index, item in enumerate(self.items):
            item.remove(node, f"{name}_{index}")


class ObservedDict(collections.abc.MutableMapping):
    """A dict that writes itself to the parameter node when it changes."""

    def __init__(self, node: Any, storage: DictStorage, name: str, values: dict[Any, Any]) -> None:
        self._node, self._storage, self._name, self._dict = node, storage, name, values

    def _save(self) -> None:
        self._storage.write(self._node, self._name, self._dict)

    def __repr__(self) -> str:
        return f"ObservedDict({self._dict})"

    def __getitem__(self, key: Any) -> Any:
        return self._dict[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._dict[key] = value
        self._save()

    def __delitem__(self, key: Any) -> None:
        del self._dict[key]
        self._save()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)


class DictStorage(Storage):
    """A list of pairs."""

    def __init__(self, key: Storage, value: Storage) -> None:
        super().__init__()
        self.pairs = ListStorage(TupleStorage([key, value]))
        self.cached = self.pairs.cached

    def default(self) -> dict[Any, Any]:
        return {}

    def put(self, node: Any, name: str, values: Any) -> None:
        self.pairs.put(node, name, list(values.items()))

    def read(self, node: Any, name: str) -> ObservedDict:
        return ObservedDict(node, self, name, dict(self.pairs.read(node, name)))

    def is_in(self, node: Any, name: str) -> bool:
        return self.pairs.is_in(node, name)

    def remove(self, node: Any, name: str) -> None:
        self.pairs.remove(node, name)


def _collection(kind: Any) -> Storage | None:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return ListStorage(storage_of(parts[0]))
    if origin is tuple:
        return TupleStorage([storage_of(part) for part in parts])
    if origin is dict:
        return DictStorage(storage_of(parts[0]), storage_of(parts[1]))
    return None


MAKERS.append(_collection)
