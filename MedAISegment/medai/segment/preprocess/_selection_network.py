"""Networks of minima and maxima that sort, merge and select: the same few operations whatever the values are.

A network is worked out once with symbols, freed of what its results do not need, and then run on whole arrays with
``numpy.minimum`` and ``numpy.maximum``, which use the processor's vector units.  Two ways to merge sorted lists are
tried, Batcher's odd-even and bitonic merges (K. E. Batcher, Sorting networks and their applications, 1968), at several
offsets, and the one with the fewest operations left is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LOWEST, HIGHEST = -1, -2
"""Symbols below and above every value, to fill lists up."""
OFFSETS = 12
"""Positions tried for a bitonic merge: more take longer to work out than they save."""


@dataclass(frozen=True)
class Network:
    """Operations ``(is_max, a, b, target)`` on registers; the first ``inputs`` registers are the lists merged.

    ``outputs`` are the registers with the results, in ascending order.
    """

    inputs: int
    registers: int
    steps: tuple[tuple[bool, int, int, int], ...]
    outputs: tuple[int, ...]


class Pool:
    """Arrays of one length and type that are used again and again, so that they stay in the processor's cache."""

    def __init__(self, length: int, dtype: npt.DTypeLike) -> None:
        self._length, self._dtype = length, dtype
        self._free: list[Array] = []

    def take(self, shape: tuple[int, ...]) -> Array:
        """Return an array of ``shape`` with any content."""
        flat = self._free.pop() if self._free else np.zeros(self._length, self._dtype)
        return flat[: int(np.prod(shape))].reshape(shape)

    def give_back(self, arrays: Sequence[Array]) -> None:
        """Take arrays back that :meth:`take` returned."""
        for array in arrays:
            assert array.base is not None
            self._free.append(array.base)


def run(network: Network, inputs: Sequence[Array], shape: tuple[int, ...], pool: Pool) -> list[Array]:
    """Return the network's results, arrays of ``shape`` from ``pool``; the inputs broadcast to it, and stay."""
    registers = list(inputs)
    for is_max, a, b, target in network.steps:
        if target == len(registers):  # registers come into use in turn
            registers.append(pool.take(shape))
        (np.maximum if is_max else np.minimum)(registers[a], registers[b], out=registers[target])
    kept = set(network.outputs)
    pool.give_back([registers[number] for number in range(network.inputs, len(registers)) if number not in kept])
    return [registers[number] for number in network.outputs]


@lru_cache(maxsize=256)
def merging(left: int, right: int, first: int, last: int) -> Network:
    """Return the network that merges two ascending lists and gives the values of ranks ``first`` to ``last``.

    Parameters
    ----------
    left, right : int
        Lengths of the lists, at least 1; the inputs are the one, then the other.
    first, last : int
        Ranks from 0, the lowest, both included.
    """
    total = left + right
    found = [_pruned(total, *_odd_even(left, right), first, last)]
    size = 1 << (total - 1).bit_length()
    spare = size - total
    for offset in sorted({round(spare * part / OFFSETS) for part in range(OFFSETS + 1)}):
        found.append(_pruned(total, *_bitonic(left, right, offset, size), first + offset, last + offset))
    if first == last:
        found.append(_pruned(total, *_direct(left, right, first), 0, 0))
    return min(found, key=lambda one: (len(one.steps), one.registers))


@lru_cache(maxsize=64)
def sorting(count: int, first: int, last: int) -> Network:
    """Return the network that gives the values of ranks ``first`` to ``last`` of ``count`` unsorted ones."""
    graph = _Graph(count)
    lists = [[number] for number in range(count)]
    while len(lists) > 1:
        lists = [
            graph.odd_even(lists[at], lists[at + 1]) if at + 1 < len(lists) else lists[at]
            for at in range(0, len(lists), 2)
        ]
    return _pruned(count, graph, lists[0], first, last)


class _Graph:
    """Operations by symbols: numbers below ``inputs`` are inputs, the others the results of ``nodes`` in turn."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.nodes: list[tuple[bool, int, int]] = []

    def add(self, is_max: bool, a: int, b: int) -> int:
        for one, other in ((a, b), (b, a)):
            if one == LOWEST:
                return other if is_max else one
            if one == HIGHEST:
                return one if is_max else other
        self.nodes.append((is_max, a, b))
        return self.inputs + len(self.nodes) - 1

    def odd_even(self, a: list[int], b: list[int]) -> list[int]:
        """Merge two sorted lists of any lengths."""
        if not a or not b:
            return a or b
        if len(a) == len(b) == 1:
            return [self.add(False, a[0], b[0]), self.add(True, a[0], b[0])]
        even, odd = self.odd_even(a[::2], b[::2]), self.odd_even(a[1::2], b[1::2])
        merged = [even[0]]
        for x, y in zip(odd, even[1:], strict=False):
            merged += [self.add(False, x, y), self.add(True, x, y)]
        # One of the two may be longer by one or two; its rest is already in place.
        shorter = min(len(odd), len(even) - 1)
        return merged + odd[shorter:] + even[1 + shorter :]

    def bitonic(self, values: list[int]) -> list[int]:
        """Sort a list, a power of two long, that rises and then falls."""
        half = len(values) // 2
        if not half:
            return values
        pairs = list(zip(values[:half], values[half:], strict=True))
        low, high = ([self.add(is_max, x, y) for x, y in pairs] for is_max in (False, True))
        return self.bitonic(low) + self.bitonic(high)


def _odd_even(left: int, right: int) -> tuple[_Graph, list[int]]:
    graph = _Graph(left + right)
    return graph, graph.odd_even(list(range(left)), list(range(left, left + right)))


def _bitonic(left: int, right: int, offset: int, size: int) -> tuple[_Graph, list[int]]:
    graph = _Graph(left + right)
    above = [HIGHEST] * (size - left - right - offset)
    falling = list(range(left + right - 1, left - 1, -1))
    return graph, graph.bitonic([LOWEST] * offset + list(range(left)) + above + falling)


def _direct(left: int, right: int, rank: int) -> tuple[_Graph, list[int]]:
    # The lowest of all max(a[i], b[rank - 1 - i]): i + 1 values of the one list and rank - i of the other.
    graph = _Graph(left + right)
    best = HIGHEST
    for count in range(max(0, rank + 1 - right), min(left, rank + 1) + 1):
        a = count - 1 if count else LOWEST
        b = left + rank - count if count <= rank else LOWEST
        best = graph.add(False, best, graph.add(True, a, b))
    return graph, [best]


def _pruned(inputs: int, graph: _Graph, ranked: list[int], first: int, last: int) -> Network:
    """Keep what the wanted ranks need, and let results share registers."""
    wanted = ranked[first : last + 1]
    needed: set[int] = set()
    stack = list(wanted)
    while stack:
        number = stack.pop()
        if number >= inputs and number not in needed:
            needed.add(number)
            stack += graph.nodes[number - inputs][1:]
    order = sorted(needed)
    last_use = {number: len(order) for number in wanted}
    for at, number in reversed(list(enumerate(order))):
        for source in graph.nodes[number - inputs][1:]:
            last_use.setdefault(source, at)
    place = {number: number for number in range(inputs)}
    free: list[int] = []
    registers = 0
    steps = []
    for at, number in enumerate(order):
        is_max, a, b = graph.nodes[number - inputs]
        operands = place[a], place[b]
        # An operand used for the last time may be overwritten by the result; an input never.
        free += [place[one] for one in dict.fromkeys((a, b)) if one >= inputs and last_use[one] == at]
        if not free:
            free.append(inputs + registers)
            registers += 1
        place[number] = free.pop()
        steps.append((is_max, *operands, place[number]))
    return Network(inputs, registers, tuple(steps), tuple(place[number] for number in wanted))
