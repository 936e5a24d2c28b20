"""The real binaries that the rig starts, and how they come to be there.

`binary` finds one; `ensure_binaries` builds those that are missing from the Go modules in `modules/`, once, into
the user's cache folder. `python -m rig.tools` (`make binaries`) does so for all. Nothing here knows what the
binaries are started for.
"""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from rig.tools.build import ensure
from rig.tools.catalogue import catalogue
from rig.tools.lookup import look_up
from rig.tools.progress import LiveProgress, PlainProgress
from rig.tools.store import Store, cache_folder

__all__ = ["BinaryMissingError", "binary", "ensure_binaries"]


class BinaryMissingError(RuntimeError):
    """A binary was not built yet, or its cached file is damaged; the message says how to get it."""


def binary(name: str) -> Path:
    """Return the path of a tool's binary, such as "kube-apiserver"; never builds.

    KUBEBUILDER_ASSETS comes before the cache. Raises `BinaryMissingError`; KeyError for an unknown name.
    """
    tool = catalogue()[name]
    if path := look_up(tool, Store(cache_folder())):
        return path
    command = f"python -m rig.tools {name}" if tool.optional else "make binaries"
    raise BinaryMissingError(f"{name} is not built (or damaged) in {cache_folder()}: run `{command}` first")


def ensure_binaries(names: Iterable[str]) -> None:
    """Build those of these tools that are missing, showing the time that is left.

    Raises KeyError for an unknown name, `BuildFailedError` or `GoMissingError`.
    """
    known = catalogue()
    tools = sorted({known[name] for name in names}, key=list(known.values()).index)
    store = Store(cache_folder())
    console = Console()
    if console.is_terminal:
        with LiveProgress(console) as live:
            ensure(tools, store, live)
    else:
        ensure(tools, store, PlainProgress())
