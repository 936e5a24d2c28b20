"""The story of one control plane by EKS Pod Identity, from its namespace to a credential."""

import json
import time

from botocore.exceptions import ClientError

from rig.aws import Association
from rig.aws.agent import Agent
from rig.aws.eks_auth import AUDIENCE
from rig.aws.pod_client import FULL_URI, TOKEN_FILE, fetch
from rig.demo.bucket import backed_up, written_by
from rig.demo.screen import Screen
from rig.demo.stage import Stage
from rig.kubernetes import objects
from rig.node.client import GOT
from rig.pods import environment_of, projected_token, restarts_of, running_pod
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually

NAME, ROLE = "my-control-plane", "mxp-backup"
OUTSIDE = "team-a"


def tell(scene: Stage, screen: Screen) -> None:
    """Create one control plane as Spaces does, and show what happens, with measured times."""
    space = scene.space
    host, account, deployment = scene.control_plane(NAME)
    namespace = host["metadata"]["name"]

    screen.title("A control plane is created")
    timeline = screen.timeline()
    space.cluster.create([host])
    timeline.moment(f"Namespace {namespace}")
    made = eventually(lambda: _association(space, namespace), "the association is made")
    timeline.moment(
        "EKS has an association, before there is a ServiceAccount",
        f"{made.id}: {made.role_arn}",
        *(f"{key}: {value}" for key, value in sorted(made.tags.items())),
        at=made.created,
    )
    asked = time.time()
    space.cluster.create([account])
    timeline.moment(f"ServiceAccount mxp-controller, created in {(time.time() - asked) * 1000:.0f} ms")
    space.cluster.create([deployment])
    timeline.moment("Deployment mxp-controller; the gate holds its pod back until EKS's webhook has heard")
    pod = eventually(lambda: running_pod(space.cluster, namespace), "the pod runs", timeout=60)
    variables = environment_of(pod)
    timeline.moment(
        f"Pod {pod['metadata']['name']} runs, admitted with",
        *(f"{name}={variables[name]}" for name in (FULL_URI, TOKEN_FILE)),
    )
    if scene.said:
        said = scene.said(pod)
        if not said.startswith(GOT):
            raise RuntimeError(f"the pod's first call to AWS failed: {said}")
        timeline.moment("boto3 in the pod asks AWS who it is, once, and is told", said.removeprefix(f"{GOT} "))
    with Agent(space.aws, EKS_CLUSTER) as agent:
        got = fetch(space.aws, agent.url, variables, projected_token(space.cluster, pod, AUDIENCE))
        if not got.ok:
            raise RuntimeError(f"EKS refused the pod's own token: {got.reason}")
        timeline.moment("The agent takes the pod's token to EKS, which the role's trust lets in", f"now {got.arn}")
        in_pod = scene.kept(pod) if scene.kept else None
        kept = written_by(in_pod, space, NAME) if in_pod else backed_up(space, got.credentials, NAME)
    timeline.moment(f"A pod of namespace {OUTSIDE}, associated by hand, is refused", _refusal(space))
    timeline.moment(*kept)
    timeline.show()

    history = space.aws.history(ROLE)
    screen.title("The role's trust policy: one statement for every control plane there will ever be")
    screen.difference(json.loads(history[0].document), space.policy())
    (only,) = space.cluster.pods(namespace)
    screen.line()
    screen.success(
        f"1 pod{' (the first)' if only['metadata']['uid'] == pod['metadata']['uid'] else ''}, "
        f"{restarts_of(only)} restarts. {len(history) - 1} write of the trust policy, for all that follow."
    )


def _association(space: Space, namespace: str) -> Association | None:
    return next((one for one in space.aws.associations(EKS_CLUSTER) if one.namespace == namespace), None)


def _refusal(space: Space) -> str:
    """What EKS says to a pod outside the binding's pattern, whose ServiceAccount somebody has associated."""
    space.cluster.create([objects.namespace(OUTSIDE), objects.service_account(OUTSIDE)])
    space.aws.admin_client("eks").create_pod_identity_association(
        clusterName=EKS_CLUSTER,
        namespace=OUTSIDE,
        serviceAccount=objects.SERVICE_ACCOUNT,
        roleArn=space.roles[0],
    )
    pod = space.cluster.api.create(objects.pod(OUTSIDE, "outsider"))["metadata"]
    bound = (pod["name"], pod["uid"])
    token = space.cluster.token(OUTSIDE, objects.SERVICE_ACCOUNT, audience=AUDIENCE, bound_pod=bound)
    try:
        space.aws.admin_client("eks-auth").assume_role_for_pod_identity(clusterName=EKS_CLUSTER, token=token)
    except ClientError as error:
        found = error.response["Error"]
        return f"{found['Code']}: {found['Message']}"
    raise RuntimeError("EKS let in a pod of a namespace that no binding selects")
