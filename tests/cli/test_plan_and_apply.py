"""`plan` and `apply` on the rig: what they print is what they do, beside a program that serves or without one."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import yaml

from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.space import Space
from tests.cli.commands import Person, run_on_terminal, without_codes
from tests.e2e.observe import annotation, external_parts, is_trusted
from tests.e2e.replicas import api_server
from tests.e2e.scenes import account_path, create_account, create_namespace, label
from webhook.iam.statement import OwnStatement
from webhook.model.names import IssuerUrl, RoleArn, Subject

LARGE = 131072
ESCAPE = "\x1b["
OTHER_ISSUER = f"https://oidc.eks.eu-west-1.amazonaws.com/id/{'C3' * 16}"
NOT_SELECTED: dict[str, str | None] = {"internal.spaces.upbound.io/controlplane-name": None}


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    """An API server alone: with no controller to finish deleting, control planes lose their label."""
    with api_server() as cluster, Space(cluster=cluster, roles=["mxp-backup", "dropped"], quota=LARGE) as running:
        yield running


@pytest.fixture
def person(space: Space) -> Iterator[Person]:
    """Who binds one of the roles; afterwards nothing is left in both."""
    before = {role: space.policy(role) for role in ("mxp-backup", "dropped")}
    (binding,) = space.configuration()["bindings"]
    yield Person(space, bindings=[{**binding, "roles": [space.role_arn("mxp-backup")]}])
    for role, policy in before.items():
        _put(space, role, policy)
    for item in space.cluster.api.get("/api/v1/namespaces")["items"]:
        if item["metadata"]["name"].startswith("mxp-") and item["metadata"]["name"] != "mxp-identity":
            label(space, item["metadata"]["name"], NOT_SELECTED)
            with suppress(ApiError):
                space.cluster.api.delete(account_path(item["metadata"]["name"]))


@pytest.mark.rig
def test_control_planes_from_before_are_planned_and_then_annotated_and_trusted(
    space: Space, person: Person
) -> None:
    bare, by_hand = create_namespace(space), create_namespace(space)
    create_account(space, bare)
    create_account(space, by_hand, "arn:aws:iam::123456789012:role/by-hand")
    others = external_parts(space.aws.history("mxp-backup")[-1].document)
    calls = len(space.aws.history("mxp-backup"))

    plan = person("plan", "-o", "json")
    assert plan.code == 3
    (role,) = plan.document["roles"]
    assert [one["namespace"] for one in role["added"]] == [bare]
    assert [(one["namespace"], one["replacing"]) for one in plan.document["annotations"]] == [(bare, None)]
    assert [one["kind"] for one in plan.document["problems"]] == ["external-annotation"]
    assert len(space.aws.history("mxp-backup")) == calls, "a plan writes nothing"

    applied = person("apply")
    assert applied.code == 4, "what a person must correct is left"
    assert f"+ control-plane  {bare}/{SERVICE_ACCOUNT}" in applied.out
    assert annotation(space, bare) == space.role_arn("mxp-backup")
    assert is_trusted(space, bare)
    assert annotation(space, by_hand) == "arn:aws:iam::123456789012:role/by-hand"
    assert external_parts(space.aws.history("mxp-backup")[-1].document) == others
    assert len(space.aws.history("mxp-backup")) == calls + 1, "one write"

    again = person("plan", "-o", "json")
    assert (again.code, again.document["changes"]) == (4, False)


@pytest.mark.rig
def test_removals_are_left_to_the_reconciler_unless_approved(space: Space, person: Person) -> None:
    stays, goes = create_namespace(space), create_namespace(space)
    for namespace in (stays, goes):
        create_account(space, namespace)
    assert person("apply").code == 0
    label(space, goes, NOT_SELECTED)

    plan = person("plan", "-o", "json").document
    assert [(one["namespace"], one["why"]) for one in plan["roles"][0]["removed"]] == [
        (goes, "no binding wants it in this role")
    ]
    left = person("apply")
    assert "left to the reconciler, its grace and its limit, or to --approve: 1 to remove" in left.out
    assert is_trusted(space, goes)

    approved = person("apply", "--approve", "-o", "json")
    assert approved.code in {0, 4}, approved.err
    assert approved.document["roles"] == plan["roles"]
    assert approved.document["done"] == [f"{space.role_arn('mxp-backup')}: 1 removed"]
    assert approved.document["notDone"] == []
    assert not is_trusted(space, goes)
    assert is_trusted(space, stays)
    assert not person("plan", "-o", "json").document["changes"]


@pytest.mark.rig
def test_plan_prints_how_many_removals_wait_for_the_limit_of_an_hour(space: Space, person: Person) -> None:
    crowd = [create_namespace(space) for _ in range(5)]
    for namespace in crowd:
        create_account(space, namespace)
    assert person("apply").code == 0
    limit = "of which the limit of an hour allows 3 now: the running program removes the longest unused first"
    for number, namespace in enumerate(crowd[:4], 1):
        label(space, namespace, NOT_SELECTED)
        plan = person("plan", "-o", "json")
        assert plan.document["limit"] == {"due": number, "allowed": 3, "waiting": max(number - 3, 0)}
        assert (f"! removals: {number}, {limit}" in person("plan").out) == (number > 3)

    left = person("apply")
    assert "left to the reconciler, its grace and its limit, or to --approve: 4 to remove\n" in left.out
    approved = person("apply", "--approve")
    assert "`mxp-identity apply --approve` removes all" in approved.out
    assert [is_trusted(space, namespace) for namespace in crowd] == [False] * 4 + [True]
    assert person("plan", "-o", "json").document["limit"] is None


@pytest.mark.rig
def test_our_statement_changed_by_hand_is_planned_as_a_repair_and_repaired(space: Space, person: Person) -> None:
    namespace = create_namespace(space)
    create_account(space, namespace)
    assert person("apply").code == 0
    whole = space.policy("mxp-backup")
    edited = copy.deepcopy(whole)
    del edited["Statement"][-1]["Condition"]["StringEquals"]
    _put(space, "mxp-backup", edited)

    plan = person("plan", "-o", "json").document
    assert [role["repaired"] for role in plan["roles"]] == [True]
    applied = person("apply")
    assert applied.code == 0, applied.err
    assert space.policy("mxp-backup") == whole


@pytest.mark.rig
def test_a_cluster_that_is_gone_is_retired_and_the_live_one_is_not(space: Space, person: Person) -> None:
    namespace = create_namespace(space)
    create_account(space, namespace)
    assert person("apply").code == 0
    policy = space.policy("mxp-backup")
    _put(space, "mxp-backup", {**policy, "Statement": [*policy["Statement"], _of_another_cluster(space)]})
    options = ("--retire-issuer", OTHER_ISSUER, "--installation", "elsewhere")

    shown = person("apply", *options)
    assert shown.code == 3
    assert "- mxp-far-system/mxp-controller" in shown.out
    assert len(space.policy("mxp-backup")["Statement"]) == len(policy["Statement"]) + 1

    done = person("apply", *options, "--approve")
    assert done.code == 0, done.err
    assert space.policy("mxp-backup") == policy
    again = person("apply", *options, "--approve")
    assert (again.code, again.out) == (2, "")
    assert f"no role of the bindings names {OTHER_ISSUER} in its trust policy" in again.err

    refused = person("apply", "--retire-issuer", space.cluster.issuer, "--approve")
    assert refused.code == 2
    assert "this cluster's own live issuer" in refused.err
    assert space.policy("mxp-backup") == policy


@pytest.mark.rig
@pytest.mark.usefixtures("person")
def test_a_role_that_is_no_longer_bound_is_retired_and_one_that_is_bound_is_not(space: Space) -> None:
    before = space.policy("dropped")
    (binding,) = space.configuration()["bindings"]
    namespace = create_namespace(space)
    create_account(space, namespace, space.role_arn("dropped"))
    formerly = Person(space, bindings=[{**binding, "roles": [space.role_arn("dropped")]}])
    assert formerly("apply").code == 0
    assert len(space.policy("dropped")["Statement"]) == len(before["Statement"]) + 1
    refused = formerly("apply", "--retire-role", space.role_arn("dropped"), "--approve")
    assert (refused.code, "is a role of binding backup" in refused.err) == (2, True)

    now = Person(space, bindings=[{**binding, "roles": [space.role_arn("mxp-backup")]}])
    report = now("report", "-o", "json").document["access"]
    assert "retired-role" in {one["finding"] for one in report if one["role"].endswith("/dropped")}
    mistyped = now("apply", "--retire-role", space.role_arn("droped"), "--approve", "-o", "json")
    assert (mistyped.code, mistyped.out) == (2, "")
    assert f"there is no role {space.role_arn('droped')} " in mistyped.err
    assert mistyped.err.endswith(f"no binding names them: {space.role_arn('dropped')}\n")
    assert now("apply", "--retire-role", space.role_arn("dropped")).code == 3
    assert now("apply", "--retire-role", space.role_arn("dropped"), "--approve").code == 0
    assert space.policy("dropped") == before
    again = now("apply", "--retire-role", space.role_arn("dropped"), "--approve")
    assert (again.code, "has no statement of this installation" in again.err) == (2, True)


@pytest.mark.rig
def test_the_report_has_the_principals_that_may_assume_the_role_and_why(space: Space, person: Person) -> None:
    trusted = create_namespace(space)
    create_account(space, trusted)
    assert person("apply").code == 0
    untrusted = create_namespace(space)
    create_account(space, untrusted)

    lines = person("report", "-o", "json").document["access"]
    found = {(one["namespace"] or one["principal"], one["finding"]) for one in lines}
    assert (trusted, "as-wanted") in found
    assert (untrusted, "not-trusted") in found
    assert (f"arn:aws:iam::{space.aws.account}:root", "external") in found

    only = person("report", "-o", "json", "--differences").document["access"]
    assert {one["namespace"] for one in only} == {untrusted}
    assert f"{trusted}/{SERVICE_ACCOUNT}" in person("report").out
    rows = person("report", "-o", "csv").out.splitlines()
    assert rows[0].startswith(
        "role,principal,controlPlane,group,namespace,issuer,statement,sid,association,owner,"
    )
    assert rows[0].endswith(",ownerArn,finding,difference,why")
    assert len(rows) == len(lines) + 1


@pytest.mark.rig
def test_every_command_prints_for_people_and_for_programs(space: Space, person: Person) -> None:
    create_account(space, create_namespace(space))
    wide = {**person.environment, "COLUMNS": "400"}
    for command in ("plan", "report", "verify"):
        _, shown = run_on_terminal(command, "--config", str(person.file), env=wide)
        piped = person(command).out
        assert ESCAPE in shown
        assert ESCAPE not in piped, "no colours but on a terminal"
        assert set(piped.split()) <= set(without_codes(shown).split())
    first = {"plan": "changes", "report": "access", "verify": "webhook", "restart": "restarts", "apply": "changes"}
    for command, key in first.items():
        assert key in yaml.safe_load(person(command, "-o", "yaml").out)


@pytest.mark.rig
def test_apply_and_a_program_that_serves_take_turns(space: Space, person: Person) -> None:
    """The grants of both are there at the end, in any order of writes."""
    namespaces = [create_namespace(space) for _ in range(6)]
    for namespace in namespaces[:3]:
        create_account(space, namespace)
    configuration = space.configuration(bindings=_bindings(space))
    webhook = space.start_webhook(configuration, wait=False)
    try:
        applied = person("apply")
        assert applied.code == 0, applied.err
        for namespace in namespaces[3:]:
            create_account(space, namespace)
        assert person("apply").code == 0
        assert all(is_trusted(space, namespace) for namespace in namespaces)
    finally:
        webhook.process.kill()


def _bindings(space: Space) -> list[dict[str, Any]]:
    (binding,) = space.configuration()["bindings"]
    return [{**binding, "roles": [space.role_arn("mxp-backup")]}]


def _of_another_cluster(space: Space) -> dict[str, Any]:
    """What this program, installed as `elsewhere` in another cluster, has left in a role."""
    role = RoleArn(space.role_arn("mxp-backup"))
    own = OwnStatement.for_role(role, IssuerUrl(OTHER_ISSUER), "elsewhere")
    return own.render([Subject("mxp-far-system", SERVICE_ACCOUNT)])


def _put(space: Space, role: str, policy: dict[str, Any]) -> None:
    iam = space.aws.admin_client("iam")
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(policy))
