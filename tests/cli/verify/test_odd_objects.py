"""Whatever people write into objects of Kubernetes and AWS, the rules answer, in sentences of a bounded length."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.verify.test_findings import BINDING, LABELS, WELL, A
from tests.cli.verify.test_findings import _shared as shared
from tests.iam.policies import ROLE
from tests.support.associating import association
from tests.support.pods import OWNER
from webhook.cli.verify.diagnosis import MISSPELT, diagnose
from webhook.kube.deployments import _moment
from webhook.model.bindings import ExistingAnnotation
from webhook.model.decisions import Account, LiveNamespace, Refuse, decide
from webhook.model.deployments import Deployment, decide_restart
from webhook.model.names import ROLE_ARN_ANNOTATION

HUGE = "a" * 200_000
words = st.text(max_size=12) | st.sampled_from(
    [HUGE, f"arn:aws:iam::123456789012:role/{HUGE}", ROLE.value, "\x1b"]
)
moments = st.sampled_from(
    ["9999-12-31T00:00:00+00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00", "garbage", HUGE, ""]
)
_LONGEST = 2000


@given(words, words, st.dictionaries(words, words, max_size=3), words, st.sampled_from(ExistingAnnotation))
def test_a_decision_is_taken_about_any_object(
    namespace: str, name: str, labels: dict[str, str], annotation: str, existing: ExistingAnnotation
) -> None:
    binding = replace(BINDING, existing_annotation=existing)
    decide(Account(namespace, name, annotation), LiveNamespace(namespace, "uid", labels), (binding,))
    decision = decide(
        Account(A.namespace, A.service_account, annotation), LiveNamespace(A.namespace, "u", LABELS), (binding,)
    )
    if isinstance(decision, Refuse):
        assert len(decision.reason) < _LONGEST


@given(st.dictionaries(st.sampled_from([ROLE_ARN_ANNOTATION, MISSPELT, "eks.amazonaws.com/audience"]), words))
def test_verify_finds_in_bounded_sentences_what_is_wrong_with_any_annotation(annotations: dict[str, str]) -> None:
    found = diagnose(replace(WELL, annotations=annotations), shared()).findings
    assert all(len(one.message) < _LONGEST for one in found)


@given(words, st.dictionaries(words, words, max_size=2), st.none() | words, st.none() | words)
def test_any_association_has_a_verdict_of_a_bounded_length(
    role: str, tags: dict[str, str], owner: str | None, target: str | None
) -> None:
    for ours in (True, False):
        found = association(role=role, ours=ours, owner_arn=owner, target_role=target)
        found = replace(found, tags={**found.tags, **tags})
        said = [OWNER.conflict_reason(found, ROLE), found.origin, found.change_from(ROLE)]
        assert all(len(words) < _LONGEST for words in said)
        assert found.role_arn is None or found.role_arn.value == role


@given(moments | st.text(), moments | st.text())
def test_any_time_in_an_annotation_of_a_deployment_is_a_moment_or_none(restarted: str, by_us: str) -> None:
    deployment = Deployment(
        "mxp-a-system", "mxp-controller", "uid", "1", "mxp-controller",
        restarted_at=_moment(restarted), restarted_by_us=_moment(by_us),
    )  # fmt: skip
    decide_restart(deployment.for_role(ROLE), "mxp-controller", [1000.0], is_late=True)


@pytest.mark.parametrize("labels", [{"plane": HUGE}, {HUGE: "x"}, {}])
def test_verify_finds_in_bounded_sentences_what_labels_lack(labels: dict[str, Any]) -> None:
    assert all(len(one.message) < _LONGEST for one in diagnose(WELL, shared(labels=labels)).findings)
