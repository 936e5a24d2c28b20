"""The command line: `mxp-identity`, or `python -m webhook`. Exit codes are in `exits`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from webhook import VERSION
from webhook.cli.apply.command import apply
from webhook.cli.exits import InterruptedByPersonError, explained, read_to_the_end
from webhook.cli.migrate.command import migrate
from webhook.cli.plan.command import plan
from webhook.cli.report.command import report
from webhook.cli.restart.command import restart
from webhook.cli.serve import serve
from webhook.cli.setup.command import setup
from webhook.cli.verify.command import verify


class _Commands(TyperGroup):
    """Commands whose Ctrl-C typer does not swallow."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise InterruptedByPersonError from error


app = typer.Typer(
    name="mxp-identity",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(asked: bool) -> None:  # noqa: FBT001  typer calls it
    if asked:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, metavar="", help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Gives every Upbound control plane its AWS identity while its ServiceAccount is being created.

    New here? `setup` shows what the AWS account lacks, and the chart's values; install the chart with them. A
    backup fails with AccessDenied? `verify NAMESPACE` says why, and prints the command that corrects it.

    `setup`, `migrate` and `restart` print their plan and change neither AWS nor the cluster without `--approve`;
    `plan` prints what `apply` does.
    """


def version() -> None:
    """Print the version."""
    typer.echo(VERSION)


_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Look, and change nothing": (verify, plan, report),
    "Change AWS or the cluster": (setup, apply, migrate, restart),
    "Run": (serve, version),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Run the command line, with one clear message for what a person can correct."""
    with read_to_the_end(), explained():
        app()
