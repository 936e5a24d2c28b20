"""Where `serve` is started in tests: an API server that can be away, and an AWS account with one role."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from rig.kubernetes.objects import CONTROL_PLANE_LABEL
from rig.pki import Authority
from rig.processes import Workspace
from rig.webhook import Webhook
from tests.support.reviews import Reply, review
from tests.support.sites import external_document, role, subject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rig.aws import AwsStandIn, TokenIssuer
    from tests.support.stub_api_server import StubApiServer

SUBJECT = subject(1)
OWN = "system:serviceaccount:mxp-identity:mxp-identity-webhook"


class Place:
    """Where `serve` is started: an API server that is away, and an AWS account with one role."""

    def __init__(self, folder: Path, api: StubApiServer, aws: AwsStandIn, keys: TokenIssuer) -> None:
        self.api, self.aws = api, aws
        self.role = f"arn:aws:iam::{aws.account}:role/mxp-backup"
        self.token = keys.token(OWN)
        self._folder = folder
        aws.admin_client("iam").create_role(
            RoleName="mxp-backup", AssumeRolePolicyDocument=json.dumps(external_document(role()))
        )

    def environment(self, aws: Mapping[str, str] | None = None) -> dict[str, str]:
        """Its API server and AWS, as an administrator unless `aws` names another caller."""
        kubeconfig = self.api.kubeconfig(self._folder, self.token)
        return {**(aws or self.aws.environment(base={})), "KUBECONFIG": str(kubeconfig), "POD_NAME": "one"}

    def configuration(self, **sections: Any) -> dict[str, Any]:
        """One binding of all control planes to the role."""
        expression = {"key": CONTROL_PLANE_LABEL, "operator": "Exists"}
        binding = {
            "name": "backup",
            "serviceAccount": SUBJECT.service_account,
            "namespaces": {"selector": {"matchExpressions": [expression]}},
            "mode": "irsa",
            "roles": [self.role],
        }
        return {"namespace": "mxp-identity", "bindings": [binding], "reconciler": {"interval": "5s"}, **sections}

    @contextmanager
    def serving(
        self, configuration: dict[str, Any] | None = None, aws: Mapping[str, str] | None = None
    ) -> Iterator[Webhook]:
        """`serve`, until the end of the `with`: it must end by SIGTERM with 0."""
        with Workspace() as workspace:
            one = Webhook(
                workspace,
                "webhook",
                configuration or self.configuration(),
                Authority("a"),
                self.environment(aws),
            )
            one.wait_until_serving()
            yield one
            assert one.process.running
            assert one.terminate() == 0

    def trusted(self) -> bool:
        """Whether the role trusts the control plane."""
        return str(SUBJECT) in self.aws.history("mxp-backup")[-1].document

    def come(self) -> None:
        """Have the API server answer, with one control plane."""
        self.api.add(SUBJECT.namespace, SUBJECT.service_account, {CONTROL_PLANE_LABEL: "one"})
        self.api.come()


def asked(webhook: Webhook) -> Reply:
    """A review of the control plane's ServiceAccount, answered."""
    with webhook.client() as client:
        answer = client.post(f"{webhook.url}?timeout=10s", json=review(SUBJECT), timeout=15)
    return Reply(answer.status_code, answer.text)


def health(webhook: Webhook, path: str = "healthz") -> int:
    """The status of /healthz or /readyz."""
    return httpx.get(f"{webhook.plain_url}/{path}", trust_env=False).status_code
