"""The command line: `mxp-identity`, or `python -m webhook`.

Exit codes: 0 done, 1 the world would not let it, 2 the configuration or the call is wrong.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from webhook import VERSION
from webhook.config.errors import ConfigurationError
from webhook.config.load import load_configuration
from webhook.domain.errors import ClusterError
from webhook.telemetry.logs import configure_logs

_FAILED, _WRONG = 1, 2

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
def serve(
    config: Annotated[Path, typer.Option(help="The configuration file (YAML).", show_default=False)],
) -> None:
    """Answer admission reviews, and keep AWS's trust in step with the cluster, until SIGTERM."""
    from webhook.serving.assembly import assemble  # noqa: PLC0415  other commands need not load all of it

    configure_logs()
    configuration = load_configuration(config)

    async def run() -> None:
        program = await assemble(configuration)
        await program.run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(VERSION)


def main() -> None:
    """Run the command line, with one clear message for what a person can mend."""
    try:
        app()
    except ConfigurationError as error:
        _complain("the configuration is wrong", error.problems, _WRONG)
    except ClusterError as error:
        _complain("the API server", (str(error),), _FAILED)


def _complain(title: str, problems: tuple[str, ...], code: int) -> None:
    sys.stderr.write(f"{title}:\n" + "".join(f"  {problem}\n" for problem in problems))
    sys.exit(code)
