"""All findings about one control plane, in the order in which identity comes about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.cli.verify.associations import check_account, check_association, check_pod_trust
from webhook.cli.verify.bindings import binding_of, check_annotation, check_namespace, should_have
from webhook.cli.verify.findings import Finding, Level
from webhook.cli.verify.pods import check_associated_pods, check_pods
from webhook.cli.verify.trust import check_provider, check_trust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.verify.facts import ControlPlane, Shared
    from webhook.model.names import RoleArn, Subject


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One control plane and what was found."""

    subject: Subject
    role: RoleArn | None
    """The role that it should name; None where no binding selects it."""
    findings: tuple[Finding, ...]
    associates: bool = False
    """Whether it gets the role by a Pod Identity association."""

    @property
    def worst(self) -> Level:
        """The worst level among the findings."""
        return min((finding.level for finding in self.findings), key=lambda level: level.rank, default=Level.OK)


def diagnose(plane: ControlPlane, shared: Shared) -> Diagnosis:
    """Everything from the namespace to the pods; what depends on something that is missing is left out."""
    binding = binding_of(plane, shared)
    role = None if binding is None else should_have(plane, shared, binding)
    associates = binding is not None and binding.associates
    return Diagnosis(plane.subject, role, tuple(_findings(plane, shared)), associates)


def _findings(plane: ControlPlane, shared: Shared) -> Iterator[Finding]:
    yield check_namespace(plane, shared)
    binding = binding_of(plane, shared)
    namespace = shared.cluster.namespaces.get(plane.subject.namespace)
    if binding is None or namespace is None or namespace.terminating:
        return
    role = should_have(plane, shared, binding)
    if binding.associates:
        yield from check_account(plane, role, binding, shared)
        yield check_association(plane, role, shared)
        yield from check_pod_trust(plane, role, binding, shared)
        if plane.annotations is not None:
            yield from check_associated_pods(plane, role, shared)
        return
    yield from check_annotation(plane, shared, binding)
    yield check_provider(role, shared)
    yield from check_trust(plane, role, binding, shared)
    if plane.annotations is not None:
        yield from check_pods(plane, role)
