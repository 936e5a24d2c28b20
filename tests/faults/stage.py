"""What all cells share: one API server, one account, one agent, and the thread that serves the ports in front."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rig.aws.agent import Agent
from rig.aws.identity import UNSIGNED_ONCE
from rig.faults import Fronts
from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM, iam_policy, irsa_trust, kubernetes_objects, pod_identity_policy
from rig.space import EKS_CLUSTER, Space, external_statements
from tests.e2e.scenes import LARGE_QUOTA, bare_space
from tests.faults.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sts.type_defs import CredentialsTypeDef

_POD_TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}
_OWN_RIGHTS = frozenset({"Role", "RoleBinding"})


class Stage:
    """The shared parts, running; thread-safe."""

    def __init__(self, space: Space, fronts: Fronts, agent: Agent) -> None:
        self.space = space
        self.fronts = fronts
        self.agent = agent
        made = space.cluster.api.create(objects.pod(OWN_NAMESPACE, PROGRAM, PROGRAM))["metadata"]
        self.pod: tuple[str, str] = (made["name"], made["uid"])
        """Name and uid of the pod that programs call themselves before the agent."""
        self._iam = space.aws.admin_client("iam")
        self._sts = space.aws.client("sts", space.aws.root, UNSIGNED_ONCE)
        self._rights = [item for item in kubernetes_objects([SERVICE_ACCOUNT]) if item["kind"] in _OWN_RIGHTS]

    def lane(self, name: str, dependency: str) -> Lane:
        """Make what a program of that name has to itself."""
        space, role = self.space, f"cell-{name}"
        folder = space.cluster.workspace.path / f"files-{name}"
        folder.mkdir()
        trust = {"Version": "2012-10-17", "Statement": external_statements(space.aws.account)}
        self._iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
        rights = [{**item, "metadata": {**item["metadata"], "namespace": name}} for item in self._rights]
        space.cluster.create([objects.namespace(name), *rights])
        return Lane(self, name, dependency, space.role_arn(role), folder)

    def is_assumed(self, role: str, token: str) -> bool:
        """Whether STS gives credentials of a role for a token."""
        try:
            self.assume(role, token)
        except self._sts.exceptions.ClientError:
            return False
        return True

    def assume(self, role: str, token: str) -> CredentialsTypeDef:
        """Return the credentials that STS gives. Raises ClientError."""
        answer = self._sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="cell", WebIdentityToken=token
        )
        return answer["Credentials"]


@contextmanager
def stage() -> Iterator[Stage]:
    """Start everything that the cells share."""
    with ExitStack() as stack:
        space = stack.enter_context(bare_space(quota=LARGE_QUOTA))
        _let_the_program_work_on_cells(space)
        agent = stack.enter_context(Agent(space.aws, EKS_CLUSTER))
        fronts = stack.enter_context(Fronts(space.cluster.workspace.path / "fronts"))
        yield Stage(space, fronts, agent)


def _let_the_program_work_on_cells(space: Space) -> None:
    """Give the program's own role its rights, and have it assumed by both ways there are."""
    iam, own = space.aws.admin_client("iam"), space.role_arn(PROGRAM)
    cluster = space.aws.add_cluster(EKS_CLUSTER, space.cluster.issuer)
    cells = [space.role_arn("cell-*")]
    rights = {
        "cells": iam_policy(cells, space.provider_arn, own),
        "associations": pod_identity_policy(cells, cluster),
    }
    for name, policy in rights.items():
        iam.put_role_policy(RoleName=PROGRAM, PolicyName=name, PolicyDocument=json.dumps(policy))
    account = f"system:serviceaccount:{OWN_NAMESPACE}:{PROGRAM}"
    trust = irsa_trust(space.provider_arn, space.cluster.issuer, account)
    trust["Statement"].append(_POD_TRUST)
    iam.update_assume_role_policy(RoleName=PROGRAM, PolicyDocument=json.dumps(trust))
    space.aws.admin_client("eks").create_pod_identity_association(
        clusterName=EKS_CLUSTER, namespace=OWN_NAMESPACE, serviceAccount=PROGRAM, roleArn=own
    )
