import re
import signal
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import jwt
import pytest

from rig.kubernetes import ApiError, Cluster, Registration, objects
from rig.pki import Authority
from rig.ports import free_port
from rig.processes import ProcessFailedError
from rig.tools.catalogue import catalogue
from rig.waiting import eventually
from tests.rig.owners import Owner, nothing_is_left_of

pytestmark = pytest.mark.rig

ROLE = "arn:aws:iam::123456789012:role/mxp-backup"
ANNOTATION = "eks.amazonaws.com/role-arn"


def bare_cluster(*api_server_flags: str) -> Cluster:
    return Cluster(controllers=False, nodes=0, eks_webhook=False, api_server_flags=api_server_flags)


def annotated_control_plane(name: str) -> list[objects.Object]:
    items = objects.control_plane(name)
    items[1]["metadata"]["annotations"] = {ANNOTATION: ROLE}
    return items


def namespace_of(items: list[objects.Object]) -> str:
    return str(items[0]["metadata"]["name"])


def environment_of(pod: objects.Object) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0].get("env", [])}


def test_a_control_planes_deployment_becomes_available(cluster: Cluster) -> None:
    items = objects.control_plane("available")

    cluster.create(items)

    deployment = cluster.wait_for_deployment(namespace_of(items), "mxp-controller")
    assert deployment["status"]["availableReplicas"] == 1
    assert [pod["status"]["phase"] for pod in cluster.pods(namespace_of(items))] == ["Running"]


def test_the_api_server_is_of_the_version_that_was_chosen(cluster: Cluster) -> None:
    pinned = catalogue()["kube-apiserver"].pinned_version("k8s.io/kubernetes")
    assert cluster.api.get("/version")["gitVersion"] == pinned


def test_a_pod_of_an_annotated_service_account_gets_its_role_from_ekss_webhook(cluster: Cluster) -> None:
    items = annotated_control_plane("annotated")
    cluster.create(items)
    cluster.wait_for_deployment(namespace_of(items), "mxp-controller")

    environments = [environment_of(pod) for pod in cluster.pods(namespace_of(items))]

    assert [environment["AWS_ROLE_ARN"] for environment in environments] == [ROLE]


def test_a_pod_of_an_associated_service_account_gets_its_credentials_address(cluster: Cluster) -> None:
    assert cluster.eks_webhook
    items = objects.control_plane("associated")
    namespace = namespace_of(items)
    cluster.create(items[:2])
    cluster.eks_webhook.set_associations([(namespace, "mxp-controller")])

    def has_address() -> bool:
        dry = cluster.api.create(objects.pod(namespace, "dry"), dryRun="All")
        return "AWS_CONTAINER_CREDENTIALS_FULL_URI" in environment_of(dry)

    eventually(has_address, "EKS's webhook learns of the association")


def test_a_token_verifies_against_the_published_keys(cluster: Cluster) -> None:
    token = cluster.token("default", "default", audience="sts.amazonaws.com")
    key_id = jwt.get_unverified_header(token)["kid"]
    key = next(key for key in jwt.PyJWKSet.from_dict(cluster.jwks()).keys if key.key_id == key_id)

    claims = jwt.decode(token, key, audience="sts.amazonaws.com", issuer=cluster.issuer)

    assert claims["sub"] == "system:serviceaccount:default:default"
    assert re.fullmatch(r"https://oidc\.eks\.us-west-2\.amazonaws\.com/id/[0-9A-F]{32}", cluster.issuer)


def test_a_token_bound_to_a_pod_names_it(cluster: Cluster) -> None:
    pod = cluster.api.create(objects.pod("default", "bound", "default"))

    token = cluster.token("default", "default", bound_pod=("bound", pod["metadata"]["uid"]))

    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["kubernetes.io"]["pod"]["name"] == "bound"


def test_a_service_accounts_kubeconfig_has_its_rights_and_no_more(cluster: Cluster) -> None:
    kubeconfig = str(cluster.kubeconfig_for("default", "default"))

    whoami = cluster.kubectl(
        "--kubeconfig", kubeconfig, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"
    )
    refused = cluster.kubectl("--kubeconfig", kubeconfig, "get", "secrets")

    assert whoami.stdout == "system:serviceaccount:default:default"
    assert refused.returncode
    assert "forbidden" in refused.stderr


def test_kubectl_shows_the_api_servers_warnings_and_so_does_the_client(cluster: Cluster) -> None:
    odd = objects.namespace("odd") | {"specification": {}}

    reply = cluster.api.post("/api/v1/namespaces", odd, fieldValidation="Warn", dryRun="All")
    shown = cluster.kubectl(
        "create",
        "--dry-run=server",
        "--validate=warn",
        "-f",
        "-",
        stdin="{apiVersion: v1, kind: Namespace, metadata: {name: odd}, x: 1}",
    )

    assert reply.warnings == ['unknown field "specification"']
    assert 'Warning: unknown field "x"' in shown.stderr


def test_a_refused_request_says_why(cluster: Cluster) -> None:
    with pytest.raises(ApiError, match=r'404 NotFound: namespaces "nowhere" not found') as refused:
        cluster.api.get("/api/v1/namespaces/nowhere")

    assert (refused.value.code, refused.value.reason) == (404, "NotFound")


def test_applying_twice_changes_nothing(cluster: Cluster) -> None:
    items = objects.control_plane("twice")[:2]

    first, second = cluster.apply(items), cluster.apply(items)

    versions = [[item["metadata"]["resourceVersion"] for item in replies] for replies in (first, second)]
    assert versions[0] == versions[1]


def test_the_audit_log_has_service_accounts_with_their_bodies(cluster: Cluster) -> None:
    items = annotated_control_plane("audited")
    cluster.create(items[:2])

    events = [
        event
        for event in cluster.audit_events()
        if event.get("objectRef", {}).get("namespace") == namespace_of(items)
        and event["objectRef"]["resource"] == "serviceaccounts"
        and event["objectRef"]["name"] == "mxp-controller"
    ]

    assert [event["verb"] for event in events] == ["create"]
    assert events[0]["requestObject"]["metadata"]["annotations"] == {ANNOTATION: ROLE}
    assert events[0]["user"]["username"] == "admin"


def test_the_api_servers_metrics_count_requests(cluster: Cluster) -> None:
    labels = {"resource": "namespaces", "verb": "POST", "code": "201"}
    before = cluster.metrics().total("apiserver_request_total", **labels)

    cluster.create([objects.namespace("counted")])

    assert cluster.metrics().total("apiserver_request_total", **labels) == before + 1


def test_a_registered_webhook_is_called_for_the_given_names_only(cluster: Cluster) -> None:
    unused = f"https://127.0.0.1:{free_port()}/mutate"
    authority = Authority()
    cluster.register_webhook("absent", Registration(unused, authority.certificate, failure_policy="Fail"))
    try:
        ours, other = objects.service_account("default"), objects.service_account("default", "other")
        elsewhere = objects.service_account("kube-system")

        def refusal() -> str:
            try:
                cluster.api.create(ours, dryRun="All")
            except ApiError as error:
                return error.message
            return ""

        assert "failed calling webhook" in eventually(refusal, "the API server learns of the webhook")
        for item in (other, elsewhere):
            cluster.api.create(item, dryRun="All")
    finally:
        cluster.api.delete("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/absent")


def test_an_api_server_that_was_down_comes_back_with_everything(cluster: Cluster) -> None:
    items = annotated_control_plane("outage")
    cluster.create(items[:1])
    with cluster.stopped("kube-apiserver"), pytest.raises(httpx.TransportError):
        cluster.api.get("/api/v1/namespaces")

    cluster.create(items[1:])

    cluster.wait_for_deployment(namespace_of(items), "mxp-controller")
    assert all(process.running for process in cluster.parts.values())


def test_without_ekss_webhook_pods_start_without_identity(cluster: Cluster) -> None:
    items = annotated_control_plane("no-eks-webhook")
    namespace = namespace_of(items)
    cluster.create(items[:2])

    with cluster.stopped("eks-pod-identity-webhook"):
        without = cluster.api.create(objects.pod(namespace, "without"))
    after = cluster.api.create(objects.pod(namespace, "after"))

    assert "AWS_ROLE_ARN" not in environment_of(without)
    assert environment_of(after)["AWS_ROLE_ARN"] == ROLE


def test_clusters_side_by_side_know_nothing_of_each_other() -> None:
    clusters = [bare_cluster(), bare_cluster()]
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        first, second = pool.map(stack.enter_context, clusters)
        first.create([objects.namespace("mine")])

        with pytest.raises(ApiError, match="404"):
            second.api.get("/api/v1/namespaces/mine")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(second.url, verify=ssl.create_default_context(cafile=str(first.ca_file)))
        assert first.issuer != second.issuer

    assert all(nothing_is_left_of(cluster.workspace.path) for cluster in clusters)


def test_a_part_that_does_not_start_is_named_with_its_last_words_and_nothing_is_left() -> None:
    cluster = bare_cluster("--no-such-flag")

    with pytest.raises(ProcessFailedError, match=r"(?s)kube-apiserver ended with exit code 1.*no-such-flag"):
        cluster.__enter__()

    assert nothing_is_left_of(cluster.workspace.path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_cluster_whose_owner_is_killed_is_gone(number: signal.Signals) -> None:
    Owner(
        "from rig.kubernetes import Cluster\n"
        "with Cluster(controllers=False, nodes=0, eks_webhook=False) as cluster:\n"
        "    workspace = cluster.workspace"
    ).end(number)
