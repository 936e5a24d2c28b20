"""`conformance` on a real API server with EKS's own webhook, by a person with the printed rights and no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from tests.cli.commands import Ran, environment, run
from tests.cli.setup.accounts import account_of
from tests.e2e.scenes import whole_space
from webhook.cli.conformance.permissions import IN_KUBERNETES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMESPACE, PERSON = "conformance", "person"
RULES = [(resource, verb) for resource, verbs in IN_KUBERNETES for verb in verbs]
BEFORE_ANYTHING_IS_MADE = {("serviceaccounts", "list"), ("pods", "list")}


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with whole_space(eks_lag=0.5) as running:
        api = running.cluster.api
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        api.apply({**account, "metadata": {"name": PERSON, "namespace": NAMESPACE}})
        names = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        eventually(
            lambda: "default" in [one["metadata"]["name"] for one in api.get(names)["items"]],
            "the controller-manager has made the namespace's own ServiceAccount",
        )
        yield running


def _allow(space: Space, rules: Sequence[tuple[str, str]]) -> None:
    """Give the person these rights and no others."""
    group = "rbac.authorization.k8s.io"
    metadata = {"name": PERSON, "namespace": NAMESPACE}
    role: dict[str, Any] = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata}
    role["rules"] = [{"apiGroups": [""], "resources": [resource], "verbs": [verb]} for resource, verb in rules]
    binding: dict[str, Any] = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": metadata}
    binding["roleRef"] = {"apiGroup": group, "kind": "Role", "name": PERSON}
    binding["subjects"] = [{"kind": "ServiceAccount", "name": PERSON, "namespace": NAMESPACE}]
    for item in (role, binding):
        space.cluster.api.apply(item)


def _conform(space: Space) -> Ran:
    kubeconfig = space.cluster.kubeconfig_for(NAMESPACE, PERSON)
    where = ("--cluster", EKS_CLUSTER, "--namespace", NAMESPACE)
    env = {**environment(space), "KUBECONFIG": str(kubeconfig)}
    return run("conformance", *where, "--watch", "0", "--approve", "-o", "json", env=env, timeout=120)


def _left(space: Space) -> dict[str, Any]:
    names = {
        resource: [
            one["metadata"]["name"]
            for one in space.cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/{resource}")["items"]
        ]
        for resource in ("serviceaccounts", "pods")
    }
    return {**account_of(space.aws), **names}


@pytest.mark.rig
def test_all_holds_with_the_printed_rights_and_nothing_is_left(space: Space) -> None:
    before = _left(space)
    _allow(space, RULES)
    ran = _conform(space)
    assert ran.code == 0, (ran.out, ran.err)
    rows = json.loads(ran.out)["rows"]
    assert {row["verdict"] for row in rows} == {"holds"}
    assert _left(space) == before


@pytest.mark.rig
@pytest.mark.parametrize("rule", RULES, ids=" ".join)
def test_each_right_in_kubernetes_is_needed(space: Space, rule: tuple[str, str]) -> None:
    resource, verb = rule
    _allow(space, [one for one in RULES if one != rule])
    ran = _conform(space)
    name, _, subresource = resource.partition("/")
    lacking = f'cannot {verb} resource "{resource if subresource else name}"'
    if rule in BEFORE_ANYTHING_IS_MADE:
        assert (ran.code, ran.out) == (1, "")
        assert lacking in ran.err
        return
    assert ran.code == 4
    document = json.loads(ran.out)
    told = ran.err if verb == "delete" else " ".join(row["observed"] for row in document["rows"])
    assert lacking in told
