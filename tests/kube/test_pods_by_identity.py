"""What the program counts as a pod without identity is what the pod gate refuses, not what it warns about."""

from __future__ import annotations

import msgspec
import pytest

from rig.kubernetes import objects
from tests.support.pods_by_identity import CASES, Case
from webhook.kube.pods import PodObject
from webhook.model.bindings import Mode


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_pod_is_without_identity_where_eks_gave_none_to_any_container(case: Case) -> None:
    read = msgspec.json.decode(msgspec.json.encode(case.pod("mxp-1-system", "controller-1")), type=PodObject)
    assert read.running().has_identity == (not case.gave_none)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_pod_carries_the_roles_of_the_containers_that_eks_does_not_skip(case: Case) -> None:
    read = msgspec.json.decode(msgspec.json.encode(case.pod("mxp-1-system", "controller-1")), type=PodObject)
    assert read.running().roles == set(case.roles)


def test_a_role_that_stands_elsewhere_is_not_known() -> None:
    pod = Case([{"name": "AWS_ROLE_ARN"}], []).pod("mxp-1-system", "controller-1")
    variable = pod["spec"]["containers"][0]["env"][0]
    variable["valueFrom"] = {"configMapKeyRef": {"name": "roles", "key": "backup"}}
    read = msgspec.json.decode(msgspec.json.encode(pod), type=PodObject).running()
    assert not read.roles
    assert read.carries == {Mode.IRSA}


def test_a_pod_with_no_more_than_it_must_have_is_read() -> None:
    body = msgspec.json.encode(objects.pod("mxp-1-system", "controller-1"))
    assert not msgspec.json.decode(body, type=PodObject).running().has_identity
