"""The real binaries that the rig starts, and how they come to be there.

`binary` finds one; `python -m rig.tools` (`make binaries`) builds what is missing from the Go modules in
`modules/`, once, into the user's cache folder. Nothing here knows what the binaries are started for.
"""

from pathlib import Path

from rig.tools.catalogue import catalogue
from rig.tools.lookup import look_up
from rig.tools.store import Store, cache_folder

__all__ = ["BinaryMissingError", "binary"]


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
