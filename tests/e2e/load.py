"""Steady load of reviews through the API server, and what came back."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import httpx

from rig.aws.faults import Hang
from rig.kubernetes.api import ApiError
from rig.space import Space
from tests.e2e.scenes import account_path, create_account, create_namespace

CLIENTS = 24
REVIEW_S = 0.1
"""How long each review takes while AWS is silent: so long that all clients' reviews are under way at once."""

Work = Callable[[int], None]
"""What a client does; its number is handed in."""


@contextmanager
def slow_reviews(space: Space) -> Iterator[Work]:
    """AWS is silent for the length of a `with` block; the work is an UPDATE of the client's own ServiceAccount.

    The program must have been started with `PATIENCE`.
    """
    namespaces = [create_namespace(space) for _ in range(CLIENTS)]
    with space.aws.fault(Hang(actions=("GetRole",))):
        for namespace in namespaces:
            create_account(space, namespace)

        def update(number: int) -> None:
            change = {"metadata": {"annotations": {"rig.local/changed": uuid.uuid4().hex}}}
            space.cluster.api.patch(account_path(namespaces[number]), change)

        yield update


PATIENCE = {"admission": {"trustBudget": f"{REVIEW_S * 1000:.0f}ms"}}


class Load:
    """`CLIENTS` threads that do `work` again and again for the length of a `with` block.

    Afterwards `failures` holds what they were told; `done` counts what went well, at any time.
    """

    def __init__(self, work: Work) -> None:
        self.failures: list[str] = []
        self.done = 0
        self._work = work
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        while not self._stopping.is_set():
            failure = attempt(self._work, number)
            with self._lock:
                self.done += not failure
                self.failures += [failure] if failure else []


def attempt(work: Work, number: int) -> str:
    """Do it, and answer what went wrong, or nothing."""
    try:
        work(number)
    except (ApiError, httpx.TransportError) as error:
        return str(error) or repr(error)
    return ""


def rounds(work: Work, count: int, cadence_s: float) -> list[str]:
    """Do `work` `CLIENTS` times at once, `count` times, one round each `cadence_s`; answers the failures."""
    failures: list[str] = []
    pause = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        began = time.monotonic()
        for turn in range(count):
            pause.wait(max(began + turn * cadence_s - time.monotonic(), 0))
            failures += filter(None, pool.map(attempt, [work] * CLIENTS, range(CLIENTS)))
    return failures
