"""The files that `setup` writes."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import typer
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class _Dumper(yaml.SafeDumper):
    """Quotes what looks like a number: Helm reads 12345e7 as one, and PyYAML does not."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    is_like_number = value[:1].isdecimal() or value[:1] in {"+", "-", "."}
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'" if is_like_number else None)


_Dumper.add_representer(str, _text)


def write_files(files: Mapping[Path, dict[str, Any]], *, overwrite: bool) -> None:
    """Write each, or none: raises BadParameter where one holds something else and is not to be overwritten."""
    texts = {path: yaml.dump(content, Dumper=_Dumper, sort_keys=False).encode() for path, content in files.items()}
    for path, text in texts.items():
        if not overwrite and _holds_something_else(path, text):
            raise typer.BadParameter(
                f"{path} is there and holds something else: name another file, or overwrite it with --approve"
            )
        if reason := _why_not(path):
            raise typer.BadParameter(f"{path} cannot be written: {reason}")
    for path, text in texts.items():
        try:
            path.write_bytes(text)
        except OSError as error:
            raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from error


def _why_not(path: Path) -> str | None:
    """Why a file cannot be written, as far as it can be told before; None where it can."""
    if path.is_dir():
        return os.strerror(errno.EISDIR)
    if not path.parent.is_dir():
        return os.strerror(errno.ENOENT)
    return None if os.access(path if path.exists() else path.parent, os.W_OK) else os.strerror(errno.EACCES)


def _holds_something_else(path: Path, text: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() != text
    except OSError:
        return True
