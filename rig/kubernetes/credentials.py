"""Who may call the API server and how: tokens, certificates, kubeconfigs."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from rig.pki import LOOPBACK, Authority, service_account_key, write_private

USERS = {
    # user: its groups
    "admin": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "system:kube-proxy": "",
    "system:node:node-1": "system:nodes",
    # The parts that are no part of Kubernetes; on a real cluster each has its own role.
    "kwok": "system:masters",
    "eks-pod-identity-webhook": "system:masters",
}


@dataclass(frozen=True)
class Endpoint:
    """Where an API server is and how its certificate is verified."""

    url: str
    ca_file: Path


class Credentials:
    """The secrets of one cluster, as files in a folder; `addresses` are those of its API server."""

    def __init__(self, folder: Path, addresses: Sequence[str]) -> None:
        folder.mkdir()
        self._folder = folder
        self.tokens = {user: secrets.token_urlsafe(32) for user in USERS}
        self.token_file = folder / "tokens.csv"
        write_private(
            self.token_file,
            "".join(f'{self.tokens[user]},{user},{user},"{group}"\n' for user, group in USERS.items()),
        )
        self.authority = Authority("rig-cluster")
        self.ca_file = folder / "ca.crt"
        self.ca_file.write_text(self.authority.certificate)
        hosts = [
            *LOOPBACK,
            *addresses,
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ]
        self.certificate, self.key = self.authority.issue("kube-apiserver", hosts).write(folder, "apiserver")
        kubelets = self.authority.issue_client("kube-apiserver", "system:masters")
        self.kubelet_certificate, self.kubelet_key = kubelets.write(folder, "kubelet-client")
        private, public = service_account_key()
        self.signing_key, self.verifying_key = folder / "sa.key", folder / "sa.pub"
        write_private(self.signing_key, private)
        self.verifying_key.write_text(public)

    def kubeconfig(self, user: str, endpoint: Endpoint) -> Path:
        """Write the kubeconfig of one of `USERS` and return its path."""
        return self.write_kubeconfig(user, endpoint, self.tokens[user])

    def write_kubeconfig(
        self, user: str, endpoint: Endpoint, token: str | Path, namespace: str = "default"
    ) -> Path:
        """Write a kubeconfig for a token, or for a file with one, and return its path.

        The same user's earlier one is replaced.
        """
        said = {"tokenFile": str(token)} if isinstance(token, Path) else {"token": token}
        context = {"cluster": "rig", "user": user, "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "rig",
                    "cluster": {"server": endpoint.url, "certificate-authority": str(endpoint.ca_file)},
                }
            ],
            "users": [{"name": user, "user": said}],
            "contexts": [{"name": "rig", "context": context}],
            "current-context": "rig",
        }
        path = self._folder / f"{user.replace(':', '-').replace('/', '-')}.kubeconfig"
        write_private(path, yaml.safe_dump(config))
        return path
