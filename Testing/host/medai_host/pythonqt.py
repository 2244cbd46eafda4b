"""Give PySide6's classes the manners of PythonQt, for the whole process.

In PythonQt a Qt property is an attribute (`button.text`, `button.enabled = False`), its setter is also a method
(`button.setText`), `connect` takes signatures as text, `name` is another word for `objectName`, and a C++ object takes
no new attributes. PySide6 has methods instead. One pass over its classes puts a descriptor in place of each getter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from medai_host.errors import NotInHost

# Prefix of the stand-ins' own state.
PRIVATE = "_host"


class PropertyAttribute:
    """A Qt property as an attribute of instances; on the class it is still the getter."""

    def __init__(self, meta: QtCore.QMetaProperty, owner: type, original: Any) -> None:
        name = meta.name()
        self.name = name
        self.kind = meta.typeName()
        self.is_enum = meta.isEnumType()
        self.original = original
        self.getter = _instance_method(owner, original, name)
        setter = getattr(owner, _with_prefix("set", name), None)
        self.setter = setter if _is_instance_method(setter) else None
        self.writable = meta.isWritable()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self if self.original is None else self.original
        if self.getter is not None:
            return self.getter(instance)
        return QtCore.QObject.property(instance, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        if not self.writable:
            raise AttributeError(f"Property '{self.name}' of {type(instance).__name__} is not writable.")
        value = self._checked(instance, value)
        if self.setter is not None and not (self.is_enum and isinstance(value, int)):
            self.setter(instance, value)
        else:
            QtCore.QObject.setProperty(instance, self.name, value)

    def _checked(self, instance: Any, value: Any) -> Any:
        # Stricter than PythonQt where it would guess: what passes here passes there.
        accepted: dict[str, tuple[type, ...]] = {
            "bool": (bool, int),
            "int": (int,),
            "double": (int, float),
            "QString": (str,),
        }
        wanted = accepted.get(self.kind)
        if wanted is not None and not isinstance(value, wanted):
            raise TypeError(
                f"Property '{self.name}' of {type(instance).__name__} is a {self.kind} and does not accept a "
                f"{type(value).__name__}."
            )
        return bool(value) if self.kind == "bool" else value


def _with_prefix(prefix: str, name: str) -> str:
    return prefix + name[:1].upper() + name[1:]


def _is_instance_method(candidate: Any) -> bool:
    return type(candidate).__name__ in ("method_descriptor", "function")


def _instance_method(owner: type, original: Any, name: str) -> Callable[[Any], Any] | None:
    # QTimer::singleShot is a static function with the name of a property: the property wins on an instance.
    if name == "singleShot":
        return getattr(owner, "isSingleShot", None)
    for candidate in (
        original,
        getattr(owner, _with_prefix("is", name), None),
        getattr(owner, _with_prefix("has", name), None),
    ):
        if _is_instance_method(candidate):
            return candidate
    return None


def _qobject_classes() -> Iterator[type]:
    seen: set[type] = set()
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            candidate = getattr(module, name)
            if isinstance(candidate, type) and issubclass(candidate, QtCore.QObject):
                seen.add(candidate)
    yield from sorted(seen, key=lambda cls: (len(cls.__mro__), cls.__name__))


def _add_properties(cls: type) -> None:
    meta_object = cls.staticMetaObject
    for index in range(meta_object.propertyCount()):
        meta = meta_object.property(index)
        own = cls.__dict__.get(meta.name())
        # An inherited property needs a new descriptor only where the class reimplements the getter.
        if index < meta_object.propertyOffset() and (own is None or isinstance(own, PropertyAttribute)):
            continue
        setattr(cls, meta.name(), PropertyAttribute(meta, cls, getattr(cls, meta.name(), None)))


def _find(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def has_property(cls: type, name: str) -> bool:
    """Whether a class declares a Qt property (asked of Python: PySide6 may renew a class's meta-object at any time)."""
    return isinstance(_find(cls, name), PropertyAttribute | QtCore.Property)


def is_stand_in(cls: type) -> bool:
    """Whether instances stand for C++ objects, which take no attribute that their class does not have."""
    return cls.__module__.split(".")[0] in ("PySide6", "medai_host")


def _is_own_work(value: Any) -> bool:
    """PySide6 keeps signals and slots of objects that C++ made as attributes of the wrapper, at the first look."""
    return type(value).__name__ in ("SignalInstance", "MetaFunction")


# While PySide6's QUiLoader works it gives every parent an attribute for each named child, which PythonQt does not.
loading: list[bool] = []


def _set_attribute(self: Any, name: str, value: Any) -> None:
    if loading and isinstance(value, QtCore.QObject) and value.objectName == name:
        return
    found = _find(type(self), name)
    if isinstance(found, QtCore.Property):
        if found.fset is None:
            raise AttributeError(f"Property '{name}' of {type(self).__name__} is not writable.")
        found.fset(self, value)
    elif found is not None and hasattr(type(found), "__set__"):
        type(found).__set__(found, self, value)
    elif is_stand_in(type(self)) and not name.startswith((PRIVATE, "__")) and not _is_own_work(value):
        raise NotInHost(type(self).__name__, name, "A C++ object takes no new attributes.")
    else:
        self.__dict__[name] = value


def _missing_attribute(self: Any, name: str) -> Any:
    raise NotInHost(type(self).__name__, name)


# PySide6 invalidates its one wrapper of a class's meta-object together with any instance that was asked for it, so
# meta-objects are read once per class, from the class, and never from an instance.
_METHODS: dict[type, tuple[frozenset[str], frozenset[str]]] = {}


def _own_methods(cls: type) -> tuple[frozenset[str], frozenset[str]]:
    if cls not in _METHODS:
        meta_object = cls.staticMetaObject
        methods = [meta_object.method(i) for i in range(meta_object.methodOffset(), meta_object.methodCount())]
        found = {bytes(m.methodSignature()).decode(): m.methodType() for m in methods}
        signal, slot = QtCore.QMetaMethod.Signal, QtCore.QMetaMethod.Slot
        _METHODS[cls] = tuple(frozenset(s for s, kind in found.items() if kind == wanted) for wanted in (signal, slot))
    return _METHODS[cls]


def has_method(cls: type, signature: str, *, signals: bool = False, slots: bool = False) -> bool:
    """Whether a class of Qt or of the stand-in has a signal or a slot with this signature."""
    text = _normalised(signature)
    for base in cls.__mro__:
        if is_stand_in(base) and "staticMetaObject" in dir(base):
            own_signals, own_slots = _own_methods(base)
            if (signals and text in own_signals) or (slots and text in own_slots):
                return True
    return False


def _normalised(signature: str) -> str:
    return bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()


def signal_of(sender: Any, signature: str) -> Any:
    """The stand-in's own signal for a signature with VTK types, or None for a signal of Qt."""
    for base in type(sender).__mro__:
        names = base.__dict__.get("HOST_SIGNALS", {})
        if _normalised(signature) in names:
            return getattr(sender, names[_normalised(signature)])
    return None


def _connection(sender: Any, signature: str) -> Any:
    if not isinstance(signature, str) or not re.fullmatch(r"\w+\(.*\)", signature.strip()):
        raise NotInHost(type(sender).__name__, str(signature), "connect() takes 'signal(argument types)' as text.")
    own = signal_of(sender, signature)
    if own is None and not has_method(type(sender), signature, signals=True):
        raise NotInHost(type(sender).__name__, signature, "There is no signal with this signature.")
    return own


def _connect(self: Any, signature: str, receiver: Any, slot: str | None = None) -> bool:
    """`object.connect("clicked(bool)", callable)` or `object.connect("clicked()", receiver, "slot()")`."""
    if isinstance(signature, QtCore.QObject):
        # PySide6 itself calls here, for QTimer.singleShot: connect(sender, SIGNAL(...), callable).
        return bool(_qt_connect(signature, receiver, slot))
    target = receiver if slot is None else getattr(receiver, slot.split("(")[0])
    if not callable(target) and not isinstance(target, QtCore.SignalInstance):
        raise TypeError(f"connect('{signature}'): the receiver must be callable, not {type(target).__name__}.")
    own = _connection(self, signature)
    if own is not None:
        own.connect(target)
        return True
    return bool(_qt_connect(self, QtCore.SIGNAL(signature), target))


def _disconnect(self: Any, signature: str, receiver: Any = None, slot: str | None = None) -> bool:
    own = _connection(self, signature)
    target = receiver if slot is None else getattr(receiver, slot.split("(")[0])
    if own is None:
        return bool(_qt_disconnect(self, QtCore.SIGNAL(signature), target))
    return bool(own.disconnect(target) if target is not None else own.disconnect())


def _with_text_connections(original: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Wrap a class's attribute look-up: PySide6 finds `connect` and `disconnect` before Python does."""

    def look_up(self: Any, name: str) -> Any:
        if name == "connect":
            return partial(_connect, self)
        if name == "disconnect":
            return partial(_disconnect, self)
        return original(self, name)

    return look_up


_qt_connect = QtCore.QObject.connect
_qt_disconnect = QtCore.QObject.disconnect
_done: list[bool] = []


def patch() -> None:
    """Change the classes of PySide6, once."""
    if _done:
        return
    _done.append(True)
    look_ups = {cls: cls.__getattribute__ for cls in _qobject_classes()}
    for cls, look_up in look_ups.items():
        _add_properties(cls)
        _own_methods(cls)
        cls.__setattr__ = _set_attribute
        cls.__getattribute__ = _with_text_connections(look_up)
    base = QtCore.QObject
    base.__getattr__ = _missing_attribute
    base.name = property(
        lambda self: QtCore.QObject.property(self, "objectName"),
        lambda self, value: self.setObjectName(value),
    )
    base.className = lambda self: next(cls.__name__ for cls in type(self).__mro__ if is_stand_in(cls))
    base.delete = lambda self: self.deleteLater()
    QtWidgets.QDialog.exec_ = lambda self: self.exec()  # the name in Slicer; PySide6 is about to drop it
