"""The image, installed by helm on a real node: what a control plane's pod gets."""

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from rig.kubernetes.api import Reply
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, host_namespace_name, namespace, service_account
from rig.node.client import FAILED, GOT, control_plane
from rig.node.images import Image
from rig.node.installation import Installation
from rig.node.node import Node
from rig.pods import environment_of, restarts_of, running_pod
from rig.space import Space
from rig.waiting import eventually
from tests.proof.records import Record

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

MANY = 20
PATIENCE_S = 180.0
ANNOTATION = "eks.amazonaws.com/role-arn"


def created(space: Space, image: Image, name: str) -> str:
    """A control plane, made as Spaces does; its host namespace."""
    host, account, deployment = control_plane(space, image, name)
    (_, reply, _) = space.cluster.create([host, account, deployment])
    assert reply["metadata"]["annotations"] == {ANNOTATION: space.roles[0]}
    assert not reply.warnings
    return str(host["metadata"]["name"])


def answers(node: Node, host: str, count: int = 1) -> list[str]:
    """The lines that the controller has printed, once there are so many."""

    def lines() -> list[str] | None:
        pod = running_pod(node, host)
        printed = node.logs(host, pod["metadata"]["name"]).splitlines() if pod else []
        return printed if len(printed) >= count else None

    return eventually(lines, f"{count} lines of the controller in {host}", timeout=PATIENCE_S)


def assert_identity_from_the_start(node: Node, host: str) -> None:
    lines = answers(node, host)
    assert lines[0].startswith(f"{GOT} arn:aws:sts::")
    assert ":assumed-role/mxp-backup/" in lines[0]
    assert not [line for line in lines if line.startswith(FAILED)]
    pod: dict[str, Any] | None = running_pod(node, host)
    assert pod
    assert restarts_of(pod) == 0
    assert "AWS_ROLE_ARN" in environment_of(pod)
    sets = node.api.get(f"/apis/apps/v1/namespaces/{host}/replicasets")["items"]
    assert len(sets) == 1


def test_the_program_runs_as_two_pods_that_the_api_server_calls_through_their_service(
    installed: Installation, node: Node
) -> None:
    configuration = node.api.get("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations")
    (entry,) = [item for item in configuration["items"] if item["metadata"]["name"] == installed.helm.release]
    assert entry["webhooks"][0]["clientConfig"]["service"]["name"] == installed.helm.release
    pods = installed.pods()
    assert [restarts_of(pod) for pod in pods] == [0, 0]
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["spec"]["securityContext"]["runAsUser"] == 65532
    assert set(installed.space.webhook_calls()) == {"200"}


def test_helms_own_test_of_the_release_passes(installed: Installation) -> None:
    printed = installed.helm.test()
    assert re.search(rf"^TEST SUITE: +{installed.helm.release}-test$", printed, re.MULTILINE)
    assert re.search(r"^Phase: +Succeeded$", printed, re.MULTILINE)


def test_a_control_planes_first_pod_gets_credentials_at_its_first_try(
    installed: Installation, node: Node, image: Image
) -> None:
    host = created(installed.space, image, "first")
    assert_identity_from_the_start(node, host)


def test_twenty_control_planes_at_once_get_credentials_at_their_first_try(
    installed: Installation, node: Node, image: Image, record: Record
) -> None:
    space = installed.space
    space.aws.forget_calls()
    with ThreadPoolExecutor(MANY) as pool:
        hosts = list(pool.map(lambda number: created(space, image, f"many-{number}"), range(MANY)))
    for host in hosts:
        assert_identity_from_the_start(node, host)
    refused = [call for call in space.aws.log if call.action == "AssumeRoleWithWebIdentity" and call.code != "OK"]
    assert not refused
    writes = space.aws.count("UpdateAssumeRolePolicy")
    assert writes < MANY
    record("Control planes made at once on a real node", pods=MANY, refused=len(refused), trust_writes=writes)
    for host in hosts:
        node.api.delete(f"/api/v1/namespaces/{host}")


def test_an_upgrade_in_the_middle_of_creations_changes_nothing(
    installed: Installation, node: Node, image: Image
) -> None:
    space, upgraded = installed.space, Event()
    before = {pod["metadata"]["name"] for pod in installed.pods()}

    def create_accounts() -> list[Reply]:
        made: list[Reply] = []
        while not upgraded.is_set() or len(made) < MANY:
            host = host_namespace_name()
            space.cluster.create([namespace(host, {CONTROL_PLANE_LABEL: "during"})])
            made += space.cluster.create([service_account(host)])
        return made

    with ThreadPoolExecutor(2) as pool:
        accounts = pool.submit(create_accounts)
        hosts = pool.submit(lambda: [created(space, image, f"during-{number}") for number in range(3)])
        try:
            installed.upgrade(admission={"trustBudget": "4s"})
        finally:
            upgraded.set()
    assert not before & {pod["metadata"]["name"] for pod in installed.pods()}
    for reply in accounts.result():
        assert reply["metadata"]["annotations"] == {ANNOTATION: space.roles[0]}
        assert not reply.warnings
    assert set(space.webhook_calls()) == {"200"}
    for host in hosts.result():
        assert_identity_from_the_start(node, host)


def test_after_an_uninstall_running_control_planes_keep_working_and_new_accounts_are_created(
    installed: Installation, node: Node, image: Image
) -> None:
    space = installed.space
    host = created(space, image, "stays")
    assert_identity_from_the_start(node, host)

    installed.helm.uninstall()

    seen = len(answers(node, host))
    later = answers(node, host, seen + 2)
    assert not [line for line in later if line.startswith(FAILED)]
    new = host_namespace_name()
    _, reply = space.cluster.create([namespace(new, {CONTROL_PLANE_LABEL: "after"}), service_account(new)])
    assert "annotations" not in reply["metadata"]
    assert not reply.warnings
    eventually(lambda: not installed.pods(), "the program's pods are gone", timeout=PATIENCE_S)
