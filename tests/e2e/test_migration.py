"""`mxp-identity migrate`: a binding there and back, with a client in each pod that is never refused."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

import pytest

from rig import pods
from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.cli.commands import Ran, environment, run
from tests.e2e.observe import annotation
from tests.e2e.pod_clients import PodClients
from tests.e2e.releases import Release, released
from tests.e2e.scenes import LARGE_QUOTA, whole_space
from tests.proof.records import Record

pytestmark = pytest.mark.rig

FEW, MANY = 4, 200
LAG_S = 2.0
AS_OFTEN = 3
"""Trials of a pod that have to come out alike."""
DONE, CHANGES, INTERRUPTED = 0, 3, 130
NEWCOMERS_EVERY_S, NEVER = 3.0, 1e6


@dataclass
class Site:
    """A release with a replica that can be given another mode, as helm does it."""

    release: Release
    mode: str
    replica: Webhook

    @property
    def space(self) -> Space:
        return self.release.space

    def values(self, mode: str) -> dict[str, Any]:
        return self.release.values(cluster={"name": EKS_CLUSTER}, binding={"mode": mode})

    def switch(self, mode: str) -> None:
        """Change the binding's mode: for a while a replica of each mode serves."""
        self.release.helm.upgrade(self.values(mode))
        before, self.replica = self.replica, self.release.start_replica()
        self.release.stop_replica(before)
        self.mode = mode

    def cut_off(self, to: str, *arguments: str, when: Callable[[], object]) -> None:
        """Run it, and end it by Ctrl-C as soon as something is so."""
        argv = [sys.executable, "-m", "webhook", "migrate", "backup", "--to", to, "--approve", *arguments]
        process = subprocess.Popen(argv, env=environment(self.space), stderr=subprocess.PIPE, text=True)
        eventually(lambda: when() or process.poll() is not None, "it is in the middle", timeout=120)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=60)
        assert process.returncode == INTERRUPTED, printed
        assert printed.splitlines()[-1].startswith("interrupted")

    def migrate(self, to: str, *arguments: str, timeout: float = 240) -> Ran:
        """Run the command as an administrator."""
        env = environment(self.space)
        return run("migrate", "backup", "--to", to, "-o", "json", *arguments, env=env, timeout=timeout)


@contextmanager
def site(mode: str) -> Iterator[Site]:
    with (
        whole_space(eks_lag=LAG_S, quota=LARGE_QUOTA) as space,
        released(space, cluster={"name": EKS_CLUSTER}, binding={"mode": mode}) as release,
    ):
        replica = release.start_replica()
        release.wait_until_called()
        yield Site(release, mode, replica)


def make_planes(space: Space, count: int) -> list[str]:
    """Make control planes, and wait until each has its pod."""
    made = []
    for number in range(count):
        items = objects.control_plane(f"control-plane-{number}")
        space.cluster.create(items)
        made.append(items[0]["metadata"]["name"])
    for namespace in made:
        space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT, timeout=180)
    return made


SECURE: dict[str, Any] = {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}}
SECURE_CONTAINER: dict[str, Any] = {
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
}
LITTLE = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
COUNTED = {f"{kind}.{name}": "1000Gi" for kind in ("requests", "limits") for name in LITTLE}


def make_strict_plane(space: Space) -> str:
    """A control plane in a namespace that takes restricted pods alone, which say what they use of everything."""
    namespace, account, deployment = objects.control_plane("strict")
    name = str(namespace["metadata"]["name"])
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    metadata = {"name": "counted", "namespace": name}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": COUNTED}}
    space.cluster.create([namespace, account, quota])
    status = {"hard": COUNTED, "used": dict.fromkeys(COUNTED, "0")}  # no controller counts here
    space.cluster.api.patch(f"/api/v1/namespaces/{name}/resourcequotas/counted/status", {"status": status})
    assert "violates PodSecurity" in refusal(space, objects.pod(name, "bare"))
    secure = objects.pod(name, "secure")
    secure["spec"] |= SECURE
    secure["spec"]["containers"][0] |= SECURE_CONTAINER
    eventually(lambda: "must specify limits.cpu" in refusal(space, secure), "the quota is heard of")
    spec = deployment["spec"]["template"]["spec"] = secure["spec"]
    spec["containers"][0]["resources"] = {"requests": LITTLE, "limits": LITTLE}
    space.cluster.create([deployment])
    space.cluster.wait_for_deployment(name, SERVICE_ACCOUNT, timeout=60)
    return name


def refusal(space: Space, pod: objects.Object) -> str:
    """Why the API server takes no such pod; empty where it does."""
    try:
        space.cluster.api.create(pod, dryRun="All")
    except ApiError as error:
        return str(error)
    return ""


def trials(space: Space, namespace: str) -> list[int]:
    """What the API server answered to each pod that was tried in a namespace since the control plane is there."""
    return [
        event["responseStatus"]["code"]
        for event in space.cluster.audit_events()
        if (event["verb"], event["stage"]) == ("create", "ResponseComplete")
        and event["objectRef"].get("resource") == "pods"
        and event["objectRef"].get("namespace") == namespace
        and event["userAgent"] == "mxp-identity-webhook"
    ]


class Newcomers:
    """Control planes that are made all the while, for the length of a `with` block."""

    def __init__(self, space: Space, every: float) -> None:
        self.made: list[str] = []
        self._every = every
        self._space = space
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            items = objects.control_plane(f"newcomer-{len(self.made)}")
            self._space.cluster.create(items)
            self.made.append(items[0]["metadata"]["name"])


def move(here: Site, to: str, *arguments: str, planes: list[str], middle: Callable[[], object]) -> None:
    """Plan, add, switch, be cut off in the middle of the rest, and do it; every answer is as the page says."""
    planned = here.migrate(to)
    assert planned.code == CHANGES, planned
    assert not planned.document["switched"]
    added = here.migrate(to, "--approve", *arguments)
    assert added.code == CHANGES, added
    assert added.document["notDone"] == []
    steps = {one["namespace"]: one["next"] for one in added.document["serviceAccounts"]}
    assert {steps[namespace] for namespace in planes} == {"switch"}
    here.switch(to)
    here.cut_off(to, *arguments, when=middle)
    moved = here.migrate(to, "--approve", *arguments, timeout=1500)
    assert moved.document["notDone"] == [], moved


def finish(here: Site, to: str, *arguments: str) -> None:
    """Move those who came in the middle, after which nothing is left to do."""
    last = here.migrate(to, "--approve", *arguments)
    assert last.code == DONE, last
    assert set(_steps(last)) == {"moved"}
    assert here.migrate(to).code == DONE


def _steps(answer: Ran) -> list[str]:
    return [one["next"] for one in answer.document["serviceAccounts"]]


def assert_pod_identity_alone(space: Space, namespaces: list[str]) -> None:
    """Nothing of IRSA is left: no annotation, no subject, no variable."""
    text = str(space.policy())
    for namespace in namespaces:
        assert annotation(space, namespace) is None
        assert f":{namespace}:" not in text
        assert _ways(space, namespace) == {"pod-identity"}
    assert _associated(space) >= set(namespaces)


def assert_irsa_alone(space: Space, namespaces: list[str]) -> None:
    """Nothing of Pod Identity is left: no association, no statement, no variable."""
    text = str(space.policy())
    for namespace in namespaces:
        assert annotation(space, namespace) == space.roles[0]
        assert f":{namespace}:" in text
        assert _ways(space, namespace) == {"irsa"}
    assert _associated(space).isdisjoint(namespaces)
    assert "pods.eks.amazonaws.com" not in text


def _associated(space: Space) -> set[str]:
    return {one.namespace for one in space.aws.associations(EKS_CLUSTER)}


def _ways(space: Space, namespace: str) -> set[str]:
    found = set()
    for pod in space.cluster.pods(namespace):
        variables = pods.environment_of(pod)
        found |= {"irsa"} if "AWS_ROLE_ARN" in variables else set()
        found |= {"pod-identity"} if "AWS_CONTAINER_CREDENTIALS_FULL_URI" in variables else set()
    return found


def there_and_back(count: int, *arguments: str, newcomers: bool) -> dict[str, int]:
    with site("irsa") as here, PodClients(here.space) as clients:
        planes = make_planes(here.space, count)
        clients.wait_until_all_have_called(120)

        def go(to: str, middle: Callable[[], object]) -> None:
            with Newcomers(here.space, NEWCOMERS_EVERY_S if newcomers else NEVER) as others:
                move(here, to, *arguments, planes=planes, middle=middle)
            for namespace in others.made:
                here.space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT, timeout=60)
            planes.extend(others.made)
            finish(here, to, *arguments)
            clients.wait_until_all_have_called(120)
            assert clients.seen.refusals == []

        go("pod-identity", lambda: any("pod-identity" in _ways(here.space, one) for one in planes[:FEW]))
        assert_pod_identity_alone(here.space, planes)
        go("irsa", lambda: here.space.aws.count("DeletePodIdentityAssociation"))
        assert_irsa_alone(here.space, planes)
        assert clients.seen.pods["irsa"] >= 2 * count
        assert clients.seen.pods["pod-identity"] >= count
        return {
            "control_planes": count,
            "made_in_the_middle": len(planes) - count,
            "pods_with_a_client": clients.seen.pods.total(),
            "calls": clients.seen.calls.total(),
            "refused": len(clients.seen.refusals),
        }


@pytest.mark.proof
def test_where_pods_are_restricted_and_counted_new_ones_are_tried_and_no_client_is_refused() -> None:
    with site("irsa") as here, PodClients(here.space) as clients:
        plane = make_strict_plane(here.space)
        path = f"/apis/apps/v1/namespaces/{plane}/deployments/{SERVICE_ACCOUNT}"
        clients.wait_until_all_have_called(120)
        for restarts, to in enumerate(("pod-identity", "irsa"), 1):
            before = len(trials(here.space, plane))
            assert _steps(here.migrate(to, "--approve")) == ["switch"]
            here.switch(to)
            finish(here, to)
            tried = trials(here.space, plane)[before:]
            assert set(tried) == {HTTPStatus.CREATED}
            assert len(tried) >= AS_OFTEN, "until EKS's webhook had heard"
            assert _ways(here.space, plane) == {to}
            assert here.space.cluster.api.get(path)["metadata"]["generation"] == 1 + restarts
            clients.wait_until_all_have_called(120)
            assert clients.seen.refusals == []


def test_a_few_control_planes_go_there_and_back_and_no_client_is_refused() -> None:
    there_and_back(FEW, "--at-a-time", "2", newcomers=False)


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_200_control_planes_go_there_and_back_and_no_client_is_refused(record: Record) -> None:
    seen = there_and_back(MANY, "--at-a-time", "20", newcomers=True)
    record("200 control planes moved from IRSA to Pod Identity and back, a client in each pod", **seen)
