"""Text from outside, made fit for a log line or a message."""

from __future__ import annotations


def bounded(text: str, limit: int) -> str:
    """`text` on one line, with printable characters only, and `limit` characters long at most."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
