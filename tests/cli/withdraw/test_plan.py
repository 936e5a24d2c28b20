"""What a withdrawal takes up: all that is this installation's, whatever bindings select now, and nothing else."""

from dataclasses import replace
from pathlib import Path

from tests.iam.policies import OTHER_ISSUER, OWN, ROLE, SUBJECTS
from tests.support.associating import ADDON, BINDING, GONE, INSTALLATION, NAME, PODS, A, B, association, found
from tests.support.pods import CLUSTER
from webhook.cli.snapshots.session import Where
from webhook.cli.withdraw.command import next_commands
from webhook.cli.withdraw.plan import (
    InCluster,
    MarkedDeployment,
    Obstacle,
    ObstacleKind,
    Withdrawal,
    make_withdrawal,
)
from webhook.iam.statement import OwnStatement
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Account, LiveNamespace
from webhook.model.names import RoleArn, Subject
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement
from webhook.planning.binding_matches import ProblemKind
from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation
from webhook.podidentity.association import FoundAssociations

LABELLED = NamespaceSelector((Requirement("team", Operator.EXISTS),), NamePattern("mxp-*-system"))
IRSA = replace(BINDING, mode=Mode.IRSA, namespaces=LABELLED)
HERE = Installation("mxp-identity", INSTALLATION.issuer, (IRSA,), eks=CLUSTER)
ELSEWHERE = RoleArn("arn:aws:iam::123456789012:role/elsewhere")


def cluster(annotations: dict[Subject, str | None], *selected: Subject) -> ClusterSnapshot:
    labels = {one.namespace: {"team": "a"} if one in selected else {} for one in annotations}
    namespaces = {name: LiveNamespace(name, "uid", kept, created=0.0) for name, kept in labels.items()}
    accounts = {
        (one.namespace, one.service_account): Account(one.namespace, one.service_account, role)
        for one, role in annotations.items()
    }
    return ClusterSnapshot(namespaces, accounts, at=1e6)


def account(*statements: object, seen: FoundAssociations | None = None) -> AccountSnapshot:
    return AccountSnapshot({ROLE: TrustPolicy({"Statement": list(statements)})}, quota=2048, associations=seen)


def withdrawal(
    state: ClusterSnapshot, there: AccountSnapshot, *, keeps: bool = False, installation: Installation = HERE
) -> Withdrawal:
    return make_withdrawal(installation, state, there, InCluster(), keeps_access=keeps)


def annotated(plan: Withdrawal) -> set[Subject]:
    return {one.subject for one in plan.annotations}


def test_annotations_are_removed_where_a_binding_selects_or_something_of_ours_names_the_account() -> None:
    bound, other = ROLE.value, "arn:aws:iam::123456789012:role/by-hand"
    unselected, left = Subject("mxp-unselected-system", NAME), Subject("mxp-left-system", NAME)
    state = cluster({A: bound, B: other, GONE: bound, unselected: bound, left: None}, A, B, left)
    there = account(OWN.render([GONE]), seen=found())
    assert annotated(withdrawal(state, there)) == {A, GONE}, (
        "the label of GONE was removed: its trust is there still"
    )
    seen = found(association(unselected), association(B, managed=False))
    assert annotated(withdrawal(state, account(seen=seen))) == {A, unselected}
    assert annotated(withdrawal(state, there, keeps=True)) == set()


def test_associations_are_ours_by_their_tags_alone() -> None:
    of_addon = association(GONE, owner_arn=ADDON)
    seen = found(association(A, role=ELSEWHERE.value), association(B, managed=False), of_addon)
    plan = withdrawal(cluster({}), account(seen=seen))
    assert [one.subject for one in plan.associations] == [A]
    assert plan.has_changes


def test_what_cannot_be_read_is_a_problem() -> None:
    there = AccountSnapshot({}, {ROLE: "GetRole: AccessDenied"}, associations=FoundAssociations(unread="no right"))
    plan = withdrawal(cluster({}), there)
    kinds = [(one.kind, one.message) for one in plan.problems]
    assert kinds == [
        (ProblemKind.UNREAD, "GetRole: AccessDenied"),
        (ProblemKind.ASSOCIATIONS_UNREAD, "no right"),
    ]


def test_a_changed_statement_keeps_a_role_from_being_rewritten_only_where_access_is_kept() -> None:
    there = account({**OWN.render(SUBJECTS), "Action": "sts:*"})
    kept = withdrawal(cluster({}), there, keeps=True)
    assert (kept.roles, [one.kind for one in kept.problems]) == ((), [ProblemKind.STATEMENT_CHANGED])
    assert "mxp-identity apply" in kept.problems[0].message
    removed = withdrawal(cluster({}), there)
    assert (len(removed.roles), removed.problems) == (1, ())


def test_statements_of_other_clusters_and_installations_are_no_part_of_it() -> None:
    others = [
        OwnStatement.for_role(ROLE, OTHER_ISSUER, "mxp-identity").render(SUBJECTS),
        OwnStatement.for_role(ROLE, HERE.issuer, "canary").render(SUBJECTS),
        replace(PODS, installation="canary").render(),
    ]
    plan = withdrawal(cluster({}), account(*others))
    assert not plan.has_changes
    assert [one.kind for one in plan.notes] == [ProblemKind.STATEMENT_LEFT], "for pods of this cluster"
    assert withdrawal(cluster({}), account(*others), installation=replace(HERE, eks=None)).notes == ()


def test_the_subjects_that_bindings_want_are_told_to_the_writer() -> None:
    plan = withdrawal(cluster({A: None, B: None}, A), account(OWN.render([B])))
    assert [one.wanted for one in plan.roles] == [{A}]
    other = Binding("other", NAME, LABELLED, Mode.IRSA, (ELSEWHERE,))
    elsewhere = replace(HERE, bindings=(other,))
    there = withdrawal(cluster({A: None}, A), account(OWN.render([B])), installation=elsewhere)
    assert [one.wanted for one in there.roles] == [set()], "no binding has the role any more"


def test_leases_and_notes_alone_are_something_to_do() -> None:
    left = InCluster(deployments=[MarkedDeployment("mxp-b", "one"), MarkedDeployment("mxp-a", "one")])
    plan = make_withdrawal(HERE, cluster({}), account(), left, keeps_access=True)
    assert plan.has_changes
    assert [one.namespace for one in plan.deployments] == ["mxp-a", "mxp-b"]


def test_the_next_steps_name_the_context_that_was_asked() -> None:
    uninstall = "helm uninstall mxp -n mxp-identity --wait"
    plan = Withdrawal(True, obstacles=(Obstacle(ObstacleKind.REGISTERED, "", uninstall),) * 2)  # noqa: FBT003
    get = "kubectl --context 'spaces prod' get configmap -n mxp-identity -l mxp-identity/component=webhook"
    assert next_commands(plan, Where(context="spaces prod"), "mxp-identity") == [
        rf"{get} -o 'jsonpath={{.items[*].data.config\.yaml}}' > config.yaml",
        "helm --kube-context 'spaces prod' uninstall mxp -n mxp-identity --wait",
        "mxp-identity withdraw --config config.yaml --context 'spaces prod' --keep-access --approve",
    ]
    assert next_commands(replace(plan, keeps_access=False), Where(Path("a.yaml")), "mxp-identity") == [
        uninstall,
        "mxp-identity withdraw --config a.yaml --approve",
    ]
