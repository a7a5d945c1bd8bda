"""What boards sent, for a terminal."""

from __future__ import annotations

import sys
from typing import Any


def plain(value: Any) -> str:
    """A board's text moves no cursor, begins no line, and needs nothing that this terminal lacks."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)
