"""`python -m rig.node packages|ready`: install what a real node needs of the system, or build what it runs."""

import subprocess
import sys

from rig.node.buildah import ImageError
from rig.node.images import ensure_images
from rig.node.packages import PackagesError, install, why_not
from rig.tools import BinaryMissingError
from rig.tools.catalogue import catalogue

USAGE = "python -m rig.node packages|ready"


def main() -> int:
    """Do what the command line asks for; return the exit code."""
    try:
        match sys.argv[1:]:
            case ["packages"]:
                installed = install()
                print(f"installed {', '.join(installed)}" if installed else "everything is installed already")
            case ["ready"]:
                if why_not() is None:
                    _build()
            case _:
                print(USAGE, file=sys.stderr)
                return 2
    except (PackagesError, ImageError, BinaryMissingError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _build() -> None:
    tools = [sys.executable, "-m", "rig.tools", *(name for name, tool in catalogue().items() if tool.optional)]
    subprocess.run(tools, check=True)
    ensure_images()


if __name__ == "__main__":
    sys.exit(main())
