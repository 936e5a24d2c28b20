"""What pages are walked on: one account, clusters by the name of their context, and a reader's shell."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from rig import pods
from rig.aws.identity import Assumed, assume
from rig.aws.standin import AwsStandIn
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.shared import borrowed
from rig.space import AUDIENCE
from rig.tools import binary
from rig.tools.store import cache_folder
from tests.guides.released import Released
from tests.guides.shell import Ran, Shell
from tests.guides.spaces import Spaces
from tests.guides.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from rig.kubernetes.cluster import Cluster

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"

HELM = """#!/usr/bin/env bash
# The real helm. Where a release is written it gets one more file of values: the rig's addresses.
context={default}
previous=
for word in "$@"; do
    [ "$previous" = --kube-context ] && context=$word
    previous=$word
done
case "$1" in
    install | upgrade) exec {helm} "$@" --values {folder}/rig-"$context".yaml ;;
    *) exec {helm} "$@" ;;
esac
"""


@dataclass(frozen=True)
class Site:
    """One cluster, with its control planes and what is installed in it. `hosts` are its host namespaces."""

    name: str
    cluster: Cluster
    aws: AwsStandIn
    spaces: Spaces
    released: Released
    hosts: Mapping[str, str]

    def settle(self) -> None:
        """Have happen what happens by itself in a real cluster."""
        self.released.settle()
        self.spaces.settle()

    def pod(self, namespace: str) -> dict[str, Any]:
        """The one pod of a namespace."""
        (found,) = self.cluster.pods(namespace)
        return found

    def assumed(self, namespace: str, role: str, service_account: str = SERVICE_ACCOUNT) -> Assumed:
        """What STS says to a new token of a ServiceAccount."""
        token = self.cluster.token(namespace, service_account, audience=AUDIENCE)
        return assume(self.aws, role, token)

    def first_pod_assumes(self, namespace: str, role: str) -> bool:
        """Whether the namespace's one pod was never restarted, has the role, and STS takes its own token."""
        pod = self.pod(namespace)
        replica_sets = self.cluster.api.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"]
        given = pods.environment_of(pod).get("AWS_ROLE_ARN")
        if len(replica_sets) > 1 or pods.restarts_of(pod) or given != role:
            return False
        return assume(self.aws, role, pods.projected_token(self.cluster, pod)).ok


@dataclass(frozen=True)
class Stage:
    """Clusters that share an account, and the folder that a reader works in."""

    aws: AwsStandIn
    sites: dict[str, Site]
    folder: Path

    def settle(self) -> None:
        """Have happen what happens by itself in real clusters."""
        for site in self.sites.values():
            site.settle()

    def role(self, name: str) -> str:
        """The ARN of a role of the account."""
        return f"arn:aws:iam::{self.aws.account}:role/{name}"

    @contextmanager
    def reading(self, page: Path) -> Iterator[Walk]:
        """A reader of a page, with a shell of their own in the folder."""
        with Shell(self.folder, self._environment()) as shell, Walk(page, shell, self.settle) as walk:
            yield walk

    def shell(self, *commands: str) -> None:
        """Have the reader run commands that are not on the page; each must end well."""
        for command in commands:
            ran = self.run(command)
            assert ran.code == 0, f"{command}\n{ran.out}{ran.err}"
        self.settle()

    def run(self, command: str) -> Ran:
        """Have the reader run one command, and nothing happen by itself then."""
        with Shell(self.folder, self._environment()) as shell:
            return shell.run(command)

    def install(self, context: str, own_role: str, more: str = "") -> None:
        """Set up the account and install the chart, as the reader has done before the page begins.

        `more` are further options of `helm install`.
        """
        files = f"--values {context}.yaml --image registry.example.com/mxp-identity-webhook:0.1.0"
        options = f"--bucket my-backups --region {self.aws.region} --own-role {own_role} {files}"
        where = f"--kube-context {context} --namespace mxp-identity --create-namespace --values {context}.yaml"
        self.shell(
            f"mxp-identity setup --context {context} {options} --approve",
            f"helm install mxp-identity-webhook charts/mxp-identity-webhook {where} {more}",
        )

    def lose(self, name: str) -> None:
        """Have a cluster gone, with its pods."""
        site = self.sites.pop(name)
        site.released.kill()
        site.cluster.parts["kube-apiserver"].kill()

    def _environment(self) -> dict[str, str]:
        tools = [
            str(self.folder / "bin"),
            str(Path(sys.executable).parent),
            "/usr/bin",
            "/bin",
            "/usr/sbin",
            "/sbin",
        ]
        return {
            **self.aws.environment(base={}),
            "AWS_PAGER": "",
            "HOME": str(self.folder),
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "PATH": os.pathsep.join(tools),
            "PYTHONPATH": str(REPOSITORY),  # the commands of this checkout, wherever they are installed from
            "LEVEL": "simulated",  # for `make demo`; a real node has tests of its own
            "XDG_CACHE_HOME": str(cache_folder().parent),  # where `make` finds what is built
        }


@contextmanager
def stage(
    folder: Path, clusters: Mapping[str, Mapping[str, str]], *, self_managed: bool = False
) -> Iterator[Stage]:
    """Have clusters by the names of their contexts, each with its host namespaces.

    The account is empty but for knowing of the clusters. The first of them is the current context. With
    `self_managed` releases of the chart make their certificates themselves.
    """
    with ExitStack() as stack:
        aws = stack.enter_context(AwsStandIn())
        sites = {
            name: _site(stack, aws, name, hosts, self_managed=self_managed) for name, hosts in clusters.items()
        }
        _lay_out(folder, sites)
        yield Stage(aws, sites, folder)


def _site(stack: ExitStack, aws: AwsStandIn, name: str, hosts: Mapping[str, str], *, self_managed: bool) -> Site:
    cluster = stack.enter_context(borrowed())
    aws.add_issuer(cluster.issuer, cluster.jwks())
    aws.add_cluster(name, cluster.issuer)
    released = stack.enter_context(Released(cluster, aws, self_managed=self_managed))
    return Site(name, cluster, aws, Spaces(cluster, hosts), released, hosts)


def _lay_out(folder: Path, sites: Mapping[str, Site]) -> None:
    """The checkout, a kubeconfig with a context for each cluster, and kubectl and helm."""
    for item in REPOSITORY.iterdir():
        if item.name != ".git":
            (folder / item.name).symlink_to(item)
    tools = folder / "bin"
    tools.mkdir()
    (tools / "kubectl").symlink_to(binary("kubectl"))
    helm = tools / "helm"
    helm.write_text(HELM.format(helm=binary("helm"), folder=folder, default=next(iter(sites))))
    helm.chmod(0o755)
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": next(iter(sites))}
    for name, site in sites.items():
        (folder / f"rig-{name}.yaml").write_text(yaml.safe_dump(site.released.values))
        config = yaml.safe_load(site.cluster.kubeconfig.read_text())
        for kind in ("cluster", "user"):
            (entry,) = config[f"{kind}s"]
            merged.setdefault(f"{kind}s", []).append({**entry, "name": name})
        merged.setdefault("contexts", []).append({"name": name, "context": {"cluster": name, "user": name}})
    (folder / "kubeconfig").write_text(yaml.safe_dump(merged))
