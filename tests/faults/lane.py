"""What cells have to themselves: ports, files with tokens, a role, a namespace for Leases, and the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rig.aws.eks_auth import AUDIENCE as POD_AUDIENCE
from rig.kubernetes.credentials import Endpoint
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.space import AUDIENCE, EKS_CLUSTER
from rig.webhook import Webhook
from tests.faults.credentials import short_lived
from tests.faults.dependencies import DEPENDENCIES, KINDS, TOKEN_FILES

if TYPE_CHECKING:
    from pathlib import Path

    from rig.faults import Front
    from tests.faults.stage import Stage

CELL_LABEL = "rig.local/cell"

_AGENT = "credentials-from-agent"
_TOKEN_SECONDS = 24 * 3600


class Lane:
    """For one program and one of its dependencies. `name` is a namespace's, which is there already.

    Attributes: `role`, the ARN of its own; `label`, by which its control planes are its own.
    """

    def __init__(self, stage: Stage, name: str, dependency: str, role: str, folder: Path) -> None:
        self.space = stage.space
        self.stage = stage
        self.dependency = dependency
        self.role = role
        self.label = name
        self._name = name
        self._folder = folder
        self._tokens: dict[str, str] = {}
        self.fronts = self._open()
        self._environment = {**self._aws(), **self._credentials(), **self._kubernetes()}

    @property
    def associates(self) -> bool:
        """Whether trust is an association of EKS, in which mode nothing is annotated."""
        return self.dependency == "eks"

    def start(self) -> Webhook:
        """Start the program, and do not wait."""
        binding = {
            "name": "cell",
            "serviceAccount": SERVICE_ACCOUNT,
            "namespaces": {"selector": {"matchLabels": {CELL_LABEL: self.label}}, "pattern": "mxp-*-system"},
            "mode": "pod-identity" if self.associates else "irsa",
            "roles": [self.role],
        }
        configuration: dict[str, Any] = {
            "namespace": self._name,
            "installation": self._name,
            "bindings": [binding],
            **({"cluster": {"name": EKS_CLUSTER}} if self.associates else {}),
        }
        workspace = self.space.cluster.workspace
        return Webhook(workspace, self._name, configuration, self.space.authority, self._environment)

    def misbehave(self, misbehaviour: str) -> None:
        """Have the dependency misbehave."""
        if misbehaviour in TOKEN_FILES:
            self._write_token(TOKEN_FILES[misbehaviour])
        else:
            dependency = DEPENDENCIES[self.dependency]
            self.fronts[dependency.front].misbehave(KINDS[misbehaviour], dependency.matching)

    @property
    def met(self) -> int:
        """How often the dependency's misbehaviour was met."""
        return self.fronts[DEPENDENCIES[self.dependency].front].met

    def behave(self, misbehaviour: str) -> None:
        """Have it recover from that."""
        if misbehaviour in TOKEN_FILES:
            self._write_token(self._tokens[self._own_token])
        else:
            self.fronts[DEPENDENCIES[self.dependency].front].behave()

    def close(self) -> None:
        """Close the ports."""
        for front in self.fronts.values():
            front.close()

    def _open(self) -> dict[str, Front]:
        stage, aws, cluster = self.stage, self.space.aws.url, self.space.cluster
        of_sts, of_agent = (DEPENDENCIES[name].matching for name in ("credentials-from-sts", _AGENT))
        renewed = self.dependency == "credentials-from-sts"
        opened = {
            "iam": stage.fronts.open(aws),
            "sts": stage.fronts.open(aws, changed=(of_sts, short_lived) if renewed else None),
            "eks": stage.fronts.open(aws),
            "api": stage.fronts.open(cluster.url, cluster.ca_file),
        }
        if self.dependency == _AGENT:
            opened["agent"] = stage.fronts.open(stage.agent.url, tls=False, changed=(of_agent, short_lived))
        return opened

    # ---- the program's environment

    def _aws(self) -> dict[str, str]:
        replaced = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"}
        inherited = self.space.aws.environment(base={})
        return {
            **{key: value for key, value in inherited.items() if key not in replaced},
            **{f"AWS_ENDPOINT_URL_{name.upper()}": self.fronts[name].url for name in ("iam", "sts", "eks")},
            "AWS_CA_BUNDLE": str(self.stage.fronts.ca_file),
        }

    def _credentials(self) -> dict[str, str]:
        own = self.space.role_arn(PROGRAM)
        match self.dependency:
            case "credentials-from-agent":
                return {
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.fronts["agent"].url,
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self._token_file("agent", POD_AUDIENCE)),
                }
            case "sts":  # which is then asked for nothing else
                made = self.stage.assume(own, self._token(AUDIENCE))
                return {
                    "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
                    "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
                    "AWS_SESSION_TOKEN": made["SessionToken"],
                }
            case _:
                file = self._token_file("sts", AUDIENCE)
                return {"AWS_ROLE_ARN": own, "AWS_WEB_IDENTITY_TOKEN_FILE": str(file)}

    def _kubernetes(self) -> dict[str, str]:
        endpoint = Endpoint(self.fronts["api"].url, self.stage.fronts.ca_file)
        credentials, token = self.space.cluster.server.credentials, self._token_file("api", None)
        file = credentials.write_kubeconfig(self._name, endpoint, token, OWN_NAMESPACE)
        return {"KUBECONFIG": str(file), "POD_NAME": self._name, "POD_NAMESPACE": OWN_NAMESPACE}

    def _token(self, audience: str | None) -> str:
        return self.space.cluster.token(
            OWN_NAMESPACE,
            PROGRAM,
            audience=audience,
            expiration_seconds=_TOKEN_SECONDS,
            bound_pod=self.stage.pod if audience == POD_AUDIENCE else None,
        )

    def _token_file(self, name: str, audience: str | None) -> Path:
        self._tokens[name] = self._token(audience)
        file = self._path_of(name)
        file.write_text(self._tokens[name])
        return file

    @property
    def _own_token(self) -> str:
        """Which of the tokens is the dependency's."""
        return {"credentials-from-sts": "sts", _AGENT: "agent"}.get(self.dependency, "api")

    def _write_token(self, content: str | None) -> None:
        file = self._path_of(self._own_token)
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(content)

    def _path_of(self, name: str) -> Path:
        return self._folder / f"{name}-token"
