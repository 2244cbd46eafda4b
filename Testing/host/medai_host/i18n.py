"""slicer.i18n: no translation is installed, so every text is its own translation."""

from __future__ import annotations


def translate(context: str, text: str) -> str:
    """The text in the language of the application."""
    if not isinstance(text, str):
        raise TypeError(f"translate() takes a text, not a {type(text).__name__}.")
    return text


def tr(text: str) -> str:
    """The text in the language of the application; the context would be the file that asks."""
    return translate("", text)
