"""What EKS does with associations of the throw-away ServiceAccount, and what sessions of its pods may do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from webhook.cli.account_calls import policy_of
from webhook.cli.conformance.associations import is_refusal_of_role, listed
from webhook.cli.conformance.assumptions import LISTED_WITHIN, VARIABLES_WITHIN
from webhook.cli.conformance.observation import by_code, judged, not_observed, says_nothing
from webhook.cli.conformance.sts_rows import is_allowed
from webhook.iam.statement import SERVICE
from webhook.model.aws_errors import AwsError
from webhook.model.bindings import Mode

if TYPE_CHECKING:
    from webhook.cli.conformance.associations import Associations
    from webhook.cli.conformance.lab import Lab
    from webhook.cli.conformance.observation import Observation
    from webhook.cli.conformance.roles import Roles

_NO_ID = f"a-{'0' * 17}"
"""Of no association: EKS draws 17 letters and digits."""


class RefusedPodError(Exception):
    """The cluster refuses the pod that would show the variables."""


async def role_not_accepted(_: Lab, roles: Roles, associations: Associations) -> Observation:
    """Ask for an association with a role that trusts no service."""
    await roles.write(roles.placeholder)
    try:
        made = await associations.create(associations.beside("-a"))
    except AwsError as error:
        return by_code(error, "InvalidParameterException")
    await associations.remove(made)
    return judged("accepted", holds=False)


async def pod_variables(lab: Lab, _: Roles, associations: Associations) -> Observation:
    """Look at what new pods would get, by dry runs."""
    await associations.first()

    async def look() -> bool:
        carried = await associations.workload.carried_by_a_new_pod()
        if carried is None:
            raise RefusedPodError
        return Mode.POD_IDENTITY in carried

    try:
        lapse = await lab.lapse("new pods get variables", look, associations.began)
    except RefusedPodError:
        return not_observed("the cluster refuses a pod of the ServiceAccount, by a policy or a quota")
    return judged(lapse.text, holds=lapse.is_within(VARIABLES_WITHIN))


async def association_read_age(lab: Lab, _: Roles, associations: Associations) -> Observation:
    """Make a further association, and look when a list shows it."""
    await associations.first()  # the role is accepted
    subject = associations.beside("-b")
    began = lab.timing.now()
    made = await associations.create(subject)

    async def look() -> bool:
        return made in await listed(lab, associations.cluster, subject)

    lapse = await lab.lapse("a list shows the association", look, began)
    await associations.remove(made)
    return judged(lapse.text, holds=lapse.is_within(LISTED_WITHIN))


async def in_use(_lab: Lab, _roles: Roles, associations: Associations) -> Observation:
    """Ask for a second association."""
    first = await associations.first()
    try:
        await associations.create(associations.subject)
    except AwsError as error:
        if error.code != "ResourceInUseException":
            return by_code(error, "ResourceInUseException")
        named = first in str(error)
        return judged(f"{error.code}, {'with' if named else 'without'} the id", holds=named)
    return judged("a second one was made", holds=False)


async def no_such_association(_lab: Lab, _roles: Roles, associations: Associations) -> Observation:
    """Describe an association that is not there."""
    try:
        await associations.describe(_NO_ID)
    except AwsError as error:
        return by_code(error, "ResourceNotFoundException")
    return judged("described", holds=False)


async def principal_tag(lab: Lab, roles: Roles, associations: Associations) -> Observation:
    """Allow a session one action for its own namespace and one for another, and try both."""
    await associations.first()
    keys = await lab.accepted("EKS gives credentials for the pod", associations.ask_eks, is_refusal_of_role)
    role, namespace = await roles.first(), associations.subject.namespace

    def allow(action: str, of: str) -> dict[str, Any]:
        tag = {"StringEquals": {"aws:PrincipalTag/kubernetes-namespace": of}}
        return {"Effect": "Allow", "Action": action, "Resource": role.value, "Condition": tag}

    await roles.allow(allow("iam:GetRole", namespace), allow("iam:ListRolePolicies", f"not-{namespace}"))
    own = await lab.until("the session may read its role", lambda: is_allowed(lab, keys, "GetRole", role.name))
    other = await is_allowed(lab, keys, "ListRolePolicies", role.name)
    words = {True: "allowed", False: "denied"}
    return judged(f"its own namespace: {words[own]}; another: {words[other]}", holds=own and not other)


async def associated_resource(lab: Lab, roles: Roles, associations: Associations) -> Observation:
    """Let a session pass on its role for another cluster, and then for this one."""
    cluster = associations.cluster
    try:
        made = await _as_session(lab, roles, associations, f"{cluster}-other", waits=False)
    except AwsError as error:
        if "iam:PassRole" not in str(error):
            raise
    else:
        await associations.remove(made)
        return judged("another cluster's ARN allows it", holds=False)
    try:
        made = await _as_session(lab, roles, associations, cluster.value, waits=True)
    except AwsError as error:
        if "iam:PassRole" not in str(error):
            raise
        return judged(f"the cluster's ARN does not allow it: {error}", holds=False)
    await associations.remove(made)
    return judged("the cluster's ARN allows it, another's does not", holds=True)


async def _as_session(lab: Lab, roles: Roles, associations: Associations, arn: str, *, waits: bool) -> str:
    """The association that a session of the role makes, which may pass the role on for `arn`."""
    keys, role = await roles.keys(), await roles.first()
    await roles.write(roles.by_token, roles.by_tags)
    passed = {"iam:PassedToService": SERVICE, "iam:AssociatedResourceArn": arn}
    create, cluster = "eks:CreatePodIdentityAssociation", associations.cluster.value
    await roles.allow(
        {"Effect": "Allow", "Action": create, "Resource": cluster},
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": role.value,
            "Condition": {"StringEquals": passed},
        },
    )
    return await lab.accepted(
        "the session may make an association",
        lambda: associations.create(associations.beside("-c"), keys),
        lambda error: not says_nothing(error) and (waits or "iam:PassRole" not in str(error)),
    )


async def source_arn(lab: Lab, roles: Roles, associations: Associations) -> Observation:
    """Disable session tags, and allow EKS by another cluster's ARN as the source, then by this one's."""
    cluster = associations.cluster
    await associations.update(disableSessionTags=True)
    await roles.write(roles.by_token, roles.by_source(f"{cluster}-other"))

    async def is_refused() -> bool:
        return not await associations.is_given()

    if not await lab.until("EKS refuses by the source", is_refused):
        return judged("another cluster's ARN allows it", holds=False)
    await roles.write(roles.by_token, roles.by_source(cluster.value))
    if await lab.until("EKS gives credentials by the source", associations.is_given):
        return judged("the cluster's ARN allows it, another's does not", holds=True)
    return judged("the cluster's ARN does not allow it", holds=False)


async def empty_target(_: Lab, roles: Roles, associations: Associations) -> Observation:
    """Set a target role, and then an empty one."""
    role = await roles.first()
    await associations.first()
    trusting = {
        "Effect": "Allow",
        "Principal": {"AWS": role.value},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    target = await roles.another("-t", trusting)
    return await _emptied(associations, "targetRoleArn", target.value, {})


async def empty_policy(_: Lab, roles: Roles, associations: Associations) -> Observation:
    """Set a session policy, and then an empty one."""
    role = await roles.first()
    document = policy_of({"Effect": "Allow", "Action": "iam:GetRole", "Resource": role.value})
    return await _emptied(associations, "policy", json.dumps(document), {"disableSessionTags": True})


async def _emptied(associations: Associations, member: str, value: str, beside: dict[str, Any]) -> Observation:
    await associations.update(**{member: value}, **beside)
    if not await associations.becomes(f"{member} is set", lambda found: bool(found.get(member))):
        return not_observed(f"{member} is not described after an update that sets it")
    try:
        await associations.update(**{member: ""})
    except AwsError as error:
        if not error.kind.is_refusal or "is not authorized to perform" in str(error):
            raise
        return judged(f"refused: {error}", holds=False)
    if await associations.becomes(f"{member} is unset", lambda found: not found.get(member)):
        return judged("removed", holds=True)
    return judged("kept", holds=False)


ROWS = {
    "role-not-accepted": role_not_accepted,
    "pod-variables": pod_variables,
    "association-read-age": association_read_age,
    "in-use": in_use,
    "no-such-association": no_such_association,
    "principal-tag": principal_tag,
    "associated-resource": associated_resource,
    "source-arn": source_arn,
    "empty-target": empty_target,
    "empty-policy": empty_policy,
}
