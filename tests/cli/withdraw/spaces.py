"""A Space that the product has made: IRSA over a pool of roles, associations for another team, and Leases."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.space import EKS_CLUSTER, Space
from tests.cli.commands import Ran, environment, run
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.pod_identity import make_by_hand
from tests.e2e.replicas import api_server
from tests.e2e.scenes import leases

POOL = ("mxp-backup", "second", "third")
FOR_PODS = "for-pods"
ROLES = (*POOL, FOR_PODS)
NOTES = {"mxp-identity/retried-at": "2026-11-29T22:00:00+00:00", "mxp-identity/restarted-at": "x"}
EXTERNAL = "mxp-external-system"
"""A control plane with an association that a person made."""


def names(team: str, count: int) -> list[str]:
    """The same host namespaces in each Space, so that two Spaces can be compared."""
    return [f"mxp-{number:08d}-0000-4000-8000-{team.encode().hex():0>12}-system" for number in range(count)]


@dataclass(frozen=True)
class Made:
    """The Space, its configuration, and its control planes by how they get their role."""

    space: Space
    file: Path
    irsa: list[str]
    pods: list[str]
    before: dict[str, Any] = field(default_factory=dict)
    """The policy of each role before the product came."""

    def withdraw(self, *options: str, timeout: float = 120) -> Ran:
        """Run the command as an administrator, with the configuration in a file."""
        call = ("withdraw", "--config", str(self.file), *options)
        return run(*call, env=environment(self.space), timeout=timeout)

    def left(self) -> dict[str, Any]:
        """All that a person finds afterwards, but for what changes from run to run."""
        space = self.space
        accounts = [*self.irsa, *self.pods, EXTERNAL]
        return {
            "policies": {role: space.policy(role) for role in ROLES},
            "associations": {
                one.namespace: (one.role_arn, dict(one.tags)) for one in space.aws.associations(EKS_CLUSTER)
            },
            "annotations": {name: annotation(space, name) for name in accounts},
            "notes": [name for name in self.irsa if _notes(space, name)],
            "leases": sorted(one["metadata"]["name"] for one in leases(space)),
        }

    def trusted(self) -> list[str]:
        """The control planes in mode irsa that STS accepts for the role of their annotation, or of any."""
        arns = [self.space.role_arn(role) for role in POOL]
        return [name for name in self.irsa if any(is_trusted(self.space, name, arn) for arn in arns)]

    def managed_sids(self) -> list[str]:
        """Sids of the program's, in any role."""
        text = json.dumps([self.space.policy(role) for role in ROLES])
        return [word for word in text.split('"') if word.startswith("MxpIdentity")]

    def assert_external_statements_never_changed(self) -> None:
        """In content and order, in every document of the history."""
        for role in ROLES:
            for write in self.space.aws.history(role):
                document = json.loads(write.document)
                external = [one for one in document["Statement"] if not is_of_the_product(one)]
                assert {**document, "Statement": external} == self.before[role], role


def is_of_the_product(statement: dict[str, Any]) -> bool:
    """Whether it is managed, or what `withdraw` leaves in the place of a managed one."""
    return str(statement.get("Sid", "")).startswith(("MxpIdentity", "KeptAccess", "AllowsNobody"))


def write_notes(here: Made) -> None:
    """Have a Deployment carry what the running program writes about it."""
    path = f"/apis/apps/v1/namespaces/{here.irsa[0]}/deployments/{SERVICE_ACCOUNT}"
    here.space.cluster.api.patch(path, {"metadata": {"annotations": NOTES}})


def _notes(space: Space, namespace: str) -> set[str]:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE_ACCOUNT}"
    try:
        metadata = space.cluster.api.get(path)["metadata"]
    except ApiError:
        return set()
    return {key for key in metadata.get("annotations", {}) if key.startswith("mxp-identity/")}


def configuration(space: Space) -> dict[str, Any]:
    """Two teams: one by IRSA over the pool, one by Pod Identity."""
    (binding,) = space.configuration()["bindings"]

    def of(team: str, mode: str, roles: tuple[str, ...]) -> dict[str, Any]:
        selector = {"matchLabels": {"team": team}}
        namespaces = {"pattern": "mxp-*-system", "selector": selector}
        arns = [space.role_arn(role) for role in roles]
        return {**binding, "name": team, "namespaces": namespaces, "mode": mode, "roles": arns}

    bindings = [of("irsa", "irsa", POOL), of("pods", "pod-identity", (FOR_PODS,))]
    return space.configuration(bindings=bindings, cluster={"name": EKS_CLUSTER})


@contextmanager
def made(space: Space, count: int = 6) -> Iterator[Made]:
    """Have the product make it: by `apply`, which has the running program's writers."""
    file = space.cluster.workspace.path / "withdraw.yaml"
    file.write_text(yaml.safe_dump(configuration(space)))
    before = {role: space.policy(role) for role in ROLES}
    here = Made(space, file, names("irsa", count), names("pods", 3), before)
    for team, namespaces in (("irsa", here.irsa), ("pods", here.pods)):
        for name in namespaces:
            labels = {CONTROL_PLANE_LABEL: name, "team": team}
            space.cluster.create([objects.namespace(name, labels), objects.service_account(name)])
    space.cluster.create([objects.namespace(EXTERNAL), objects.service_account(EXTERNAL)])
    space.cluster.create([objects.deployment(here.irsa[0])])
    write_notes(here)
    call = ("apply", "--config", str(file))
    applied = run(*call, env=environment(space))
    assert applied.code == 0, applied
    make_by_hand(space, EXTERNAL, space.role_arn(FOR_PODS))
    assert here.trusted() == here.irsa
    assert len(here.managed_sids()) >= 3, "in several roles of the pool, and for pods"
    assert len(leases(space)) >= 3
    yield here


@contextmanager
def a_space() -> Iterator[Made]:
    """Such a Space of its own, on an API server alone."""
    with (
        api_server() as cluster,
        Space(cluster=cluster, roles=ROLES, quota=2048, eks_lag=0) as space,
        made(space) as here,
    ):
        yield here
