"""Names that cannot hold a wrong value: parsed once at the edge, trusted afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from sys import intern
from typing import Self

from webhook.model.errors import InvalidNameError

AUDIENCE = "sts.amazonaws.com"
"""Audience of the projected token, the same in every AWS partition (China too: eksctl#1910)."""

ROLE_ARN_ANNOTATION = "eks.amazonaws.com/role-arn"
"""The ServiceAccount annotation that EKS's own webhook reads."""

# RoleName and path as IAM's API model has them (a path is `/`, or `/`, printable ASCII and `/`); partition and
# account as EKS's own webhook checks them.
_ROLE_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z0-9-]*):iam::(?P<account>\d{12}):role/"
    r"(?P<path>([!-~]{1,510}/)?)(?P<name>[\w+=,.@-]{1,64})",
    re.ASCII,
)
_PLAIN_PATH = re.compile(r"([\w+=,.@-]+/)*", re.ASCII)
# The name as EKS's API model has it.
_CLUSTER_NAME = r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}"
_CLUSTER_ARN = re.compile(rf"arn:aws[a-z0-9-]*:eks:[a-z0-9-]+:\d{{12}}:cluster/{_CLUSTER_NAME}", re.ASCII)
_BINDING_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_NAME = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_DNS_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_DNS_NAME}")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_ISSUER = re.compile(rf"https://(?P<host>{_DNS_NAME}(:\d{{1,5}})?)(?P<path>/[\w./~-]*)?", re.ASCII)
_EKS_HOST = re.compile(r"oidc\.eks\.[a-z0-9-]+\..+")
_TWIN_SUFFIXES = {
    "amazonaws.com": "api.aws",
    "amazonaws.com.cn": "api.amazonwebservices.com.cn",
    "amazonaws.eu": "api.amazonwebservices.eu",
}
"""Of hosts that answer by IPv6 too, by those that do not."""

_EKS_PATH = re.compile(r"/id/[0-9A-F]{32}")


@dataclass(frozen=True, slots=True, order=True)
class RoleArn:
    """ARN of an IAM role, `arn:<partition>:iam::<12 digits>:role/<path/>name`."""

    value: str

    def __post_init__(self) -> None:
        if not _ROLE_ARN.fullmatch(self.value):
            raise InvalidNameError(
                f"{self.value!r} is not the ARN of an IAM role; it looks like "
                "arn:aws:iam::123456789012:role/mxp-backup"
            )

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov`, ..."""
        return self._part("partition")

    @property
    def account(self) -> str:
        """The account's 12 digits."""
        return self._part("account")

    @property
    def name(self) -> str:
        """What IAM's API takes as RoleName: without the path."""
        return self._part("name")

    @property
    def has_no_path(self) -> bool:
        """Whether account and name say all of it."""
        return self.value.endswith(f":role/{self.name}")

    @property
    def is_plain(self) -> bool:
        """Whether its path has no character that is special in a policy, or that EKS's webhook does not expect."""
        return _PLAIN_PATH.fullmatch(self._part("path")) is not None

    def _part(self, group: str) -> str:
        match = _ROLE_ARN.fullmatch(self.value)
        assert match is not None  # noqa: S101  __post_init__ has matched it
        return match[group]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class ClusterArn:
    """ARN of an EKS cluster, `arn:<partition>:eks:<region>:<12 digits>:cluster/<name>`."""

    value: str

    def __post_init__(self) -> None:
        if not _CLUSTER_ARN.fullmatch(self.value):
            raise InvalidNameError(
                f"{self.value!r} is not the ARN of an EKS cluster; it looks like "
                "arn:aws:eks:us-west-2:123456789012:cluster/spaces-prod"
            )

    @property
    def name(self) -> str:
        """What EKS's API takes as the cluster's name."""
        return self.value.rpartition("/")[2]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class IssuerUrl:
    """The cluster's ServiceAccount token issuer, compared exactly as IAM compares it."""

    value: str

    def __post_init__(self) -> None:
        match = _ISSUER.fullmatch(self.value)
        if not match:
            raise InvalidNameError(
                f"{self.value!r} is not an issuer URL; it looks like "
                "https://oidc.eks.us-west-2.amazonaws.com/id/<32 hex digits> "
                "(aws eks describe-cluster --query cluster.identity.oidc.issuer)"
            )
        if _EKS_HOST.fullmatch(match["host"]) and not _EKS_PATH.fullmatch(match["path"] or ""):
            raise InvalidNameError(
                f"{self.value!r} is on EKS's host, but its path {match['path'] or ''!r} is not "
                "/id/ and 32 hexadecimal digits in capitals; copy it from "
                "`aws eks describe-cluster --query cluster.identity.oidc.issuer`"
            )

    @property
    def key(self) -> str:
        """The issuer without its scheme: the prefix of condition keys and the tail of the provider's ARN."""
        return self.value.removeprefix("https://")

    @property
    def twin(self) -> str | None:
        """The key of the address at which EKS has the same documents by IPv6 too; None where none is known.

        Tokens always name the issuer itself, also on clusters of IPv6 (opentelemetry-go-contrib#8637).
        """
        service, _, rest = self.key.partition(".eks.")
        region, _, tail = rest.partition(".")
        suffix, _, path = tail.partition("/")
        if service != "oidc" or suffix not in _TWIN_SUFFIXES:
            return None
        return f"oidc-eks.{region}.{_TWIN_SUFFIXES[suffix]}/{path}"

    def is_twin(self, key: str) -> bool:
        """Whether `key` is that other address, in whichever case: IAM ignores the case of condition keys."""
        return self.twin is not None and key.lower() == self.twin.lower()

    def provider_arn(self, partition: str, account: str) -> str:
        """ARN of this issuer's OIDC provider in an account: IAM derives it from the URL."""
        return f"arn:{partition}:iam::{account}:oidc-provider/{self.key}"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """A ServiceAccount as the `sub` claim of its token names it.

    Both parts are DNS names, so a subject can hold none of the characters that mean something in a policy
    (`*`, `?`, `$`).
    """

    namespace: str
    service_account: str

    def __post_init__(self) -> None:
        if not is_namespace_name(self.namespace):
            raise InvalidNameError(f"{self.namespace!r} is not the name of a namespace")
        if not is_service_account_name(self.service_account):
            raise InvalidNameError(f"{self.service_account!r} is not the name of a ServiceAccount")

    @classmethod
    def parse(cls, claim: str) -> Self | None:
        """The subject that `claim` names exactly, or None for a pattern or anything else.

        Its parts are interned: policies and the cluster name the same ones, by the thousand.
        """
        parts = claim.split(":")
        if len(parts) != _SUBJECT_PARTS or parts[:2] != ["system", "serviceaccount"]:
            return None
        if not (is_namespace_name(parts[2]) and is_service_account_name(parts[3])):
            return None
        return cls(intern(parts[2]), intern(parts[3]))

    @property
    def log_fields(self) -> dict[str, str]:
        """The keys that each log line about a ServiceAccount has."""
        return {"namespace": self.namespace, "service_account": self.service_account}

    def __str__(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.service_account}"


_SUBJECT_PARTS = 4


def is_namespace_name(text: str) -> bool:
    """Whether Kubernetes accepts `text` as the name of a namespace (a DNS label)."""
    return _DNS_LABEL.fullmatch(text) is not None


def is_service_account_name(text: str) -> bool:
    """Whether Kubernetes accepts `text` as the name of a ServiceAccount (a DNS subdomain)."""
    return _DNS_SUBDOMAIN.fullmatch(text) is not None


def is_binding_name(text: str) -> bool:
    """Whether `text` is the name of a binding, as the chart's schema has it: people read it in logs and tables."""
    return _BINDING_NAME.fullmatch(text) is not None


def is_cluster_name(text: str) -> bool:
    """Whether EKS accepts `text` as the name of a cluster."""
    return re.fullmatch(_CLUSTER_NAME, text, re.ASCII) is not None


def is_label_key(text: str) -> bool:
    """Whether Kubernetes accepts `text` as the key of a label: a name, after a DNS subdomain and `/` or alone."""
    prefix, slash, name = text.rpartition("/")
    if slash and _DNS_SUBDOMAIN.fullmatch(prefix) is None:
        return False
    return _LABEL_NAME.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Whether Kubernetes accepts `text` as the value of a label; it may be empty."""
    return not text or _LABEL_NAME.fullmatch(text) is not None
