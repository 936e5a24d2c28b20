"""The shape of the configuration file: camelCase as in Kubernetes, unknown keys refused."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from webhook.model.names import is_binding_name, is_cluster_name, is_namespace_name, is_service_account_name

if TYPE_CHECKING:
    from collections.abc import Callable

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write a duration with its unit, such as 500ms, 3s, 10m, 1h or 7d")  # noqa: TRY004  pydantic's way
    match = _DURATION.fullmatch(value)
    if not match:
        raise ValueError(f"{value!r} is not a duration; write one such as 500ms, 3s, 10m, 1h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def _name(is_right: Callable[[str], bool], what: str) -> AfterValidator:
    """Takes a string that `is_right`, which is `what`."""

    def checked(value: str) -> str:
        if not is_right(value):
            raise ValueError(f"{value!r} is not {what}")
        return value

    return AfterValidator(checked)


def _host_name(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        if not is_service_account_name(value):
            raise ValueError(f"{value!r} is neither a DNS name nor an IP address") from None
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=86400)]
"""A duration, in seconds once read; written with its unit, such as `3s`."""

Validity = Annotated[float, BeforeValidator(_seconds), Field(ge=5, le=10 * 365 * 86400)]
"""How long a certificate is valid, in seconds once read; certificates count whole seconds."""

Port = Annotated[int, Field(ge=0, le=65535, strict=True)]
"""A TCP port; 0 takes a free one."""

NamespaceName = Annotated[str, _name(is_namespace_name, "the name of a namespace")]
ObjectName = Annotated[str, _name(is_service_account_name, "the name of an object")]
ClusterName = Annotated[str, _name(is_cluster_name, "the name of an EKS cluster")]
BindingName = Annotated[
    str,
    _name(
        is_binding_name,
        "the name of a binding: write 1 to 63 letters, digits, blanks, dots, dashes and underscores, the first a "
        "letter or digit",
    ),
]

HostName = Annotated[str, AfterValidator(_host_name)]
"""A DNS name or an IP address, as certificates have it."""


class _Section(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True)


class ClusterSection(_Section):
    """`cluster`: which cluster this is to AWS."""

    name: ClusterName | None = None
    issuer: str | None = None


class Expression(_Section):
    """One of a selector's `matchExpressions`."""

    key: str = Field(min_length=1)
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class SelectorSection(_Section):
    """A Kubernetes label selector."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[Expression, ...] = ()


class NamespacesSection(_Section):
    """`namespaces` of a binding: all that is given must hold."""

    selector: SelectorSection | None = None
    pattern: str | None = None


class BindingSection(_Section):
    """One of `bindings`."""

    name: BindingName
    service_account: str
    namespaces: NamespacesSection
    mode: Literal["irsa", "pod-identity", "annotate"]
    roles: tuple[str, ...] = Field(min_length=1)
    existing_annotation: Literal["keep", "override", "deny"] = "keep"
    deployments: tuple[ObjectName, ...] | None = Field(default=None, min_length=1)


class AdmissionSection(_Section):
    """`admission`: how long a ServiceAccount's creation waits for AWS, and what if that was not enough."""

    trust_budget: Seconds = 3.0
    on_trust_failure: Literal["allow", "deny"] = "allow"


class ReconcilerSection(_Section):
    """`reconciler`: the pass over the whole cluster."""

    interval: Seconds = 60.0
    prune_grace: Seconds = 600.0
    max_removal_fraction: float = Field(default=0.2, gt=0, le=1, strict=True)
    nudge_refused_pods: bool = Field(default=False, strict=True)
    restart_pods_without_identity: bool = Field(default=False, strict=True)
    restarts_at_a_time: int = Field(default=1, ge=1, le=1000, strict=True)
    restart_timeout: Seconds = 600.0


class PodGateSection(_Section):
    """`podGate`: what the policies that refuse pods look at; the chart writes both."""

    service_account: ObjectName
    marks: dict[Annotated[str, Field(pattern="^mxp-identity/refuses-[a-z0-9]{1,40}$")], str]


class ServerSection(_Section):
    """`server`: where it listens, and how long it goes on serving after SIGTERM."""

    host: str = "::"
    port: Port = 8443
    metrics_port: Port = 9090
    drain_time: Seconds = 10.0


class FilesSection(_Section):
    """`certificates` of source `files`, which cert-manager or a person renews."""

    source: Literal["files"]
    cert_file: str
    key_file: str


class SelfManagedSection(_Section):
    """`certificates` of source `self-managed`: the program's own authority, in a Secret."""

    source: Literal["self-managed"] = "self-managed"
    secret: ObjectName = "mxp-identity-webhook-tls"  # noqa: S105  a name
    service: ObjectName = "mxp-identity-webhook"
    webhook_configuration: ObjectName = "mxp-identity-webhook"
    extra_names: tuple[HostName, ...] = ()
    ca_validity: Validity = 365 * 86400.0
    leaf_validity: Validity = 7 * 86400.0

    @model_validator(mode="after")
    def _leaf_fits(self) -> Self:
        """Two thirds into its life an authority is replaced; its last leaf must fit in what is left of it."""
        if self.ca_validity < 3 * self.leaf_validity:
            raise ValueError("caValidity must be three times leafValidity at least")
        return self


def _source(value: object) -> object:
    return value.get("source", "self-managed") if isinstance(value, dict) else getattr(value, "source", None)


CertificatesSection = Annotated[
    Annotated[FilesSection, Tag("files")] | Annotated[SelfManagedSection, Tag("self-managed")],
    Discriminator(_source),
]
"""`certificates`: where the serving certificate comes from."""


class Configuration(_Section):
    """The whole file."""

    namespace: NamespaceName | None = None
    installation: str | None = None
    observe: bool = Field(default=False, strict=True)
    cluster: ClusterSection = ClusterSection()
    bindings: tuple[BindingSection, ...] = Field(min_length=1)
    admission: AdmissionSection = AdmissionSection()
    reconciler: ReconcilerSection = ReconcilerSection()
    pod_gate: PodGateSection | None = None
    server: ServerSection = ServerSection()
    certificates: CertificatesSection = SelfManagedSection()
    log_level: Literal["info", "warning", "error"] = "info"

    @field_validator("pod_gate")
    @classmethod
    def _marks_are_of_bindings(cls, gate: PodGateSection | None, info: ValidationInfo) -> PodGateSection | None:
        names = {binding.name for binding in info.data.get("bindings", ())}
        for name in gate.marks.values() if gate and names else ():
            if name not in names:
                raise ValueError(f"marks {name!r}, which is not the name of a binding")
        return gate
