"""What the end-to-end tests do again and again: a replica that the API server calls, a control plane's parts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

from rig.kubernetes import objects
from rig.kubernetes.api import ApiError, Object, Reply
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.kubernetes.shared import borrowed
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from webhook.controller.leader_election import leader_lease

LARGE_QUOTA = 131072
"""Room for the subjects of every test that shares a Space."""

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{OWN_NAMESPACE}/leases"


@contextmanager
def whole_space(**options: Any) -> Iterator[Space]:
    """A Space with a node and EKS's webhook."""
    with borrowed() as cluster, Space(cluster=cluster, **options) as space:
        yield space


@contextmanager
def bare_space(**options: Any) -> Iterator[Space]:
    """A Space without nodes, for tests that need no pods."""
    with borrowed(nodes=0, eks_webhook=False) as cluster, Space(cluster=cluster, **options) as space:
        yield space


@contextmanager
def serving(
    space: Space, failure_policy: Literal["Fail", "Ignore"] = "Fail", **sections: Any
) -> Iterator[Webhook]:
    """A replica that the API server calls for the length of a `with` block, then none and no fault is left."""
    webhook = space.start_webhook(space.configuration(**sections))
    try:
        space.register(webhook.url, failure_policy)
        yield webhook
    finally:
        end(space, webhook)
        space.aws.clear_faults()
        unregister(space)


def end(space: Space, webhook: Webhook) -> None:
    """End a replica at once, and its leadership as SIGTERM would. After the last one, no role is locked either.

    Otherwise the next one would wait for 10 s.
    """
    webhook.process.kill()
    is_last = not any(one.process.running for one in space.webhooks)
    for lease in leases(space):
        name = lease["metadata"]["name"]
        if is_last or name == leader_lease(OWN_NAMESPACE):
            with suppress(ApiError):  # it has gone
                space.cluster.api.patch(f"{LEASES}/{name}", {"spec": {"holderIdentity": None}})


def leases(space: Space) -> list[Object]:
    """The Leases of the program, as `kubectl get lease -n mxp-identity` shows them."""
    items: list[Object] = space.cluster.api.get(LEASES)["items"]
    return items


def unregister(space: Space) -> None:
    """Have the API server no longer call the program, and wait until it does not: it learns of it by a watch."""
    space.unregister()
    eventually(lambda: not space.is_called(), "the API server no longer calls the webhook")


def create_namespace(space: Space, *, selected: bool = True, **labels: str) -> str:
    """Create a host namespace, with the label of a control plane if `selected`, and answer its name."""
    name = objects.host_namespace_name()
    selecting = {CONTROL_PLANE_LABEL: "control-plane"} if selected else {}
    space.cluster.create([objects.namespace(name, {**selecting, **labels})])
    return name


def label(space: Space, namespace: str, labels: dict[str, str | None]) -> None:
    """Set labels of a namespace; None takes one away."""
    space.cluster.api.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})


def create_account(space: Space, namespace: str, role: str | None = None, **query: str) -> Reply:
    """Create a control plane's ServiceAccount, annotated with `role` already if given."""
    annotations = {ROLE_ANNOTATION: role} if role else {}
    return space.cluster.api.create(objects.service_account(namespace, annotations=annotations), **query)


def account_path(namespace: str) -> str:
    """Where the API has a control plane's ServiceAccount."""
    return f"/api/v1/namespaces/{namespace}/serviceaccounts/{SERVICE_ACCOUNT}"


def kubectl_create(space: Space, item: dict[str, Any], *arguments: str) -> tuple[str, str]:
    """Create an object with kubectl, as a person does, and answer what it printed (out, err)."""
    done = space.cluster.kubectl("create", "-f", "-", *arguments, stdin=json.dumps(item))
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr
