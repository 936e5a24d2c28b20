"""The command line: `mxp-identity`, or `python -m webhook`. Exit codes are in `exits`."""

from __future__ import annotations

import typer

from webhook import VERSION
from webhook.cli.apply import apply
from webhook.cli.failures import explained
from webhook.cli.migrate import migrate
from webhook.cli.plan import plan
from webhook.cli.report import report
from webhook.cli.restart import restart
from webhook.cli.serve import serve
from webhook.cli.setup import setup
from webhook.cli.verify import verify

app = typer.Typer(
    name="mxp-identity",
    help="Gives every Upbound control plane its AWS identity while its ServiceAccount is being created.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    pass


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(VERSION)


for command in (serve, setup, verify, plan, apply, migrate, restart, report):
    app.command()(command)


def main() -> None:
    """Run the command line, with one clear message for what a person can mend."""
    with explained():
        app()
