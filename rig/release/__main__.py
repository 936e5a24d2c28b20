"""`python -m rig.release`: write a release of the commit that is checked out to `dist/`, in place of another."""

import shutil
import sys

from rig.chart import HelmError
from rig.node.buildah import ImageError
from rig.node.packages import PackagesError, demand
from rig.release.make import ARCHITECTURES, make
from rig.release.source import REPOSITORY, SourceError, exported
from rig.tools import BinaryMissingError


def main() -> int:
    """Make it and say what was made; return the exit code."""
    dist = REPOSITORY / "dist"
    try:
        demand()
        with exported() as source:
            shutil.rmtree(dist, ignore_errors=True)
            made = make(source, dist, ARCHITECTURES)
    except (BinaryMissingError, HelmError, ImageError, PackagesError, SourceError) as error:
        print(error, file=sys.stderr)
        return 1
    for image in made.images:
        print(f"{image.architecture}: {image.run}")
    for file in made.files:
        print(f"{file.stat().st_size / 1e6:8.2f} MB  {file.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
