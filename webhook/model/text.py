"""Text from outside, made fit for a log line or a message."""

from __future__ import annotations

_LONGEST = 400
"""Characters; a ServiceAccount's subject has at most 340."""


def bounded(text: str, limit: int) -> str:
    """`text` on one line, with printable characters only, and `limit` characters long at most."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def legible(value: object) -> str:
    """A part of a document as a person sees it in a sentence: printable, and not without end."""
    text = str(value)
    cut = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
