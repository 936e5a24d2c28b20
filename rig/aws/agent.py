"""A stand-in for the node's Pod Identity agent: a pod's token in, the credentials of its association out.

It speaks what SDKs speak to AWS_CONTAINER_CREDENTIALS_FULL_URI: GET with the token as the Authorization header.
It decides nothing: what it gives, EKS Auth has judged. As on a node it keeps what it got for a token, and asks
again after three hours (aws/eks-pod-identity-agent, --max-credential-retention-before-renewal).
"""

import argparse
import datetime as dt
import json
import signal
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import ClientError

from rig.aws.endpoint import Endpoint
from rig.aws.remote import RemoteStandIn

if TYPE_CHECKING:
    from mypy_boto3_eks_auth import EKSAuthClient

PATH = "/v1/credentials"
RETENTION_S = 3 * 3600.0


class Agent:
    """An agent of one cluster's node; start and stop it with `with`. `url` is what pods are to ask.

    `retention` is how many seconds it keeps credentials before it asks for new ones.
    """

    def __init__(
        self,
        aws: Endpoint,
        cluster: str,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        retention: float = RETENTION_S,
    ) -> None:
        client = aws.admin_client("eks-auth")

        class Handler(_Handler):
            eks_auth, cluster_name, account, kept_for = client, cluster, aws.account, retention
            kept: ClassVar[dict[str, tuple[float, dict[str, Any]]]] = {}

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="pod-identity-agent", daemon=True)
        self.url = f"http://{host}:{self._server.server_port}{PATH}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    eks_auth: "EKSAuthClient"
    cluster_name: str
    account: str
    kept_for: float
    kept: ClassVar[dict[str, tuple[float, dict[str, Any]]]]

    def do_GET(self) -> None:  # the standard library's name
        """Answer a pod."""
        token = self.headers.get("Authorization")
        if self.path != PATH or not token:
            self._say(HTTPStatus.NOT_FOUND if self.path != PATH else HTTPStatus.BAD_REQUEST, {})
            return
        at, content = self.kept.get(token, (0.0, {}))
        if content and time.monotonic() - at < self.kept_for:
            self._say(HTTPStatus.OK, content)
            return
        try:
            found = self.eks_auth.assume_role_for_pod_identity(clusterName=self.cluster_name, token=token)
        except ClientError as error:
            status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
            self._say(HTTPStatus(status), {"message": str(error)})
            return
        credentials = found["credentials"]
        content = {
            "AccessKeyId": credentials["accessKeyId"],
            "SecretAccessKey": credentials["secretAccessKey"],
            "Token": credentials["sessionToken"],
            "AccountId": self.account,
            "Expiration": credentials["expiration"].astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.kept[token] = (time.monotonic(), content)
        self._say(HTTPStatus.OK, content)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the stand-in's log has every call."""

    def _say(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve one cluster's pods until SIGINT or SIGTERM: `python -m rig.aws.agent URL CLUSTER`."""
    parser = argparse.ArgumentParser(prog="python -m rig.aws.agent", description=__doc__)
    parser.add_argument("aws", help="URL of the stand-in")
    parser.add_argument("cluster", help="name of the cluster")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Agent(RemoteStandIn(options.aws), options.cluster, options.host, options.port) as agent:
        print(f"pod identity agent: {agent.url}", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
