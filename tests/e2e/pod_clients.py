"""A client in every pod of the bound ServiceAccount: it uses the variables that the pod was given, and no others.

It asks for credentials anew at each call, as long as the pod is there, and goes with it. Its successor in the
pod's replacement begins with the replacement's own variables.
"""

import tempfile
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from botocore.credentials import ContainerProvider
from botocore.exceptions import BotoCoreError, ClientError

from rig import pods
from rig.aws.agent import Agent
from rig.aws.callers import Credentials
from rig.aws.eks_auth import AUDIENCE as POD_AUDIENCE
from rig.aws.identity import UNSIGNED_ONCE
from rig.aws.pod_client import FULL_URI, TOKEN_FILE
from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually

THREADS = 4
NOT_FOUND = 404
PAUSE_S = 0.05


@dataclass
class PodClient:
    """What runs in one pod."""

    pod: dict[str, Any]
    token: str
    calls: int = 0
    is_known: bool = False
    """Whether AWS was asked once for the caller."""


@dataclass
class Seen:
    """What the clients saw."""

    calls: Counter[str] = field(default_factory=Counter)
    """By the kind of variables."""
    pods: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)


class RefusedError(Exception):
    """AWS has refused a pod's client, or the pod was given nothing to call with."""


class PodClients:
    """Clients in all pods that run as the ServiceAccount, for the length of a `with` block."""

    def __init__(self, space: Space) -> None:
        self.seen = Seen()
        self._space = space
        self._agent = Agent(space.aws, EKS_CLUSTER)
        self._sts = space.aws.client("sts", space.aws.root, UNSIGNED_ONCE)
        self._clients: dict[str, PodClient] = {}
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, "pod-clients")
        self._work: Future[None]
        self._folder = tempfile.TemporaryDirectory(prefix="rig-pod-clients-")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._agent.__enter__()
        self._work = self._thread.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.shutdown()
        self._agent.__exit__(kind, error, trace)
        self._folder.cleanup()
        if kind is None:
            self._work.result()

    def wait_until_all_have_called(self, timeout: float = 60.0) -> None:
        """Wait until the client of each pod that is there now, unless the pod goes, has called once more.

        Raises RefusedError where AWS has ever refused one, and what ended the clients where they have ended.
        """
        before = {uid: client.calls for uid, client in list(self._clients.items())}
        asked = {pod["metadata"]["uid"] for pod in self._running()}

        def all_have_called() -> bool:
            if self._work.done():
                self._work.result()
            if self.seen.refusals:
                raise RefusedError(f"{len(self.seen.refusals)} calls were refused: {self.seen.refusals[:3]}")
            called = {uid for uid, client in list(self._clients.items()) if client.calls > before.get(uid, 0)}
            if asked <= called:
                return True
            return asked & {pod["metadata"]["uid"] for pod in self._running()} <= called

        eventually(all_have_called, "every pod's client calls", timeout=timeout)

    def _run(self) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            while not self._stopped.wait(PAUSE_S):
                found = self._running()
                there = {pod["metadata"]["uid"] for pod in found}
                for uid in self._clients.keys() - there:
                    del self._clients[uid]
                list(pool.map(self._use, found))

    def _running(self) -> list[dict[str, Any]]:
        """The pods whose containers run, also those on their way out."""
        items = self._space.cluster.api.get(
            "/api/v1/pods", fieldSelector=f"spec.serviceAccountName={SERVICE_ACCOUNT}"
        )["items"]
        return [pod for pod in items if pod.get("status", {}).get("phase") == "Running"]

    def _use(self, pod: dict[str, Any]) -> None:
        """One call of one pod's client. A pod that is gone before the call begins calls no more."""
        if self._stopped.is_set():
            return
        uid, variables = pod["metadata"]["uid"], pods.environment_of(pod)
        way = _way(variables)
        client = self._clients.get(uid)
        if client is None:
            if way == "none":
                self._refused(pod, "it has no variables")
                return
            if (token := self._token(pod, way)) is None:
                return
            client = self._clients[uid] = PodClient(pod, token)
            with self._lock:
                self.seen.pods[way] += 1
        if not self._is_there(pod):
            return
        try:
            self._call(client, variables, way)
        except (ClientError, BotoCoreError) as error:
            self._refused(pod, f"{way}: {error}")
        client.calls += 1
        with self._lock:
            self.seen.calls[way] += 1

    def _token(self, pod: dict[str, Any], way: str) -> str | None:
        """The token that the kubelet mounts; None where the pod is gone by now."""
        audience = POD_AUDIENCE if way == "pod-identity" else pods.AUDIENCE
        try:
            return pods.projected_token(self._space.cluster, pod, audience)
        except ApiError:
            if self._is_there(pod):
                raise
            return None

    def _is_there(self, pod: dict[str, Any]) -> bool:
        metadata = pod["metadata"]
        try:
            found = self._space.cluster.api.get(
                f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            )
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
            return False
        return bool(found["metadata"]["uid"] == metadata["uid"])

    def _call(self, client: PodClient, variables: dict[str, str], way: str) -> None:
        if way == "irsa":
            self._sts.assume_role_with_web_identity(
                RoleArn=variables["AWS_ROLE_ARN"], RoleSessionName="pod", WebIdentityToken=client.token
            )
            return
        file = Path(self._folder.name, client.pod["metadata"]["uid"])
        if not file.exists():
            file.write_text(client.token)
        found = ContainerProvider(environ={FULL_URI: self._agent.url, TOKEN_FILE: str(file)}).load()
        if not client.is_known:
            frozen = found.get_frozen_credentials()
            credentials = Credentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)
            self._space.aws.client("sts", credentials).get_caller_identity()
            client.is_known = True

    def _refused(self, pod: dict[str, Any], why: str) -> None:
        metadata = pod["metadata"]
        with self._lock:
            self.seen.refusals.append(f"{metadata['namespace']}/{metadata['name']}: {why}")


def _way(variables: dict[str, str]) -> str:
    """Which variables a pod has; an SDK prefers a web identity where there are both."""
    if "AWS_ROLE_ARN" in variables:
        return "irsa"
    return "pod-identity" if FULL_URI in variables else "none"
