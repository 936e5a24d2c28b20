"""What the cells share: one API server, one account, and the ports in front of them."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rig.aws.agent import Agent
from rig.aws.eks_auth import AUDIENCE as POD_AUDIENCE
from rig.aws.identity import UNSIGNED_ONCE
from rig.faults import Front, Fronts
from rig.kubernetes import objects
from rig.kubernetes.credentials import Endpoint
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM, iam_policy, irsa_trust, kubernetes_objects, pod_identity_policy
from rig.space import AUDIENCE, EKS_CLUSTER, Space, foreign_statements
from rig.webhook import Webhook
from tests.e2e.scenes import LARGE_QUOTA, bare_space
from tests.faults.credentials import short_lived
from tests.faults.dependencies import DEPENDENCIES, KINDS, TOKEN_FILES, Cell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_sts.type_defs import CredentialsTypeDef

CELL_LABEL = "rig.local/cell"
TRUST_BUDGET_S = 3.0
"""The default."""

_AGENT = "credentials-from-agent"
_POD_TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}


class Stage:
    """The shared parts, running. Cells have each a role, a namespace for Leases and ports of their own."""

    def __init__(self, space: Space, fronts: Fronts, agent: Agent) -> None:
        self.space = space
        self.fronts = fronts
        self.agent = agent
        self._iam = space.aws.admin_client("iam")
        self._sts = space.aws.client("sts", space.aws.root, UNSIGNED_ONCE)
        self._rights = [
            item for item in kubernetes_objects([SERVICE_ACCOUNT]) if item["kind"] in {"Role", "RoleBinding"}
        ]

    def lane(self, cell: Cell) -> Lane:
        """Open a cell's ports and make what is its own."""
        space, name = self.space, cell.name
        folder = space.cluster.workspace.path / f"files-{name}"
        folder.mkdir()
        role = f"cell-{name}"
        trust = {"Version": "2012-10-17", "Statement": foreign_statements(space.aws.account)}
        self._iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
        own = [{**item, "metadata": {**item["metadata"], "namespace": role}} for item in self._rights]
        space.cluster.create([objects.namespace(role), *own])
        return Lane(self, cell, folder, space.role_arn(role), self._open(cell))

    def is_assumed(self, role: str, token: str) -> bool:
        """Whether STS gives credentials of a role for a token."""
        try:
            self.assume(role, token)
        except self._sts.exceptions.ClientError:
            return False
        return True

    def assume(self, role: str, token: str) -> CredentialsTypeDef:
        """Return the credentials that STS gives. Raises ClientError."""
        answer = self._sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="cell", WebIdentityToken=token
        )
        return answer["Credentials"]

    def _open(self, cell: Cell) -> dict[str, Front]:
        space, cluster = self.space, self.space.cluster
        of_sts = DEPENDENCIES["credentials-from-sts"].matching
        renewed = cell.dependency in {"credentials-from-sts", _AGENT}
        opened = {
            "iam": self.fronts.open(space.aws.url),
            "sts": self.fronts.open(space.aws.url, changed=(of_sts, short_lived) if renewed else None),
            "eks": self.fronts.open(space.aws.url),
            "api": self.fronts.open(cluster.url, cluster.ca_file),
        }
        if cell.dependency == _AGENT:
            every = DEPENDENCIES[_AGENT].matching
            opened["agent"] = self.fronts.open(self.agent.url, tls=False, changed=(every, short_lived))
        return opened


@dataclass
class Lane:
    """One cell's own things: `role`, ports, files with tokens, and one `serve` process."""

    stage: Stage
    cell: Cell
    folder: Path
    role: str
    fronts: dict[str, Front]

    def __post_init__(self) -> None:
        self._tokens: dict[str, str] = {}
        self._environment = self._made_environment()

    @property
    def space(self) -> Space:
        """Cluster and account."""
        return self.stage.space

    def start(self) -> Webhook:
        """Start the program, and do not wait."""
        name = self.role.rpartition("/")[2]
        binding = {
            "name": "cell",
            "serviceAccount": SERVICE_ACCOUNT,
            "namespaces": {"selector": {"matchLabels": {CELL_LABEL: self.label}}, "pattern": "mxp-*-system"},
            "mode": "pod-identity" if self.associates else "irsa",
            "roles": [self.role],
        }
        configuration: dict[str, Any] = {
            "namespace": name,
            "installation": name,
            "bindings": [binding],
        }
        if self.associates:
            configuration["cluster"] = {"name": EKS_CLUSTER}
        workspace = self.space.cluster.workspace
        return Webhook(workspace, name, configuration, self.space.authority, self._environment)

    @property
    def label(self) -> str:
        """The value of the label by which the cell's control planes are its own."""
        return self.cell.name

    @property
    def associates(self) -> bool:
        """Whether trust is an association of EKS."""
        return self.cell.dependency == "eks"

    def break_it(self) -> None:
        """Have the dependency misbehave."""
        cell = self.cell
        if cell.misbehaviour in TOKEN_FILES:
            self._write_token(TOKEN_FILES[cell.misbehaviour])
        else:
            dependency = DEPENDENCIES[cell.dependency]
            self.fronts[dependency.front].misbehave(KINDS[cell.misbehaviour], dependency.matching)

    def heal(self) -> None:
        """Have it behave again."""
        if self.cell.misbehaviour in TOKEN_FILES:
            self._write_token(self._tokens[self._token_name])
        else:
            self.fronts[DEPENDENCIES[self.cell.dependency].front].behave()

    def close(self) -> None:
        """Close the ports."""
        for front in self.fronts.values():
            front.close()

    def _made_environment(self) -> dict[str, str]:
        """The environment of the program, which finds the ports where AWS and Kubernetes would be."""
        aws = {
            **self.space.aws.environment(base={}),
            "AWS_CA_BUNDLE": str(self.stage.fronts.ca_file),
            **{f"AWS_ENDPOINT_URL_{name.upper()}": self.fronts[name].url for name in ("iam", "sts", "eks")},
        }
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
            del aws[key]
        pod = {"POD_NAME": self.cell.name, "POD_NAMESPACE": OWN_NAMESPACE}
        return {**aws, **pod, **self._credentials(), **self._kubernetes()}

    # ---- who the program is

    def _credentials(self) -> dict[str, str]:
        if self.cell.dependency == _AGENT:
            return {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.fronts["agent"].url,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self._token_file("agent", POD_AUDIENCE)),
            }
        own = self.space.role_arn(PROGRAM)
        if self.cell.dependency == "sts":
            made = self.stage.assume(own, self._token(AUDIENCE))
            return {
                "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
                "AWS_SESSION_TOKEN": made["SessionToken"],
            }
        return {"AWS_ROLE_ARN": own, "AWS_WEB_IDENTITY_TOKEN_FILE": str(self._token_file("sts", AUDIENCE))}

    def _kubernetes(self) -> dict[str, str]:
        endpoint = Endpoint(self.fronts["api"].url, self.stage.fronts.ca_file)
        credentials, token = self.space.cluster.server.credentials, self._token_file("api", None)
        return {"KUBECONFIG": str(credentials.write_kubeconfig(self.cell.name, endpoint, token, OWN_NAMESPACE))}

    def _token(self, audience: str | None) -> str:
        return self.space.cluster.token(OWN_NAMESPACE, PROGRAM, audience=audience, expiration_seconds=24 * 3600)

    def _token_file(self, name: str, audience: str | None) -> Path:
        self._tokens[name] = self._token(audience)
        file = self._path_of(name)
        file.write_text(self._tokens[name])
        return file

    @property
    def _token_name(self) -> str:
        return {"credentials-from-sts": "sts", _AGENT: "agent"}.get(self.cell.dependency, "api")

    def _write_token(self, content: str | None) -> None:
        file = self._path_of(self._token_name)
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(content)

    def _path_of(self, name: str) -> Path:
        return self.folder / f"{name}-token"


@contextmanager
def stage() -> Iterator[Stage]:
    """Start everything that the cells share."""
    with ExitStack() as stack:
        space = stack.enter_context(bare_space(quota=LARGE_QUOTA))
        cells = [space.role_arn("cell-*")]
        iam = space.aws.admin_client("iam")
        iam.put_role_policy(
            RoleName=PROGRAM,
            PolicyName="cells",
            PolicyDocument=json.dumps(iam_policy(cells, space.provider_arn, space.role_arn(PROGRAM))),
        )
        arn = space.aws.add_cluster(EKS_CLUSTER, space.cluster.issuer)
        iam.put_role_policy(
            RoleName=PROGRAM,
            PolicyName="associations",
            PolicyDocument=json.dumps(pod_identity_policy(cells, arn)),
        )
        own = f"system:serviceaccount:{OWN_NAMESPACE}:{PROGRAM}"
        trust = irsa_trust(space.provider_arn, space.cluster.issuer, own)
        trust["Statement"].append(_POD_TRUST)
        iam.update_assume_role_policy(RoleName=PROGRAM, PolicyDocument=json.dumps(trust))
        space.aws.admin_client("eks").create_pod_identity_association(
            clusterName=EKS_CLUSTER,
            namespace=OWN_NAMESPACE,
            serviceAccount=PROGRAM,
            roleArn=space.role_arn(PROGRAM),
        )
        agent = stack.enter_context(Agent(space.aws, EKS_CLUSTER))
        fronts = stack.enter_context(Fronts(space.cluster.workspace.path / "fronts"))
        yield Stage(space, fronts, agent)
