"""`python -m rig.release [oci://REGISTRY]`: write `dist/`, and push image and chart."""

import sys

from rig.chart import HelmError
from rig.node.buildah import ImageError
from rig.node.packages import PackagesError, demand
from rig.release.make import ARCHITECTURES, DIST, make
from rig.release.push import PREFIX, push
from rig.release.source import SourceError, exported
from rig.tools import BinaryMissingError


def main() -> int:
    """Do what the command line asks for; return the exit code."""
    registries = sys.argv[1:]
    if len(registries) > 1 or not all(registry.startswith(PREFIX) for registry in registries):
        print("python -m rig.release [oci://REGISTRY]", file=sys.stderr)
        return 2
    try:
        demand()
        with exported() as source:
            made = make(source, DIST, ARCHITECTURES)
        for file in made.files:
            print(f"{file.stat().st_size / 1e6:8.2f} MB  {file.relative_to(DIST.parent)}")
        for registry in registries:
            print("\n".join(push(made, registry)))
    except (HelmError, ImageError, PackagesError, SourceError, BinaryMissingError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
