"""The rights that docs/use/migrate.md lists are enough for `migrate`; without one it says what it lacks."""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.permissions import pod_identity_policy
from rig.space import EKS_CLUSTER, Space, external_statements
from tests.cli.commands import Person, Ran, environment, run
from tests.e2e.limited_people import Verbs, kubeconfig_with, lack, rights_of, user_with
from tests.e2e.scenes import create_account, create_namespace, whole_space

DONE, FAILED, CHANGES, PROBLEMS = 0, 1, 3, 4
MIGRATOR = "migrator"

CLUSTER: Verbs = {
    "namespaces": ("get", "list", "watch"),
    "serviceaccounts": ("get", "list", "watch", "patch"),
    "pods": ("list", "create"),
    "deployments": ("get", "list", "patch"),
}
OWN: Verbs = {"leases": ("get", "create", "update")}
"""In the program's namespace."""
IAM = ("iam:GetRole", "iam:UpdateAssumeRolePolicy", "iam:GetAccountSummary")
EKS = (
    *(f"eks:{verb}PodIdentityAssociation" for verb in ("Create", "Describe", "Update", "Delete")),
    "eks:ListPodIdentityAssociations",
    "eks:DescribeCluster",
    "eks:TagResource",
    "iam:PassRole",
)
KUBERNETES = rights_of(CLUSTER, OWN)


@dataclass(frozen=True)
class Phase:
    """A run with --approve that has all rights, and how it ends; before it, runs that lack one that it needs."""

    to: str
    mode: str
    """The binding's in the configuration."""
    ends: int
    lacking: dict[str, int] = field(default_factory=dict)
    """Exit codes. In this order none of the runs does what the next one is to fail at."""
    newcomers: bool = False
    """Whether each of them finds a control plane more."""
    goes_on_without: str = ""


PHASES = (
    Phase(
        "pod-identity",
        "irsa",
        CHANGES,
        {
            "list namespaces": FAILED,
            "list serviceaccounts": FAILED,
            "list pods": FAILED,
            "list deployments": FAILED,
            "get leases": FAILED,
            "create leases": FAILED,
            "update leases": FAILED,
            "iam:GetRole": PROBLEMS,
            "iam:GetAccountSummary": FAILED,
            "eks:DescribeCluster": FAILED,
            "eks:ListPodIdentityAssociations": FAILED,
            "eks:UpdatePodIdentityAssociation": FAILED,
            "eks:CreatePodIdentityAssociation": FAILED,
            "eks:TagResource": FAILED,
            "iam:PassRole": FAILED,
        },
        newcomers=True,
    ),
    Phase(
        "pod-identity",
        "pod-identity",
        DONE,
        {
            "eks:DescribePodIdentityAssociation": FAILED,
            "get deployments": FAILED,
            "patch deployments": FAILED,
            "get serviceaccounts": FAILED,
            "patch serviceaccounts": FAILED,
            "watch serviceaccounts": FAILED,
            "get namespaces": FAILED,
        },
    ),
    Phase(
        "irsa",
        "pod-identity",
        CHANGES,
        {"iam:UpdateAssumeRolePolicy": FAILED, "watch namespaces": FAILED},
    ),
    Phase("irsa", "irsa", DONE, {"eks:DeletePodIdentityAssociation": FAILED}, goes_on_without="create pods"),
)
SAID = {
    "iam:GetAccountSummary": "raise IAM quota",
    "watch serviceaccounts": "not within 120 s",
    "watch namespaces": "the watch of namespaces is interrupted",
}
"""What is told instead of the right."""
GOES_ON_WITHOUT = {"create pods": 20.0}
"""Seconds that it takes at least: as long as EKS's webhook may take to hear."""


def crowded() -> list[dict[str, Any]]:
    """Other people's statements that no quota by default has room for."""
    statements = external_statements("123456789012")
    (values,) = [one["Condition"]["StringEquals"] for one in statements if one["Sid"] == "OtherCluster"]
    (subjects,) = [value for key, value in values.items() if key.endswith(":sub")]
    subjects.extend(f"system:serviceaccount:team-{number}:backup-of-everything" for number in range(40))
    return statements


@dataclass
class Scene:
    """Control planes that are trusted, one with pods, and another whose association names a wrong role."""

    space: Space

    def person(self, mode: str, **binding: Any) -> Person:
        """An administrator, whose configuration has the binding in a mode."""
        (default,) = self.space.configuration()["bindings"]
        changed = {**default, "roles": self.space.roles[:1], "mode": mode, **binding}
        return Person(self.space, bindings=[changed], cluster={"name": EKS_CLUSTER})

    def set_up(self) -> None:
        """Make it."""
        create_account(self.space, create_namespace(self.space))
        aside = self.person("irsa", roles=self.space.roles[1:])
        made = aside("migrate", "backup", "--to", "pod-identity", "--approve")
        assert "done: 1 associated" in made.out, made
        namespace = create_namespace(self.space)
        create_account(self.space, namespace)
        assert self.person("irsa")("apply").code == DONE
        self.space.cluster.create([objects.deployment(namespace)])
        self.space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)

    def migrate(self, phase: Phase, without: str = "") -> Ran:
        """Run it with the listed rights, or all but one."""
        person = self.person(phase.mode)
        name = f"{MIGRATOR}-{without.replace(' ', '-').replace(':', '-').lower()}".rstrip("-")
        kubeconfig = str(kubeconfig_with(self.space, name, CLUSTER, OWN, without))
        env = {**environment(self.space), **self._user(without), "KUBECONFIG": kubeconfig}
        call = ("migrate", "backup", "--to", phase.to, "--config", str(person.file), "--approve")
        return run(*call, "--at-a-time", "50", env=env, timeout=300)

    def _user(self, without: str) -> dict[str, str]:
        """Somebody in the account."""
        iam = self.space.aws.admin_client("iam")
        roles, cluster = self.space.roles[:1], f"arn:aws:eks:{self.space.aws.region}"
        policy = pod_identity_policy(roles, f"{cluster}:{self.space.aws.account}:cluster/{EKS_CLUSTER}")
        statements = [*policy["Statement"], {"Effect": "Allow", "Action": list(IAM), "Resource": "*"}]
        return user_with(self.space, f"{MIGRATOR}{len(iam.list_users()['Users'])}", statements, without)


def _lack(right: str) -> str:
    """How people are told which right is missing."""
    return SAID.get(right) or lack(right)


def test_the_table_names_each_right_once() -> None:
    tried = [right for phase in PHASES for right in phase.lacking]
    assert sorted([*tried, *GOES_ON_WITHOUT]) == sorted([*KUBERNETES, *IAM, *EKS])


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_the_listed_rights_are_enough_there_and_back_and_each_is_missed() -> None:
    with whole_space(eks_lag=0, quota=8192, roles=("mxp-backup", "mxp-more"), external=crowded()) as space:
        scene = Scene(space)
        scene.set_up()
        for phase in PHASES:
            for right, code in phase.lacking.items():
                if phase.newcomers:
                    create_account(space, create_namespace(space))
                refused = scene.migrate(phase, without=right)
                assert refused.code == code, (right, refused)
                assert _lack(right) in refused.out + refused.err, (right, refused)
                assert "Traceback" not in refused.err
            began = time.monotonic()
            done = scene.migrate(phase, without=phase.goes_on_without)
            assert done.code == phase.ends, done
            assert time.monotonic() - began >= GOES_ON_WITHOUT.get(phase.goes_on_without, 0)
