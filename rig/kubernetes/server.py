"""The part of a cluster that everything else talks to: etcd and kube-apiserver."""

import secrets
import ssl
from collections.abc import Sequence

import httpx

from rig.kubernetes import audit, parts
from rig.kubernetes.credentials import Credentials, Endpoint
from rig.kubernetes.place import LOOPBACK, Place
from rig.processes import Workspace
from rig.serving import accepts, serve, wait_until_ready

REGION = "us-west-2"
PROBE_TIMEOUT_S = 2.0


def issuer(name: str | None = None) -> str:
    """Return an issuer URL of the shape that EKS gives to a cluster; 32 hexadecimal digits are its name."""
    return f"https://oidc.eks.{REGION}.amazonaws.com/id/{name or secrets.token_hex(16).upper()}"


class Server:
    """A started etcd and kube-apiserver in a workspace, which ends them.

    `url` is for this process, `endpoint` for programs that run where it does.
    """

    def __init__(self, workspace: Workspace, issuer: str, place: Place, flags: Sequence[str] = ()) -> None:
        self.etcd_socket = workspace.path / "etcd.sock"
        self.audit_log = workspace.path / "audit.jsonl"
        self.etcd = workspace.spawn("etcd", place.command(parts.etcd(workspace.path / "etcd", self.etcd_socket)))
        # Making keys takes as long as etcd takes to start.
        self.credentials = Credentials(workspace.path / "credentials", [place.address, place.services[1]])
        self._http = place.http(
            ssl.create_default_context(cafile=str(self.credentials.ca_file)),
            headers={"Authorization": f"Bearer {self.credentials.tokens['admin']}"},
            timeout=PROBE_TIMEOUT_S,
        )
        self._address = place.address
        wait_until_ready(self.etcd, self.etcd_ready)
        policy = workspace.path / "audit-policy.yaml"
        audit.write_policy(policy)
        server = parts.ApiServer(self.credentials, self.etcd_socket, issuer, policy, self.audit_log, place, flags)
        self.process, self.port = serve(
            workspace, "kube-apiserver", lambda port: place.command(server.argv(port)), self._answers
        )
        self.url = f"https://{place.address}:{self.port}"
        self.endpoint = Endpoint(f"https://{LOOPBACK}:{self.port}", self.credentials.ca_file)

    def etcd_ready(self) -> bool:
        """Whether etcd accepts connections."""
        return accepts(self.etcd_socket)

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        return self._answers(self.port)

    def _answers(self, port: int) -> bool:
        try:
            answer = self._http.get(f"https://{self._address}:{port}/readyz")
        except httpx.TransportError:
            return False
        return answer.is_success
