"""The options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webhook.cli.output import Output

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="The configuration file. Without it, the installed chart's.", show_default=False
    ),
]
OwnNamespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        help="Where the program is installed. By default as the file says, else mxp-identity.",
        show_default=False,
    ),
]
Context = Annotated[str | None, typer.Option(help="A context of the kubeconfig.", show_default=False)]
OutputForm = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
