"""`mxp-identity restart`, as a person types it: the plan, the restarts, and what is left."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rig import pods
from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.space import Space
from rig.waiting import eventually
from tests.cli.commands import run, run_on_terminal, without_codes
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.scenes import create_account, create_namespace, serving

pytestmark = pytest.mark.rig

BAR = "\u2501"
DONE, CHANGES, PROBLEMS = 0, 3, 4


def test_it_shows_its_plan_and_then_restarts_what_started_too_early(space: Space, tmp_path: Path) -> None:
    early = [_control_plane(space) for _ in range(3)]
    bare = create_namespace(space)
    create_account(space, bare)
    space.cluster.create([objects.pod(bare, "by-hand")])
    for namespace in early:
        space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)

    assert {item["why"] for item in _restart(space, tmp_path, PROBLEMS)} == {
        "its ServiceAccount is not annotated with the role that it gets: `mxp-identity apply` does that"
    }
    with serving(space):
        _wait_until_annotated(space, [*early, bare])

    planned = _restart(space, tmp_path, CHANGES)
    assert {item["namespace"]: item["what"] for item in planned} == {
        **dict.fromkeys(early, "restart"),
        bare: "skip",
    }
    assert all(_generation(space, namespace) == 1 for namespace in early)

    one = _restart(space, tmp_path, DONE, early[0], "--approve")
    assert [(item["namespace"], item["what"]) for item in one] == [(early[0], "rolled-out")]
    assert [_generation(space, namespace) for namespace in early] == [2, 1, 1]

    done = _restart(space, tmp_path, PROBLEMS, "--approve", "--at-a-time", "2")
    assert sorted(item["what"] for item in done) == ["rolled-out", "rolled-out", "skip"]
    for namespace in early:
        (pod,) = space.cluster.pods(namespace)
        assert pods.environment_of(pod)["AWS_ROLE_ARN"] == space.roles[0]

    left = _restart(space, tmp_path, PROBLEMS)
    assert [(item["namespace"], item["deployment"]) for item in left] == [(bare, None)]


def test_on_a_terminal_the_rollouts_that_have_ended_are_counted_and_elsewhere_they_are_not(
    space: Space, tmp_path: Path
) -> None:
    file = _configuration(space, tmp_path)
    call = ["restart", "--config", str(file), "--approve", "--at-a-time", "1"]
    environment = {**space.environment(), "KUBECONFIG": str(space.cluster.kubeconfig)}

    _two_that_started_too_early(space)
    code, written = run_on_terminal(*call, env=environment)
    assert "2 rolled-out" in written, written
    seen = without_codes(written)
    assert "2 of 2 rollouts have ended" in seen
    assert BAR in seen.split("rollouts have ended")[1]
    assert "\x1b[2K" in written.rpartition("rollouts have ended")[2], "the line is wiped"

    _two_that_started_too_early(space)
    piped = run(*call, env=environment, timeout=120)
    assert piped.code == code
    assert "2 rolled-out" in piped.out
    assert "restarting 2 Deployments, 1 at a time" in piped.err
    assert "rollouts have ended" not in piped.out + piped.err


def _two_that_started_too_early(space: Space) -> None:
    early = [_control_plane(space) for _ in range(2)]
    for namespace in early:
        space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
    with serving(space):
        _wait_until_annotated(space, early)


def _control_plane(space: Space) -> str:
    namespace = create_namespace(space)
    create_account(space, namespace)
    space.cluster.create([objects.deployment(namespace)])
    return namespace


def _wait_until_annotated(space: Space, namespaces: list[str]) -> None:
    def are_annotated() -> bool:
        return all(annotation(space, namespace) == space.roles[0] for namespace in namespaces)

    def are_trusted() -> bool:
        return all(is_trusted(space, namespace) for namespace in namespaces)

    eventually(are_annotated, "the annotations")
    eventually(are_trusted, "trust")


def _generation(space: Space, namespace: str) -> int:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE_ACCOUNT}"
    return int(space.cluster.api.get(path)["metadata"]["generation"])


def _configuration(space: Space, folder: Path) -> Path:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(space.configuration()))
    return file


def _restart(space: Space, folder: Path, code: int, *arguments: str) -> list[dict[str, Any]]:
    """Run the command as an administrator of the cluster, and answer what it says of each workload."""
    file = _configuration(space, folder)
    environment = {**space.environment(), "KUBECONFIG": str(space.cluster.kubeconfig)}
    done = run("restart", "--config", str(file), "--output", "json", *arguments, env=environment, timeout=120)
    assert done.code == code, (done.out, done.err)
    assert "Traceback" not in done.err
    found: list[dict[str, Any]] = done.document["restarts"]
    return found
