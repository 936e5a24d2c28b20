"""`migrate`: calls that cannot be, and what only a person can help with."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rig.aws.faults import Deny, Latency
from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.space import EKS_CLUSTER, Space
from tests.cli.commands import Person, Ran, start
from tests.e2e.pod_identity import association, make_by_hand
from tests.e2e.scenes import account_path, create_account, create_namespace, whole_space

pytestmark = pytest.mark.rig

FAILED, WRONG, CHANGES, PROBLEMS = 1, 2, 3, 4
ROLES = ["arn:aws:iam::123456789012:role/mxp-backup", "arn:aws:iam::123456789012:role/mxp-more"]
SWITCH = (
    "give the binding mode pod-identity in the running program's configuration, wait for its rollout, "
    "and run this again"
)

PODS_TRUST = (
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},'
    '"Action":["sts:AssumeRole","sts:TagSession"]}}'
)


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with whole_space(eks_lag=0, roles=("mxp-backup", "mxp-more")) as space:
        iam = space.aws.admin_client("iam")
        iam.update_assume_role_policy(RoleName="mxp-more", PolicyDocument=PODS_TRUST)
        yield space


def _binding(space: Space, **changed: Any) -> dict[str, Any]:
    (binding,) = space.configuration()["bindings"]
    return {**binding, "roles": space.roles[:1], **changed}


@pytest.mark.parametrize(
    ("changed", "arguments", "words"),
    [
        ({}, ("restore", "--to", "irsa"), 'no binding "restore"; available: backup'),
        ({"mode": "annotate"}, ("backup", "--to", "irsa"), "trust is not managed"),
        ({"namespaces": {"selector": {"matchLabels": {"a": "b"}}}}, ("backup", "--to", "pod-identity"), "pattern"),
        ({"roles": ROLES}, ("backup", "--to", "pod-identity"), "mode pod-identity takes one role"),
        ({"cluster": {}}, ("backup", "--to", "pod-identity"), "cluster.name: is missing"),
        ({"cluster": {"name": "other"}}, ("backup", "--to", "pod-identity"), "cluster.name: "),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    space: Space, changed: dict[str, Any], arguments: tuple[str, ...], words: str
) -> None:
    cluster = changed.get("cluster", {"name": EKS_CLUSTER})
    binding = _binding(space, **{key: value for key, value in changed.items() if key != "cluster"})
    answer = Person(space, bindings=[binding], cluster=cluster)("migrate", *arguments)
    assert answer.code == WRONG, answer
    assert words in answer.err
    assert "Traceback" not in answer.err


@pytest.fixture
def three(space: Space) -> Iterator[None]:
    """Control planes that are gone afterwards."""
    made = [create_namespace(space) for _ in range(3)]
    for namespace in made:
        create_account(space, namespace)
    yield
    for namespace in made:
        space.cluster.api.delete(account_path(namespace))
        space.cluster.api.delete(f"/api/v1/namespaces/{namespace}")


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("output", ["table", "json"])
def test_what_was_done_is_printed_before_the_error_that_ends_it(space: Space, output: str) -> None:
    """AWS refuses to describe what has just been made."""
    person = Person(space, bindings=[_binding(space)], cluster={"name": EKS_CLUSTER})
    call = ("migrate", "backup", "--to", "pod-identity", "--approve", "--config", str(person.file), "-o", output)
    with space.aws.fault(Latency(actions=("CreatePodIdentityAssociation",), seconds=1.5)):
        process = start(*call, env=person.environment)
        space.aws.wait_until(lambda: "CreatePodIdentityAssociation" in space.aws.in_flight, timeout=30)
        with space.aws.fault(Deny(actions=("DescribePodIdentityAssociation",))):
            out, err = process.communicate(timeout=60)
    assert process.returncode == FAILED, err
    assert err.splitlines()[-1].startswith("Error: DescribePodIdentityAssociation: AccessDeniedException: ")
    assert "Traceback" not in err
    done = json.loads(out)["done"] if output == "json" else out.splitlines()
    assert done == [f"{'' if output == 'json' else 'done: '}3 associated"]


def test_only_a_person_can_help_with_external_associations_and_pods(space: Space) -> None:
    taken, bare, paused = (create_namespace(space) for _ in range(3))
    person = Person(space, bindings=[_binding(space)], cluster={"name": EKS_CLUSTER})
    for namespace in (taken, bare, paused):
        create_account(space, namespace)
    assert person("apply").code == 0
    space.cluster.create([objects.pod(bare, "by-hand"), objects.deployment(paused)])
    space.cluster.wait_for_deployment(paused, SERVICE_ACCOUNT)
    path = f"/apis/apps/v1/namespaces/{paused}/deployments/{SERVICE_ACCOUNT}"
    space.cluster.api.patch(path, {"spec": {"paused": True}})
    theirs = make_by_hand(space, taken, space.roles[1])

    first = person("migrate", "backup", "--to", "pod-identity", "--approve", "-o", "json")
    assert first.code == CHANGES, first
    assert _next(first) == {taken: "blocked", bare: "switch", paused: "switch"}
    shown = person("migrate", "backup", "--to", "pod-identity")
    assert shown.code == CHANGES
    assert shown.out.splitlines()[-2:] == ["binding backup to pod-identity: 2 switch, 1 blocked", SWITCH]

    switched = Person(space, bindings=[_binding(space, mode="pod-identity")], cluster={"name": EKS_CLUSTER})
    second = switched("migrate", "backup", "--to", "pod-identity", "--approve", "-o", "json")
    assert second.code == PROBLEMS, second
    whys = {one["namespace"]: one["why"] for one in second.document["serviceAccounts"]}
    assert theirs in whys[taken]
    assert "of no Deployment" in whys[bare]
    assert "paused" in whys[paused]
    found = association(space, taken)
    assert found is not None
    assert found.id == theirs
    shown = switched("migrate", "backup", "--to", "pod-identity")
    assert shown.out.splitlines()[-1] == "binding backup to pod-identity: 3 blocked"


def _next(answer: Ran) -> dict[str, str]:
    return {one["namespace"]: one["next"] for one in answer.document["serviceAccounts"]}
