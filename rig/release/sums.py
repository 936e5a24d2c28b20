"""`SHA256SUMS`: what a release consists of."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

SUMS = "SHA256SUMS"


class DamagedError(RuntimeError):
    """There is no whole release in a folder; the message names the file."""


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_sums(folder: Path, files: Iterable[Path]) -> Path:
    """Write the sums of `files` into `folder`, as `sha256sum` does."""
    sums = folder / SUMS
    sums.write_text("".join(f"{sha256(file)}  {file.name}\n" for file in files))
    return sums


def read_whole(folder: Path) -> list[Path]:
    """Return the files of a release; raises `DamagedError` unless they are as they were when it was made."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
        files = {folder / name: digest for digest, name in (line.split() for line in lines)}
        damaged = [file for file, digest in files.items() if sha256(file) != digest]
    except FileNotFoundError as error:
        raise DamagedError(f"{error.filename} is missing: run `make release`") from error
    except OSError as error:
        raise DamagedError(f"{error.filename} cannot be read: {error.strerror}") from error
    except ValueError as error:  # UnicodeDecodeError too
        raise DamagedError(f"{folder / SUMS} is not as `sha256sum` writes it: run `make release`") from error
    if damaged:
        raise DamagedError(f"{damaged[0]} is not as {SUMS} says: run `make release`")
    return list(files)
