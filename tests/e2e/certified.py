"""Two replicas with certificates of their own behind one address, and what people can do to these."""

import base64
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from rig.balancer import Balancer
from rig.kubernetes import objects
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import CERTIFICATE_SECRET
from rig.space import WEBHOOK_NAME, Space
from rig.webhook import Configuration, Webhook
from tests.e2e.load import attempt
from tests.e2e.observe import log_events

SECRET = f"/api/v1/namespaces/{OWN_NAMESPACE}/secrets/{CERTIFICATE_SECRET}"
REGISTRATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{WEBHOOK_NAME}"
HEALED_S = 10.0
REVIEWS_PER_S = 200
CLIENTS = 8
REPLACED = "mxp_identity_certificate_regenerations_total"


@dataclass
class Pair:
    """Two replicas that serve, those that served before them, and the balancer that the API server calls."""

    space: Space
    configuration: Configuration
    serving: list[Webhook]
    balancer: Balancer
    gone: list[Webhook] = field(default_factory=list)

    def count(self, name: str, **labels: str) -> float:
        """What the two count together."""
        return sum(sample.value for one in self.serving for sample in one.metrics().find(name, **labels))

    def logged(self, event: str, **values: Any) -> int:
        """How often they and those before them logged it."""
        return sum(len(log_events(one, event, **values)) for one in [*self.gone, *self.serving])

    def roll(self) -> None:
        """Replace both as a rollout does: a new one is ready first, then an old one is told to stop."""
        for old in list(self.serving):
            new = self.space.start_webhook(self.configuration)
            self.balancer.add(new.port)
            self.balancer.remove(old.port)
            assert old.terminate() == 0
            self.serving = [one for one in self.serving if one is not old] + [new]
            self.gone.append(old)


@contextmanager
def two_replicas(space: Space, **certificates: Any) -> Iterator[Pair]:
    """Two replicas behind one address, with an empty Secret before, and a registration without a caBundle."""
    section = {"source": "self-managed", "extraNames": ["127.0.0.1"], **certificates}
    configuration = space.configuration(certificates=section)
    webhooks = [space.start_webhook(configuration, wait=False) for _ in range(2)]
    for webhook in webhooks:
        webhook.wait_until_serving()
    with Balancer(*(webhook.port for webhook in webhooks)) as balancer:
        pair = Pair(space, configuration, webhooks, balancer)
        try:
            space.register(f"https://127.0.0.1:{balancer.port}/mutate", "Fail", ca_pem="")
            for webhook in webhooks:
                webhook.wait_until_ready()
            yield pair
        finally:
            space.unregister()
            for webhook in pair.serving:
                webhook.process.kill()
            empty(space)


def secret(space: Space) -> dict[str, str]:
    """What the Secret holds, in base64."""
    return dict(space.cluster.api.get(SECRET).get("data", {}))


def empty(space: Space) -> None:
    """Somebody empties the Secret."""
    space.cluster.api.patch(SECRET, {"data": None})


def ca_bundles(space: Space) -> list[str]:
    """The caBundle of each entry of the registration, in base64."""
    entries = space.cluster.api.get(REGISTRATION)["webhooks"]
    return [entry["clientConfig"].get("caBundle", "") for entry in entries]


def write_ca_bundle(space: Space, value: str) -> None:
    """Somebody writes the caBundle, in base64."""
    patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": value}]
    space.cluster.api.patch(REGISTRATION, patch, kind="json")


def base64_of(text: str | bytes) -> str:
    """Text as a Secret or a caBundle has it."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def review(space: Space) -> str:
    """Send a dry run through the API server; what went wrong, or nothing."""

    def send(_: int) -> None:
        space.cluster.api.create(objects.service_account("default"), dryRun="All")

    return attempt(send, 0)


class Reviews:
    """Reviews through the API server at a fixed rate for so many seconds, `planned` in all.

    They are sent while a `with` block runs, which ends with the last of them. `failures` has what they were told.
    """

    def __init__(self, space: Space, seconds: float) -> None:
        self.failures: list[str] = []
        self.sent = 0
        self.planned = int(seconds * REVIEWS_PER_S)
        self._space = space
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._pause = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._clients = [self._pool.submit(self._client, number) for number in range(CLIENTS)]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.planned = 0
        self._pool.shutdown()
        for client in self._clients:
            client.result()

    def _client(self, number: int) -> None:
        turn = number
        while turn < self.planned:
            self._pause.wait(max(self._began + turn / REVIEWS_PER_S - time.monotonic(), 0))
            failure = review(self._space)
            with self._lock:
                self.sent += 1
                self.failures += [failure] if failure else []
            turn += CLIENTS
