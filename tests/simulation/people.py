"""Whoever else edits a role: Terraform with a read-modify-write of its own, and people who edit our statement."""

from __future__ import annotations

import asyncio
import copy
import random
from typing import TYPE_CHECKING, Any

from tests.support.sites import own_in
from webhook.iam.evaluation import as_list
from webhook.iam.trust_policy import TrustPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.witness import Witness
    from tests.support.simulated_iam import Document, SimulatedIam
    from webhook.model.names import RoleArn

TEAM = "platform  engineering   and  its    many     friends"
"""White space inside a value, which does not count against the quota."""


def external_document() -> Document:
    """What an administrator has in a role before we come."""
    return {
        "Version": "2012-10-17",
        "Id": "made-by-terraform",
        "Statement": [
            {
                "Sid": "Operators",
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam::123456789012:root", "arn:aws:iam::210987654321:role/ops"]},
                "Action": ["sts:TagSession", "sts:AssumeRole"],
                "Condition": {"StringEquals": {"aws:PrincipalTag/team": TEAM}},
            }
        ],
    }


async def terraform(iam: SimulatedIam, witness: Witness, role: RoleArn, seconds: float, number: int) -> None:
    """Read the document, think for `seconds`, write it back with a statement of its own changed."""
    document = copy.deepcopy(iam.document(role))
    _change(document, number)
    await asyncio.sleep(seconds)
    if TrustPolicy(document).size() <= iam.limit:
        witness.met("external_edit", "terraform", f"writes {role.name} as read {seconds:.1f} s ago, changed")
        iam.store(role, document, "terraform")
        witness.edited(role, document)


def _change(document: Document, number: int) -> None:
    statements = as_list(document["Statement"])
    document["Statement"] = statements
    sid = f"Terraform{number % 3}"
    mine = [one for one in statements if one.get("Sid") == sid]
    if mine and number % 2:
        statements.remove(mine[0])
        return
    principal = {"AWS": f"arn:aws:iam::123456789012:role/r{number}"}
    statement = {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    if mine:
        statements[statements.index(mine[0])] = statement
    else:
        statements.insert(number % (len(statements) + 1), statement)


def hand_edit(iam: SimulatedIam, witness: Witness, role: RoleArn) -> None:
    """Damage our statement in one of the ways in which people do."""
    edit = random.choice(_HAND_EDITS)
    own = own_in(role)
    document = iam.document(role)
    if any(own.owns(one) for one in as_list(document["Statement"])):
        _edit(document := copy.deepcopy(document), role, edit)
        if TrustPolicy(document).size() > iam.limit:
            return  # IAM would not have it
        witness.met("hand_edit", "a person", f"edits {role.name}: {edit.__name__.strip('_')}")
        iam.store(role, document)


def _edit(document: Document, role: RoleArn, edit: Callable[[list[Any], dict[str, Any], str], None]) -> None:
    statements = as_list(document["Statement"])
    document["Statement"] = statements
    own = own_in(role)
    ours = next(one for one in statements if own.owns(one))
    edit(statements, ours, own.issuer.key)


def _remove_the_statement(statements: list[Any], ours: dict[str, Any], key: str) -> None:  # noqa: ARG001
    statements.remove(ours)


def _drop_a_subject(statements: list[Any], ours: dict[str, Any], key: str) -> None:  # noqa: ARG001
    equals = ours["Condition"].get("StringEquals", {})
    equals[f"{key}:sub"] = as_list(equals.get(f"{key}:sub", []))[1:]


def _drop_the_audience(statements: list[Any], ours: dict[str, Any], key: str) -> None:  # noqa: ARG001
    ours["Condition"].get("StringEquals", {}).pop(f"{key}:aud", None)


def _widen_to_all(statements: list[Any], ours: dict[str, Any], key: str) -> None:  # noqa: ARG001
    ours["Condition"] = {"StringLike": {f"{key}:sub": "system:serviceaccount:*"}}


def _double_the_statement(statements: list[Any], ours: dict[str, Any], key: str) -> None:  # noqa: ARG001
    statements.append({**ours, "Principal": {"AWS": "arn:aws:iam::123456789012:root"}})


_HAND_EDITS = (_remove_the_statement, _drop_a_subject, _drop_the_audience, _widen_to_all, _double_the_statement)
