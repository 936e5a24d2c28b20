"""The throw-away roles of a run, their trust policies, and the sessions of the first of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from webhook.aws.calls import text
from webhook.aws.sessions import by_token
from webhook.cli.account_calls import compact, policy_of
from webhook.cli.conformance.lab import Made, Once
from webhook.cli.conformance.permissions import NAME
from webhook.iam.statement import ACTIONS, SERVICE, OwnStatement, PodStatement
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.names import RoleArn
from webhook.model.selectors import NamePattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webhook.aws.clients import AwsClients, SessionKeys
    from webhook.cli.conformance.cluster import Site
    from webhook.cli.conformance.lab import Lab
    from webhook.iam.trust_policy import Statement

POLICY = NAME
"""The name of the inline policy, which a role has for a few rows alone."""

_DESCRIPTION = "Made by mxp-identity conformance, which removes it at its end"


def removable_role(lab: Lab, name: str) -> Made:
    """A role, and how it is removed: IAM keeps one that has an inline policy (DeleteConflict)."""
    command = (
        f"aws iam delete-role-policy --role-name {name} --policy-name {POLICY}; "
        f"aws iam delete-role --role-name {name}"
    )

    def delete(clients: AwsClients) -> None:
        clients.iam.delete_role(RoleName=name)

    def delete_policy(clients: AwsClients) -> None:
        clients.iam.delete_role_policy(RoleName=name, PolicyName=POLICY)

    async def remove() -> None:
        try:
            await lab.ask("DeleteRole", delete)
        except AwsError as error:
            if error.code != "DeleteConflict":
                raise
            await lab.ask("DeleteRolePolicy", delete_policy)
            await lab.ask("DeleteRole", delete)

    return Made(f"role {name}", remove, command)


async def leftovers(lab: Lab) -> list[Made]:
    """What earlier runs have left: the roles of their path (iam:ListRoles). Raises AwsError."""

    def ask(clients: AwsClients) -> list[str]:
        pages = clients.iam.get_paginator("list_roles").paginate(PathPrefix=f"/{NAME}/")
        return [text(role["RoleName"]) for page in pages for role in page["Roles"]]

    return [removable_role(lab, name) for name in await lab.ask("ListRoles", ask)]


class Roles:
    """The roles of a run. The first is made when it is first needed; a failure is each row's that needs it."""

    def __init__(self, lab: Lab, site: Site | None) -> None:
        self._lab = lab
        self._site = site
        self.last_read = TrustPolicy({})
        self._first = Once(lambda: self.another("", self.placeholder))
        self._made: dict[RoleArn, Made] = {}
        self._keys: SessionKeys | None = None

    @property
    def name(self) -> str:
        """The name of the first."""
        return self._lab.name

    @property
    def placeholder(self) -> Statement:
        """A statement that holds for no caller: of the own account, with an id that is not known."""
        return self.placeholder_with([self.name])

    def placeholder_with(self, ids: Sequence[str]) -> Statement:
        """The same with `ids` as the values of its condition."""
        account = f"arn:{self._lab.scope.partition}:iam::{self._lab.scope.account}:root"
        return {
            "Effect": "Allow",
            "Principal": {"AWS": account},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": list(ids)}},
        }

    @property
    def by_token(self) -> Statement:
        """The program's own statement for the throw-away ServiceAccount."""
        site = self._there
        return OwnStatement.for_role(self._arn(self.name), site.issuer, NAME).render([site.workload.subject])

    @property
    def by_tags(self) -> Statement:
        """The program's own statement for its pods."""
        subject, pattern = self._there.workload.subject, NamePattern(self._there.workload.subject.namespace)
        return PodStatement(NAME, NAME, self._there.cluster, subject.service_account, pattern).render()

    def by_source(self, arn: str) -> Statement:
        """A statement that allows EKS for `arn` as the source of its request."""
        condition = {"StringEquals": {"aws:SourceArn": arn, "aws:SourceAccount": self._lab.scope.account}}
        principal = {"Service": SERVICE}
        return {"Effect": "Allow", "Principal": principal, "Action": list(ACTIONS), "Condition": condition}

    async def first(self) -> RoleArn:
        """The role of most rows. Raises AwsError, each time, where it could not be made."""
        return await self._first.get()

    async def another(self, suffix: str, *trust: Statement) -> RoleArn:
        """A further role, with `suffix` after its name. Raises AwsError."""
        role, document = self._arn(f"{self.name}{suffix}"), compact(policy_of(*trust))

        def create(clients: AwsClients) -> None:
            clients.iam.create_role(
                RoleName=role.name, Path=f"/{NAME}/", AssumeRolePolicyDocument=document, Description=_DESCRIPTION
            )

        async def created() -> None:
            try:
                await self._lab.ask("CreateRole", create)
            except AwsError as error:
                if error.code != "EntityAlreadyExists":  # the SDK has sent it twice: the answer was lost
                    raise

        made = removable_role(self._lab, role.name)
        await self._lab.make(made, created)
        self._made[role] = made
        return role

    async def remove(self, role: RoleArn) -> None:
        """Remove a further role before the end. Raises AwsError."""
        await self._lab.remove(self._made.pop(role))

    async def write(self, *trust: Statement) -> None:
        """Give the first role this trust policy. Raises AwsError."""
        await self.write_text(TrustPolicy(policy_of(*trust)).text())

    async def write_text(self, document: str) -> None:
        """The same, with the document as it is sent."""
        role = await self.first()
        await self._lab.change(
            f"writing the trust policy of {role.name}",
            "UpdateAssumeRolePolicy",
            lambda clients: clients.iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=document),
        )

    async def shows(self, test: Callable[[TrustPolicy], bool]) -> bool:
        """Whether GetRole shows a trust policy of the first role that meets `test`; it is then `last_read`.

        Raises AwsError but for a role that GetRole does not show yet.
        """
        role = await self.first()
        try:
            self.last_read = TrustPolicy.parse(await self._lab.ask("GetRole", partial(_trust_of, role.name)))
        except AwsError as error:
            if error.kind is not FailureKind.NO_SUCH_ROLE:
                raise
            return False
        return test(self.last_read)

    async def allow(self, *statements: dict[str, Any]) -> None:
        """Give the first role an inline policy of these statements. Raises AwsError."""
        role, document = await self.first(), compact(policy_of(*statements))

        def put(clients: AwsClients) -> None:
            clients.iam.put_role_policy(RoleName=role.name, PolicyName=POLICY, PolicyDocument=document)

        await self._lab.change(f"writing the inline policy of {role.name}", "PutRolePolicy", put)

    async def keys(self) -> SessionKeys:
        """Credentials of the first role, which STS gives for a token. Raises AwsError, ClusterError."""
        if self._keys is None:
            await self.write(self.by_token)
            self._keys = await self._lab.accepted(
                "STS accepts a token", self.ask_sts, lambda error: error.kind is FailureKind.ACCESS_DENIED
            )
        return self._keys

    async def ask_sts(self) -> SessionKeys:
        """Credentials for a new token, by one request."""
        token = await self._there.workload.token()
        self._keys = await by_token(self._lab.calls, await self.first(), token, NAME)
        return self._keys

    @property
    def _there(self) -> Site:
        if self._site is None:
            raise ValueError("a row that needs a cluster was asked without one")
        return self._site

    def _arn(self, name: str) -> RoleArn:
        return RoleArn(f"{self._lab.scope.roles.removesuffix('*')}{name}")


def _trust_of(name: str, clients: AwsClients) -> object:
    return clients.iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
