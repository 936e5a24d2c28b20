"""A container registry in memory, on loopback: that of this machine, or that of a real node."""

import re
from typing import Self

from rig.kubernetes.place import Place
from rig.processes import Workspace
from rig.tools import binary
from rig.waiting import eventually


class Registry:
    """A registry that runs until its workspace closes; `host` is its name and port in references."""

    def __init__(self, host: str) -> None:
        self.host = host

    @classmethod
    def start(cls, workspace: Workspace, place: Place | None = None) -> Self:
        """Start one where `place` is and wait until it listens."""
        process = workspace.spawn("registry", (place or Place()).command([binary("registry"), "--port=0"]))

        def port() -> str | None:
            process.check()
            found = re.search(r"serving on port (\d+)", process.log_tail())
            return found and found[1]

        return cls(f"127.0.0.1:{eventually(port, 'the registry listens')}")
