"""The command lines of a cluster's parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.kubernetes.credentials import Credentials
from rig.kubernetes.place import Place
from rig.tools import binary

Argv = list[str | Path]

NODE_CONFIG = Path(__file__).with_name("nodes.yaml")

# Those that control planes, rollouts and the webhooks need. Left out on purpose: node-lifecycle and
# taint-eviction, which would evict pods from simulated nodes on a machine too busy to renew their leases.
CONTROLLERS = (
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
)

# For bursts of hundreds of namespaces, each with a Deployment; the defaults are made for small machines.
CLIENT_LIMITS = ("--kube-api-qps=500", "--kube-api-burst=1000")
WORKERS = 20

# A heap that grows larger before it is collected: an API server lives for seconds here, and starts a fifth sooner.
RARE_COLLECTIONS = ("env", "GOGC=400")


def etcd(folder: Path, socket: Path) -> Argv:
    """Return the command line of etcd on Unix sockets, which no other cluster can be mistaken for."""
    client, peer = f"unix://{socket}", f"unix://{socket.with_suffix('.peer')}"
    return [
        binary("etcd"),
        f"--data-dir={folder}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # the data does not outlive the cluster
        "--log-level=warn",
    ]


@dataclass(frozen=True)
class ApiServer:
    """What a cluster's API server is told beside its port."""

    credentials: Credentials
    etcd_socket: Path
    issuer: str
    audit_policy: Path
    audit_log: Path
    place: Place
    extra: Sequence[str] = ()

    def argv(self, port: int) -> Argv:
        """Return the command line."""
        made = self.credentials
        return [
            *RARE_COLLECTIONS,
            binary("kube-apiserver"),
            f"--etcd-servers=unix://{self.etcd_socket}",
            f"--bind-address={self.place.bind}",
            f"--advertise-address={self.place.address}",
            f"--secure-port={port}",
            f"--tls-cert-file={made.certificate}",
            f"--tls-private-key-file={made.key}",
            f"--kubelet-client-certificate={made.kubelet_certificate}",
            f"--kubelet-client-key={made.kubelet_key}",
            f"--token-auth-file={made.token_file}",
            "--authorization-mode=Node,RBAC",
            # It taints new nodes until the node-lifecycle controller, which is left out below, says otherwise.
            "--disable-admission-plugins=TaintNodesByCondition",
            f"--service-account-issuer={self.issuer}",
            f"--service-account-signing-key-file={made.signing_key}",
            f"--service-account-key-file={made.verifying_key}",
            f"--service-account-jwks-uri=https://127.0.0.1:{port}/openid/v1/jwks",
            f"--service-cluster-ip-range={self.place.services[0]}",
            "--endpoint-reconciler-type=none",  # a loopback address is no valid endpoint
            f"--audit-policy-file={self.audit_policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=100000",  # MB; one file: the reader does not follow rotation, and 0 means 100
            *self.extra,
        ]


def controller_manager(kubeconfig: Path, credentials: Credentials) -> Argv:
    """Return the command line of kube-controller-manager, without a port of its own."""
    return [
        binary("kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--use-service-account-credentials",  # each controller with its own rights, as on EKS
        f"--controllers={','.join(CONTROLLERS)}",
        f"--service-account-private-key-file={credentials.signing_key}",
        f"--root-ca-file={credentials.ca_file}",
        *CLIENT_LIMITS,
        f"--concurrent-deployment-syncs={WORKERS}",
        f"--concurrent-replicaset-syncs={WORKERS}",
        f"--concurrent-namespace-syncs={WORKERS}",
        f"--concurrent-gc-syncs={WORKERS}",
        f"--concurrent-serviceaccount-token-syncs={WORKERS}",
    ]


def scheduler(kubeconfig: Path) -> Argv:
    """Return the command line of kube-scheduler, without a port of its own."""
    return [
        binary("kube-scheduler"),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        *CLIENT_LIMITS,
    ]


def nodes(kubeconfig: Path) -> Argv:
    """Return the command line of kwok, which plays the kubelets of all nodes."""
    return [
        binary("kwok"),
        f"--kubeconfig={kubeconfig}",
        f"--config={NODE_CONFIG}",
    ]
