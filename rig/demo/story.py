"""The story of one control plane, from its namespace to a credential."""

import json
import time
from typing import Any

from rig.aws.callers import Credentials
from rig.aws.identity import assume
from rig.demo.bucket import backed_up, written_by
from rig.demo.screen import Screen
from rig.demo.stage import Stage
from rig.node.client import GOT
from rig.pods import environment_of, projected_token, restarts_of, running_pod, token_source
from rig.space import Space
from rig.waiting import eventually

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
NAME, ROLE = "my-control-plane", "mxp-backup"
OUTSIDER = "default"


def tell(scene: Stage, screen: Screen) -> None:
    """Create one control plane as Spaces does, and show what happens, with measured times."""
    space = scene.space
    role = space.roles[0]
    before = space.policy()
    writes_before = len(space.aws.history(ROLE))
    host, account, deployment = scene.control_plane(NAME)
    namespace = host["metadata"]["name"]

    screen.title("A control plane is created")
    timeline = screen.timeline()
    space.cluster.create([host])
    timeline.moment(f"Namespace {namespace}")
    asked = time.time()
    (reply,) = space.cluster.create([account])
    timeline.moment(
        f"ServiceAccount mxp-controller, created in {(time.time() - asked) * 1000:.0f} ms",
        f"{ROLE_ANNOTATION}: {reply['metadata']['annotations'][ROLE_ANNOTATION]}",
    )
    (write,) = space.aws.history(ROLE)[writes_before:]
    timeline.moment("AWS trusts the ServiceAccount: one write, made while it was being created", at=write.at)
    space.cluster.create([deployment])
    timeline.moment("Deployment mxp-controller")
    pod = eventually(lambda: running_pod(space.cluster, namespace), "the pod runs")
    source = token_source(pod)
    timeline.moment(
        f"Pod {pod['metadata']['name']} runs, admitted with",
        f"AWS_ROLE_ARN={environment_of(pod)['AWS_ROLE_ARN']}",
        f"a projected token: audience {source['audience']}, {source['expirationSeconds'] // 3600} h",
    )
    if scene.said:
        said = scene.said(pod)
        if not said.startswith(GOT):
            raise RuntimeError(f"the pod's first call to AWS failed: {said}")
        timeline.moment("boto3 in the pod asks AWS who it is, once, and is told", said.removeprefix(f"{GOT} "))
    refused = assume(space.aws, role, space.cluster.token(namespace, OUTSIDER, audience=source["audience"]))
    if refused.ok:
        raise RuntimeError(f"STS accepted ServiceAccount {OUTSIDER}, which nobody trusts")
    timeline.moment(
        f"STS refuses ServiceAccount {OUTSIDER} of the same namespace", f"{refused.code}: {refused.message}"
    )
    accepted = assume(space.aws, role, projected_token(space.cluster, pod))
    if not accepted.ok:
        raise RuntimeError(f"STS refused the pod's own token: {accepted.code}: {accepted.message}")
    timeline.moment("STS accepts the pod's token", f"now {accepted.arn}")
    timeline.moment(*_object(scene, pod, accepted.credentials))
    timeline.show()

    after = json.loads(write.document)
    screen.title("The role's trust policy, before and after")
    screen.difference(before, after)
    if after["Statement"][:-1] != before["Statement"]:
        raise RuntimeError("somebody else's statement changed")
    _show_no_restart(space, screen, namespace, pod)


def _object(scene: Stage, pod: dict[str, Any], credentials: Credentials | None) -> tuple[str, str]:
    if scene.kept:
        return written_by(scene.kept(pod), scene.space, NAME)
    return backed_up(scene.space, credentials, NAME)


def _show_no_restart(space: Space, screen: Screen, namespace: str, pod: dict[str, Any]) -> None:
    sets = space.cluster.api.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"]
    (only,) = space.cluster.pods(namespace)
    same = only["metadata"]["uid"] == pod["metadata"]["uid"]
    screen.line()
    screen.success(
        f"{len(sets)} ReplicaSet, 1 pod{' (the first)' if same else ''}, {restarts_of(only)} restarts. "
        f"{len(space.policy()['Statement']) - 1} external statements: as they were."
    )
