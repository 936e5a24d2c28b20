"""The command line: `mxp-identity`, or `python -m webhook`. Exit codes are in `exits`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import zip_longest
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from webhook import VERSION
from webhook.cli.adopt.command import adopt
from webhook.cli.apply.command import apply
from webhook.cli.config import check
from webhook.cli.conformance.command import conformance
from webhook.cli.exits import InterruptedByPersonError, explained
from webhook.cli.migrate.command import migrate
from webhook.cli.options import ANY
from webhook.cli.plan.command import plan
from webhook.cli.report.command import report
from webhook.cli.restart.command import restart
from webhook.cli.serve import serve
from webhook.cli.setup.command import setup
from webhook.cli.verify.command import verify
from webhook.cli.withdraw.command import withdraw


class _Legible:
    """A command whose help names a type only where it says something: not `<bool>` of a flag, nor `<str>`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # of the class that it is mixed into
        for param in params:
            if isinstance(param, TyperOption) and param.is_flag:
                param.metavar = ""
            elif isinstance(param, TyperArgument):
                vars(param)["display_type_rich"] = lambda ctx: None  # noqa: ARG005  typer calls it
        return params


class _Command(_Legible, TyperCommand):
    """One command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; an option whose value stands in brackets may be without one, which is then `ANY`."""
        optional = {
            name
            for param in self.get_params(ctx)
            if (param.metavar or "").startswith("[")
            for name in param.opts
            if isinstance(param, TyperOption)
        }
        given: list[str] = []
        for word, following in zip_longest(args, args[1:], fillvalue="-"):
            given += [word, ANY] if word in optional and following.startswith("-") else [word]
        return super().parse_args(ctx, given)


class _Commands(_Legible, TyperGroup):
    """Commands whose Ctrl-C typer does not swallow."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise InterruptedByPersonError from error


_STYLE: dict[str, Any] = {
    "cls": _Commands,
    "no_args_is_help": True,
    "rich_markup_mode": "markdown",
    "context_settings": {"help_option_names": ["--help", "-h"]},
}
app = typer.Typer(name="mxp-identity", pretty_exceptions_enable=False, **_STYLE)
config = typer.Typer(name="config", **_STYLE)


def _print_version(asked: bool) -> None:  # noqa: FBT001  typer calls it
    if asked:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Gives every Upbound control plane its AWS identity while its ServiceAccount is being created.

    New here? `setup` shows what the AWS account lacks, and the chart's values; install the chart with them. A
    backup fails with AccessDenied? `verify NAME` says why, and prints the command that corrects it.

    `setup`, `adopt`, `migrate`, `restart` and `withdraw` print their plan and change neither AWS nor the cluster
    without `--approve`; `plan` prints what `apply` does. `conformance` then prints the rights that it needs.
    """


def version() -> None:
    """Print the version."""
    typer.echo(VERSION)


_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Look, and change nothing": (verify, plan, report),
    "Change AWS or the cluster": (setup, adopt, apply, migrate, restart, withdraw, conformance),
    "Run": (serve, version),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(cls=_Command, rich_help_panel=panel)(command)


@config.callback()
def _config() -> None:
    """Check a configuration file."""


config.command(cls=_Command)(check)
app.add_typer(config, rich_help_panel="Look, and change nothing")


def main() -> None:
    """Run the command line, with one clear message for what a person can correct."""
    with explained():
        sys.exit(app(standalone_mode=False))
