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
    from webhook.cli.conformance.cluster import Workload
    from webhook.cli.conformance.lab import Lab
    from webhook.cli.conformance.observation import Observation
    from webhook.cli.conformance.roles import Roles

_NO_ID = f"a-{'0' * 17}"
"""Of no association: EKS draws 17 letters and digits."""


class RefusedPodError(Exception):
    """The cluster refuses the pod that would show the variables."""


class EksRows:
    """The rows, which share a role and associations."""

    def __init__(self, lab: Lab, roles: Roles, associations: Associations, workload: Workload) -> None:
        self._lab, self._roles, self._associations = lab, roles, associations
        self._workload = workload

    async def role_not_accepted(self) -> Observation:
        """Ask for an association with a role that trusts no service."""
        await self._roles.write(self._roles.nobody)
        try:
            made = await self._associations.create(self._associations.beside("-a"))
        except AwsError as error:
            return by_code(error, "InvalidParameterException")
        await self._associations.remove(made)
        return judged("accepted", holds=False)

    async def pod_variables(self) -> Observation:
        """Look at what new pods would get, by dry runs."""
        await self._associations.first()

        async def look() -> bool:
            carried = await self._workload.carried_by_a_new_pod()
            if carried is None:
                raise RefusedPodError
            return Mode.POD_IDENTITY in carried

        try:
            lapse = await self._lab.lapse("new pods get variables", look, self._associations.began)
        except RefusedPodError:
            return not_observed("the cluster refuses a pod of the ServiceAccount, by a policy or a quota")
        return judged(lapse.text, holds=lapse.is_within(VARIABLES_WITHIN))

    async def association_read_age(self) -> Observation:
        """Make a further association, and look when a list shows it."""
        await self._associations.first()  # the role is accepted
        subject = self._associations.beside("-b")
        began = self._lab.timing.now()
        made = await self._associations.create(subject)

        async def look() -> bool:
            return made in await listed(self._lab, self._associations.cluster, subject)

        lapse = await self._lab.lapse("a list shows the association", look, began)
        await self._associations.remove(made)
        return judged(lapse.text, holds=lapse.is_within(LISTED_WITHIN))

    async def in_use(self) -> Observation:
        """Ask for a second association."""
        first = await self._associations.first()
        try:
            await self._associations.create(self._associations.subject)
        except AwsError as error:
            if error.code != "ResourceInUseException":
                return by_code(error, "ResourceInUseException")
            named = first in str(error)
            return judged(f"{error.code}, {'with' if named else 'without'} the id", holds=named)
        return judged("a second one was made", holds=False)

    async def no_such_association(self) -> Observation:
        """Describe an association that is not there."""
        try:
            await self._associations.describe(_NO_ID)
        except AwsError as error:
            return by_code(error, "ResourceNotFoundException")
        return judged("described", holds=False)

    async def principal_tag(self) -> Observation:
        """Allow a session one action for its own namespace and one for another, and try both."""
        await self._associations.first()
        keys = await self._lab.accepted(
            "EKS gives credentials for the pod", self._associations.ask_eks, is_refusal_of_role
        )
        role, namespace = await self._roles.first(), self._associations.subject.namespace

        def allow(action: str, of: str) -> dict[str, Any]:
            tag = {"StringEquals": {"aws:PrincipalTag/kubernetes-namespace": of}}
            return {"Effect": "Allow", "Action": action, "Resource": role.value, "Condition": tag}

        await self._roles.allow(allow("iam:GetRole", namespace), allow("iam:ListRolePolicies", f"not-{namespace}"))
        own = await self._lab.until(
            "the session may read its role", lambda: is_allowed(self._lab, keys, "GetRole", role.name)
        )
        other = await is_allowed(self._lab, keys, "ListRolePolicies", role.name)
        words = {True: "allowed", False: "denied"}
        return judged(f"its own namespace: {words[own]}; another: {words[other]}", holds=own and not other)

    async def associated_resource(self) -> Observation:
        """Let a session pass on its role for another cluster, and then for this one."""
        cluster = self._associations.cluster
        try:
            made = await self._as_session(f"{cluster}-other", waits=False)
        except AwsError as error:
            if "iam:PassRole" not in str(error):
                raise
        else:
            await self._associations.remove(made)
            return judged("another cluster's ARN allows it", holds=False)
        try:
            made = await self._as_session(cluster.value, waits=True)
        except AwsError as error:
            if "iam:PassRole" not in str(error):
                raise
            return judged(f"the cluster's ARN does not allow it: {error}", holds=False)
        await self._associations.remove(made)
        return judged("the cluster's ARN allows it, another's does not", holds=True)

    async def _as_session(self, arn: str, *, waits: bool) -> str:
        """The association that a session of the role makes, which may pass the role on for `arn`."""
        keys, role = await self._roles.keys(), await self._roles.first()
        await self._roles.write(self._roles.by_token, self._roles.by_tags)
        passed = {"iam:PassedToService": SERVICE, "iam:AssociatedResourceArn": arn}
        create, cluster = "eks:CreatePodIdentityAssociation", self._associations.cluster.value
        await self._roles.allow(
            {"Effect": "Allow", "Action": create, "Resource": cluster},
            {
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": role.value,
                "Condition": {"StringEquals": passed},
            },
        )
        return await self._lab.accepted(
            "the session may make an association",
            lambda: self._associations.create(self._associations.beside("-c"), keys),
            lambda error: not says_nothing(error) and (waits or "iam:PassRole" not in str(error)),
        )

    async def source_arn(self) -> Observation:
        """Disable session tags, and allow EKS by another cluster's ARN as the source, then by this one's."""
        cluster = self._associations.cluster
        await self._associations.update(disableSessionTags=True)
        await self._roles.write(self._roles.by_token, self._roles.by_source(f"{cluster}-other"))

        async def is_refused() -> bool:
            return not await self._associations.is_given()

        if not await self._lab.until("EKS refuses by the source", is_refused):
            return judged("another cluster's ARN allows it", holds=False)
        await self._roles.write(self._roles.by_token, self._roles.by_source(cluster.value))
        if await self._lab.until("EKS gives credentials by the source", self._associations.is_given):
            return judged("the cluster's ARN allows it, another's does not", holds=True)
        return judged("the cluster's ARN does not allow it", holds=False)

    async def empty_target(self) -> Observation:
        """Set a target role, and then an empty one."""
        role = await self._roles.first()
        await self._associations.first()
        trusting = {
            "Effect": "Allow",
            "Principal": {"AWS": role.value},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }
        target = await self._roles.another("-t", trusting)
        return await self._emptied("targetRoleArn", target.value, {})

    async def empty_policy(self) -> Observation:
        """Set a session policy, and then an empty one."""
        role = await self._roles.first()
        document = policy_of({"Effect": "Allow", "Action": "iam:GetRole", "Resource": role.value})
        return await self._emptied("policy", json.dumps(document), {"disableSessionTags": True})

    async def _emptied(self, member: str, value: str, beside: dict[str, Any]) -> Observation:
        await self._associations.update(**{member: value}, **beside)
        if not await self._associations.becomes(f"{member} is set", lambda found: bool(found.get(member))):
            return not_observed(f"{member} is not described after an update that sets it")
        try:
            await self._associations.update(**{member: ""})
        except AwsError as error:
            if not error.kind.is_refusal or "is not authorized to perform" in str(error):
                raise
            return judged(f"refused: {error}", holds=False)
        if await self._associations.becomes(f"{member} is unset", lambda found: not found.get(member)):
            return judged("removed", holds=True)
        return judged("kept", holds=False)

    @property
    def rows(self) -> dict[str, Any]:
        """Each row by the id of its assumption."""
        return {
            "role-not-accepted": self.role_not_accepted,
            "pod-variables": self.pod_variables,
            "association-read-age": self.association_read_age,
            "in-use": self.in_use,
            "no-such-association": self.no_such_association,
            "principal-tag": self.principal_tag,
            "associated-resource": self.associated_resource,
            "source-arn": self.source_arn,
            "empty-target": self.empty_target,
            "empty-policy": self.empty_policy,
        }
