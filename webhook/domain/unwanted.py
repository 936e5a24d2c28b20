"""Why a ServiceAccount that a role trusts is not wanted there, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.domain.bindings import first_match

if TYPE_CHECKING:
    from webhook.domain.names import RoleArn, Subject
    from webhook.domain.snapshot import ClusterSnapshot, Installation


def why_unwanted(subject: Subject, role: RoleArn, installation: Installation, cluster: ClusterSnapshot) -> str:
    """The first of the things that are not as they must be."""
    namespace = cluster.namespaces.get(subject.namespace)
    if namespace is None:
        return "its namespace is gone"
    if namespace.terminating:
        return "its namespace is being deleted"
    binding = first_match(installation.bindings, subject.service_account, namespace.name, namespace.labels)
    if binding is None:
        return "no binding selects it"
    if role not in binding.roles:
        return f"binding {binding.name}, which selects it, does not name this role"
    account = cluster.accounts.get((subject.namespace, subject.service_account))
    if account is None:
        return "its ServiceAccount is gone"
    return f"its annotation names {account.role_annotation}"
