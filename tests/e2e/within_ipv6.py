"""The whole way with IPv6 alone, run as a program within a network namespace of its own; see test_ipv6.

The API server calls the release's Service, which leads to an endpoint on a unique local address. The program
listens where the chart says, and calls the API server at such an address too. Only what watches uses IPv4.
"""

import sys

from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.credentials import Endpoint
from rig.kubernetes.place import Place
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.own_releases import FULLNAME, NAMESPACE, OwnRelease
from tests.e2e.scenes import create_account, create_namespace

API_SERVER, POD = "fd00:6d78::1", "fd00:6d78:1::7"
"""Addresses of this network namespace: the API server's, first of its range of Services, and a pod's."""

SERVICES = f"{API_SERVER.removesuffix('1')}/112"
FLAGS = (
    "--bind-address=::",
    f"--advertise-address={POD}",
    "--enable-aggregator-routing=true",  # it calls endpoints itself: no kube-proxy is here
)


def main() -> None:
    """Create a control plane, and see that it got its identity by way of the Service."""
    cluster = Cluster(nodes=0, eks_webhook=False, api_server_flags=FLAGS)
    cluster.place = Place(services=(SERVICES, API_SERVER))
    with cluster, Space(cluster=cluster) as space:
        release = OwnRelease(space)
        values = release.values(service={"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]})
        release.helm.install(values, "--create-namespace")
        credentials = cluster.server.credentials
        endpoint = Endpoint(f"https://[{API_SERVER}]:{cluster.server.port}", credentials.ca_file)
        token = cluster.token(NAMESPACE, FULLNAME)
        kubeconfig = credentials.write_kubeconfig("pod", endpoint, token, NAMESPACE)
        webhook = release.start_replica(FULLNAME, kubeconfig)
        cluster.create([_slice(webhook.port)])
        release.wait_until_announced()
        eventually(space.is_called, "the API server calls the Service")
        namespace = create_namespace(space)
        create_account(space, namespace)
        service = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{FULLNAME}")
        assert service["spec"]["ipFamilies"] == ["IPv6"], service["spec"]
        assert annotation(space, namespace) == space.roles[0]
        assert is_trusted(space, namespace)
        calls = space.webhook_calls()
        assert calls.pop("200"), calls
        sys.stdout.write(f"annotated and trusted by way of {service['spec']['clusterIP']} and {POD}\n")


def _slice(port: int) -> objects.Object:
    """What the endpointslice controller would make of the release's pod."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{FULLNAME}-1",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": FULLNAME},
        },
        "addressType": "IPv6",
        "endpoints": [{"addresses": [POD], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


if __name__ == "__main__":
    main()
