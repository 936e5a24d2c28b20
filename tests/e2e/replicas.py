"""Several replicas behind one address, as a Service has them, and crowds of control planes that need them."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

import httpx

from rig.balancer import Balancer
from rig.kubernetes import objects
from rig.kubernetes.api import ApiError, Object
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT, host_namespace_name
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.kubernetes.shared import borrowed
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import is_trusted
from tests.e2e.scenes import leases, unregister
from webhook.controller.leader_election import leader_lease

ALREADY_EXISTS = 409
INTERNAL_ERROR = 500

LEADER_LEASE = leader_lease(OWN_NAMESPACE)
LEASE_S = 10.0
"""Seconds that a lock is held without renewal (docs/run/configuration.md has no key for it)."""


def api_server() -> AbstractContextManager[Cluster]:
    """A cluster that is an API server alone, which leaves the machine to the replicas."""
    return borrowed(controllers=False, nodes=0, eks_webhook=False)


@dataclass(frozen=True)
class Replicas:
    """Replicas of one Space, and the balancer that the API server calls."""

    space: Space
    webhooks: list[Webhook]
    balancer: Balancer

    def holder(self) -> Webhook | None:
        """The replica that holds a role's lock now, by the Leases; None where none does."""
        held = map(self._holder_of, role_leases(self.space))
        return next((webhook for webhook in held if webhook), None)

    def leader(self) -> Webhook | None:
        """The replica that leads, by its Lease; None where none does."""
        held = (
            self._holder_of(lease) for lease in leases(self.space) if lease["metadata"]["name"] == LEADER_LEASE
        )
        return next(held, None)

    def _holder_of(self, lease: Object) -> Webhook | None:
        identity = lease["spec"].get("holderIdentity") or ""
        return next((one for one in self.webhooks if identity.startswith(f"{one.name}_")), None)

    def pause(self, webhook: Webhook) -> None:
        """Freeze a replica at a moment when it holds no lock."""

        def is_frozen() -> bool:
            webhook.process.pause()
            if self.holder() is webhook:
                webhook.process.resume()
                return False
            return True

        eventually(is_frozen, f"{webhook.name} holds no lock")

    def holder_in_mid_write(self) -> Webhook:
        """Wait until a replica has sent a write that is not answered yet, and return that replica."""

        def found() -> Webhook | None:
            return self.holder() if "UpdateAssumeRolePolicy" in self.space.aws.in_flight else None

        return eventually(found, "a write under way")


@contextmanager
def replicas(
    space: Space,
    count: int,
    failure_policy: Literal["Fail", "Ignore"] = "Fail",
    mode: str = "irsa",
    **sections: object,
) -> Iterator[Replicas]:
    """Start so many replicas for the length of a `with` block, and have the API server call them in turn."""
    configuration = space.configuration(**sections) if mode == "irsa" else space.in_mode(mode, **sections)
    webhooks = [space.start_webhook(configuration, wait=False) for _ in range(count)]
    for webhook in webhooks:
        webhook.wait_until_ready()
    with Balancer(*(webhook.port for webhook in webhooks)) as balancer:
        space.register(f"https://127.0.0.1:{balancer.port}/mutate", failure_policy)
        try:
            yield Replicas(space, webhooks, balancer)
        finally:
            space.aws.clear_faults()
            unregister(space)
            for webhook in webhooks:
                webhook.process.resume()
                webhook.process.kill()


def role_leases(space: Space) -> list[Object]:
    """Those of them that are the locks of roles."""
    return [lease for lease in leases(space) if lease["metadata"]["name"] != LEADER_LEASE]


@dataclass(frozen=True)
class Made:
    """A control plane's host namespace, how long its ServiceAccount took, and how often it had to be tried."""

    namespace: str
    seconds: float
    tries: int
    warnings: tuple[str, ...]


def make_crowd(space: Space, count: int, *, at_once: int) -> list[Made]:
    """Create the namespaces and ServiceAccounts of so many control planes, as a client that tries again does."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda _: make_one(space), range(count)))


def make_one(space: Space) -> Made:
    """Create the namespace and ServiceAccount of a control plane, trying again while the webhook is away."""
    name = host_namespace_name()
    space.cluster.create([objects.namespace(name, {CONTROL_PLANE_LABEL: "control-plane"})])
    tries = 0
    began = time.monotonic()

    def created() -> tuple[str, ...] | None:
        nonlocal tries
        tries += 1
        try:
            return tuple(space.cluster.api.create(objects.service_account(name)).warnings) or ("",)
        except httpx.TransportError:
            return None
        except ApiError as error:
            if error.code == ALREADY_EXISTS:
                return ("",)
            if error.code != INTERNAL_ERROR:  # failurePolicy Fail, and no replica answered
                raise
            return None

    warnings = eventually(created, f"{name}/{SERVICE_ACCOUNT} is created", timeout=120)
    return Made(name, time.monotonic() - began, tries, tuple(line for line in warnings if line))


def wait_until_all_are_named(space: Space, namespaces: list[str], *, timeout: float = 60.0) -> None:
    """Wait until the roles' trust policies name all of them."""

    def missing() -> list[str]:
        text = json.dumps([space.policy(role.rpartition("/")[2]) for role in space.roles])
        return [name for name in namespaces if f":{name}:" not in text]

    eventually(lambda: not missing(), f"all {len(namespaces)} are in the trust policy", timeout=timeout)


def wait_until_all_are_trusted(space: Space, namespaces: list[str], *, timeout: float = 60.0) -> None:
    """Wait until the role's trust policy names all of them, then ask STS about each."""
    wait_until_all_are_named(space, namespaces, timeout=timeout)
    with ThreadPoolExecutor(4) as pool:
        trusted = list(pool.map(lambda name: is_trusted(space, name), namespaces))
    assert all(trusted)
