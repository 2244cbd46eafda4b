"""Errors of the stand-in."""

from __future__ import annotations


class NotInHost(AttributeError):
    """A name that Slicer's class has not, or that nobody added to the stand-in yet.

    It is an AttributeError because `slicer.util` asks with `hasattr`; a test that touches an invented name still fails.
    """

    def __init__(self, owner: str, name: str, hint: str = "") -> None:
        text = f"{owner} has no '{name}' in Testing/host. If Slicer really has it, add it there with a test."
        super().__init__(f"{text} {hint}".rstrip())


class Unanswered(AssertionError):
    """A question was shown that the test did not foresee: in a real session a person would have had to answer."""
