"""`python -m rig.node packages|ready|image`: install what a real node needs, build it, or show the image."""

import subprocess
import sys

from rig.node.buildah import ImageError
from rig.node.images import ensure_images, size_of
from rig.node.packages import PackagesError, demand, install, why_not
from rig.tools import BinaryMissingError
from rig.tools.catalogue import catalogue

USAGE = "python -m rig.node packages|ready|image"


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
            case ["image"]:
                demand()
                image, _ = ensure_images()
                print(f"{image.name}: {size_of(image)}\n{image.archive}")
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
