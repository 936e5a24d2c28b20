"""What must hold of every write, whatever happened around it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from webhook.iam.evaluation import as_list
from webhook.iam.statement import ASSUME_WITH_TOKEN, OwnStatement
from webhook.iam.trust_policy import TrustPolicy, canonical
from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from tests.support.simulated_iam import Document, SimulatedIam
    from webhook.model.names import RoleArn, Subject


def assert_writes_were_careful(
    iam: SimulatedIam, own_in: Callable[[RoleArn], OwnStatement], may_be_trusted: Collection[Subject]
) -> None:
    """Check every document that was sent to IAM against all rules about documents."""
    for put in iam.puts:
        assert put.call.role is not None
        own = own_in(put.call.role)
        assert put.call_before == "read", f"before the write at {put.call.started} came {put.call_before}"
        assert put.base is not None
        assert external_part(put.document, own) == external_part(put.base, own)
        assert_statement_is_whole(put.document, own)
        added = TrustPolicy(put.document).subjects(own) - TrustPolicy(put.base).subjects(own)
        assert added <= set(may_be_trusted), f"trusted without being asked for: {added - set(may_be_trusted)}"
    assert_one_at_a_time(iam)


def assert_statement_is_whole(document: Document, own: OwnStatement) -> None:
    """Check that there is one statement of ours at most, and that it lacks nothing."""
    ours = [statement for statement in as_list(document["Statement"]) if _is_ours(statement, own)]
    assert len(ours) <= 1
    for statement in ours:
        assert statement["Effect"] == "Allow"
        assert statement["Principal"] == {"Federated": own.provider_arn}
        assert as_list(statement["Action"]) == [ASSUME_WITH_TOKEN]
        assert set(statement["Condition"]) == {"StringEquals"}
        equals = statement["Condition"]["StringEquals"]
        assert set(equals) == {own.audience_key, own.subject_key}
        assert as_list(equals[own.audience_key]) == [AUDIENCE]
        subjects = as_list(equals[own.subject_key])
        assert subjects
        assert not any(set(subject) & set("*?$") for subject in subjects)


def assert_one_at_a_time(iam: SimulatedIam) -> None:
    """Check that no program had two writes of one role under way."""
    writes = iam.made("write")
    for caller, role in {(call.caller, call.role) for call in writes}:
        mine = [call for call in writes if (call.caller, call.role) == (caller, role)]
        assert all(earlier.ended <= later.started for earlier, later in pairwise(mine))


def external_part(document: Document, own: OwnStatement) -> Hashable:
    """What is not ours of a document, in a form without order."""
    external = [statement for statement in as_list(document["Statement"]) if not _is_ours(statement, own)]
    return canonical({**document, "Statement": external})


def never_dropped(iam: SimulatedIam, role: RoleArn, own: OwnStatement) -> bool:
    """Whether each document trusts all subjects that the one before it trusted."""
    documents = [TrustPolicy(document).subjects(own) for document in iam.history(role)]
    return all(earlier <= later for earlier, later in pairwise(documents))


def _is_ours(statement: dict[str, Any], own: OwnStatement) -> bool:
    """By the Sid alone, and not by asking the program: it may be the one that is wrong."""
    return statement.get("Sid") == own.sid
