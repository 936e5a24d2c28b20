"""Taking our statement out for good: exactly that one, and never a live one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.iam.policies import (
    ISSUER,
    OTHER_CLUSTER,
    OTHER_ISSUER,
    OWN,
    ROLE,
    SUBJECTS,
    shared_documents,
)
from tests.support.pods import CLUSTER, pods_of
from webhook.cli.apply.retirement import GoneCluster, retire_issuer, retire_role
from webhook.cli.plan.shown import plan_document, plan_lines
from webhook.cli.trust_statements import names_subjects
from webhook.iam.statement import OwnStatement
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.control_planes import ControlPlanes
from webhook.model.errors import InvalidNameError
from webhook.model.names import ClusterArn, IssuerUrl, RoleArn
from webhook.model.selectors import NamePattern, NamespaceSelector
from webhook.planning.plan import Plan
from webhook.planning.snapshot import AccountSnapshot, Installation

BINDING = Binding("backup", "mxp-controller", NamespaceSelector((), NamePattern("*")), Mode.IRSA, (ROLE,))
INSTALLATION = Installation("mxp-identity", ISSUER, (BINDING,))
UNBOUND = RoleArn("arn:aws:iam::123456789012:role/unbound")
RETIRED = RoleArn("arn:aws:iam::123456789012:role/retired")
GONE = GoneCluster(OTHER_ISSUER, "mxp-identity")
MISTYPED = IssuerUrl(f"https://oidc.eks.eu-west-1.amazonaws.com/id/{'B8' * 16}")
NOT_OF_A_CLUSTER: list[dict[str, Any]] = [
    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"},
    {
        "Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::123456789012:saml-provider/people"},
        "Action": "sts:AssumeRoleWithSAML",
    },
]


@given(shared_documents)
def test_a_retired_cluster_loses_its_statement_and_everything_else_stays(document: dict[str, Any]) -> None:
    policy = TrustPolicy(document)
    _removes_exactly(
        lambda: retire_issuer(GONE, INSTALLATION, AccountSnapshot({ROLE: policy})),
        policy,
        OTHER_CLUSTER,
    )


@given(shared_documents)
def test_a_role_no_longer_bound_loses_our_statement_and_everything_else_stays(document: dict[str, Any]) -> None:
    policy = TrustPolicy(document)
    _removes_exactly(lambda: retire_role(UNBOUND, INSTALLATION, AccountSnapshot({UNBOUND: policy})), policy, OWN)


@pytest.mark.parametrize("name", ["mxp-identity", "mxp-identity-canary"])
def test_the_cluster_s_own_issuer_is_refused_whatever_the_installation(name: str) -> None:
    account = AccountSnapshot({ROLE: TrustPolicy({"Statement": []})})
    with pytest.raises(InvalidNameError, match="own live issuer"):
        retire_issuer(GoneCluster(ISSUER, name), INSTALLATION, account)


def test_a_role_that_a_binding_names_is_refused() -> None:
    with pytest.raises(InvalidNameError, match="is a role of binding backup"):
        retire_role(ROLE, INSTALLATION, AccountSnapshot({ROLE: TrustPolicy({"Statement": []})}))


def test_a_role_that_could_not_be_read_is_a_problem_and_not_a_role_without_a_statement() -> None:
    account = AccountSnapshot({}, {UNBOUND: "GetRole: AccessDenied"})
    for plan in (
        retire_issuer(GONE, INSTALLATION, account),
        retire_role(UNBOUND, INSTALLATION, account),
    ):
        assert [(problem.role, problem.message) for problem in plan.problems] == [
            (UNBOUND, "GetRole: AccessDenied")
        ]


def test_an_issuer_that_no_role_names_is_refused_with_those_that_are_named() -> None:
    statements = [OWN.render([SUBJECTS[0]]), OTHER_CLUSTER.render([SUBJECTS[0]]), *NOT_OF_A_CLUSTER]
    account = AccountSnapshot({ROLE: TrustPolicy({"Statement": statements})})
    mistyped = GoneCluster(MISTYPED, "mxp-identity")
    with pytest.raises(InvalidNameError) as refused:
        retire_issuer(mistyped, INSTALLATION, account)
    assert str(refused.value) == (
        f"no role of the bindings names {MISTYPED} in its trust policy, so nothing is changed; issuers of other "
        f"clusters that they name: {OTHER_ISSUER}"
    )
    with pytest.raises(InvalidNameError, match="that they name: none"):
        retire_issuer(mistyped, INSTALLATION, AccountSnapshot({}, {ROLE: "gone"}, 0, frozenset({ROLE})))


def test_a_mistyped_installation_of_an_issuer_that_is_named_is_refused() -> None:
    account = AccountSnapshot({ROLE: TrustPolicy({"Statement": [OTHER_CLUSTER.render([SUBJECTS[0]])]})})
    with pytest.raises(InvalidNameError, match=r"not in a statement of installation mxp-identify.*--installation"):
        retire_issuer(GoneCluster(OTHER_ISSUER, "mxp-identify"), INSTALLATION, account)


NOT_THERE: dict[str, tuple[AccountSnapshot, str]] = {
    "no such role": (
        AccountSnapshot({}, {UNBOUND: "GetRole: NoSuchEntity"}, 0, frozenset({UNBOUND})),
        f"there is no role {UNBOUND} (GetRole: NoSuchEntity)",
    ),
    "nothing of ours in it": (
        AccountSnapshot({UNBOUND: TrustPolicy({"Statement": [OTHER_CLUSTER.render([SUBJECTS[0]])]})}),
        f"{UNBOUND} has no statement of this installation that names ServiceAccounts or is for their pods",
    ),
}


@pytest.mark.parametrize(("account", "why"), NOT_THERE.values(), ids=NOT_THERE)
def test_a_role_without_a_statement_of_ours_is_refused_with_those_that_have_one(
    account: AccountSnapshot, why: str
) -> None:
    ours = TrustPolicy({"Statement": [OWN.render([SUBJECTS[0]])]})
    for others, said in (({}, "none"), ({ROLE: ours, RETIRED: ours}, str(RETIRED))):
        known = replace(account, policies={**account.policies, **others})
        with pytest.raises(InvalidNameError) as refused:
            retire_role(UNBOUND, INSTALLATION, known)
        assert str(refused.value) == (
            f"{why}, so nothing is changed; roles known to have one although no binding names them: {said}"
        )


WITH_PODS = replace(INSTALLATION, eks=CLUSTER, bindings=(replace(BINDING, mode=Mode.POD_IDENTITY),))
PODS = pods_of(WITH_PODS.bindings[0])
OF_GONE = replace(PODS, cluster=ClusterArn(CLUSTER.value.replace("spaces-prod", "spaces-old")))
OF_ANOTHER_INSTALLATION = replace(PODS, installation="canary")


@given(shared_documents)
def test_a_role_no_longer_bound_loses_our_statement_for_pods_too(document: dict[str, Any]) -> None:
    """The binding that it was for has another role since, and perhaps another mode."""
    others = [OF_GONE.render(), OF_ANOTHER_INSTALLATION.render()]
    policy = TrustPolicy({**document, "Statement": [*TrustPolicy(document).statements, PODS.render(), *others]})
    for mode in Mode:
        installation = replace(WITH_PODS, bindings=(replace(BINDING, mode=mode),))
        plan = retire_role(UNBOUND, installation, AccountSnapshot({UNBOUND: policy}))
        (change,) = plan.roles
        left = [one for one in policy.statements if one.get("Sid") not in {OWN.sid, PODS.sid}]
        assert change.after.document == {**policy.document, "Statement": left}
        assert set(change.retired) == {one["Sid"] for one in policy.statements if one not in left}
        assert [OF_ANOTHER_INSTALLATION.sid in note.message for note in plan.notes] == [True], "of this cluster"


def test_a_statement_for_pods_of_a_binding_that_is_gone_needs_the_binding_s_name() -> None:
    account = AccountSnapshot({UNBOUND: TrustPolicy({"Statement": [replace(PODS, binding="gone").render()]})})
    plan = retire_role(UNBOUND, WITH_PODS, account)
    assert (plan.roles, ["--former-binding" in note.message for note in plan.notes]) == ((), [True])
    (change,) = retire_role(UNBOUND, WITH_PODS, account, ["gone"]).roles
    assert change.after.statements == [OWN.render_placeholder()]


def test_a_cluster_that_is_gone_loses_its_statements_for_pods_where_it_is_named() -> None:
    theirs, both = OTHER_CLUSTER.render(SUBJECTS[:1]), [PODS.render(), OF_GONE.render()]
    account = AccountSnapshot({ROLE: TrustPolicy({"Statement": [*both, theirs, OWN.render(SUBJECTS)]})})
    plan = retire_issuer(GONE, WITH_PODS, account)
    assert plan.roles[0].after.statements == [*both, OWN.render(SUBJECTS)]
    assert [OF_GONE.sid in note.message and "--cluster" in note.message for note in plan.notes] == [True]

    plan = retire_issuer(replace(GONE, arn=OF_GONE.cluster), WITH_PODS, account)
    assert plan.roles[0].after.statements == [PODS.render(), OWN.render(SUBJECTS)]
    assert plan.roles[0].retired == [OF_GONE.sid, OTHER_CLUSTER.sid]
    assert plan.notes == ()
    text = "\n".join(line for line, _ in plan_lines(plan, ControlPlanes()))
    assert f"- statement {OF_GONE.sid}: EKS assumes it for ServiceAccount mxp-controller" in text
    assert "statements for pods to remove: 1" in text
    assert plan_document(plan, ControlPlanes())["roles"][0]["podStatementsRemoved"] == [OF_GONE.sid]

    with pytest.raises(InvalidNameError, match="own live ARN"):
        retire_issuer(replace(GONE, arn=CLUSTER), WITH_PODS, account)
    nothing = AccountSnapshot({ROLE: TrustPolicy({"Statement": [PODS.render()]})})
    with pytest.raises(InvalidNameError, match=f"or one for pods of {OF_GONE.cluster}, so nothing is changed"):
        retire_issuer(replace(GONE, arn=OF_GONE.cluster), WITH_PODS, nothing)


def _removes_exactly(make_plan: Callable[[], Plan], policy: TrustPolicy, own: OwnStatement) -> None:
    if not names_subjects(policy, own):
        with pytest.raises(InvalidNameError, match="nothing is changed"):
            make_plan()
        return
    (change,) = make_plan().roles
    others = [statement for statement in policy.statements if not own.owns(statement)]
    left = others or [own.render_placeholder()]
    assert change.after.document == {**policy.document, "Statement": left}
    assert {item.subject for item in change.removed} == policy.subjects(own)
