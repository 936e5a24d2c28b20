"""How the API server's certificate is verified: as kubectl does it, on each Python.

From Python 3.13 on urllib3 sets VERIFY_X509_STRICT, which refuses certificates without key identifiers. RFC 5280
lets a self-signed authority go without, and those of EKS have none, so EKS could not be reached
(kubernetes-client/python#2394). Signatures, names, dates and purposes are verified all the same.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

if TYPE_CHECKING:
    from urllib3 import PoolManager


def verify_as_kubectl(manager: PoolManager) -> None:
    """Have a pool manager verify so; it has sent nothing so far. Each connection reads the authority's file."""
    kinds: dict[str, Any] = dict(manager.pool_classes_by_scheme)  # other ones where a proxy speaks SOCKS
    manager.pool_classes_by_scheme = {**kinds, "https": _verifying(kinds["https"])}


def _verifying(pool: Any) -> Any:
    def connect(connection: Any) -> None:
        connection.ssl_context = _context(connection)
        kind.connect(connection)

    kind = pool.ConnectionCls
    return type(pool.__name__, (pool,), {"ConnectionCls": type(kind.__name__, (kind,), {"connect": connect})})


def _context(connection: Any) -> ssl.SSLContext:
    """A new context. An authority that the kubeconfig names is enough, be it self-signed or not."""
    context = create_urllib3_context(
        cert_reqs=resolve_cert_reqs(connection.cert_reqs), verify_flags=ssl.VERIFY_X509_PARTIAL_CHAIN
    )
    if not (connection.ca_certs or connection.ca_cert_data):
        context.load_default_certs()
    return context
