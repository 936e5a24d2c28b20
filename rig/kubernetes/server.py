"""The part of a cluster that everything else talks to: etcd and kube-apiserver."""

import secrets
import ssl
from collections.abc import Sequence

import httpx

from rig.kubernetes import audit, parts
from rig.kubernetes.credentials import Credentials
from rig.processes import Workspace
from rig.serving import accepts, serve, wait_until_ready

REGION = "us-west-2"
PROBE_TIMEOUT_S = 2.0


def random_issuer(region: str = REGION) -> str:
    """Return an issuer URL of the shape that EKS gives to a cluster."""
    return f"https://oidc.eks.{region}.amazonaws.com/id/{secrets.token_hex(16).upper()}"


class Server:
    """A started etcd and kube-apiserver in a workspace, which ends them."""

    def __init__(self, workspace: Workspace, issuer: str, flags: Sequence[str] = ()) -> None:
        self._socket = workspace.path / "etcd.sock"
        self.audit_log = workspace.path / "audit.jsonl"
        self.etcd = workspace.spawn("etcd", parts.etcd(workspace.path / "etcd", self._socket))
        # Making keys takes as long as etcd takes to start.
        self.credentials = Credentials(workspace.path / "credentials")
        self._trust = ssl.create_default_context(cafile=str(self.credentials.ca_file))
        wait_until_ready(self.etcd, self.etcd_ready)
        policy = workspace.path / "audit-policy.yaml"
        audit.write_policy(policy)
        api_server = parts.ApiServer(self.credentials, self._socket, issuer, policy, self.audit_log, flags)
        self.process, self.port = serve(workspace, "kube-apiserver", api_server.argv, self._answers)
        self.url = _url(self.port)

    def etcd_ready(self) -> bool:
        """Whether etcd accepts connections."""
        return accepts(self._socket)

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        return self._answers(self.port)

    def _answers(self, port: int) -> bool:
        token = self.credentials.tokens["admin"]
        try:
            answer = httpx.get(
                f"{_url(port)}/readyz",
                headers={"Authorization": f"Bearer {token}"},
                verify=self._trust,
                timeout=PROBE_TIMEOUT_S,
                trust_env=False,
            )
        except httpx.TransportError:
            return False
        return answer.is_success


def _url(port: int) -> str:
    return f"https://127.0.0.1:{port}"
