"""A webhook that runs as its node's role is told from one that lacks a right, with the command for each."""

from dataclasses import replace
from typing import Any

import pytest

from tests.cli.verify.test_findings import BINDING, DENY_OF_SETUP, POD, PROGRAMS, REFUSAL, WELL, _shared
from tests.iam.policies import ROLE
from webhook.cli.verify.diagnosis import diagnose
from webhook.cli.verify.findings import Level
from webhook.cli.verify.webhook import check_own_pods
from webhook.model.bindings import Mode

RESTART = "kubectl rollout restart -n webhooks deployment -l mxp-identity/component=webhook"
KEPT = {"AWS_EC2_METADATA_DISABLED": "true"}
AS_NODE = (
    f"{ROLE} does not trust this ServiceAccount yet: AccessDenied: User: "
    "arn:aws:sts::123456789012:assumed-role/nodes/{session} is not authorized to perform: "
    f"iam:UpdateAssumeRolePolicy on resource: role {ROLE}"
)


def shared(*variables: dict[str, str], phase: str = "Running", **changes: Any) -> Any:
    pods = (
        replace(POD, name=f"webhook-{number}", variables=one, phase=phase) for number, one in enumerate(variables)
    )
    return _shared(DENY_OF_SETUP, own_pods=tuple(pods), **changes)


CASES: dict[str, tuple[Any, Level, str]] = {
    "kept from the node, without a role": (shared(KEPT), Level.BROKEN, "it has no credentials"),
    "kept from the node, with a role since": (
        shared(KEPT, own_role=PROGRAMS),
        Level.BROKEN,
        f"{PROGRAMS}: a restart",
    ),
    "as the node, with a role since": (
        shared({}, own_role=PROGRAMS),
        Level.BROKEN,
        "acts as the role of its node",
    ),
    "as the node, by choice": (shared({"AWS_REGION": "x"}), Level.NOTE, "give its ServiceAccount a role"),
    "one of two": (shared({"AWS_ROLE_ARN": "x"}, KEPT), Level.BROKEN, "webhook-1"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_webhook_without_an_identity_of_its_own_is_named_with_the_restart(case: str) -> None:
    facts, level, words = CASES[case]
    (found,) = check_own_pods(facts)
    assert (found.level, found.fix) == (level, RESTART)
    assert words in found.message


@pytest.mark.parametrize(
    "facts",
    [
        shared({"AWS_ROLE_ARN": "x"}),
        shared({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "x"}),
        shared({"AWS_ACCESS_KEY_ID": ""}),
        shared({}, phase="Pending"),
        shared({}, binding=replace(BINDING, mode=Mode.ANNOTATE)),
        shared(),
        _shared(),
    ],
    ids=["by token", "by the agent", "by a key", "not running", "no binding needs AWS", "no pods", "not listed"],
)
def test_nothing_is_found_where_its_pods_have_one_or_need_none(facts: Any) -> None:
    assert list(check_own_pods(facts)) == []


def trust_of(told: str) -> tuple[str, str | None]:
    verdict = diagnose(replace(WELL, pending=told), shared({}, own_role=PROGRAMS))
    (found,) = [one for one in verdict.findings if one.check == "trust"]
    return found.message, found.fix


def test_trust_refused_to_the_role_of_a_node_is_for_a_restart_and_no_right_is_added() -> None:
    message, fix = trust_of(AS_NODE.format(session="i-0123456789abcdef0"))
    assert "runs as the role of its node (assumed-role/nodes/i-0123456789abcdef0)" in message
    assert fix == RESTART


@pytest.mark.parametrize(
    "told", [REFUSAL, AS_NODE.format(session="mxp-identity-webhook-1")], ids=["none", "a pod's"]
)
def test_trust_refused_to_another_role_is_a_right_that_is_missing(told: str) -> None:
    message, fix = trust_of(told)
    assert "node (" not in message
    assert fix is not None
    assert fix.startswith("aws iam put-role-policy --role-name program")
