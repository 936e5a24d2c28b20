"""What the end-to-end tests look at, in the cluster and in the account."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rig import pods
from rig.aws.identity import assume
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import ENTRY, OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.space import AUDIENCE, Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.scenes import ROLE_ANNOTATION


def annotation(space: Space, namespace: str) -> str | None:
    """The role annotation of a control plane's ServiceAccount."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{SERVICE_ACCOUNT}"
    value: str | None = space.cluster.api.get(path)["metadata"].get("annotations", {}).get(ROLE_ANNOTATION)
    return value


def variables(pod: dict[str, Any]) -> dict[str, str]:
    """The environment of a pod's first container."""
    return pods.environment_of(pod)


def projected_token(space: Space, pod: dict[str, Any]) -> str:
    """A token as the kubelet would put it into the pod: audience and expiry of its volume, bound to the pod."""
    return pods.projected_token(space.cluster, pod)


def sts_answer(space: Space, role_arn: str, token: str) -> str:
    """What STS says to a token: `OK`, or its error code."""
    return assume(space.aws, role_arn, token).code


def is_trusted(space: Space, namespace: str, role: str | None = None) -> bool:
    """Whether STS accepts a token of a control plane's ServiceAccount for a role."""
    token = space.cluster.token(namespace, SERVICE_ACCOUNT, audience=AUDIENCE)
    return sts_answer(space, role or space.roles[0], token) == "OK"


def external_parts(document: str) -> str:
    """A trust policy without our statements, as canonical JSON: IAM keeps no order and no list of one."""
    parsed = json.loads(document)
    external = [item for item in parsed["Statement"] if not item.get("Sid", "").startswith("MxpIdentity")]
    return json.dumps(_canonical({**parsed, "Statement": external}), sort_keys=True)


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        members = sorted(
            (_canonical(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True)
        )
        return members[0] if len(members) == 1 else members
    return value


def created(space: Space, kind: str, namespaces: Iterable[str]) -> dict[str, int]:
    """How many objects of a kind were created in each namespace, by the API server's audit log."""
    counts = dict.fromkeys(namespaces, 0)
    for event in space.cluster.audit_events():
        reference = event.get("objectRef", {})
        if (
            event["verb"] == "create"
            and event["stage"] == "ResponseComplete"
            and event["responseStatus"]["code"] == 201
            and reference.get("resource") == kind
            and not reference.get("subresource")
            and reference.get("namespace") in counts
        ):
            counts[reference["namespace"]] += 1
    return counts


def audit_event(space: Space, namespace: str, verb: str = "create") -> dict[str, Any]:
    """The API server's last audit event of a request about a control plane's ServiceAccount."""

    def found() -> dict[str, Any] | None:
        events = [
            event
            for event in space.cluster.audit_events()
            if event["stage"] == "ResponseComplete"
            and event["verb"] == verb
            and event["objectRef"].get("resource") == "serviceaccounts"
            and event["objectRef"].get("namespace") == namespace
            and event["objectRef"].get("name") == SERVICE_ACCOUNT
            and not event["objectRef"].get("subresource")
        ]
        return events[-1] if events else None

    return eventually(found, f"an audit event about {namespace}/{SERVICE_ACCOUNT}")


def audit_annotations(event: dict[str, Any]) -> dict[str, str]:
    """What our webhook says in an audit event, without the prefix that the API server gives it."""
    prefix = f"{ENTRY}/"
    return {
        key.removeprefix(prefix): value
        for key, value in event.get("annotations", {}).items()
        if key.startswith(prefix)
    }


def seconds_of(event: dict[str, Any]) -> float:
    """How long the API server worked on a request, by its own audit log."""
    began, ended = (datetime.fromisoformat(event[key]) for key in ("requestReceivedTimestamp", "stageTimestamp"))
    return (ended - began).total_seconds()


def writes_of_the_program(space: Space) -> list[str]:
    """Every write to the cluster's objects that the program made or tried, by the API server's audit log.

    Its own Leases do not count: a pass takes and gives back a lock whether or not there is a review.
    """
    user = f"system:serviceaccount:{OWN_NAMESPACE}:{PROGRAM}"
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in space.cluster.audit_events()
        if event["user"]["username"] == user
        and event["verb"] not in {"get", "list", "watch"}
        and event["objectRef"].get("resource") != "leases"
    ]


def kubernetes_events(space: Space, namespace: str, reason: str) -> list[dict[str, Any]]:
    """The Events of a namespace with that reason."""
    items = space.cluster.api.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return [item for item in items if item["reason"] == reason]


def log_events(webhook: Webhook, name: str, **values: Any) -> list[dict[str, Any]]:
    """The lines of a replica's log with that event name and at least these values."""
    return [line for line in webhook.log() if line.get("event") == name and values.items() <= line.items()]


def logged(webhook: Webhook, name: str, **values: Any) -> list[dict[str, Any]]:
    """The lines of `log_events`, once there is one: the program logs what it did a moment after its effect."""
    return eventually(lambda: log_events(webhook, name, **values), f"{name} is logged")
