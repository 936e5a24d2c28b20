"""`config check`: a file's configuration, checked as the program does when it starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration file, or - for standard input.")],
) -> None:
    """Check a configuration file, without a cluster and without AWS.

    The chart's ConfigMap is read too, so that values are checked with `helm template ... -s
    templates/configmap.yaml | mxp-identity config check -`.

    Exit code 0: it is right. 2: it is not.
    """
    from webhook.cli.snapshots.release import checked_file

    _, bindings = checked_file(file)
    for binding in bindings:
        roles = "role" if len(binding.roles) == 1 else "roles"
        sys.stdout.write(
            f"binding {binding.name}: ServiceAccount {binding.service_account}, mode {binding.mode}, "
            f"{len(binding.roles)} {roles}\n"
        )
    sys.stdout.write("the configuration is right\n")
