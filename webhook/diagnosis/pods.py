"""Pods: whether those that run carry the identity that their ServiceAccount has now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.diagnosis import commands
from webhook.diagnosis.findings import Finding, broken, note, ok, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.diagnosis.facts import Plane, Pod
    from webhook.domain.names import RoleArn

_STS = "sts.amazonaws.com"
_ENDED = frozenset({"Succeeded", "Failed"})


def look_at_pods(plane: Plane, role: RoleArn) -> Iterator[Finding]:
    """A finding for each pod that has not ended."""
    if plane.pods is None:
        yield unknown("pods", "could not be listed")
        return
    running = [pod for pod in plane.pods if pod.phase not in _ENDED]
    if not running:
        yield note("pods", f"none runs as {plane.subject.service_account}")
    for pod in running:
        yield _look_at(pod, plane, role)


def _look_at(pod: Pod, plane: Plane, role: RoleArn) -> Finding:
    namespace = plane.subject.namespace
    fix = commands.delete_pod(namespace, pod.name)
    named = pod.variables.get("AWS_ROLE_ARN")
    if not pod.has_identity:
        return broken(
            "pods", f"{pod.name} started before its ServiceAccount had a role, and never gets one by itself", fix
        )
    if named is not None and named != role.value:
        return broken("pods", f"{pod.name} runs with {named}, which its ServiceAccount no longer names", fix)
    if named is not None and _STS not in pod.audiences:
        tokens = ", ".join(pod.audiences) or "none"
        return broken("pods", f"{pod.name} has no token for {_STS} (it has: {tokens})", fix)
    if pod.waiting:
        logs = f"kubectl logs -n {namespace} {pod.name} --previous"
        return note("pods", f"{pod.name} has its identity, and waits: {pod.waiting}", logs)
    return ok("pods", f"{pod.name} ({pod.phase}) has its identity")
