"""All findings about a control plane, in the order in which identity comes about: from namespace to pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands
from webhook.cli.verify.associations import check_account, check_association, check_pod_trust
from webhook.cli.verify.findings import Check, Diagnosis, Finding, broken, no_account, note, ok
from webhook.cli.verify.pods import check_associated_pods, check_pods
from webhook.cli.verify.trust import check_provider, check_trust
from webhook.model.bindings import ExistingAnnotation, first_match, is_listed
from webhook.model.errors import InvalidNameError
from webhook.model.names import AUDIENCE, ROLE_ARN_ANNOTATION, RoleArn
from webhook.model.selectors import Operator
from webhook.model.text import legible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.cli.verify.findings import ControlPlane, Shared
    from webhook.model.bindings import Binding
    from webhook.model.decisions import LiveNamespace
    from webhook.model.selectors import Requirement

MISSPELT = "eks.amazon.aws/role-arn"
"""The key that the published guide has; nothing reads it."""

_SHUT_OUT = frozenset({Operator.NOT_IN, Operator.DOES_NOT_EXIST})

_AUDIENCE = "eks.amazonaws.com/audience"


def _binding_of(plane: ControlPlane, shared: Shared) -> Binding | None:
    """The binding that decides about a control plane."""
    namespace = shared.cluster.namespaces.get(plane.subject.namespace)
    if namespace is None:
        return None
    name = plane.subject.service_account
    return first_match(shared.installation.bindings, name, namespace.name, namespace.labels)


def _check_namespace(plane: ControlPlane, shared: Shared) -> Finding:
    """Whether it is there, and a binding selects it."""
    name = plane.subject.namespace
    namespace = shared.cluster.namespaces.get(name)
    if namespace is None:
        return broken(Check.NAMESPACE, f"there is no namespace {name}: correct the name")
    if namespace.terminating:
        return note(Check.NAMESPACE, "it is being deleted: nothing is granted")
    binding = _binding_of(plane, shared)
    if binding is not None:
        return ok(Check.NAMESPACE, f"binding {binding.name} selects it")
    return _not_selected(plane, namespace, shared.installation.bindings)


def _not_selected(plane: ControlPlane, namespace: LiveNamespace, bindings: tuple[Binding, ...]) -> Finding:
    """What the binding that lacks least would need, and the labels that would do.

    A label that excludes it was set on purpose, so no command removes it.
    """
    named = [binding for binding in bindings if binding.service_account == plane.subject.service_account]
    if not named:
        return _unbound(f"none is about ServiceAccount {plane.subject.service_account}")
    lacking = {
        binding.name: [one for one in binding.namespaces.requirements if not one.holds(namespace.labels)]
        for binding in named
    }
    missing = {name: [one for one in found if one.operator not in _SHUT_OUT] for name, found in lacking.items()}
    best = min(
        named, key=lambda binding: (not binding.namespaces.may_select(namespace.name), len(missing[binding.name]))
    )
    if not best.namespaces.may_select(namespace.name):
        return _unbound(f"its name does not fit the pattern of binding {best.name}, {best.namespaces.pattern}")
    shutting_out = [one.key for one in lacking[best.name] if one.operator in _SHUT_OUT]
    if shutting_out:
        why = f"label {', '.join(shutting_out)} excludes it from binding {best.name}: its access was removed"
        return note(Check.NAMESPACE, f"{why} on purpose")
    labels = [_label_for(one) for one in lacking[best.name]]
    needed = ", ".join(one.key for one in lacking[best.name])
    fix = commands.label(namespace.name, *labels)
    return _unbound(f"binding {best.name} asks something else of label {needed}", fix)


def _unbound(missing: str, fix: str | None = None) -> Finding:
    return broken(Check.NAMESPACE, f"no binding selects it: {missing}", fix)


def _label_for(requirement: Requirement) -> str:
    value = min(requirement.values) if requirement.operator is Operator.IN else "true"
    return f"{requirement.key}={value}"


def names_a_role(annotations: Mapping[str, str]) -> bool:
    """Whether a ServiceAccount's annotations name a role, or were meant to."""
    return not {ROLE_ARN_ANNOTATION, MISSPELT}.isdisjoint(annotations)


def _check_annotation(plane: ControlPlane, shared: Shared, binding: Binding) -> Iterator[Finding]:
    """Whether the ServiceAccount is there, and names a role of its binding."""
    subject = plane.subject
    if plane.annotations is None:
        yield no_account(subject)
        return
    yield _role_named(plane, plane.annotations, shared, binding)
    audience = plane.annotations.get(_AUDIENCE)
    if audience is not None and audience != AUDIENCE:
        yield broken(
            Check.AUDIENCE,
            f"annotation {_AUDIENCE} asks for tokens for {legible(audience)}, which STS refuses",
            commands.annotate(subject, f"{_AUDIENCE}-"),
        )


def _role_named(plane: ControlPlane, annotations: Mapping[str, str], shared: Shared, binding: Binding) -> Finding:
    subject, named = plane.subject, annotations.get(ROLE_ARN_ANNOTATION)
    role = _should_have(plane, shared, binding)
    misspelt = [f"{MISSPELT}-"] if MISSPELT in annotations else []
    if not named and misspelt:
        message = f"annotation {MISSPELT} is misspelt: EKS reads {ROLE_ARN_ANNOTATION}"
        return broken(Check.ANNOTATION, message, commands.annotate_role(subject, role, *misspelt))
    if not named:
        message = f"annotation {ROLE_ARN_ANNOTATION} is missing, so that EKS gives pods no identity"
        return broken(Check.ANNOTATION, message, commands.annotate_role(subject, role))
    if any(named == one.value for one in binding.roles):
        return ok(Check.ANNOTATION, f"names {named}")
    if is_listed(named, shared.installation.bindings):
        why = f"names {named}, a role of another binding: the next pass replaces it by one of {binding.name}"
        return broken(Check.ANNOTATION, why, commands.apply(shared.options))
    fix = commands.annotate_role(subject, role)
    try:
        account = RoleArn(named).account
    except InvalidNameError:
        return broken(Check.ANNOTATION, f"names {legible(named)!r}, which is not the ARN of a role", fix)
    if account != role.account:
        return broken(
            Check.ANNOTATION, f"names a role of account {account}, not {role.account}: {legible(named)}", fix
        )
    kept = " and is left alone" if binding.existing_annotation is ExistingAnnotation.KEEP else ""
    return broken(
        Check.ANNOTATION, f"names {legible(named)}, which is no role of binding {binding.name}{kept}", fix
    )


def _should_have(plane: ControlPlane, shared: Shared, binding: Binding) -> RoleArn:
    """The role that a control plane should name: one that trusts it, else the first in its order."""
    named = (plane.annotations or {}).get(ROLE_ARN_ANNOTATION)
    order = sorted(binding.roles_in_order(plane.subject), key=lambda role: role.value != named)
    trusting = (role for role in order if shared.trusted.trusts(role, plane.subject))
    return next(trusting, order[0])


def diagnose(plane: ControlPlane, shared: Shared) -> Diagnosis:
    """Everything from the namespace to the pods; what depends on something that is missing is left out."""
    binding = _binding_of(plane, shared)
    role = None if binding is None else _should_have(plane, shared, binding)
    findings = [_check_namespace(plane, shared)]
    namespace = shared.cluster.namespaces.get(plane.subject.namespace)
    if binding is not None and role is not None and not (namespace and namespace.terminating):
        findings += _check_identity(plane, role, binding, shared)
    return Diagnosis(plane.subject, role, tuple(findings), binding is not None and binding.associates)


def _check_identity(plane: ControlPlane, role: RoleArn, binding: Binding, shared: Shared) -> Iterator[Finding]:
    if binding.associates:
        yield from check_account(plane, role, binding, shared)
        yield check_association(plane, role, shared)
        yield from check_pod_trust(plane, role, binding, shared)
        if plane.annotations is not None:
            yield from check_associated_pods(plane, role, shared)
        return
    yield from _check_annotation(plane, shared, binding)
    yield check_provider(role, shared)
    yield from check_trust(plane, role, binding, shared)
    if plane.annotations is not None:
        yield from check_pods(plane, role)
