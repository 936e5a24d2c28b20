"""What must hold of every document that is sent and of every one that is applied, each under its own name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.invariants import assert_statement_is_whole, external_part
from webhook.iam.evaluation import as_list
from webhook.iam.trust_policy import TrustPolicy, canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterator

    from tests.simulation.aws import Write
    from tests.support.simulated_iam import Document
    from webhook.iam.statement import OwnStatement
    from webhook.model.names import Subject

Complaint = tuple[str, str]
"""The invariant's name, and what broke it."""


def left_out(write: Write) -> frozenset[Subject]:
    """Whom our statement trusted when it was read, and does not in the new document."""
    return subjects_in(write.base or {"Statement": []}, write.own) - subjects_in(write.document, write.own)


def added(write: Write) -> frozenset[Subject]:
    """Whom the new document trusts by our statement, and what was read does not."""
    return subjects_in(write.document, write.own) - subjects_in(write.base or {"Statement": []}, write.own)


def of_sent(write: Write, limit: int, ever_wanted: Collection[Subject]) -> Iterator[Complaint]:
    """Whether a document may be sent, by what its sender had read."""
    if write.base is None or write.call_before != "read":
        yield "the_read_is_the_last_call_before_the_write", f"before it came {write.call_before}"
    base = write.base or {"Statement": []}
    if external_part(write.document, write.own) != external_part(base, write.own):
        yield "external_statements_mean_what_they_meant", _external_text(write.document, write.own)
    elif _external_text(write.document, write.own) != _external_text(base, write.own):
        yield "external_statements_stay_as_read", _external_text(write.document, write.own)
    yield from _of_our_statement(write)
    size = TrustPolicy(write.document).size()
    if size > limit:
        yield "no_document_over_the_quota", f"{size} characters of {limit}"
    strangers = subjects_in(write.document, write.own) - subjects_in(base, write.own) - set(ever_wanted)
    if strangers:
        yield "no_unwanted_subject_is_trusted", _names(strangers)
    if TrustPolicy(write.document).same_meaning(TrustPolicy(base)):
        yield "no_write_without_a_difference_in_meaning", f"{size} characters, the same as read"


def _of_our_statement(write: Write) -> Iterator[Complaint]:
    try:
        assert_statement_is_whole(write.document, write.own)
    except (AssertionError, KeyError) as error:
        yield "our_statement_has_audience_and_subjects_and_is_one", repr(error)
    base = write.base or {"Statement": []}
    more = len(_of_issuer(write.document, write.own)) - len(_of_issuer(base, write.own))
    mine = [one for one in _of_issuer(base, write.own) if write.own.owns(one)]
    if more > (0 if mine else 1):
        yield "one_statement_of_ours_for_an_issuer", f"{more} statements more than read"


def dropped(write: Write, in_force: Document) -> frozenset[Subject]:
    """Whom the document that is replaced trusts by our statement, and the new one does not."""
    return subjects_in(in_force, write.own) - subjects_in(write.document, write.own)


def overwrites_an_external_edit(write: Write, in_force: Document) -> bool:
    """Whether an external edit since the read is lost with this write."""
    return external_part(in_force, write.own) != external_part(write.document, write.own)


def part_of_others(document: Document, *owns: OwnStatement) -> Hashable:
    """What is neither ours nor our neighbour's of a document, in a form without order."""
    sids = {own.sid for own in owns}
    others = [one for one in as_list(document["Statement"]) if one.get("Sid") not in sids]
    return canonical({**document, "Statement": others})


def subjects_in(document: Document, own: OwnStatement) -> frozenset[Subject]:
    """Whom a statement of ours trusts."""
    return TrustPolicy(document).subjects(own)


def _external_text(document: Document, own: OwnStatement) -> str:
    external = [one for one in as_list(document["Statement"]) if not own.owns(one)]
    return json.dumps({**document, "Statement": external})


def _of_issuer(document: Document, own: OwnStatement) -> list[dict[str, Any]]:
    return [
        one for one in as_list(document["Statement"]) if own.provider_arn in json.dumps(one.get("Principal", ""))
    ]


def _names(subjects: Collection[Subject]) -> str:
    return ", ".join(sorted(subject.namespace for subject in subjects))
