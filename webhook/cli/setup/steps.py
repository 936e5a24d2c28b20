"""The steps from the account as it is to the account as it should be: one list, made, printed or written down.

A step is there for each object of the desired account, whether it lacks something or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webhook.cli import account_calls as calls
from webhook.cli.setup import policies
from webhook.cli.setup.policies import editable_roles
from webhook.cli.setup.refusals import refuse_association, refuse_role_of_others, refuse_to_replace
from webhook.cli.trust_statements import FIRST_OF_SETUP, begins_with_denial, without_denial
from webhook.iam.trust_policy import TrustPolicy, canonical, canonical_policy
from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from webhook.cli.account_calls import AccountCall, Document
    from webhook.cli.setup.prerequisites import DesiredAccount, Found
    from webhook.model.names import ClusterArn, RoleArn

BUCKET_POLICY = "backup-bucket"
OWN_POLICY = "trust-policies"
ASSOCIATION_POLICY = "pod-identity"
"""Names of the inline policies."""

_WELL = {"ACTIVE", "CREATING", "UPDATING"}
"""What the status of an add-on may be (EKS, DescribeAddon)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One object of the account. `wanted` is the call that would create it as it should be."""

    what: str
    wanted: AccountCall
    missing: AccountCall | None
    """The call that it lacks; None where the object is as it should be."""
    id: str | None = None
    """How Terraform finds the object; None where there is none yet."""
    edited: RoleArn | None = None
    """The role, where the webhook edits its trust policy: no other writer may, without the role's lock."""

    @property
    def needs_lock(self) -> bool:
        """Whether it is missing and is written under the role's lock."""
        is_update = self.missing is not None and self.missing.operation == "update_assume_role_policy"
        return is_update and self.edited is not None


def steps_to(desired: DesiredAccount, found: Found) -> list[Step]:
    """All steps. Trust policies of bound roles are left as they are, except for what an earlier `setup` wrote.

    Nothing is taken away: the webhook keeps the roles that an earlier call gave it, and InvalidNameError is raised
    where a call would take from another webhook, bucket or person what it has.
    """
    editable = editable_roles(found.policy(desired.own_role, OWN_POLICY) or {})
    desired = replace(desired, roles_before=tuple(role for role in editable if role != desired.own_role))
    refuse_role_of_others(desired, found, (OWN_POLICY, ASSOCIATION_POLICY))
    steps = [*_provider(desired, found), *_bound_roles(desired, found), *_own_role(desired, found)]
    if desired.associates and desired.cluster is not None:
        refuse_association(desired, found)
        steps += _pod_identity(desired, desired.cluster, found)
    return steps


def missing(steps: Sequence[Step]) -> list[tuple[Step, AccountCall]]:
    """The steps that are left to do, each with its call."""
    return [(step, step.missing) for step in steps if step.missing is not None]


def notes(desired: DesiredAccount, found: Found) -> Iterator[str]:
    """What a person should know of the account that is no step."""
    agent = found.agent.status
    if desired.associates and agent is not None and agent not in _WELL and desired.cluster is not None:
        command = f"aws eks describe-addon --cluster-name {desired.cluster.name} --addon-name {calls.AGENT}"
        yield f"add-on {calls.AGENT} is {agent}, so that pods get no credentials; see why: {command}"
    for role in desired.bound_roles:
        own = desired.own_in(role)
        if role in found.roles and not any(own.owns(one) for one in found.roles[role].trust.statements):
            yield f"role {role.name} is there already: its trust policy is kept, and the webhook adds to it"


def _provider(desired: DesiredAccount, found: Found) -> Iterator[Step]:
    """Of no use to mode pod-identity."""
    if desired.associates:
        return
    arn, audiences = desired.provider_arn, found.provider.audiences
    wanted = calls.create_provider(desired.issuer.value, list(dict.fromkeys((*(audiences or ()), AUDIENCE))))
    if audiences is None:
        yield Step("the cluster's OIDC provider", wanted, wanted)
        return
    lacks = calls.add_audience(arn) if found.provider.problem else None
    yield Step(f"the audience {AUDIENCE} of the OIDC provider", wanted, lacks, arn)


def _bound_roles(desired: DesiredAccount, found: Found) -> Iterator[Step]:
    """Roles for backups with their policy; of other workloads only the owners know what a role may do in AWS."""
    for role in desired.bound_roles:
        wanted = calls.create_role(role, policies.first_trust(desired, role))
        if role not in found.roles:
            names = [one.preset.name for one in desired.bound if role in one.roles]
            purpose = "backups" if role in desired.roles else ", ".join(names)
            yield Step(f"role {role.name} for {purpose}", wanted, wanted, edited=role)
        else:
            trust = found.roles[role].trust
            repaired = without_denial(trust, desired.own_in(role)) if begins_with_denial(trust) else None
            lacks = None if repaired is None else calls.update_trust(role, repaired)
            what = f"trust policy of {role.name} without {FIRST_OF_SETUP['Sid']}, which denies EKS"
            yield Step(what, wanted, lacks, role.name, edited=role)
        if role in desired.roles:
            yield _inline("--role", role, BUCKET_POLICY, policies.bucket_policy(desired), found)


def _own_role(desired: DesiredAccount, found: Found) -> Iterator[Step]:
    role, statement = desired.own_role, policies.own_statement(desired)
    there = found.roles.get(role)
    if there is None:
        wanted = calls.create_role(role, calls.policy_of(statement))
        yield Step(f"the webhook's own role {role.name}", wanted, wanted)
    else:
        others = [one for one in there.trust.statements if one.get("Sid") != statement["Sid"]]
        is_there = any(canonical(one) == canonical(statement) for one in there.trust.statements)
        trust = (
            there.trust if is_there else TrustPolicy({**there.trust.document, "Statement": [*others, statement]})
        )
        lacks = None if is_there else calls.update_trust(role, trust)
        what = f"the webhook in the trust policy of {role.name}"
        yield Step(what, calls.create_role(role, trust.document), lacks, role.name)
    yield _inline("--own-role", role, OWN_POLICY, policies.own_policy(desired), found)
    if desired.associates and desired.cluster is not None:
        wanted_policy = policies.association_policy(desired, desired.cluster)
        yield _inline("--own-role", role, ASSOCIATION_POLICY, wanted_policy, found)


def _inline(option: str, role: RoleArn, name: str, policy: Document, found: Found) -> Step:
    """An inline policy. Raises InvalidNameError where it has more already, or a condition."""
    refuse_to_replace(option, role, name, policy, found)
    there, wanted = found.policy(role, name), calls.put_policy(role, name, policy)
    is_right = there is not None and canonical_policy(there) == canonical_policy(policy)
    identity = None if there is None else f"{role.name}:{name}"
    return Step(f"policy {name} of {role.name}", wanted, None if is_right else wanted, identity)


def _pod_identity(desired: DesiredAccount, cluster: ClusterArn, found: Found) -> Iterator[Step]:
    """The agent, where the cluster has none by itself, and last the association, which needs the role."""
    if not found.agent.is_built_in:
        wanted, is_there = calls.create_agent(cluster), found.agent.status is not None
        identity = f"{cluster.name}:{calls.AGENT}" if is_there else None
        yield Step(f"add-on {calls.AGENT} of {cluster.name}", wanted, None if is_there else wanted, identity)
    wanted = calls.create_association(cluster, desired.program, desired.own_role)
    where = f"{desired.program.namespace}/{desired.program.service_account}"
    identity = f"{cluster.name},{found.association.id}" if found.association else None
    what = f"association of {where} with {desired.own_role.name}"
    yield Step(what, wanted, None if found.association else wanted, identity)
