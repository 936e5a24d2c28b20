"""`withdraw` on the rig: nothing of the installation is left, or nothing but access; external statements stay."""

import json
from collections.abc import Iterator

import pytest

from rig.permissions import PROGRAM
from rig.space import Space
from tests.cli.commands import environment, run
from tests.cli.withdraw.spaces import EXTERNAL, FOR_PODS, POOL, ROLES, Made, a_space
from tests.e2e.observe import annotation

pytestmark = pytest.mark.rig

DONE, FAILED, WRONG, CHANGES, PROBLEMS = 0, 1, 2, 3, 4


@pytest.fixture
def here() -> Iterator[Made]:
    with a_space() as found:
        yield found


def test_nothing_of_the_installation_is_left(here: Made) -> None:
    before, calls = here.left(), here.space.aws.calls.copy()
    planned = here.withdraw("-o", "json")
    assert planned.code == CHANGES, planned
    assert here.left() == before, "a plan changes nothing"
    assert {one["namespace"] for one in planned.document["annotations"]} == set(here.irsa)
    named = [
        one["namespace"]
        for role in planned.document["roles"]
        for each in role["statements"]
        for one in each["serviceAccounts"]
    ]
    assert sorted(named) == here.irsa
    assert {one["namespace"] for one in planned.document["associations"]} == set(here.pods)
    assert planned.document["deployments"] == [{"namespace": here.irsa[0], "deployment": "mxp-controller"}]
    assert planned.document["leases"] == before["leases"]
    assert "nothing is changed without --approve" in here.withdraw().out

    done = here.withdraw("--approve", "-o", "json")
    assert (done.code, done.document["notDone"]) == (DONE, []), done
    left = here.left()
    assert left["policies"] == here.before, "as before the product came, in content and order"
    assert set(left["associations"]) == {EXTERNAL}
    assert set(left["annotations"].values()) == {None}
    assert (left["notes"], left["leases"]) == ([], [])
    assert here.trusted() == []
    here.assert_external_statements_never_changed()

    again = here.withdraw("--approve")
    assert (again.code, again.out) == (DONE, "nothing is left, problems: 0\n"), again
    assert calls != here.space.aws.calls


def test_kept_access_is_a_plain_statement_of_the_same_subjects_and_associations_without_tags(here: Made) -> None:
    before = here.left()
    done = here.withdraw("--keep-access", "--approve")
    assert done.code == DONE, done
    left = here.left()
    assert here.managed_sids() == []
    for role in ROLES:
        expected = [
            {**one, "Sid": one["Sid"].replace("MxpIdentity", "KeptAccess")} if "Mxp" in one["Sid"] else one
            for one in before["policies"][role]["Statement"]
        ]
        assert left["policies"][role] == {**before["policies"][role], "Statement": expected}
        assert len(here.space.policy(role)["Statement"]) == len(here.before[role]["Statement"]) + 1
    assert left["annotations"] == before["annotations"]
    arn = here.space.role_arn(FOR_PODS)
    assert left["associations"] == dict.fromkeys([*here.pods, EXTERNAL], (arn, {}))
    assert (left["notes"], left["leases"]) == ([], [])
    assert here.trusted() == here.irsa
    here.assert_external_statements_never_changed()

    again = here.withdraw("--keep-access", "--approve")
    assert (again.code, again.out) == (DONE, "nothing is left, problems: 0\n"), again
    plan = run("plan", "--config", str(here.file), "-o", "json", env=environment(here.space))
    assert [one for role in plan.document["roles"] for one in role["added"]] == [], "who comes back finds access"


def test_a_role_that_setup_made_keeps_one_statement_that_allows_nobody(here: Made) -> None:
    """IAM refuses a policy without a statement."""
    space, role = here.space, POOL[0]
    ours = [one for one in space.policy(role)["Statement"] if one["Sid"].startswith("MxpIdentity")]
    assert ours
    _write(space, role, ours)
    assert here.withdraw("--approve").code == DONE
    (left,) = space.policy(role)["Statement"]
    assert left["Sid"] == "AllowsNobody"
    assert here.trusted() == []


@pytest.mark.proof
def test_without_its_namespace_and_its_leases_it_does_the_same(here: Made) -> None:
    """As after `kubectl delete namespace`."""
    for one in here.left()["leases"]:
        here.space.cluster.api.delete(f"/apis/coordination.k8s.io/v1/namespaces/mxp-identity/leases/{one}")
    here.file.write_text(here.file.read_text().replace("namespace: mxp-identity", "namespace: mxp-gone"))
    text = here.file.read_text() + "installation: mxp-identity\n"
    here.file.write_text(text)
    done = here.withdraw("--approve")
    assert done.code == DONE, done
    assert here.left()["policies"] == here.before
    assert here.left()["leases"] == []


@pytest.mark.proof
def test_a_statement_for_pods_of_a_binding_that_is_not_in_the_file_is_named_and_left(here: Made) -> None:
    before = here.space.policy(FOR_PODS)
    here.file.write_text(here.file.read_text().replace("name: pods", "name: renamed"))
    done = here.withdraw("--approve")
    assert done.code == DONE, done
    assert "statement-left: " + here.space.role_arn(FOR_PODS) in done.out
    assert here.space.policy(FOR_PODS) == before
    assert set(here.left()["associations"]) == {EXTERNAL}


def test_another_installation_keeps_its_statements_associations_and_locks(here: Made) -> None:
    """Its release is in the same namespace."""
    text = here.file.read_text()
    other = here.file.with_name("other.yaml")
    other.write_text(text + "installation: canary\n")
    here.space.cluster.api.patch(f"/api/v1/namespaces/{EXTERNAL}", {"metadata": {"labels": {"team": "irsa"}}})
    assert run("apply", "--config", str(other), env=environment(here.space)).code == DONE
    labels = {"mxp-identity/component": "webhook", "app.kubernetes.io/instance": "canary"}
    metadata = {"name": "canary", "namespace": "mxp-identity", "labels": labels}
    here.space.cluster.create(
        [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": metadata,
                "data": {"config.yaml": other.read_text()},
            }
        ]
    )
    pod = {"name": "canary-1", "namespace": "mxp-identity", "labels": labels}
    spec = {"serviceAccountName": PROGRAM, "containers": [{"name": "webhook", "image": "none"}]}
    here.space.cluster.create([{"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": spec}])
    theirs = here.managed_sids()
    done = here.withdraw("--approve", "--keep-access")
    assert done.code == DONE, done
    left = set(here.managed_sids())
    assert 0 < len(left) < len(set(theirs))
    assert [name for name in here.left()["leases"] if "leader" not in name], "it takes the same locks"


@pytest.mark.proof
def test_what_a_binding_has_given_up_is_found_by_its_lease(here: Made) -> None:
    """A role that no binding has any more keeps a statement; its Lease names it."""
    text = here.file.read_text()
    arn = here.space.role_arn(POOL[0])
    here.file.write_text(text.replace(f"  - {arn}\n", ""))
    assert arn not in here.file.read_text()
    assert here.withdraw("--approve").code == DONE
    assert here.left()["policies"] == here.before


@pytest.mark.proof
def test_an_annotation_of_another_role_stays(here: Made) -> None:
    here.space.cluster.api.patch(
        f"/api/v1/namespaces/{here.irsa[0]}/serviceaccounts/mxp-controller",
        {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/by-hand"}}},
    )
    assert here.withdraw("--approve").code == DONE
    assert annotation(here.space, here.irsa[0]) == "arn:aws:iam::123456789012:role/by-hand"


def _write(space: Space, role: str, statements: list[object]) -> None:
    document = json.dumps({**space.policy(role), "Statement": statements})
    space.aws.admin_client("iam").update_assume_role_policy(RoleName=role, PolicyDocument=document)
