"""Pods: whether those that run carry the identity that their ServiceAccount has now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.diagnosis import commands
from webhook.diagnosis.findings import Finding, broken, note, ok, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from webhook.diagnosis.facts import Plane, Pod, Shared
    from webhook.domain.names import RoleArn

_STS = "sts.amazonaws.com"
_EKS = "pods.eks.amazonaws.com"
_BY_TOKEN, _BY_AGENT = "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_ENDED = frozenset({"Succeeded", "Failed"})


def look_at_pods(plane: Plane, role: RoleArn) -> Iterator[Finding]:
    """A finding for each pod that has not ended."""
    yield from _each(plane, lambda pod: _look_at(pod, plane, role))


def look_at_associated_pods(plane: Plane, role: RoleArn, shared: Shared) -> Iterator[Finding]:
    """The same in mode pod-identity."""
    is_trusted = shared.trusted.trusts(role, plane.subject)
    yield from _each(plane, lambda pod: _look_at_associated(pod, plane, role, is_trusted=is_trusted))


def _each(plane: Plane, look_at: Callable[[Pod], Finding]) -> Iterator[Finding]:
    if plane.pods is None:
        yield unknown("pods", "could not be listed")
        return
    running = [pod for pod in plane.pods if pod.phase not in _ENDED]
    if not running:
        yield note("pods", f"none runs as {plane.subject.service_account}")
    for pod in running:
        yield look_at(pod)


def _look_at(pod: Pod, plane: Plane, role: RoleArn) -> Finding:
    namespace = plane.subject.namespace
    fix = commands.delete_pod(namespace, pod.name)
    named = pod.variables.get(_BY_TOKEN)
    if not pod.has_identity:
        return broken(
            "pods", f"{pod.name} started before its ServiceAccount had a role, and never gets one by itself", fix
        )
    if named is not None and named != role.value:
        return broken("pods", f"{pod.name} runs with {named}, which its ServiceAccount no longer names", fix)
    if named is not None and _STS not in pod.audiences:
        tokens = ", ".join(pod.audiences) or "none"
        return broken("pods", f"{pod.name} has no token for {_STS} (it has: {tokens})", fix)
    return _has_identity(pod, namespace)


def _look_at_associated(pod: Pod, plane: Plane, role: RoleArn, *, is_trusted: bool) -> Finding:
    """`is_trusted` is whether the role trusts the ServiceAccount's own token, as in mode irsa."""
    namespace = plane.subject.namespace
    fix = commands.delete_pod(namespace, pod.name)
    if _BY_AGENT in pod.variables and _EKS not in pod.audiences:
        tokens = ", ".join(pod.audiences) or "none"
        return broken("pods", f"{pod.name} has no token for {_EKS} (it has: {tokens})", fix)
    if _BY_AGENT in pod.variables:
        return _has_identity(pod, namespace)
    if not pod.has_identity:
        why = (
            f"{pod.name} carries no {_BY_AGENT}: EKS's webhook admitted it before it had heard of the association"
        )
        return broken("pods", f"{why}, and it never gets one by itself", fix)
    named = pod.variables[_BY_TOKEN]
    if is_trusted and named == role.value:
        return note("pods", f"{pod.name} runs with {named} by the annotation, which still works", fix)
    why = f"{pod.name} carries {_BY_TOKEN} {named}, which does not trust its token, and no {_BY_AGENT}"
    return broken("pods", why, fix)


def _has_identity(pod: Pod, namespace: str) -> Finding:
    if pod.waiting:
        logs = f"kubectl logs -n {namespace} {pod.name} --previous"
        return note("pods", f"{pod.name} has its identity, and waits: {pod.waiting}", logs)
    return ok("pods", f"{pod.name} ({pod.phase}) has its identity")
