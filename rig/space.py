"""A laptop-size Space: a cluster, an AWS account that trusts its tokens, a role for backups, and our program."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self

from rig.aws.standin import AwsStandIn
from rig.identities import Identities
from rig.kubernetes.api import ApiError
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT, agent, namespace, service_account
from rig.kubernetes.place import LOOPBACK
from rig.kubernetes.registration import ENTRY, OWN_NAMESPACE, Registration
from rig.permissions import PROGRAM, iam_policy, irsa_trust, kubernetes_objects, pod_identity_policy
from rig.pki import Authority
from rig.waiting import eventually
from rig.webhook import Configuration, Webhook

AUDIENCE = "sts.amazonaws.com"
EKS_CLUSTER = "spaces-prod"
"""What EKS calls the cluster, where it is one of EKS's."""

WEBHOOK_NAME = "mxp-identity-webhook"
TOKEN_SECONDS = 24 * 3600


class Space:
    """Everything that the program works with, up and running; a context manager that leaves nothing behind.

    `roles` are the names of the roles for backups. Each starts with `external` external statements in its trust
    policy. `cluster` is one that runs. `aws` may be another Space's account. Then both clusters share the roles
    that are there, and `own_role`, the name of the role that the program runs as, must differ. Without `rights`
    the program has none in the cluster until a chart is installed. With `eks_lag` the cluster is one of EKS's,
    the program may make associations, and EKS's webhook learns of each so many seconds later.
    """

    def __init__(  # noqa: PLR0913 (every one has a default)
        self,
        *,
        cluster: Cluster,
        aws: AwsStandIn | None = None,
        own_role: str = PROGRAM,
        roles: Sequence[str] = ("mxp-backup",),
        quota: int = 2048,
        rights: bool = True,
        external: Sequence[dict[str, Any]] | None = None,
        eks_lag: float | None = None,
    ) -> None:
        self.cluster = cluster
        self.aws = aws or AwsStandIn(quota=quota, also_on={self.cluster.place.machine} - {LOOPBACK})
        self.authority = Authority("rig-mxp-identity-webhook")
        self.webhooks: list[Webhook] = []
        self._owns_aws = aws is None
        self._own_role = own_role
        self._role_names = tuple(roles)
        self._rights = rights
        self._external = external
        self._eks_lag = eks_lag
        self._identities: Identities | None = None
        self._earlier_calls: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._earlier_calls = self._calls_counted()
        try:
            if self._owns_aws:
                self.aws.__enter__()
            self._set_up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for webhook in self.webhooks:
            webhook.process.kill()
        if self._identities:
            self._identities.__exit__(kind, error, trace)
        if self._owns_aws:
            self.aws.__exit__(kind, error, trace)

    # ---- names

    @property
    def provider_arn(self) -> str:
        """The cluster's OIDC provider in the account."""
        return f"arn:aws:iam::{self.aws.account}:oidc-provider/{self.cluster.issuer.removeprefix('https://')}"

    @property
    def roles(self) -> list[str]:
        """The ARNs of the roles for backups."""
        return [self.role_arn(name) for name in self._role_names]

    def role_arn(self, name: str) -> str:
        """The ARN of a role of the account."""
        return f"arn:aws:iam::{self.aws.account}:role/{name}"

    # ---- the program

    def configuration(self, **sections: Any) -> Configuration:
        """A configuration with one binding of the control planes to the roles; `sections` replace its keys."""
        expression = {"key": CONTROL_PLANE_LABEL, "operator": "Exists"}
        binding = {
            "name": "backup",
            "serviceAccount": SERVICE_ACCOUNT,
            "namespaces": {"selector": {"matchExpressions": [expression]}, "pattern": "mxp-*-system"},
            "mode": "irsa",
            "roles": self.roles,
        }
        return {"namespace": OWN_NAMESPACE, "bindings": [binding], **sections}

    def in_mode(self, mode: str, **sections: Any) -> Configuration:
        """The same configuration, its binding in another mode."""
        configuration = self.configuration(**sections)
        (binding,) = configuration["bindings"]
        return {"cluster": {"name": EKS_CLUSTER}, **configuration, "bindings": [{**binding, "mode": mode}]}

    def environment(self, replica: str = PROGRAM) -> Mapping[str, str]:
        """The environment of the program: its own ServiceAccount in the cluster and its own role in AWS.

        `replica` is its name in Leases, and in the stand-in's records the end of the caller's ARN.
        """
        token_file = self.cluster.workspace.path / "own-token"
        token = self.cluster.token(OWN_NAMESPACE, PROGRAM, audience=AUDIENCE, expiration_seconds=TOKEN_SECONDS)
        token_file.write_text(token)
        kubeconfig = self.cluster.kubeconfig_for(OWN_NAMESPACE, PROGRAM)
        own_role = self.role_arn(self._own_role)
        return {
            **self.aws.environment(role_arn=own_role, token_file=token_file, base={}),
            "AWS_ROLE_SESSION_NAME": replica,
            "POD_NAME": replica,
            "KUBECONFIG": str(kubeconfig),
            "POD_NAMESPACE": OWN_NAMESPACE,
        }

    def start_webhook(
        self, configuration: Configuration | None = None, *, wait: bool = True, module: str = "webhook"
    ) -> Webhook:
        """Start a replica of the program, or of a module used like it; with `wait`, until it is ready."""
        name = f"webhook-{len(self.webhooks) + 1}"
        chosen = configuration or self.configuration()
        webhook = Webhook(self.cluster.workspace, name, chosen, self.authority, self.environment(name), module)
        self.webhooks.append(webhook)
        if wait:
            webhook.wait_until_ready()
        return webhook

    def register(
        self, url: str, failure_policy: Literal["Fail", "Ignore"] = "Ignore", *, ca_pem: str | None = None
    ) -> None:
        """Have the API server call `url` for ServiceAccounts, and wait until it does.

        It learns of a registration by a watch, so dry runs are sent until it has called. `ca_pem` is the caBundle
        if it is not the rig's own authority.
        """
        registration = Registration(
            url, self.authority.certificate if ca_pem is None else ca_pem, failure_policy=failure_policy
        )
        self.cluster.register_webhook(WEBHOOK_NAME, registration)
        eventually(self.is_called, "the API server calls the webhook")

    def is_called(self, name: str = SERVICE_ACCOUNT) -> bool:
        """Whether the API server calls the program for a ServiceAccount of that name, sent as a dry run."""
        return self.cluster.calls(ENTRY, service_account("default", name))

    def webhook_calls(self) -> dict[str, float]:
        """The API server's own count of this Space's calls to the program by HTTP status; `0` is no answer."""
        calls = {code: count - self._earlier_calls.get(code, 0) for code, count in self._calls_counted().items()}
        return {code: count for code, count in calls.items() if count}

    def _calls_counted(self) -> dict[str, float]:
        calls: dict[str, float] = {}
        name = "apiserver_admission_webhook_request_total"
        for sample in self.cluster.metrics().find(name, name=ENTRY):
            calls[sample.labels["code"]] = calls.get(sample.labels["code"], 0) + sample.value
        return calls

    def unregister(self) -> None:
        """Have the API server no longer call the program, if it does."""
        path = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{WEBHOOK_NAME}"
        try:
            self.cluster.api.delete(path)
        except ApiError as error:
            if error.reason != "NotFound":
                raise

    # ---- the account

    def policy(self, role: str | None = None) -> dict[str, Any]:
        """The trust policy that a role has at this moment."""
        document: dict[str, Any] = json.loads(self.aws.history(role or self._role_names[0])[-1].document)
        return document

    @contextmanager
    def registered(self, webhook: Webhook, failure_policy: Literal["Fail", "Ignore"] = "Ignore") -> Iterator[None]:
        """Have the API server call a replica for the length of a `with` block."""
        self.register(webhook.url, failure_policy)
        try:
            yield
        finally:
            self.unregister()

    def join_eks(self, lag: float) -> None:
        """Make the cluster one of EKS's, whose webhook hears of an association `lag` seconds later.

        Another call changes the lag.
        """
        arn = self.aws.add_cluster(EKS_CLUSTER, self.cluster.issuer)
        self.cluster.apply([agent()])
        policy = json.dumps(pod_identity_policy(self.roles, arn))
        iam = self.aws.admin_client("iam")
        iam.put_role_policy(RoleName=self._own_role, PolicyName="pod-identity", PolicyDocument=policy)
        if self._identities:
            self._identities.lag = lag
        elif self.cluster.eks_webhook:
            self._identities = Identities(self.aws, EKS_CLUSTER, self.cluster.eks_webhook, lag)
            self._identities.__enter__()

    def _set_up(self) -> None:
        items = kubernetes_objects([SERVICE_ACCOUNT]) if self._rights else [namespace(OWN_NAMESPACE)]
        self.cluster.apply(items)
        self.aws.add_issuer(self.cluster.issuer, self.cluster.jwks())
        iam = self.aws.admin_client("iam")
        iam.create_open_id_connect_provider(Url=self.cluster.issuer, ClientIDList=[AUDIENCE])
        own = f"system:serviceaccount:{OWN_NAMESPACE}:{PROGRAM}"
        trust = irsa_trust(self.provider_arn, self.cluster.issuer, own)
        iam.create_role(RoleName=self._own_role, AssumeRolePolicyDocument=json.dumps(trust))
        policy = iam_policy(self.roles, self.provider_arn, self.role_arn(self._own_role))
        iam.put_role_policy(RoleName=self._own_role, PolicyName="trust", PolicyDocument=json.dumps(policy))
        if not self._owns_aws:
            return
        external = external_statements(self.aws.account) if self._external is None else list(self._external)
        document = json.dumps({"Version": "2012-10-17", "Id": "backup-trust", "Statement": external})
        for name in self._role_names:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        if self._eks_lag is not None:
            self.join_eks(self._eks_lag)


def external_statements(account: str) -> list[dict[str, Any]]:
    """External statements as roles usually have them: an administrator's, and another cluster's."""
    other = "oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"
    return [
        {
            "Sid": "BreakGlass",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        },
        {
            "Sid": "OtherCluster",
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{account}:oidc-provider/{other}"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {
                    f"{other}:aud": "sts.amazonaws.com",
                    f"{other}:sub": ["system:serviceaccount:velero:velero", "system:serviceaccount:etcd:backup"],
                }
            },
        },
    ]
