"""Pods: whether those that run carry the identity that their ServiceAccount has now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands
from webhook.cli.verify.findings import Check, Finding, broken, note, ok, unknown
from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from webhook.cli.verify.findings import ControlPlane, Pod, Shared
    from webhook.model.names import RoleArn

_EKS = "pods.eks.amazonaws.com"
_BY_TOKEN, _BY_AGENT = "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_ENDED = frozenset({"Succeeded", "Failed"})


def check_pods(plane: ControlPlane, role: RoleArn) -> Iterator[Finding]:
    """A finding for each pod that has not ended."""
    yield from _each(plane, lambda pod: _look_at(pod, plane, role))


def check_associated_pods(plane: ControlPlane, role: RoleArn, shared: Shared) -> Iterator[Finding]:
    """The same in mode pod-identity."""
    is_trusted = shared.trusted.trusts(role, plane.subject)
    yield from _each(plane, lambda pod: _look_at_associated(pod, plane, role, is_trusted=is_trusted))


def _wrong(pod: Pod, plane: ControlPlane, why: str) -> Finding:
    if pod.is_replaced:
        return broken(Check.PODS, why, commands.delete_pod(plane.subject.namespace, pod.name))
    return broken(Check.PODS, f"{why}; no controller recreates it: delete it once you can create it again")


def _each(plane: ControlPlane, look_at: Callable[[Pod], Finding]) -> Iterator[Finding]:
    if plane.pods is None:
        yield unknown(Check.PODS, "could not be listed")
        return
    running = [pod for pod in plane.pods if pod.phase not in _ENDED]
    if not running:
        yield note(Check.PODS, f"none runs as {plane.subject.service_account}")
    for pod in running:
        yield look_at(pod)


def _look_at(pod: Pod, plane: ControlPlane, role: RoleArn) -> Finding:
    named = pod.variables.get(_BY_TOKEN)
    if not pod.has_identity:
        why = f"{pod.name} started before its ServiceAccount had a role, and never gets one"
        return _wrong(pod, plane, why)
    if named is not None and named != role.value:
        return _wrong(pod, plane, f"{pod.name} runs with {named}, which its ServiceAccount no longer names")
    if named is not None and AUDIENCE not in pod.audiences:
        return _wrong(pod, plane, _has_no_token(pod, AUDIENCE))
    return _has_identity(pod, plane.subject.namespace)


def _look_at_associated(pod: Pod, plane: ControlPlane, role: RoleArn, *, is_trusted: bool) -> Finding:
    """`is_trusted` is whether the role trusts the ServiceAccount's own token, as in mode irsa."""
    namespace = plane.subject.namespace
    if _BY_AGENT in pod.variables and _EKS not in pod.audiences:
        return _wrong(pod, plane, _has_no_token(pod, _EKS))
    if _BY_AGENT in pod.variables:
        return _has_identity(pod, namespace)
    if not pod.has_identity:
        why = f"{pod.name} carries no {_BY_AGENT}: EKS's webhook admitted it before the association was propagated"
        return _wrong(pod, plane, f"{why}, and it never gets one")
    named = pod.variables[_BY_TOKEN]
    if is_trusted and named == role.value:
        fix = commands.delete_pod(namespace, pod.name) if pod.is_replaced else None
        return note(Check.PODS, f"{pod.name} runs with {named} by the annotation, which still works", fix)
    why = f"{pod.name} carries {_BY_TOKEN} {named}, which does not trust its token, and no {_BY_AGENT}"
    return _wrong(pod, plane, why)


def _has_no_token(pod: Pod, audience: str) -> str:
    return f"{pod.name} has no token for {audience} (it has: {', '.join(pod.audiences) or 'none'})"


def _has_identity(pod: Pod, namespace: str) -> Finding:
    if pod.waiting:
        logs = f"kubectl logs -n {namespace} {pod.name} --previous"
        return note(Check.PODS, f"{pod.name} has its identity, and waits: {pod.waiting}", logs)
    return ok(Check.PODS, f"{pod.name} ({pod.phase}) has its identity")
