"""The options that commands share, and how options are declared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable


def valued(text: str, metavar: str, *names: str, default: bool | str = False, panel: str | None = None) -> Any:
    """An option with a value, which is not empty; `text` is its help, `default` what help shows of the default."""
    return typer.Option(
        *names,
        metavar=metavar,
        help=text,
        show_default=default,
        rich_help_panel=panel,
        callback=_not_empty,
    )


def _not_empty(param: typer.CallbackParam, value: Any) -> Any:
    """Refuse "", which a shell passes for an unset variable: it must not mean "the current one" or "all"."""
    if param.default != "" and "" in (value if isinstance(value, list) else [value]):
        raise typer.BadParameter(
            f"it is empty; give a value{'' if param.required else ', or leave the option out'}"
        )
    return value


ANY = "*"
"""The value of an option that stands without one, which its metavar in brackets allows."""


def flag(name: str, text: str) -> Any:
    """An option without a value."""
    return typer.Option(name, help=text)


_WHERE = "Where to look"
_FILE = "A configuration file. Without it: what the chart has installed in the cluster."
_RELEASE = "The namespace that this program is installed in. Without it: the file's, else mxp-identity."
_WHICH = "Which control planes"
_NAME = "A control plane, by its name or its host namespace. Without it: all of them."
_GROUP = "The group of the control plane, or of all of them."
_NAMESPACE = "Its host namespace, mxp-...-system, in place of its name."

ConfigFile = Annotated[Path | None, valued(_FILE, "FILE", "--config", panel=_WHERE)]
ReleaseNamespace = Annotated[str | None, valued(_RELEASE, "NAME", panel=_WHERE)]
Context = Annotated[
    str | None, valued("A context of the kubeconfig. Without it: the current one.", "NAME", panel=_WHERE)
]
OutputForm = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
ControlPlaneName = Annotated[str | None, typer.Argument(metavar="NAME", help=_NAME, show_default=False)]
Group = Annotated[str | None, valued(_GROUP, "NAME", "--group", "-g", panel=_WHICH)]
Namespace = Annotated[str | None, valued(_NAMESPACE, "NAME", "--namespace", "-n", panel=_WHICH)]


def whole_number(lowest: int) -> Callable[[object], int]:
    """A parser of whole numbers from `lowest` on, without the range that typer puts into the help."""

    def parse(given: object) -> int:
        text = str(given)
        if not (text.isascii() and text.isdecimal() and int(text) >= lowest):
            raise typer.BadParameter(f"{text!r} is not a whole number from {lowest} on")
        return int(text)

    return parse


AtATime = Annotated[
    int | None,
    typer.Option(
        parser=whole_number(1),
        metavar="N",
        help="How many at a time. Without it: the configuration's.",
        show_default=False,
    ),
]
