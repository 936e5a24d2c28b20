"""`python -m rig.tools [NAME...]`: make sure that the rig's binaries are there, all or those named."""

import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from rig.tools.build import BuildFailedError, ensure
from rig.tools.catalogue import Tool, catalogue
from rig.tools.golang import GoMissingError
from rig.tools.progress import LiveProgress, PlainProgress
from rig.tools.store import Store, cache_folder

INTERRUPTED = 130


def main() -> int:
    """Build what is missing; return the exit code."""
    tools = catalogue()
    names = sys.argv[1:] or [tool.name for tool in tools.values() if not tool.optional]
    if unknown := sorted(set(names) - set(tools)):
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(tools)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    try:
        _ensure([tools[name] for name in names])
    except (BuildFailedError, GoMissingError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was built is kept", file=sys.stderr)
        return INTERRUPTED
    return 0


def _ensure(tools: Sequence[Tool]) -> None:
    store = Store(cache_folder())
    console = Console()
    if console.is_terminal:
        with LiveProgress(console) as live:
            ensure(tools, store, live)
    else:
        ensure(tools, store, PlainProgress())


if __name__ == "__main__":
    sys.exit(main())
