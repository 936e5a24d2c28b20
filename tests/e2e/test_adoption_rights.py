"""The rights that docs/use/adopt.md lists are enough for `adopt`; without one it says what it lacks."""

import pytest

from rig.space import EKS_CLUSTER
from tests.cli.commands import Ran, environment, run
from tests.e2e.by_hand import PODS, WILD, ByHand, irsa_roles
from tests.e2e.limited_people import Verbs, kubeconfig_with, lack, rights_of, user_with
from tests.e2e.scenes import whole_space
from tests.support.variants import variants

DONE, FAILED, PROBLEMS = 0, 1, 4

CLUSTER: Verbs = {"namespaces": ("list", "watch"), "serviceaccounts": ("list", "watch")}
OWN: Verbs = {"leases": ("get", "create", "update")}
"""In the program's namespace."""
IAM = ("iam:GetRole", "iam:UpdateAssumeRolePolicy", "iam:GetAccountSummary")
ON_CLUSTER = ("eks:DescribeCluster", "eks:ListPodIdentityAssociations")
ON_ASSOCIATIONS = ("eks:DescribePodIdentityAssociation", "eks:TagResource")

LACKING = {
    "list namespaces": FAILED,
    "list serviceaccounts": FAILED,
    "get leases": FAILED,
    "create leases": FAILED,
    "update leases": FAILED,
    "iam:GetRole": PROBLEMS,
    "iam:UpdateAssumeRolePolicy": FAILED,
    "eks:DescribeCluster": PROBLEMS,
    "eks:ListPodIdentityAssociations": PROBLEMS,
    "eks:DescribePodIdentityAssociation": PROBLEMS,
    "eks:TagResource": FAILED,
}
"""Exit codes."""
GOES_ON_WITHOUT = ("watch namespaces", "watch serviceaccounts", "iam:GetAccountSummary")
"""Without the watch it sees no change while it works; without the quota it takes IAM's default."""
FEW = ("list namespaces", "update leases", "iam:GetRole", "eks:TagResource")


def test_the_table_names_each_right_once() -> None:
    tried = sorted([*LACKING, *GOES_ON_WITHOUT])
    assert tried == sorted([*rights_of(CLUSTER, OWN), *IAM, *ON_CLUSTER, *ON_ASSOCIATIONS])


@pytest.mark.rig
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rights", variants([FEW, (*LACKING, *GOES_ON_WITHOUT)]), ids=["few", "all"])
def test_the_listed_rights_are_enough_and_each_is_missed(rights: tuple[str, ...]) -> None:
    (role,) = irsa_roles(1)
    with whole_space(eks_lag=0, quota=2048, roles=(role, PODS, WILD)) as space:
        place = ByHand(space, [role])
        place.make(irsa=2, associated=2, wild=1, deployments=False)
        for right in LACKING.keys() & set(rights):
            refused = _adopt(place, right)
            assert refused.code == LACKING[right], (right, refused)
            assert lack(right) in refused.out + refused.err, (right, refused)
            assert "Traceback" not in refused.err
            place.follow_the_guide()
        for right in ("", *(one for one in GOES_ON_WITHOUT if one in rights)):
            done = _adopt(place, right)
            assert done.code == DONE, (right, done)
            assert len(place.subjects_of_managed(role)) == len(place.planes[role])
            assert all(one.tags for one in space.aws.associations(EKS_CLUSTER))
            place.follow_the_guide()


def _adopt(place: ByHand, without: str) -> Ran:
    """Run it with the listed rights, or all but one."""
    space, person = place.space, place.person()
    name = f"adopter-{without.replace(' ', '-').replace(':', '-').lower()}".rstrip("-")
    cluster = f"arn:aws:eks:{space.aws.region}:{space.aws.account}:cluster/{EKS_CLUSTER}"
    associations = cluster.replace(":cluster/", ":podidentityassociation/") + "/*"
    allowed = [
        {"Effect": "Allow", "Action": list(actions), "Resource": resource}
        for actions, resource in ((IAM, "*"), (ON_CLUSTER, cluster), (ON_ASSOCIATIONS, associations))
    ]
    env = {
        **environment(space),
        **user_with(space, name, allowed, without),
        "KUBECONFIG": str(kubeconfig_with(space, name, CLUSTER, OWN, without)),
    }
    call = ("adopt", "--config", str(person.file), "--replace-wildcards", "--approve")
    return run(*call, env=env, timeout=200)
