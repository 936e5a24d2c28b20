"""Statements as the published guide, and other guides, have people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.iam.statement import ASSUME_WITH_TOKEN
from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from webhook.iam.statement import OwnStatement
    from webhook.model.names import Subject

Statement = dict[str, Any]


def guided(own: OwnStatement, *subjects: Subject, sid: str | None = None) -> Statement:
    """A statement of the published guide: audience and subject exactly, without a Sid."""
    names = [str(subject) for subject in subjects]
    return by_token(
        own,
        {"StringEquals": {own.audience_key: AUDIENCE, own.subject_key: names[0] if len(names) == 1 else names}},
        sid,
    )


def wildcard(own: OwnStatement, pattern: str, sid: str | None = None) -> Statement:
    """A statement of other guides: the subject by a pattern."""
    return by_token(
        own, {"StringEquals": {own.audience_key: AUDIENCE}, "StringLike": {own.subject_key: pattern}}, sid
    )


def by_token(own: OwnStatement, condition: dict[str, Any], sid: str | None = None) -> Statement:
    """An Allow for tokens of the cluster, under a condition."""
    return {
        **({"Sid": sid} if sid else {}),
        "Effect": "Allow",
        "Principal": {"Federated": own.provider_arn},
        "Action": ASSUME_WITH_TOKEN,
        "Condition": condition,
    }
