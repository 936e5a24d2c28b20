"""The options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webhook.cli.output import Output

_WHERE = "Where to look"

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A configuration file. Without it: what the chart has installed in the cluster.",
        show_default=False,
        rich_help_panel=_WHERE,
    ),
]
OwnNamespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="The namespace that this program is installed in. Without it: the file's, else mxp-identity.",
        show_default=False,
        rich_help_panel=_WHERE,
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A context of the kubeconfig. Without it: the current one.",
        show_default=False,
        rich_help_panel=_WHERE,
    ),
]
OutputForm = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
