"""`serve`: the running program."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from webhook.cli.exits import Exit
from webhook.config.load import load_configuration
from webhook.telemetry.logs import logs_of_a_service


def serve(
    config: Annotated[
        Path, typer.Option(metavar="FILE", help="The configuration file (YAML).", show_default=False)
    ],
) -> None:
    """Answer admission reviews and keep AWS's trust in step with the cluster: what the chart runs.

    With `observe: true` in its configuration it writes nothing, and shows what it would do.

    A wrong configuration ends it with 2 before it serves. After that only a signal ends it, whether AWS and the
    API server answer or not. On SIGTERM or Ctrl-C it drains, ends the writes under way and exits with 0; a second
    one cuts the draining short.
    """
    from webhook.observe.assembly import assemble_observer
    from webhook.server.assembly import assemble
    from webhook.server.memory import tune_collector

    async def work() -> None:
        program = await (assemble_observer if configuration.observe else assemble)(configuration)
        await program.run()

    configuration = load_configuration(config)
    with logs_of_a_service(logging.getLevelNamesMapping()[configuration.log_level.upper()]):
        tune_collector()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work())
    # Threads that still wait for an unused answer would keep the process for half a minute.
    os._exit(Exit.DONE)
