"""As much of an EKS cluster as `conformance` asks, over HTTP: ServiceAccounts, pods, tokens, and EKS's webhook.

Pods of a ServiceAccount get the variables of its association as the stand-in says that EKS's webhook knows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from rig.aws.pod_client import FULL_URI
from rig.space import EKS_CLUSTER
from tests.support.stub_api_server import Handler, StubApiServer

if TYPE_CHECKING:
    from rig.aws import AwsStandIn, TokenIssuer
    from tests.support.stub_api_server import Object


class StubCluster(StubApiServer):
    """A cluster of the stand-in's account whose tokens `keys` sign. `refused` are resources that it refuses."""

    def __init__(self, aws: AwsStandIn, keys: TokenIssuer) -> None:
        super().__init__(keys.url)
        self.aws, self.keys = aws, keys
        self.refused: set[str] = set()

    @property
    def handler(self) -> type[Handler]:
        return _Handler


class _Handler(Handler):
    api: StubCluster

    def do_POST(self) -> None:  # noqa: N802  the standard library's name
        path, _, query = self.path.partition("?")
        item, resource = self.body(), path.rpartition("/")[2]
        if resource in self.api.refused:
            self.answer(403, {"message": f"cannot create resource {resource}"})
        elif resource == "token":
            self.answer(201, {"status": {"token": self._token(path, item["spec"])}})
        else:
            name = item["metadata"].get("name", "of-a-dry-run")
            item["metadata"] |= {"name": name, "uid": f"uid-of-{name}"}
            if resource == "pods":
                self._inject(path, item)
            if "dryRun" not in parse_qs(query):
                self.api.objects[f"{path}/{name}"] = item
            self.answer(201, item)

    def do_DELETE(self) -> None:  # noqa: N802  the standard library's name
        self.body()
        found = self.api.objects.pop(self.path, None)
        self.answer(200 if found else 404, found or {"message": "not found"})

    def _token(self, path: str, spec: Object) -> str:
        namespace, account = path.split("/")[4], path.split("/")[6]
        claims: Object = {"namespace": namespace, "serviceaccount": {"name": account, "uid": "u"}}
        if bound := spec.get("boundObjectRef"):
            claims["pod"] = {"name": bound["name"], "uid": bound["uid"]}
        return self.api.keys.token(
            f"system:serviceaccount:{namespace}:{account}",
            audience=spec["audiences"],
            lifetime=spec["expirationSeconds"],
            **{"kubernetes.io": claims},
        )

    def _inject(self, path: str, pod: Object) -> None:
        known = {(one.namespace, one.service_account) for one in self.api.aws.known_to_pods(EKS_CLUSTER)}
        if (path.split("/")[4], pod["spec"]["serviceAccountName"]) in known:
            for container in pod["spec"]["containers"]:
                container["env"] = [{"name": FULL_URI, "value": "http://169.254.170.23/v1/credentials"}]
