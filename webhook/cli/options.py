"""The options that commands share, and how options are declared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from webhook.cli.output import Output


def valued(text: str, metavar: str, *names: str, default: bool | str = False, panel: str | None = None) -> Any:
    """An option with a value; `text` is its help, `default` what help shows of the default."""
    return typer.Option(*names, metavar=metavar, help=text, show_default=default, rich_help_panel=panel)


def flag(name: str, text: str) -> Any:
    """An option without a value."""
    return typer.Option(name, metavar="", help=text)


_WHERE = "Where to look"
_FILE = "A configuration file. Without it: what the chart has installed in the cluster."
_OWN = "The namespace that this program is installed in. Without it: the file's, else mxp-identity."

ConfigFile = Annotated[Path | None, valued(_FILE, "FILE", "--config", panel=_WHERE)]
OwnNamespace = Annotated[str | None, valued(_OWN, "NAME", "--namespace", "-n", panel=_WHERE)]
Context = Annotated[
    str | None, valued("A context of the kubeconfig. Without it: the current one.", "NAME", panel=_WHERE)
]
OutputForm = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
ControlPlaneNamespace = Annotated[
    str | None,
    typer.Argument(
        metavar="NAMESPACE",
        help="The control plane's host namespace, mxp-...-system. Without it: all of them.",
        show_default=False,
    ),
]
AtATime = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="How many at a time. Without it: the configuration's.", show_default=False
    ),
]
