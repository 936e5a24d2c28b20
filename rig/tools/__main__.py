"""`python -m rig.tools [NAME...]`: make sure that the rig's binaries are there, all or those named."""

import signal
import sys

from rig.tools import ensure_binaries
from rig.tools.build import BuildFailedError
from rig.tools.catalogue import UnknownVersionError, catalogue
from rig.tools.golang import GoMissingError

INTERRUPTED = 130


def main() -> int:
    """Build what is missing; return the exit code."""
    try:
        tools = catalogue()
    except UnknownVersionError as error:
        print(error, file=sys.stderr)
        return 2
    names = sys.argv[1:] or [tool.name for tool in tools.values() if not tool.optional]
    if unknown := sorted(set(names) - set(tools)):
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(tools)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    try:
        ensure_binaries(names)
    except (BuildFailedError, GoMissingError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was built is kept", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
