"""What IAM accepts as a trust policy, and its words when it does not.

Sources: the grammar in the IAM user guide (reference_policies_grammar), its list of Access Analyzer checks, and
public reports that quote the messages. Where no report quotes a message, ours says the same in AWS's manner.
Principals that must exist are checked by the stand-in, which knows who does.
"""

import json
import re
from typing import Any

from rig.aws.policy.document import strings
from rig.aws.policy.operators import operator

_VERSIONS = {"2008-10-17", "2012-10-17"}
_FIELDS = {"Version", "Id", "Statement"}
_STATEMENT_FIELDS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}  # fmt: skip
_SID = re.compile(r"[0-9A-Za-z]*")
_PRINCIPAL_KINDS = {"AWS", "Federated", "Service"}
_ACCOUNT = re.compile(r"\d{12}")
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,}")
_AWS_ARN = re.compile(r"arn:aws[a-z-]*:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)/.+)")
_FEDERATED = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(oidc|saml)-provider/.+|[a-z0-9-]+(\.[a-z0-9-]+)+|\*")
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?")


class MalformedPolicyError(ValueError):
    """The document is refused; the text is what IAM answers under the code MalformedPolicyDocument."""


def check_trust_policy(text: str) -> None:
    """Raise `MalformedPolicyError` unless IAM would store this trust policy, as far as the text alone tells."""
    try:
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except ValueError as error:
        raise MalformedPolicyError("This policy contains invalid Json") from error
    if not isinstance(document, dict):
        raise MalformedPolicyError("This policy contains invalid Json")
    _refuse_unknown(document, _FIELDS)
    if document.get("Version", "2008-10-17") not in _VERSIONS:
        raise MalformedPolicyError("The policy must contain a valid version string")
    for statement in _statements(document):
        _check_statement(statement)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicate keys, which readers of JSON resolve differently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _refuse_unknown(fields: dict[str, Any], known: set[str]) -> None:
    for name in fields:
        if name not in known:
            raise MalformedPolicyError(f"Unknown field {name}")


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    if "Statement" not in document:
        raise MalformedPolicyError("Missing required field Statement")
    found = document["Statement"]
    statements = found if isinstance(found, list) else [found]
    if not statements:
        raise MalformedPolicyError("Could not parse the policy: Statement is empty!")
    if not all(isinstance(statement, dict) for statement in statements):
        raise MalformedPolicyError("Syntax error in policy.")
    sids = [statement["Sid"] for statement in statements if "Sid" in statement]
    if not all(isinstance(sid, str) and _SID.fullmatch(sid) for sid in sids):
        raise MalformedPolicyError(
            "Statement IDs (SID) must be alpha-numeric. "
            "Check that your input satisfies the regular expression [0-9A-Za-z]*"
        )
    named = [sid for sid in sids if sid]
    if len(set(named)) != len(named):
        raise MalformedPolicyError("The Statement Ids in the policy are not unique")
    return statements


def _check_statement(statement: dict[str, Any]) -> None:
    _refuse_unknown(statement, _STATEMENT_FIELDS)
    if "Effect" not in statement:
        raise MalformedPolicyError("Missing required field Effect")
    if statement["Effect"] not in {"Allow", "Deny"}:
        raise MalformedPolicyError(f"Invalid effect: {statement['Effect']}")
    if "NotPrincipal" in statement:
        raise MalformedPolicyError(
            "Allow with NotPrincipal is not allowed."
            if statement["Effect"] == "Allow"
            else "AssumeRole policy must not contain NotPrincipal field."
        )
    _check_principal(statement.get("Principal"))
    _check_actions(statement)
    if "Resource" in statement:
        raise MalformedPolicyError("Has prohibited field Resource")
    if "NotResource" in statement:
        raise MalformedPolicyError("AssumeRole policy must not contain resources.")
    _check_conditions(statement.get("Condition", {}))


def _check_principal(principal: Any) -> None:
    if principal is None:
        raise MalformedPolicyError("Missing required field Principal")
    if principal == "*":
        raise MalformedPolicyError('AssumeRolepolicy contained an invalid principal: "STAR":"*".')
    if not isinstance(principal, dict):
        raise MalformedPolicyError("Syntax error in policy.")
    if not principal:
        raise MalformedPolicyError("Missing required field Principal cannot be empty!")
    for kind, values in principal.items():
        if kind not in _PRINCIPAL_KINDS:
            raise MalformedPolicyError(f'Invalid principal in policy: "{kind}"')
        for value in _strings(values):
            _check_principal_value(kind, value)


def _check_principal_value(kind: str, value: str) -> None:
    if kind == "Federated" and not _FEDERATED.fullmatch(value):
        raise MalformedPolicyError("Federated principals must be valid domain names or SAML metadata ARNs")
    if kind == "Service" and not _SERVICE.fullmatch(value):
        raise MalformedPolicyError(f'Invalid principal in policy: "SERVICE":"{value}"')
    if kind == "AWS" and not (
        value == "*" or any(form.fullmatch(value) for form in (_ACCOUNT, _UNIQUE_ID, _AWS_ARN))
    ):
        raise MalformedPolicyError(f'Invalid principal in policy: "AWS":"{value}"')


def _check_actions(statement: dict[str, Any]) -> None:
    if "Action" in statement and "NotAction" in statement:
        raise MalformedPolicyError("Syntax error in policy.")
    actions = _strings(statement.get("Action", statement.get("NotAction", [])))
    if not actions:
        raise MalformedPolicyError("Missing required field Action")
    if not all(action.lower().startswith("sts:") for action in actions):
        raise MalformedPolicyError("AssumeRole policy may only specify STS AssumeRole actions.")


def _check_conditions(conditions: Any) -> None:
    if not isinstance(conditions, dict):
        raise MalformedPolicyError("Syntax error in policy.")
    for name, block in conditions.items():
        if operator(name) is None:
            raise MalformedPolicyError(f"Invalid Condition type : {name}")
        if not isinstance(block, dict):
            raise MalformedPolicyError("Syntax error in policy.")
        for values in block.values():
            _strings(values)


def _strings(values: Any) -> tuple[str, ...]:
    try:
        return strings(values)
    except TypeError as error:
        raise MalformedPolicyError("Syntax error in policy.") from error
