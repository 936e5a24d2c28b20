"""One of the clusters that are broken: what a test does to it, and what a person sees of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rig.kubernetes import objects
from rig.prometheus import Scraped
from rig.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.guides.shell import Ran
    from tests.guides.stage import Site, Stage


@dataclass(frozen=True)
class Place:
    """A cluster with a release of the chart, a role for backups and a role of the program of its own."""

    stage: Stage
    name: str
    asked: str = ""
    """The control plane that `verify` is asked about, if not about all."""

    @property
    def site(self) -> Site:
        return self.stage.sites[self.name]

    @property
    def role(self) -> str:
        return f"mxp-backup-{self.name}"

    @property
    def own_role(self) -> str:
        return f"mxp-identity-{self.name}"

    @property
    def provider_arn(self) -> str:
        issuer = self.site.cluster.issuer.removeprefix("https://")
        return f"arn:aws:iam::{self.stage.aws.account}:oidc-provider/{issuer}"

    @property
    def iam(self) -> Any:
        return self.stage.aws.admin_client("iam")

    @property
    def scraped(self) -> Scraped:
        return Scraped(self.site.cluster, self.site.released.replicas, self.name)

    def install(self) -> None:
        """As docs/run/install.md does it."""
        where = (
            f"--bucket my-backups --region {self.stage.aws.region} --role {self.role} --own-role {self.own_role}"
        )
        values = f"{self.name}.yaml"
        self.stage.shell(
            f"mxp-identity setup --context {self.name} {where} --values {values} --approve",
            f"helm install mxp-identity-webhook charts/mxp-identity-webhook --kube-context {self.name}"
            f" --namespace mxp-identity --create-namespace --values {values} --set reconciler.pruneGrace=1h",
        )

    def add(self, control_plane: str, labels: Mapping[str, str] | None = None) -> None:
        """Add a control plane with its workload; `labels` are its namespace's, if not those that Spaces sets."""
        host = self.site.hosts[control_plane]
        namespace, *rest = objects.control_plane(control_plane, host)
        self.site.cluster.create([namespace if labels is None else objects.namespace(host, labels), *rest])

    def add_trusted(self, host: str) -> None:
        """Add a control plane without a workload, and wait until the role trusts it."""
        namespace, service_account, _ = objects.control_plane("short-lived", host)
        self.site.cluster.create([namespace, service_account])
        eventually(lambda: f":{host}:" in self.trust(), f"{self.role} trusts {host}")

    def trust(self) -> str:
        """The role's trust policy, without white space."""
        return re.sub(r"\s", "", self.stage.aws.history(self.role)[-1].document)

    def namespaces(self) -> set[str]:
        """The cluster's."""
        listed = self.site.cluster.api.get("/api/v1/namespaces")["items"]
        return {one["metadata"]["name"] for one in listed}

    @property
    def command(self) -> str:
        return " ".join(["mxp-identity verify --context", self.name, self.site.hosts.get(self.asked, "")]).rstrip()

    def verify(self) -> Ran:
        """Run `verify` on the cluster, as a person does."""
        return self.stage.run(self.command)

    def fixes(self) -> list[str]:
        """The commands that `verify` prints, each once, the program's first."""
        document = json.loads(self.stage.run(f"{self.command} -o json").out)
        findings = [*document["webhook"], *(one for each in document["controlPlanes"] for one in each["findings"])]
        broken = [one["fix"] for one in findings if one["level"] in {"broken", "unknown"} and one["fix"]]
        return list(dict.fromkeys(broken))
