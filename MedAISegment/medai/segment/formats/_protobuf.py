"""Reading protocol buffers' wire format, as far as ONNX files need it; nothing is built, bytes are only pointed at."""

from __future__ import annotations

from collections.abc import Iterator

Field = tuple[int, "int | memoryview"]


def fields(data: memoryview) -> Iterator[Field]:
    """Give (number, value) of a message's fields; values are whole numbers or the bytes of texts and messages.

    Raises
    ------
    ValueError
        If the bytes are no message.
    """
    position = 0
    while position < len(data):
        tag, position = _number(data, position)
        kind = tag & 7
        if kind == 0:
            value, position = _number(data, position)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, position = _number(data, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if position + length > len(data):
            raise ValueError("a field ends behind the file's end")
        yield tag >> 3, data[position : position + length]
        position += length


def messages(data: memoryview, number: int) -> list[memoryview]:
    """Return the bytes of all fields of a number."""
    return [value for n, value in fields(data) if n == number and isinstance(value, memoryview)]


def text(data: memoryview, number: int) -> str:
    """Return the last text field of a number; empty if there is none."""
    found = messages(data, number)
    return bytes(found[-1]).decode("utf-8") if found else ""


def whole(data: memoryview, number: int) -> int | None:
    """Return the last whole number of a field's number, as signed 64 bit; None if there is none."""
    found = [value for n, value in fields(data) if n == number and isinstance(value, int)]
    if not found:
        return None
    return found[-1] - (1 << 64) if found[-1] >> 63 else found[-1]


def _number(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("a number does not end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
