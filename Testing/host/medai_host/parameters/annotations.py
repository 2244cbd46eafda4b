"""What may stand in `Annotated[...]` of a parameter: a default, limits, hints for widgets."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args


class Default:
    """The value of a parameter that nobody has set yet."""

    def __init__(self, value: Any = None, *, generator: Callable[[], Any] | None = None) -> None:
        self._value = value
        self._generator = generator

    @property
    def value(self) -> Any:
        return self._generator() if self._generator is not None else self._value


class Validator(abc.ABC):
    """Base of the checks that run before a value is written."""

    @abc.abstractmethod
    def validate(self, value: Any) -> None:
        """Raise ValueError if the value may not be written."""


class NotNone(Validator):
    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("The value must not be None.")


class IsNone(Validator):
    def validate(self, value: Any) -> None:
        if value is not None:
            raise ValueError("The value must be None.")


class IsInstance(Validator):
    def __init__(self, classtype: Any) -> None:
        self.classtype = classtype

    def validate(self, value: Any) -> None:
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"The value must be a {self.classtype}, not {value!r} of {type(value)}.")


class WithinRange(Validator):
    def __init__(self, minimum: Any, maximum: Any) -> None:
        self.minimum = minimum
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"The value must lie in [{self.minimum}, {self.maximum}], not {value}.")


class Minimum(Validator):
    def __init__(self, minimum: Any) -> None:
        self.minimum = minimum

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"The value must not be below {self.minimum}, as {value} is.")


class Maximum(Validator):
    def __init__(self, maximum: Any) -> None:
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"The value must not be above {self.maximum}, as {value} is.")


class Choice(Validator):
    def __init__(self, choices: Sequence[Any]) -> None:
        self.choices = choices

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"The value must be one of {self.choices}, not {value!r}.")


class Exclude(Validator):
    def __init__(self, excludedValues: Sequence[Any]) -> None:
        self.excludedValues = excludedValues

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"The value must be none of {self.excludedValues}, as {value!r} is.")


@dataclass
class Decimals:
    """How many decimals a spin box or slider shows."""

    value: int


@dataclass
class SingleStep:
    """The step of a spin box or slider."""

    value: float


def splitAnnotations(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type and what annotates it."""
    # One more annotation makes plain and annotated types alike.
    kind, *notes = get_args(Annotated[hint, None])
    return kind, tuple(notes[:-1])


def unannotatedType(hint: Any) -> Any:
    """The type without what annotates it."""
    return splitAnnotations(hint)[0]


def findFirstAnnotation(annotations: Iterable[Any], kind: type) -> Any:
    """The first annotation of a class, or None."""
    return next((note for note in annotations if isinstance(note, kind)), None)


def take_default(annotations: Iterable[Any]) -> tuple[Default | None, list[Any]]:
    """The default among the annotations, and the others."""
    notes = list(annotations)
    defaults = [note for note in notes if isinstance(note, Default)]
    if len(defaults) > 1:
        raise ValueError("A parameter has more than one Default.")
    return (defaults[0] if defaults else None), [note for note in notes if not isinstance(note, Default)]
