"""`mxp-identity adopt` in a Space made by the published guide alone: no client of any pod is refused."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.space import EKS_CLUSTER
from tests.cli.commands import cut_off
from tests.e2e.by_hand import PODS, WILD, ByHand, irsa_roles
from tests.e2e.pod_clients import PodClients
from tests.e2e.scenes import serving, whole_space
from tests.proof.records import Record

pytestmark = pytest.mark.rig

DONE, CHANGES, INTERRUPTED = 0, 3, 130
QUOTA = 2048
FIT = 18
"""Control planes in one managed statement of a policy of that quota (docs/decide/limits.md)."""
ALL = ("adopt", "--replace-wildcards")


@contextmanager
def by_hand(roles: int, irsa: int, associated: int, wild: int, *, deployments: bool = True) -> Iterator[ByHand]:
    names = irsa_roles(roles)
    with whole_space(eks_lag=0, quota=QUOTA, roles=(*names, PODS, WILD)) as space:
        place = ByHand(space, names)
        place.make(irsa, associated, wild, deployments=deployments)
        yield place


def assert_adopted(place: ByHand) -> None:
    """One managed statement in each role, with its control planes and no others; all associations managed."""
    for role in (*place.roles, WILD):
        names = sorted(f"system:serviceaccount:{one}:{SERVICE_ACCOUNT}" for one in place.planes[role])
        assert place.subjects_of_managed(role) == names
        about_us = [
            one for one in place.statements(role) if one["Principal"] == {"Federated": place.space.provider_arn}
        ]
        assert len(about_us) == 1
    tags = [set(one.tags) for one in place.space.aws.associations(EKS_CLUSTER)]
    assert tags == [{"mxp-identity/cluster", "mxp-identity/installation"}] * len(place.planes[PODS])


def adopt_all(place: ByHand) -> dict[str, int]:
    """The plan, and the plan carried out beside a replica that serves; answers how much there was."""
    space, person = place.space, place.person()
    roles = (*place.roles, PODS, WILD)
    with PodClients(space) as clients:
        for namespaces in place.planes.values():
            for namespace in namespaces:
                space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT, timeout=180)
        clients.wait_until_all_have_called(120)
        with serving(space, **place.sections()):
            first = {role: len(space.aws.history(role)) - 1 for role in roles}
            before = {role: space.policy(role) for role in place.roles}
            planned = person(*ALL, "-o", "json")
            assert planned.code == CHANGES, planned
            assert {role: space.policy(role) for role in place.roles} == before, "a plan changes nothing"
            moved = person(*ALL, "--approve", "-o", "json")
            assert moved.code == DONE, moved
            assert_adopted(place)
            clients.wait_until_all_have_called(120)
            assert clients.seen.refusals == []
            document = person(*ALL, "-o", "json").document
            assert (document["changes"], document["roles"]) == (False, [])
        for role in roles:
            documents = [write.document for write in space.aws.history(role)[first[role] :]]
            assert {tuple(place.others(one)) for one in documents} == {tuple(place.others(documents[-1]))}
        room = {found["role"].rpartition("/")[2]: found["room"] for found in planned.document["roles"]}
        for role in place.roles:
            if len(place.planes[role]) == max(map(len, map(place.planes.__getitem__, place.roles))):
                assert room[role] == {"before": 0, "after": FIT - len(place.planes[role])}
        return {
            "roles": len(place.roles) + 1,
            "control_planes": sum(map(len, place.planes.values())),
            "pods_with_a_client": clients.seen.pods.total(),
            "calls": clients.seen.calls.total(),
            "refused": len(clients.seen.refusals),
        }


def test_a_few_control_planes_made_by_hand_become_managed_and_no_client_is_refused() -> None:
    with by_hand(2, irsa=8, associated=3, wild=2) as place:
        adopt_all(place)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_a_space_made_by_the_guide_alone_becomes_managed_and_no_client_is_refused(record: Record) -> None:
    with by_hand(8, irsa=30, associated=30, wild=3) as place:
        seen = adopt_all(place)
    record("a Space made by the published guide alone, adopted, a client in each pod", **seen)


@pytest.mark.proof
def test_interrupted_after_each_write_in_turn_it_continues_and_no_client_is_refused() -> None:
    with by_hand(3, irsa=9, associated=3, wild=1) as place, PodClients(place.space) as clients:
        space, person = place.space, place.person()
        for namespace in (one for some in place.planes.values() for one in some):
            space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT, timeout=180)
        clients.wait_until_all_have_called(60)
        call = ("adopt", "--config", str(person.file), "--replace-wildcards", "--approve")
        cut = 0
        while (ended := cut_off(signal.SIGINT, *call, env=person.environment)) == INTERRUPTED:
            cut += 1
        assert ended == DONE
        assert cut >= len(place.roles), "one role after the other"
        assert person(*ALL).code == DONE
        assert_adopted(place)
        clients.wait_until_all_have_called(60)
        assert clients.seen.refusals == []


@pytest.mark.proof
def test_what_was_adopted_and_is_withdrawn_with_its_access_kept_serves_every_client_on() -> None:
    with by_hand(1, irsa=4, associated=2, wild=2) as place:
        adopt_all(place)
        space, person, kept = place.space, place.person(), (PODS, WILD, *place.roles)
        with PodClients(space) as clients:
            clients.wait_until_all_have_called(60)
            withdrawn = person("withdraw", "--keep-access", "--approve", "-o", "json")
            assert (withdrawn.code, withdrawn.document["problems"]) == (DONE, []), withdrawn
            clients.wait_until_all_have_called(60)
            assert clients.seen.refusals == []
        sids = [str(one.get("Sid", "")) for role in kept for one in place.statements(role)]
        assert not [sid for sid in sids if sid.startswith("MxpIdentity")]
        assert {tuple(one.tags) for one in space.aws.associations(EKS_CLUSTER)} == {()}
        assert person("withdraw", "--keep-access").out == "nothing is left, problems: 0\n"
        assert person(*ALL, "--approve").code == DONE, "who comes back adopts what was kept"
        assert_adopted(place)


def test_what_a_wildcard_allowed_and_no_binding_wants_is_named_before_it_loses_access() -> None:
    with by_hand(1, irsa=1, associated=0, wild=1, deployments=False) as place:
        space, person = place.space, place.person()
        stranger = objects.host_namespace_name()
        space.cluster.create([objects.namespace(stranger), objects.service_account(stranger)])
        kept = person("adopt", "-o", "json")
        (wild,) = [one for one in kept.document["roles"] if one["role"].endswith(WILD)]
        assert "--replace-wildcards replaces it" in wild["left"][0]["why"]
        noted = person("verify", "-o", "json").document["webhook"]
        assert any("is wider than wanted" in one["message"] for one in noted)
        planned = person(*ALL, "-o", "json")
        (wild,) = [one for one in planned.document["roles"] if one["role"].endswith(WILD)]
        losing = {one["namespace"]: one["annotated"] for one in wild["losing"]}
        assert losing[stranger] is False
        assert place.planes[WILD][0] not in losing
        assert person(*ALL, "--approve").code == DONE
        assert place.subjects_of_managed(WILD) == [
            f"system:serviceaccount:{place.planes[WILD][0]}:{SERVICE_ACCOUNT}"
        ]
        noted = person("verify", "-o", "json").document["webhook"]
        assert not any(space.role_arn(WILD) in one["message"] for one in noted)
