"""All findings about one control plane, in the order in which identity comes about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.cli.verify.associations import look_at_account, look_at_association, look_at_pod_trust
from webhook.cli.verify.bindings import binding_of, look_at_annotation, look_at_namespace, should_have
from webhook.cli.verify.findings import Finding, Level
from webhook.cli.verify.pods import look_at_associated_pods, look_at_pods
from webhook.cli.verify.trust import look_at_provider, look_at_trust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.verify.facts import Plane, Shared
    from webhook.model.names import RoleArn, Subject


@dataclass(frozen=True, slots=True)
class Verdict:
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


def diagnose(plane: Plane, shared: Shared) -> Verdict:
    """Everything from the namespace to the pods; what depends on something that is missing is left out."""
    binding = binding_of(plane, shared)
    role = None if binding is None else should_have(plane, shared, binding)
    associates = binding is not None and binding.associates
    return Verdict(plane.subject, role, tuple(_findings(plane, shared)), associates)


def _findings(plane: Plane, shared: Shared) -> Iterator[Finding]:
    yield look_at_namespace(plane, shared)
    binding = binding_of(plane, shared)
    namespace = shared.cluster.namespaces.get(plane.subject.namespace)
    if binding is None or namespace is None or namespace.terminating:
        return
    role = should_have(plane, shared, binding)
    if binding.associates:
        yield from look_at_account(plane, role, binding, shared)
        yield look_at_association(plane, role, shared)
        yield from look_at_pod_trust(plane, role, binding, shared)
        if plane.annotations is not None:
            yield from look_at_associated_pods(plane, role, shared)
        return
    yield from look_at_annotation(plane, shared, binding)
    yield look_at_provider(role, shared)
    yield from look_at_trust(plane, role, binding, shared)
    if plane.annotations is not None:
        yield from look_at_pods(plane, role)
