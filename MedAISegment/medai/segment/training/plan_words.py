"""Numbers and names in a sentence."""

from __future__ import annotations

from collections.abc import Sequence


def times(numbers: Sequence[float]) -> str:
    """Join sizes: ``40 x 56 x 40``."""
    return " x ".join(f"{n:g}" for n in numbers)


def listed(items: Sequence[object]) -> str:
    """List the first eight of many."""
    shown = [str(item) for item in items[:8]]
    return ", ".join(shown) + (f" and {len(items) - 8} more" if len(items) > 8 else "")
