"""The second look before a removal: a ServiceAccount and its namespace as the API server itself has them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.ports import Cluster
    from webhook.model.decisions import Account, LiveNamespace
    from webhook.model.names import Subject

_READ_SECONDS = 5.0


async def live(
    cluster: Cluster, cache: ClusterCache, subject: Subject
) -> tuple[LiveNamespace | None, Account | None]:
    """Both, None where there is none. Raises ClusterError.

    A ServiceAccount of a name that no binding is about is not read: nobody has the right to, and no binding asks.
    """
    namespace = await cluster.namespace(subject.namespace, _READ_SECONDS)
    if namespace is None or subject.service_account not in cache.service_accounts:
        return namespace, None
    return namespace, await cluster.account(subject, _READ_SECONDS)
