"""`python -m rig.node packages|images`: install what a real node needs of the system, or make its images."""

import sys

from rig.node.buildah import ImageError
from rig.node.images import ensure_images
from rig.node.packages import PackagesError, demand, install
from rig.tools import BinaryMissingError

USAGE = "python -m rig.node packages|images"


def main() -> int:
    """Do what the command line asks for; return the exit code."""
    try:
        match sys.argv[1:]:
            case ["packages"]:
                installed = install()
                print(f"installed {', '.join(installed)}" if installed else "everything is installed already")
            case ["images"]:
                demand()
                for image in ensure_images():
                    print(f"{image.name}\n    {image.archive}")
            case _:
                print(USAGE, file=sys.stderr)
                return 2
    except (PackagesError, ImageError, BinaryMissingError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
