"""What is found of a control plane by the facts alone; that what is printed corrects it is shown on the rig."""

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.iam.policies import ISSUER, OTHER_CLUSTER, OWN, ROLE, hand_edited_documents, shared_documents
from tests.support.diagnosed import assert_another_context_is_asked, assert_found_once
from tests.support.hand_written import wildcard
from tests.support.printed_commands import commands_of, without_context
from webhook.cli.suggested_commands import PROGRAM_LABEL
from webhook.cli.verify.diagnosis import MISSPELT, diagnose
from webhook.cli.verify.findings import (
    ControlPlane,
    Diagnosis,
    Level,
    Pod,
    Registration,
    Shared,
    Trial,
    in_context,
)
from webhook.cli.verify.near_misses import near_misses
from webhook.cli.verify.trust_policies import check_first_statements, check_wide_trust
from webhook.cli.verify.webhook import check_webhook
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Account, LiveNamespace
from webhook.model.names import AUDIENCE, ROLE_ARN_ANNOTATION, ClusterArn, RoleArn, Subject
from webhook.model.oidc_provider import OidcProvider
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement
from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation, TrustedSubjects

NAME = "mxp-controller"
A = Subject("mxp-a-system", NAME)
PLANES = NamespaceSelector(
    (Requirement("plane", Operator.EXISTS), Requirement("stage", Operator.IN, frozenset({"live"}))),
    NamePattern("mxp-*-system"),
)
BINDING = Binding("backup", NAME, PLANES, Mode.IRSA, (ROLE,))
EKS = ClusterArn("arn:aws:eks:us-west-2:123456789012:cluster/spaces-prod")
LABELS = {"plane": "a", "stage": "live"}
PROVIDER = OidcProvider(OWN.provider_arn, (AUDIENCE,))
POD = Pod("mxp-1", "Running", None, {"AWS_ROLE_ARN": ROLE.value}, (AUDIENCE,), is_replaced=True)
WELL = ControlPlane(A, {ROLE_ARN_ANNOTATION: ROLE.value}, (POD,))


def _shared(
    *statements: dict[str, Any],
    labels: dict[str, str] | None = None,
    binding: Binding = BINDING,
    **changes: Any,
) -> Shared:
    policy = TrustPolicy({"Version": "2012-10-17", "Statement": list(statements or [OWN.render([A])])})
    namespace = LiveNamespace(A.namespace, "uid", LABELS if labels is None else labels)
    installation = Installation("mxp-identity", ISSUER, (binding,))
    account = changes.pop("account", AccountSnapshot({ROLE: policy}, quota=2048))
    shared = Shared(
        installation=installation,
        trusted=TrustedSubjects(account, installation),
        account=account,
        cluster=ClusterSnapshot({A.namespace: namespace}, {(A.namespace, NAME): Account(A.namespace, NAME)}),
        providers={PROVIDER.arn: PROVIDER},
        registrations=(Registration("mxp-identity-webhook", 2.0),),
        options=("--config", "my file.yaml"),
        now=1.0,
        namespace="webhooks",
    )
    return replace(shared, **changes)


def _problems(verdict: Diagnosis) -> list[tuple[str, str]]:
    return [(one.check, one.message) for one in verdict.findings if one.level is not Level.OK]


def test_of_a_control_plane_that_is_well_everything_was_looked_at() -> None:
    verdict = diagnose(WELL, _shared())
    assert verdict.worst is Level.OK
    assert [one.check for one in verdict.findings] == [
        "namespace", "annotation", "oidc-provider", "trust", "room", "pods",
    ]  # fmt: skip


def _annotated(**annotations: str) -> ControlPlane:
    return replace(WELL, annotations=annotations)


def _running(**changes: Any) -> ControlPlane:
    return replace(WELL, pods=(replace(POD, **changes),))


DENY = {"Sid": "Quarantine", "Effect": "Deny", "Principal": "*", "Action": "sts:*"}
OUTSIDE = {**DENY, "Sid": "Org", "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1234567890"}}}
SAME = "eks.amazonaws.com/role-arn"
GONE = AccountSnapshot({}, {ROLE: "GetRole: NoSuchEntity"}, 2048)
CASES: dict[str, tuple[ControlPlane, Shared, str, str, list[str] | None]] = {
    "labels that are missing": (
        WELL,
        _shared(labels={}),
        "namespace",
        "binding backup asks something else of label plane, stage",
        ["kubectl", "label", "--overwrite", "namespace", A.namespace, "plane=true", "stage=live"],
    ),
    "a name that does not fit": (
        WELL,
        _shared(binding=replace(BINDING, namespaces=NamespaceSelector((), NamePattern("other-*")))),
        "namespace",
        "its name does not fit the pattern of binding backup, other-*",
        None,
    ),
    "the guide's misspelt annotation": (
        _annotated(**{MISSPELT: ROLE.value}),
        _shared(),
        "annotation",
        "is misspelt",
        [
            "kubectl",
            "annotate",
            "--overwrite",
            "-n",
            A.namespace,
            "serviceaccount",
            NAME,
            f"{SAME}={ROLE}",
            f"{MISSPELT}-",
        ],
    ),
    "no annotation": (
        _annotated(),
        _shared(),
        "annotation",
        "is missing",
        ["kubectl", "annotate", "--overwrite", "-n", A.namespace, "serviceaccount", NAME, f"{SAME}={ROLE}"],
    ),
    "no ServiceAccount": (
        replace(WELL, annotations=None),
        _shared(),
        "service-account",
        "has no ServiceAccount",
        ["kubectl", "create", "-n", A.namespace, "serviceaccount", NAME],
    ),
    "no trust": (
        WELL,
        _shared(OTHER_CLUSTER.render([A])),
        "trust",
        "statement 1 (Sid MxpIdentity",
        ["mxp-identity", "apply", "--config", "my file.yaml"],
    ),
    "a Deny": (
        WELL,
        _shared(OWN.render([A]), DENY),
        "trust",
        "statement 2 (Sid Quarantine) of",
        [
            "aws",
            "iam",
            "update-assume-role-policy",
            "--role-name",
            ROLE.name,
            "--policy-document",
            json.dumps({"Version": "2012-10-17", "Statement": [OWN.render([A])]}, separators=(",", ":")),
        ],
    ),
    "a Deny that only AWS can judge": (
        WELL,
        _shared(OWN.render([A]), OUTSIDE),
        "trust",
        f"statement 2 (Sid Org) of {ROLE} may deny it, by conditions that only AWS can evaluate",
        ["mxp-identity", "verify", A.namespace, "--assume", "--config", "my file.yaml"],
    ),
    "a Deny with NotPrincipal": (
        WELL,
        _shared({"Effect": "Deny", "NotPrincipal": {"AWS": "*"}, "Action": "sts:*"}, OWN.render([A])),
        "trust",
        f"statement 1 of {ROLE} may deny it, by conditions that only AWS can evaluate",
        ["mxp-identity", "verify", A.namespace, "--assume", "--config", "my file.yaml"],
    ),
    "no provider": (
        WELL,
        _shared(providers={PROVIDER.arn: OidcProvider(PROVIDER.arn, None)}),
        "oidc-provider",
        "STS refuses every token",
        ["aws", "iam", "create-open-id-connect-provider", "--url", ISSUER.value, "--client-id-list", AUDIENCE],
    ),
    "a provider that may not be read": (
        WELL,
        _shared(providers={PROVIDER.arn: "AccessDenied: no"}),
        "oidc-provider",
        "AccessDenied: no",
        None,
    ),
    "a role that may not be read": (
        WELL,
        _shared(account=AccountSnapshot({}, {ROLE: "GetRole: AccessDenied: no"}, 2048)),
        "role",
        "could not be read: GetRole: AccessDenied: no",
        None,
    ),
    "a role that is gone": (
        WELL,
        _shared(account=GONE),
        "role",
        f"there is no role {ROLE}; recreated, it also needs its permissions",
        [
            "aws",
            "iam",
            "create-role",
            "--role-name",
            ROLE.name,
            "--assume-role-policy-document",
            json.dumps({"Version": "2012-10-17", "Statement": [OWN.render([A])]}, separators=(",", ":")),
        ],
    ),
    "a pod without identity": (
        _running(variables={}),
        _shared(),
        "pods",
        "mxp-1 started before",
        ["kubectl", "delete", "-n", A.namespace, "pod", "mxp-1"],
    ),
    "a pod of another role": (
        _running(variables={"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/old"}),
        _shared(),
        "pods",
        "mxp-1 runs with arn:aws:iam::123456789012:role/old",
        ["kubectl", "delete", "-n", A.namespace, "pod", "mxp-1"],
    ),
    "a pod that crashes": (
        _running(waiting="CrashLoopBackOff"),
        _shared(),
        "pods",
        "has its identity, and waits: CrashLoopBackOff",
        ["kubectl", "logs", "-n", A.namespace, "mxp-1", "--previous"],
    ),
    "a pod without identity or controller": (
        _running(variables={}, is_replaced=False),
        _shared(),
        "pods",
        "no controller recreates it",
        None,
    ),
    "a revoked control plane": (
        WELL,
        _shared(
            labels={**LABELS, "revoked": "yes"},
            binding=replace(
                BINDING, namespaces=NamespaceSelector((Requirement("revoked", Operator.DOES_NOT_EXIST),))
            ),
        ),
        "namespace",
        "label revoked excludes it from binding backup",
        None,
    ),
    "no pods": (replace(WELL, pods=()), _shared(), "pods", "none runs as mxp-controller", None),
}


@pytest.mark.parametrize("case", CASES)
def test_each_problem_is_found_once_with_the_command_that_corrects_it(case: str) -> None:
    assert_found_once(*CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_in_another_context_every_command_that_asks_a_cluster_asks_that_one(case: str) -> None:
    plane, shared, *_ = CASES[case]
    assert_another_context_is_asked(plane, shared)


@pytest.mark.parametrize("registrations", [(), (Registration("mxp", 2.0),)])
@pytest.mark.parametrize("now", [1.0, 3.0])
@pytest.mark.parametrize("self_managed", [True, False])
@pytest.mark.parametrize("deployments", [None, {}, {"mxp": 0}])
def test_in_another_context_the_webhook_is_corrected_there(
    registrations: tuple[Registration, ...], now: float, deployments: dict[str, int] | None, *, self_managed: bool
) -> None:
    shared = _shared(registrations=registrations, now=now, deployments=deployments)
    trial = Trial(annotated=False)
    found = check_webhook(shared, trial, self_managed=self_managed)
    (finding,) = in_context(found, "new")
    commands = commands_of([finding])
    assert commands
    for command in commands:
        assert "new" not in without_context(command, "new")


def test_beside_a_deny_that_may_hold_nothing_is_called_well_and_what_is_missing_is_found_too() -> None:
    well = diagnose(WELL, _shared(OWN.render([A]), OUTSIDE))
    assert well.worst is Level.UNKNOWN
    assert [one.level for one in well.findings if one.check == "trust"] == [Level.UNKNOWN]
    untrusted = diagnose(WELL, _shared(OUTSIDE))
    assert [one.level for one in untrusted.findings if one.check == "trust"] == [Level.BROKEN, Level.UNKNOWN]


IN_A_PATH = RoleArn("arn:aws:iam::123456789012:role/teams/mxp-backup")
NOT_FOR_SETUP = {
    "of another workload": replace(BINDING, service_account="vector"),
    "trust that is not managed": replace(BINDING, mode=Mode.ANNOTATE),
    "with a path": replace(BINDING, roles=(IN_A_PATH,)),
}


@pytest.mark.parametrize("mode", [Mode.IRSA, Mode.POD_IDENTITY])
def test_a_missing_role_for_backups_is_created_with_its_permissions_by_setup(mode: Mode) -> None:
    options = ("--release-namespace", "webhooks", "--own-role", "mxp-webhook")
    shared = _shared(account=GONE, binding=replace(BINDING, mode=mode), setup_options=options)
    if mode is Mode.POD_IDENTITY:
        shared = replace(shared, installation=replace(shared.installation, eks=EKS))
    (found,) = [one for one in diagnose(WELL, shared).findings if one.check == "role"]
    assert "setup with its permissions on the bucket NAME, and checks the webhook's own role too" in found.message
    assert found.template == (
        f"mxp-identity setup --bucket NAME --region NAME --role {ROLE.name} "
        "--release-namespace webhooks --own-role mxp-webhook --approve"
    )


@pytest.mark.parametrize("case", NOT_FOR_SETUP)
def test_setup_is_not_named_for_a_role_that_it_would_not_make(case: str) -> None:
    binding = NOT_FOR_SETUP[case]
    account = AccountSnapshot({}, dict.fromkeys(binding.roles, "GetRole: NoSuchEntity"), 2048)
    plane = replace(WELL, subject=Subject(A.namespace, binding.service_account))
    shared = _shared(account=account, binding=binding, setup_options=("--own-role", "mxp-webhook"))
    _names_no_setup(plane, shared)


def test_setup_is_not_named_where_it_would_make_a_second_role_for_the_webhook() -> None:
    _names_no_setup(WELL, _shared(account=GONE, setup_options=("--release-namespace", "webhooks")))


def _names_no_setup(plane: ControlPlane, shared: Shared) -> None:
    (found,) = [one for one in diagnose(plane, shared).findings if one.check == "role"]
    assert (found.template, "setup" in found.message) == (None, False)
    assert found.message.endswith("recreated, it also needs its permissions")


MORE = "raise the quota, or add a role to the binding"
NO_MORE = "AWS is not known to give more: add a role to the binding"


@pytest.mark.parametrize(
    ("quota", "raised", "way_out"),
    [
        (2048, "4096", MORE),
        (3000, "6000", MORE),
        (4096, "8192", MORE),
        (6000, "8192", MORE),
        (8192, None, NO_MORE),
        (131072, None, NO_MORE),
    ],
)
def test_a_full_role_has_a_correction_and_a_larger_quota_is_requested_where_aws_has_one(
    quota: int, raised: str | None, way_out: str
) -> None:
    theirs = OTHER_CLUSTER.render([Subject(f"mxp-{number:04d}-system", NAME) for number in range(quota // 50)])
    policy = TrustPolicy({"Version": "2012-10-17", "Statement": [theirs]})
    full = AccountSnapshot({ROLE: policy}, quota=quota)
    trust, place = (
        one for one in diagnose(WELL, _shared(account=full)).findings if one.check in {"trust", "room"}
    )
    used = f"{policy.size()} of {quota} characters"
    assert trust.message == f"{ROLE} has no room for it ({used}); {way_out}"
    for finding in (trust, place):
        asked = shlex.split(finding.fix)[-3] if finding.fix else None
        assert asked == raised


DENY_OF_SETUP = {"Sid": "NobodyYet", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


@pytest.mark.parametrize(("mode", "level"), [(Mode.IRSA, Level.NOTE), (Mode.POD_IDENTITY, Level.BROKEN)])
def test_a_role_that_an_earlier_setup_began_with_a_deny_is_named_with_its_repair(mode: Mode, level: Level) -> None:
    binding = replace(BINDING, mode=mode)
    shared = _shared(DENY_OF_SETUP, OWN.render([A]), binding=binding, setup_options=("--own-role", "mxp-webhook"))
    (found,) = check_first_statements(shared)
    assert (found.check, found.level) == ("role", level)
    assert f"{ROLE} was made by an earlier setup: its statement NobodyYet denies EKS" in found.message
    written = json.loads(shlex.split(found.fix or "")[-1])
    assert written["Statement"] == [OWN.render([A])]
    assert (found.template or "").endswith(f"--role {ROLE.name} --own-role mxp-webhook --approve")
    assert list(check_first_statements(_shared())) == []


REFUSAL = f"{ROLE} does not trust this ServiceAccount yet: AccessDenied: may not iam:UpdateAssumeRolePolicy"
PROGRAMS = RoleArn("arn:aws:iam::123456789012:role/program")
REFUSALS: dict[str, tuple[str, RoleArn | None, list[str] | None]] = {
    "a permission that is missing": (
        REFUSAL,
        PROGRAMS,
        ["aws", "iam", "put-role-policy", "--role-name", "program"],
    ),
    "its own role is not known": (REFUSAL, None, None),
    "a Deny": (f"{REFUSAL} with an explicit deny", PROGRAMS, None),
    "its own role": (REFUSAL, ROLE, None),
    "throttled": (
        f"{ROLE} does not trust this ServiceAccount yet: Throttling",
        PROGRAMS,
        ["mxp-identity", "apply"],
    ),
    "another role": (REFUSAL.replace(ROLE.value, PROGRAMS.value), PROGRAMS, ["mxp-identity", "apply"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_program_that_may_not_edit_the_role_is_given_that_right_and_no_other(case: str) -> None:
    told, own_role, fix = REFUSALS[case]
    plane = replace(WELL, pending=told)
    (found,) = [
        one for one in diagnose(plane, _shared(DENY_OF_SETUP, own_role=own_role)).findings if one.check == "trust"
    ]
    assert found.level is Level.BROKEN
    assert ("because AWS refuses the program" in found.message) == ("mxp-identity" not in (fix or []))
    if fix is None:
        assert found.fix is None
    else:
        assert found.fix is not None
        words = shlex.split(found.fix)
        assert words[: len(fix)] == fix
    if fix and fix[0] == "aws":
        (allowed,) = json.loads(words[-1])["Statement"]
        assert allowed == {
            "Effect": "Allow",
            "Action": ["iam:GetRole", "iam:UpdateAssumeRolePolicy"],
            "Resource": ROLE.value,
        }
    assert diagnose(plane, _shared()).worst is Level.OK, "an old Event of one that is trusted by now"


@pytest.mark.parametrize("order", [1, -1])
def test_a_control_plane_excluded_by_one_binding_is_not_offered_to_another(order: int) -> None:
    shut_out = NamespaceSelector(
        (Requirement("plane", Operator.EXISTS), Requirement("revoked", Operator.DOES_NOT_EXIST))
    )
    tier = NamespaceSelector((Requirement("tier", Operator.IN, frozenset({"gold"})),))
    bindings = (replace(BINDING, name="gold", namespaces=tier), replace(BINDING, namespaces=shut_out))[::order]
    shared = _shared(labels={**LABELS, "revoked": "yes"})
    found = diagnose(WELL, replace(shared, installation=Installation("mxp-identity", ISSUER, bindings)))
    assert [(one.level, one.fix) for one in found.findings] == [(Level.NOTE, None)]


def test_what_hangs_on_a_binding_is_not_looked_at_without_one() -> None:
    assert [one.check for one in diagnose(WELL, _shared(labels={})).findings] == ["namespace"]


def test_a_namespace_that_is_not_there_is_named() -> None:
    elsewhere = replace(WELL, subject=Subject("mxp-typo-system", NAME))
    assert _problems(diagnose(elsewhere, _shared())) == [
        ("namespace", "there is no namespace mxp-typo-system: correct the name")
    ]


KEY = ISSUER.key
MISSES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "another audience": (
        {"StringEquals": {f"{KEY}:aud": "sigstore", f"{KEY}:sub": str(A)}},
        ["it wants the audience sigstore, and tokens are for sts.amazonaws.com"],
    ),
    "two operators": (
        {"StringEquals": {f"{KEY}:sub": str(A)}, "StringLike": {f"{KEY}:sub": "system:serviceaccount:x-*"}},
        ["its StringLike on the subject does not hold for it", "StringEquals and StringLike on the subject must"],
    ),
    "nothing": ({"StringEquals": {f"{KEY}:sub": str(A)}}, []),
}


@pytest.mark.parametrize("case", MISSES)
def test_a_statement_that_was_meant_for_it_is_named_with_what_is_wrong_in_it(case: str) -> None:
    condition, wrong = MISSES[case]
    statement = {**OWN.render([A]), "Sid": "ByHand", "Condition": condition}
    said = near_misses(TrustPolicy({"Statement": [statement]}), OWN, A)
    assert len(said) == bool(wrong)
    for words in wrong:
        assert words in said[0]


WEBHOOKS: dict[str, tuple[Shared, Trial | None, str]] = {
    "answers": (_shared(), Trial(annotated=True), "ok"),
    "is not registered": (_shared(registrations=()), Trial(annotated=False), "does not call it"),
    "has an expired caBundle": (_shared(now=3.0), Trial(annotated=False), "has expired"),
    "was not tried": (_shared(), None, "note: is registered, but was not tried"),
    "is down and not insisted on": (_shared(), Trial(annotated=False), "and continues without it"),
    "is down and insisted on": (_shared(), Trial(None, "500 failed calling webhook: EOF"), "EOF"),
    "may not be tried": (_shared(), Trial(None, "403 forbidden"), "could not be tried: 403 forbidden"),
}


@pytest.mark.parametrize("case", WEBHOOKS)
def test_the_webhook_answers_or_the_reason_is_found(case: str) -> None:
    shared, trial, words = WEBHOOKS[case]
    (found,) = check_webhook(shared, trial, self_managed=True)
    assert words in f"{found.level.value}: {found.message}"


@given(hand_edited_documents | shared_documents, st.sampled_from([0, 600, 2048]))
def test_a_policy_that_is_printed_keeps_every_statement_but_the_one_that_is_named(
    document: dict[str, Any], quota: int
) -> None:
    policy = TrustPolicy(document)
    verdict = diagnose(WELL, _shared(account=AccountSnapshot({ROLE: policy}, quota=quota)))
    for finding in verdict.findings:
        if finding.fix and "update-assume-role-policy" in finding.fix:
            printed = json.loads(shlex.split(finding.fix)[-1])["Statement"]
            if len(policy.statements) == 1:
                assert printed == [OWN.render_placeholder()]
                continue
            assert len(printed) == len(policy.statements) - 1
            assert all(statement in policy.statements for statement in printed)


RESTART = f"kubectl rollout restart -n webhooks deployment -l {PROGRAM_LABEL}"
UPGRADE = "helm upgrade mxp-identity-webhook charts/mxp-identity-webhook -n webhooks --reset-then-reuse-values"
SCALE = "kubectl scale -n webhooks deployment mxp --replicas=2"
STOPPED = "; its Deployment mxp is scaled to 0"
DEPLOYMENTS: dict[str, tuple[dict[str, int] | None, str, str]] = {
    "runs": ({"mxp": 3}, "", RESTART),
    "is scaled to 0": ({"mxp": 0}, STOPPED, SCALE),
    "is not there": ({}, "; it has no Deployment in webhooks", UPGRADE),
    "may not be read": (None, "", RESTART),
    "is scaled to 0, but another runs": ({"canary": 0, "mxp": 1}, "", RESTART),
}
TRIALS = {
    "the API server gets no answer from it, and continues without it": (1.0, Trial(annotated=False)),
    "the API server gets no answer from it: failed calling webhook": (1.0, Trial(None, "failed calling webhook")),
    "the caBundle of its MutatingWebhookConfiguration has expired, so that no call succeeds": (
        3.0,
        Trial(annotated=False),
    ),
}


@pytest.mark.parametrize("case", DEPLOYMENTS)
@pytest.mark.parametrize("words", TRIALS)
def test_a_program_that_does_not_answer_is_started_by_what_its_deployment_lacks(words: str, case: str) -> None:
    (now, trial), (deployments, cause, fix) = TRIALS[words], DEPLOYMENTS[case]
    shared = _shared(now=now, deployments=deployments)
    (found,) = check_webhook(shared, trial, self_managed=True)
    assert (found.message, found.fix) == (words + cause, fix)


def test_a_release_of_another_name_is_upgraded_under_its_name() -> None:
    (found,) = check_webhook(_shared(now=1.0, registrations=(), release="prod"), None, self_managed=True)
    assert found.fix == UPGRADE.replace("upgrade mxp-identity-webhook", "upgrade prod")


def test_an_expired_external_ca_bundle_is_recreated_with_the_registration() -> None:
    (found,) = check_webhook(_shared(now=3.0), Trial(annotated=False), self_managed=False)
    assert found.fix == f"kubectl delete mutatingwebhookconfiguration mxp-identity-webhook && {UPGRADE}"


def test_trust_that_is_wider_than_wanted_is_a_note_with_the_command_that_shows_what_would_replace_it() -> None:
    pattern = "system:serviceaccount:mxp-*-system:mxp-controller"
    pods = {
        "Sid": "Eks",
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    by_token, by_eks = check_wide_trust(_shared(wildcard(OWN, pattern), OWN.render([A]), pods))
    assert {by_token.level, by_eks.level} == {Level.NOTE}
    assert by_token.message == (
        f"statement 1 of {ROLE} is wider than wanted: it allows {pattern}, now and later, whether a binding wants "
        "it or not; `mxp-identity adopt --config 'my file.yaml' --replace-wildcards` prints what would replace it"
    )
    assert by_eks.message.startswith(f"statement 3 (Sid Eks) of {ROLE} is wider than wanted: EKS may assume")
    assert list(check_wide_trust(_shared())) == []
