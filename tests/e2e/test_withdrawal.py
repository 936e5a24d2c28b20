"""`mxp-identity withdraw --keep-access` on a whole Space: a client in each pod is never refused.

The release is helm's, and the steps are those that the command prints.
"""

from pathlib import Path
from typing import Any

import pytest

from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from tests.cli.commands import environment, run, run_as_printed
from tests.cli.withdraw.spaces import FOR_PODS, ROLES, Made, configuration
from tests.e2e.observe import variables
from tests.e2e.pod_clients import PodClients
from tests.e2e.releases import Release, released
from tests.e2e.scenes import leases, whole_space
from tests.proof.records import Record

pytestmark = pytest.mark.rig

LAG_S = 2.0
FEW, MANY = 3, 30
PROBLEMS = 4


def make_planes(space: Space, team: str, count: int) -> list[str]:
    """Control planes of a team with a Deployment each, once each has its pod."""
    made = []
    for number in range(count):
        namespace, account, deployment = objects.control_plane(f"{team}-{number}")
        namespace["metadata"]["labels"] |= {CONTROL_PLANE_LABEL: f"{team}-{number}", "team": team}
        space.cluster.create([namespace, account, deployment])
        made.append(str(namespace["metadata"]["name"]))
    for name in made:
        space.cluster.wait_for_deployment(name, SERVICE_ACCOUNT, timeout=240)
    return made


def restart(space: Space, namespace: str) -> None:
    """Have the pods of a control plane recreated, as a rollout does."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE_ACCOUNT}"
    template = {"metadata": {"annotations": {"restarted": "once"}}}
    space.cluster.api.patch(path, {"spec": {"template": template}})
    space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT, timeout=120)


def follow(release: Release, folder: Path) -> dict[str, Any]:
    """Do what the plan prints, step by step; answers what the last one printed."""
    env = environment(release.space)
    planned = run("withdraw", "--keep-access", "-o", "json", env=env)
    assert planned.code == PROBLEMS, planned
    assert {one["obstacle"] for one in planned.document["inForce"]} >= {"webhook-registered", "pod-gate-in-force"}
    save, uninstall, last = planned.document["next"]
    assert uninstall.startswith("helm uninstall ")
    file = folder / "config.yaml"
    run_as_printed(save.replace("> config.yaml", f"> {file}"), env, folder)
    run_as_printed(uninstall, env, folder)
    for replica in release.space.webhooks:
        replica.process.kill()  # as a pod that has lost its rights: it cannot give up its Lease
    assert last == "mxp-identity withdraw --config config.yaml --keep-access --approve"
    done = run("withdraw", "--config", str(file), "--keep-access", "--approve", "-o", "json", env=env, timeout=300)
    assert (done.code, done.document["notDone"]) == (0, []), done
    again = run("withdraw", "--config", str(file), "--keep-access", env=env)
    assert (again.code, again.out) == (0, "nothing is left, problems: 0\n"), again
    document: dict[str, Any] = done.document
    return document


def leave(count: int, folder: Path) -> dict[str, int]:
    """Make a Space by the product, leave the product, and see what the clients saw."""
    with whole_space(eks_lag=LAG_S, roles=ROLES, quota=8192) as space:
        whole = configuration(space)
        before = {role: space.policy(role) for role in ROLES}
        values = {"bindings": whole["bindings"], "cluster": {"name": EKS_CLUSTER}, "podGate": "deny"}
        with released(space, **values) as release, PodClients(space) as clients:
            release.start_replica()
            release.wait_until_called()
            irsa, pods = make_planes(space, "irsa", count), make_planes(space, "pods", count)
            here = Made(space, folder, irsa, pods, before)
            clients.wait_until_all_have_called(120)
            follow(release, folder)
            assert here.managed_sids() == []
            assert leases(space) == []
            assert {tuple(one.tags) for one in space.aws.associations(EKS_CLUSTER)} == {()}
            here.assert_external_statements_never_changed()
            clients.wait_until_all_have_called(120)
            for name in (irsa[0], pods[0]):
                restart(space, name)
            eventually(lambda: len(space.cluster.pods(irsa[0])) == 1, "the old pod is gone")
            (new,) = space.cluster.pods(irsa[0])
            assert variables(new)["AWS_ROLE_ARN"] in {space.role_arn(role) for role in ROLES if role != FOR_PODS}
            clients.wait_until_all_have_called(120)
            assert clients.seen.refusals == []
            return {
                "control_planes": 2 * count,
                "pods_with_a_client": clients.seen.pods.total(),
                "calls": clients.seen.calls.total(),
                "refused": len(clients.seen.refusals),
            }


def test_the_product_is_left_and_no_client_of_any_pod_is_refused(tmp_path: Path) -> None:
    leave(FEW, tmp_path)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_60_control_planes_keep_their_access(tmp_path: Path, record: Record) -> None:
    record("60 control planes kept their access when the product was left", **leave(MANY, tmp_path))
