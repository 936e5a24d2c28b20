"""A real Kubernetes cluster on a laptop: every program is the real one but the kubelets, which kwok plays."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rig.kubernetes import audit, objects, parts, server
from rig.kubernetes.api import Api, ApiError, Object, Reply
from rig.kubernetes.eks import EksWebhook
from rig.kubernetes.metrics import Metrics
from rig.kubernetes.place import Place
from rig.kubernetes.registration import Registration
from rig.kubernetes.server import Server
from rig.processes import Process, Workspace
from rig.serving import wait_until_ready
from rig.tools import binary
from rig.waiting import eventually

NOT_FOUND = 404
TOKEN_SECONDS = 3600
STOP_TIMEOUT_S = 2.0  # an API server would wait a minute for its watchers to leave


class Cluster:
    """One cluster with its own ports, folders and issuer; a context manager that leaves nothing behind.

    `controllers` starts kube-controller-manager. `nodes` is the number of simulated nodes and, above 0,
    starts kube-scheduler and kwok, so that Deployments become available. `eks_webhook` starts and registers
    EKS's pod identity webhook. Without all three a cluster is an API server, which is up soonest.
    `api_server_flags` are added to kube-apiserver's command line.

    Any number of clusters run side by side. A part that does not start raises `ProcessFailedError`, which
    names it and shows the end of its log, and nothing is left behind then either. Attributes, once entered:
    `url`, `ca_file`, `issuer`, `place`, `kubeconfig` (of an admin, for `run`), `api` (a client of the same),
    `parts` (processes by name), `eks_webhook`, `workspace`.
    """

    kubelets = "kwok"  # the part that makes nodes ready

    def __init__(
        self,
        *,
        controllers: bool = True,
        nodes: int = 1,
        eks_webhook: bool = True,
        issuer: str | None = None,
        api_server_flags: Sequence[str] = (),
    ) -> None:
        if nodes and not controllers:
            raise ValueError("nodes need controllers: no pod is admitted before its ServiceAccount exists")
        self.issuer = issuer or server.issuer()
        self.parts: dict[str, Process] = {}
        self.eks_webhook: EksWebhook | None = None
        self._controllers = controllers
        self._nodes = nodes
        self._with_eks_webhook = eks_webhook
        self._flags = tuple(api_server_flags)
        self._ready: dict[str, Callable[[], None]] = {}
        self._audited = 0
        self.place = Place()

    def __enter__(self) -> Self:
        self.workspace = Workspace()
        try:
            self._start()
        except BaseException:
            self.workspace.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.api.close()
        self.workspace.close()

    # ---- access

    def client(self, token: str) -> Api:
        """Return a client of the API server that calls with this token."""
        return Api(self.url, self.ca_file, token, place=self.place)

    def token(
        self,
        namespace: str,
        service_account: str,
        *,
        audience: str | None = None,
        expiration_seconds: int = TOKEN_SECONDS,
        bound_pod: tuple[str, str] | None = None,
    ) -> str:
        """Return a new token of a ServiceAccount, as the kubelet gets it with TokenRequest.

        The audience is the API server's own unless given. `bound_pod` is a pod's (name, uid): the token is
        valid as long as that pod exists. At least 600 seconds.
        """
        spec: dict[str, Any] = {"expirationSeconds": expiration_seconds, "audiences": [audience or self.issuer]}
        if bound_pod:
            name, uid = bound_pod
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": name, "uid": uid}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        return str(self.api.post(path, request)["status"]["token"])

    def kubeconfig_for(
        self, namespace: str, service_account: str, *, expiration_seconds: int = 24 * TOKEN_SECONDS
    ) -> Path:
        """Write a kubeconfig that calls as a ServiceAccount, with that one's rights, and return its path."""
        token = self.token(namespace, service_account, expiration_seconds=expiration_seconds)
        user = f"{namespace}-{service_account}"
        return self.server.credentials.write_kubeconfig(user, self.server.endpoint, token, namespace)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as admin and return what it printed; its exit code is not checked."""
        return self.run([binary("kubectl"), *arguments], stdin=stdin)

    def run(self, argv: Sequence[str | Path], *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a client such as kubectl as admin, where it reaches the API server; its exit code is not checked."""
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.workspace.path / "kubectl"),
            "KUBERC": "off",
        }
        return subprocess.run(
            self.place.command(argv),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )

    def jwks(self) -> dict[str, Any]:
        """Return the keys that verify ServiceAccount tokens, as the OIDC provider publishes them."""
        return self.api.get("/openid/v1/jwks")

    # ---- objects

    def apply(self, items: Iterable[Object]) -> list[Reply]:
        """Create objects, or make them what is given, in order, with server-side apply."""
        return [self.api.apply(item) for item in items]

    def create(self, items: Iterable[Object]) -> list[Reply]:
        """Create objects, in order, each with one POST as Spaces does."""
        return [self.api.create(item) for item in items]

    def register_webhook(self, name: str, registration: Registration) -> Reply:
        """Register a webhook on ServiceAccounts, or change its registration."""
        return self.api.apply(registration.configuration(name))

    def wait_for_deployment(self, namespace: str, name: str, *, timeout: float = 60.0) -> Reply:
        """Wait until a Deployment's rollout is finished and all its replicas are available, and return it."""
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"

        def rolled_out() -> Reply | None:
            found = self.api.get(path)
            status, wanted = found.get("status", {}), found["spec"]["replicas"]
            current = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
            return found if current and counts == {wanted} else None

        return eventually(rolled_out, f"rollout of Deployment {namespace}/{name}", timeout=timeout)

    def pods(self, namespace: str) -> list[dict[str, Any]]:
        """Return the pods of a namespace that are not being deleted."""
        items: list[dict[str, Any]] = self.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        return [item for item in items if "deletionTimestamp" not in item["metadata"]]

    # ---- observation

    def audit_events(self) -> Iterator[dict[str, Any]]:
        """Yield the API server's audit events so far, or since `forget_audit_events`, oldest first."""
        return audit.read_events(self.server.audit_log, self._audited)

    def forget_audit_events(self) -> None:
        """Leave out what was recorded so far."""
        self._audited = self.server.audit_log.stat().st_size

    def calls(self, entry: str, item: Object) -> bool:
        """Whether the API server calls an entry of a webhook configuration for an object, sent as a dry run."""
        start = self.server.audit_log.stat().st_size
        with suppress(ApiError):  # failurePolicy Fail and nothing there
            self.api.create(item, dryRun="All")
        metadata = item["metadata"]

        def event() -> dict[str, Any] | None:
            for one in audit.read_events(self.server.audit_log, start):
                of = one.get("objectRef", {})
                if one["verb"] == "create" and (of.get("namespace"), of.get("name")) == (
                    metadata["namespace"],
                    metadata["name"],
                ):
                    return one
            return None

        return entry in audit.called(eventually(event, "the API server records the request"))

    def metrics(self) -> Metrics:
        """Return the API server's own metrics at this moment."""
        return Metrics(self.api.text("/metrics"))

    # ---- faults

    def stop(self, name: str) -> None:
        """End a part as a shutdown would (SIGTERM); `parts[name].kill()` is a crash."""
        self.parts[name].stop(STOP_TIMEOUT_S)

    def start(self, name: str) -> None:
        """Start a part that was stopped or killed, and wait until it is ready."""
        self.parts[name].start()
        self._ready.get(name, self.parts[name].check)()

    def restart(self, name: str) -> None:
        """Stop a part, start it, and wait until it is ready."""
        self.stop(name)
        self.start(name)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Have a part stopped for the length of a `with` block."""
        self.stop(name)
        try:
            yield
        finally:
            self.start(name)

    # ---- starting

    def _start(self) -> None:
        server = self.server = Server(self.workspace, self.issuer, self.place, self._flags)
        self.url, self.ca_file = server.url, server.credentials.ca_file
        self.kubeconfig = self._kubeconfig_of("admin")
        self.api = self.client(server.credentials.tokens["admin"])
        self._add(server.etcd, lambda: wait_until_ready(server.etcd, server.etcd_ready))
        self._add(server.process, lambda: wait_until_ready(server.process, server.ready))
        if self._controllers:
            user = self._kubeconfig_of("system:kube-controller-manager")
            self._spawn("kube-controller-manager", parts.controller_manager(user, server.credentials))
        if self._nodes:
            self._spawn("kube-scheduler", parts.scheduler(self._kubeconfig_of("system:kube-scheduler")))
            self._start_nodes()
        if self._with_eks_webhook:
            kubeconfig = self._kubeconfig_of("eks-pod-identity-webhook")
            url = server.endpoint.url
            webhook = self.eks_webhook = EksWebhook(self.workspace, self.api, url, kubeconfig, self.place)
            self._add(webhook.process, webhook.wait_until_ready)
        self._wait_for_parts()

    def _start_nodes(self) -> None:
        self._spawn("kwok", parts.nodes(self._kubeconfig_of("kwok")))
        self.create(objects.node(f"node-{number}") for number in range(1, self._nodes + 1))

    def _kubeconfig_of(self, user: str) -> Path:
        return self.server.credentials.kubeconfig(user, self.server.endpoint)

    def _spawn(self, name: str, argv: parts.Argv) -> None:
        self._add(self.workspace.spawn(name, self.place.command(argv)))

    def _add(self, process: Process, ready: Callable[[], None] | None = None) -> None:
        self.parts[process.name] = process
        if ready:
            self._ready[process.name] = ready

    def _wait_for_parts(self) -> None:
        """Wait until the parts without a port of their own are seen to work."""
        if self._controllers:
            manager = self.parts["kube-controller-manager"]
            wait_until_ready(manager, lambda: self._exists("/api/v1/namespaces/default/serviceaccounts/default"))
        if self._nodes:
            wait_until_ready(self.parts[self.kubelets], self._nodes_ready)
            self.parts["kube-scheduler"].check()

    def _nodes_ready(self) -> bool:
        conditions = [
            condition["status"]
            for node in self.api.get("/api/v1/nodes")["items"]
            for condition in node.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready"
        ]
        return conditions == ["True"] * self._nodes

    def _exists(self, path: str) -> bool:
        try:
            self.api.get(path)
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
            return False
        return True
