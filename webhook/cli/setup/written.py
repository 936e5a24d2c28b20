"""The files that `setup` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_files(files: Mapping[Path, dict[str, Any]], *, overwrite: bool) -> None:
    """Write each, or none: raises BadParameter where one holds something else and is not to be overwritten."""
    texts = {path: yaml.safe_dump(content, sort_keys=False).encode() for path, content in files.items()}
    for path, text in texts.items():
        if not overwrite and _holds_something_else(path, text):
            raise typer.BadParameter(
                f"{path} is there and holds something else: name another file, or overwrite it with --approve"
            )
    for path, text in texts.items():
        try:
            path.write_bytes(text)
        except OSError as error:
            raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from error


def _holds_something_else(path: Path, text: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() != text
    except OSError:
        return True
