"""What IAM does with a role's trust policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli.account_calls import policy_of
from webhook.cli.conformance.assumptions import READ_WITHIN
from webhook.cli.conformance.observation import by_code, judged
from webhook.iam.amendment import DEFAULT_QUOTA
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.aws.clients import AwsClients
    from webhook.cli.conformance.lab import Lab
    from webhook.cli.conformance.observation import Observation
    from webhook.cli.conformance.roles import Roles

_NAMES = ("pear", "apple", "quince", "fig", "medlar")
"""In no order that anything sorts by."""

_WHITE_SPACE = {"space": " ", "tab": "\t", "line feed": "\n", "carriage return": "\r"}
_MUCH = 150
_LITTLE_ROOM = 100
"""Characters: fewer than the white space, so that it would not fit."""

_CHUNK = 60
_AROUND = 3
"""Characters around an element: its quotes, and a comma."""


async def no_such_role(lab: Lab, _: Roles) -> Observation:
    """Ask for a role that is not there."""
    try:
        await lab.ask("GetRole", lambda clients: clients.iam.get_role(RoleName=f"{lab.name}-missing"))
    except AwsError as error:
        return by_code(error, "NoSuchEntity")
    return judged("a role that was never made is there", holds=False)


async def array_order(lab: Lab, roles: Roles) -> Observation:
    """Write an array, and see that the policy that is read means the same."""
    sent = TrustPolicy(policy_of(roles.placeholder_with(_NAMES)))
    await roles.write_text(sent.text())
    is_shown = await lab.until("GetRole shows the array", lambda: roles.shows(sent.same_meaning))
    found = _elements(roles.last_read)
    if not is_shown:
        return judged(f"{len(found)} of {len(_NAMES)} elements", holds=False)
    order = "the same" if found == list(_NAMES) else "another"
    return judged(f"{len(_NAMES)} elements, in {order} order", holds=True)


def _elements(policy: TrustPolicy) -> list[str]:
    """The names that are in a policy, in its order."""
    text = policy.text()
    return sorted((name for name in _NAMES if f'"{name}"' in text), key=text.index)


async def read_age(lab: Lab, roles: Roles) -> Observation:
    """Write a policy, and look how long reads show the one before it."""
    sent = TrustPolicy(policy_of(roles.placeholder_with([f"{lab.name}-read"])))
    await roles.write_text(sent.text())
    lapse = await lab.lapse("GetRole shows the write", lambda: roles.shows(sent.same_meaning))
    return judged(lapse.text, holds=lapse.is_within(READ_WITHIN))


async def white_space(lab: Lab, roles: Roles) -> Observation:
    """Write a policy that only fits without its white space."""
    text = _of_size(roles, await _quota(lab) - _LITTLE_ROOM).text()
    counted = [name for name, one in _WHITE_SPACE.items() if not await _fits(roles, f"{{{one * _MUCH}{text[1:]}")]
    if not await _fits(roles, text.replace(roles.name, f"{roles.name}{' ' * _MUCH}", 1)):
        counted.append("space within strings")
    return judged(f"counted: {', '.join(counted) or 'none'}", holds=not counted)


async def quota_value(lab: Lab, roles: Roles) -> Observation:
    """Write a policy as large as the quota, and one that is a character larger."""
    quota = await _quota(lab)
    fits, larger = [await _fits(roles, _of_size(roles, size).text()) for size in (quota, quota + 1)]
    words = {True: "accepted", False: "refused"}
    text = f"quota {quota}: {words[fits]}; {quota + 1}: {words[larger]}"
    return judged(text, holds=fits and not larger)


async def quota_error(lab: Lab, roles: Roles) -> Observation:
    """Write a policy that is too long."""
    try:
        await roles.write_text(_of_size(roles, await _quota(lab) + _MUCH).text())
    except AwsError as error:
        return by_code(error, "LimitExceeded")
    return judged("accepted", holds=False)


async def deleted_principal(lab: Lab, roles: Roles) -> Observation:
    """Name a role as principal, delete it, and write back what is read."""
    other = await roles.another("-b", roles.placeholder)
    named = {**roles.placeholder, "Principal": {"AWS": other.value}}
    await lab.accepted(
        "IAM accepts a new role as principal",
        lambda: roles.write(named),
        lambda error: error.kind is FailureKind.MALFORMED,
    )
    await roles.remove(other)
    if not await lab.until(
        "GetRole shows that the principal is gone",
        lambda: roles.shows(lambda policy: bool(policy.dangling_principals())),
    ):
        return judged("shown as before", holds=False)
    try:
        await roles.write_text(roles.last_read.text())
    except AwsError as error:
        return by_code(error, "MalformedPolicyDocument")
    return judged("shown as a unique id, which IAM accepts", holds=False)


async def _quota(lab: Lab) -> int:
    def ask(clients: AwsClients) -> int:
        return int(clients.iam.get_account_summary()["SummaryMap"].get("AssumeRolePolicySizeQuota", DEFAULT_QUOTA))

    return await lab.ask("GetAccountSummary", ask)


async def _fits(roles: Roles, document: str) -> bool:
    try:
        await roles.write_text(document)
    except AwsError as error:
        if not error.kind.is_refusal or error.kind is FailureKind.ACCESS_DENIED:
            raise
        return False
    return True


def _of_size(roles: Roles, size: int) -> TrustPolicy:
    """A policy of so many characters without white space, in one array of a condition."""
    ids = [roles.name]
    while (left := size - TrustPolicy(policy_of(roles.placeholder_with(ids))).size()) > 2 * _CHUNK:
        ids.append(f"{len(ids)}".rjust(_CHUNK - _AROUND, "x"))
    ids.append("y" * (left - _AROUND))
    return TrustPolicy(policy_of(roles.placeholder_with(ids)))


ROWS = {
    "no-such-role": no_such_role,
    "array-order": array_order,
    "read-age": read_age,
    "white-space": white_space,
    "quota-value": quota_value,
    "quota-error": quota_error,
    "deleted-principal": deleted_principal,
}
