"""A pool of roles at IAM's default quota: each takes what fits, and no subject is in two."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.oracle import TrustOracle
from rig.space import AUDIENCE, Space, external_statements
from rig.waiting import eventually
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.replicas import api_server, make_crowd, make_one
from tests.e2e.scenes import serving
from tests.e2e.writers import assert_external_statements_never_changed, subjects_over_time
from tests.proof.records import Record

QUOTA = 2048
"""IAM's default, in characters."""
ACCOUNT = "123456789012"
AT_ONCE = 32
WAYS_OUT = (
    "mxp-identity: reason: the trust policies of all 2 roles of binding backup are full: raise IAM quota "
    "L-C07B4B0D (Role trust policy length), add a role to the binding, or use EKS Pod Identity"
)


@contextmanager
def pool_of(size: int) -> Iterator[Space]:
    """A Space whose binding lists so many roles, each with one external statement, and a replica."""
    names = [f"mxp-backup-{number}" for number in range(1, size + 1)]
    with (
        api_server() as cluster,
        Space(cluster=cluster, roles=names, quota=QUOTA, external=external_statements(ACCOUNT)[:1]) as space,
        serving(space),
    ):
        yield space


@pytest.mark.rig
@pytest.mark.parametrize(
    ("size", "count"),
    [(4, 40), pytest.param(40, 500, marks=[pytest.mark.proof, pytest.mark.timeout(600)])],
    ids=["4 roles, 40 subjects", "40 roles, 500 subjects"],
)
def test_a_pool_takes_all_at_once_each_in_one_role(size: int, count: int, record: Record) -> None:
    with pool_of(size) as space:
        made = make_crowd(space, count, at_once=AT_ONCE)
        homes = eventually(
            lambda: _all_homes(space, [one.namespace for one in made]), "all are trusted", timeout=60
        )
        assert not any("a person has to act" in line for one in made for line in one.warnings)
        _assert_each_is_trusted_in_its_role_alone(space, homes)
        sizes = _assert_policies_are_in_order(space)
        record(
            f"a pool of roles at {QUOTA} characters, each with an external statement, takes all at once",
            roles=size,
            control_planes=count,
            created_with_a_warning=sum(bool(one.warnings) for one in made),
            in_two_roles=0,
            fullest_policy_characters=max(sizes),
            emptiest_policy_characters=min(sizes),
            slowest_CREATE_s=round(max(one.seconds for one in made), 1),
        )


@pytest.mark.rig
def test_a_subject_that_fits_in_no_role_of_a_pool_gets_a_warning_on_create_and_nothing_else_changes(
    record: Record,
) -> None:
    with pool_of(2) as space:
        made = make_crowd(space, 50, at_once=AT_ONCE)
        late = make_one(space)
        homes = eventually(lambda: _settled_homes(space), "the roles are full")
        outside = [one for one in [*made, late] if one.namespace not in homes]
        assert late in outside
        assert len(homes) + len(outside) == len(made) + 1
        for one in outside:
            role = annotation(space, one.namespace)
            assert role in space.roles
            assert one.warnings == (
                f"mxp-identity: {role} does not trust this ServiceAccount yet; a person has to act",
                WAYS_OUT,
            )
            assert not any(is_trusted(space, one.namespace, each) for each in space.roles)
        assert not any(one.warnings for one in made if one.namespace in homes)
        _assert_each_is_trusted_in_its_role_alone(space, homes)
        sizes = _assert_policies_are_in_order(space)
        one_more = len(f'"system:serviceaccount:{late.namespace}:{SERVICE_ACCOUNT}",')
        assert min(sizes) + one_more > QUOTA, "a role is full only when not one more fits"
        record(
            f"a pool of two roles at {QUOTA} characters is filled up: one more gets a warning on CREATE",
            trusted=len(homes),
            told=len(outside),
            fullest_policy_characters=max(sizes),
        )


def _homes(space: Space) -> dict[str, list[str]]:
    """The roles that trust each host namespace's ServiceAccount, or did at any time."""
    found: dict[str, list[str]] = {}
    for arn in space.roles:
        for subject in set().union(*subjects_over_time(space.aws, arn.rpartition("/")[2])):
            found.setdefault(subject.split(":")[2], []).append(arn)
    return found


def _all_homes(space: Space, namespaces: list[str]) -> dict[str, list[str]] | None:
    found = _homes(space)
    return found if found.keys() == set(namespaces) else None


def _settled_homes(space: Space) -> dict[str, list[str]] | None:
    """Those of a pool in which no read or write is under way."""
    found = _homes(space)
    return None if space.aws.in_flight else found


def _assert_each_is_trusted_in_its_role_alone(space: Space, homes: dict[str, list[str]]) -> None:
    """By the policies, by STS with a real token, and by an evaluator that this project had no part in."""
    with TrustOracle() as oracle, ThreadPoolExecutor(4) as threads:

        def judge(namespace: str) -> None:
            (role,) = homes[namespace]
            assert annotation(space, namespace) == role
            assert is_trusted(space, namespace, role)
            allowed = [
                arn
                for arn in space.roles
                if oracle.allows(
                    space.policy(arn.rpartition("/")[2]),
                    provider_arn=space.provider_arn,
                    issuer=space.cluster.issuer,
                    subject=f"system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}",
                    audience=AUDIENCE,
                )
            ]
            assert allowed == [role]

        list(threads.map(judge, homes))


def _assert_policies_are_in_order(space: Space) -> list[int]:
    """External statements never changed, and no policy ever was over the quota; answers the sizes now."""
    for arn in space.roles:
        name = arn.rpartition("/")[2]
        assert_external_statements_never_changed(space.aws, name)
        assert all(_size(json.loads(write.document)) <= QUOTA for write in space.aws.history(name))
    return [_size(space.policy(arn.rpartition("/")[2])) for arn in space.roles]


def _size(document: object) -> int:
    """Characters as the quota counts them; the documents here have no white space inside of names."""
    return len(json.dumps(document, separators=(",", ":")))
