"""Text that MRML can take: VTK cuts it at NUL and aborts on lone surrogates, and a scene file is XML 1.0."""

from __future__ import annotations

import re

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def storable_text(text: str) -> str:
    """Return the text with U+FFFD for every character that XML 1.0 has no form for (its section 2.2, "Char")."""
    return _NOT_IN_XML.sub("\ufffd", text)


def storable_line(text: str) -> str:
    """Return such a text in one line: an XML attribute turns tabs and line ends into spaces anyway."""
    return re.sub("[\t\n\r]", " ", storable_text(text))
