"""What became of a burst: asked of STS with a real token of every ServiceAccount, and of the history of IAM."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.burst.load import ROLE_ANNOTATION, Made
from bench.figures import percentile
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.pods import environment_of
from rig.space import AUDIENCE, Space
from rig.waiting import eventually

ASKED_AT_ONCE = 4
PODS_TIMEOUT_S = 300.0


class Verdict(msgspec.Struct, frozen=True):
    """The figures of one run. Times are seconds; without a sample they are None."""

    control_planes: int
    trusted: int
    """STS took a token of the ServiceAccount for the role in its annotation, or without one for any role."""
    lost: int
    pods_without_identity: int
    """Pods that were made without AWS_ROLE_ARN, or with another role than their ServiceAccount has at the end."""
    accounts_without_annotation: int
    """Why, unless EKS's webhook had not seen the annotation yet, or the annotation moved to another role."""
    create_p50: float
    create_p99: float
    create_max: float
    to_trusted_p50: float | None
    to_trusted_p99: float | None
    """From the ServiceAccount's CREATE to the write since which the policy names it without a gap."""
    to_trusted_max: float | None
    iam_calls: int
    throttled: int
    writes: int
    """Trust policies that IAM stored."""
    burst_seconds: float
    """From the first ServiceAccount's CREATE to the last write."""


def judge(space: Space, roles: list[str], made: list[Made]) -> Verdict:
    """Ask STS and the history; `roles` are names."""
    log = [record for record in space.aws.log if record.service == "iam"]
    writes = [write for role in roles for write in space.aws.history(role)[1:]]
    annotated = _annotated(space)
    accepted = _accepted(space, made, annotated)
    since = _trusted_since(space, roles)
    waits = [
        max(since[one.namespace] - one.asked, 0.0)
        for one in made
        if one.namespace in accepted and one.namespace in since
    ]
    creates = [one.seconds for one in made]
    return Verdict(
        control_planes=len(made),
        trusted=len(accepted),
        lost=len(made) - len(accepted),
        pods_without_identity=len(made) - _pods_with_identity(space, annotated, len(made)),
        accounts_without_annotation=sum(not one.role for one in made),
        create_p50=percentile(creates, 0.5),
        create_p99=percentile(creates, 0.99),
        create_max=max(creates),
        to_trusted_p50=percentile(waits, 0.5) if waits else None,
        to_trusted_p99=percentile(waits, 0.99) if waits else None,
        to_trusted_max=max(waits, default=None),
        iam_calls=len(log),
        throttled=sum(record.code == "Throttling" for record in log),
        writes=len(writes),
        burst_seconds=max(write.at for write in writes) - min(one.asked for one in made),
    )


def _annotated(space: Space) -> dict[str, str]:
    """The role that each namespace's ServiceAccount names now, where it names one."""
    found = space.cluster.api.get("/api/v1/serviceaccounts", fieldSelector=f"metadata.name={SERVICE_ACCOUNT}")
    named = {one["metadata"]["namespace"]: one["metadata"].get("annotations", {}) for one in found["items"]}
    return {namespace: role for namespace, one in named.items() if (role := one.get(ROLE_ANNOTATION))}


def _pods_with_identity(space: Space, annotated: dict[str, str], count: int) -> int:
    """Wait until each Deployment has its pod, and count those with the role that is annotated now."""
    selector = f"spec.serviceAccountName={SERVICE_ACCOUNT}"

    def pods() -> list[Any] | None:
        found: list[Any] = space.cluster.api.get("/api/v1/pods", fieldSelector=selector)["items"]
        return found if len(found) >= count else None

    found = eventually(pods, f"{count} pods exist", timeout=PODS_TIMEOUT_S)
    return sum(
        environment_of(pod).get("AWS_ROLE_ARN") == annotated.get(pod["metadata"]["namespace"], "") for pod in found
    )


def _accepted(space: Space, made: list[Made], annotated: dict[str, str]) -> set[str]:
    """The namespaces whose ServiceAccount STS gives a session."""
    sts = space.aws.client("sts", space.aws.root, Config(signature_version=UNSIGNED, max_pool_connections=8))

    def accepts(one: Made) -> bool:
        token = space.cluster.token(one.namespace, SERVICE_ACCOUNT, audience=AUDIENCE)
        named = annotated.get(one.namespace)
        for role in [named] if named else space.roles:
            try:
                sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="burst", WebIdentityToken=token)
            except ClientError:
                continue
            return True
        return False

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return {one.namespace for one, trusted in zip(made, pool.map(accepts, made), strict=True) if trusted}


def _trusted_since(space: Space, roles: list[str]) -> dict[str, float]:
    """For each namespace that a role trusts at the end: when that began, in seconds since 1970."""
    found: dict[str, float] = {}
    for role in roles:
        trusted: dict[str, float] = {}
        for write in space.aws.history(role):
            named = _namespaces_in(json.loads(write.document))
            trusted = {namespace: trusted.get(namespace, write.at) for namespace in named}
        found |= trusted
    return found


def _namespaces_in(document: Any) -> set[str]:
    """The namespaces of the ServiceAccounts of control planes that a trust policy names."""
    conditions = [statement.get("Condition", {}).get("StringEquals", {}) for statement in document["Statement"]]
    values = [value for equals in conditions for key, value in equals.items() if key.endswith(":sub")]
    subjects = [subject for value in values for subject in ([value] if isinstance(value, str) else value)]
    return {subject.split(":")[2] for subject in subjects if subject.endswith(f":{SERVICE_ACCOUNT}")}
