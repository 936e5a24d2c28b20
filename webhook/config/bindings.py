"""Domain bindings out of the file's, with what only shows when all are seen together."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from webhook.config.wording import in_binding
from webhook.model.bindings import Binding, ExistingAnnotation, Mode
from webhook.model.errors import ConfigurationError, InvalidNameError
from webhook.model.names import RoleArn, is_service_account_name
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.config.contract import BindingSection, SelectorSection


def bindings_of(sections: tuple[BindingSection, ...], cluster: str | None) -> tuple[Binding, ...]:
    """The bindings in their order; `cluster` is the name of the EKS cluster, where it is given.

    Raises ConfigurationError for a name, ARN, selector or pattern that is wrong, a name or role given twice, a
    binding that an earlier one covers, so that it could never match, roles of several accounts, and what mode
    pod-identity lacks.
    """
    problems: list[str] = []
    bindings: list[Binding] = []
    for index, section in enumerate(sections):
        try:
            bindings.append(_binding(section, in_binding(index, section.name)))
        except ConfigurationError as error:
            problems.extend(error.problems)
    problems.extend(_conflicts(bindings))
    if cluster is None and any(binding.associates for binding in bindings):
        problems.append("cluster.name: is missing; mode pod-identity makes associations of the cluster so named")
    if problems:
        raise ConfigurationError(*problems)
    return tuple(bindings)


def _binding(section: BindingSection, path: str) -> Binding:
    if not is_service_account_name(section.service_account):
        raise ConfigurationError(
            f"{path}serviceAccount: {section.service_account!r} is not the name of a ServiceAccount; give "
            "its exact name, such as mxp-controller"
        )
    binding = Binding(
        name=section.name,
        service_account=section.service_account,
        namespaces=_namespaces(section, f"{path}namespaces"),
        mode=Mode(section.mode),
        roles=tuple(_roles(section, f"{path}roles")),
        existing_annotation=ExistingAnnotation(section.existing_annotation),
        named_deployments=section.deployments or (),
    )
    if binding.associates:
        check_associating(binding, path)
    return binding


def check_associating(binding: Binding, path: str) -> None:
    """What mode pod-identity needs: a pattern to narrow the trust by, and no pool. Raises ConfigurationError."""
    if binding.namespaces.pattern is None:
        raise ConfigurationError(
            f"{path}namespaces.pattern: is missing; in mode pod-identity the role's trust is narrowed to the "
            "namespaces that it fits, because AWS knows no labels; give one such as mxp-*-system"
        )
    if len(binding.roles) > 1:
        raise ConfigurationError(
            f"{path}roles: are {len(binding.roles)}, but mode pod-identity takes one role, which never fills up; "
            "name one"
        )


def _roles(section: BindingSection, path: str) -> Iterator[RoleArn]:
    for index, value in enumerate(section.roles):
        if value in section.roles[:index]:
            raise ConfigurationError(f"{path}.{index}: {value} is given twice; name each role once")
        try:
            role = RoleArn(value)
        except InvalidNameError as error:
            raise ConfigurationError(f"{path}.{index}: {error}") from error
        if not role.is_plain:
            raise ConfigurationError(
                f"{path}.{index}: the path of {value} has more than letters, digits and +=,.@_-: *, ? and $ mean "
                "something in policies, and EKS's own webhook knows no others; name a role without them"
            )
        yield role


def _namespaces(section: BindingSection, path: str) -> NamespaceSelector:
    given = section.namespaces
    requirements = tuple(_requirements(given.selector, f"{path}.selector")) if given.selector else ()
    if given.selector is not None and not requirements:
        raise ConfigurationError(f"{path}.selector: is empty and would mean every namespace; give a label")
    if not requirements and given.pattern is None:
        raise ConfigurationError(
            f"{path}: is empty, which would mean every namespace; give a selector or a pattern"
        )
    try:
        pattern = None if given.pattern is None else NamePattern(given.pattern)
    except InvalidNameError as error:
        raise ConfigurationError(f"{path}.pattern: {error}") from error
    return NamespaceSelector(requirements, pattern)


def _requirements(selector: SelectorSection, path: str) -> Iterator[Requirement]:
    for key, value in selector.match_labels.items():
        yield _requirement(key, "In", (value,), f"{path}.matchLabels")
    for index, given in enumerate(selector.match_expressions):
        yield _requirement(given.key, given.operator, given.values, f"{path}.matchExpressions.{index}")


def _requirement(key: str, operator: str, values: tuple[str, ...], path: str) -> Requirement:
    try:
        return Requirement(key, Operator(operator), frozenset(values))
    except InvalidNameError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _conflicts(bindings: list[Binding]) -> Iterator[str]:
    for earlier, later in combinations(bindings, 2):
        if earlier.name == later.name:
            yield f"bindings: the name {later.name!r} is given twice; give each binding a name of its own"
        elif earlier.covers(later):
            yield (
                f"bindings: {later.name!r} can never match, because the earlier {earlier.name!r} takes every "
                "namespace that it selects; put the narrower one first, or remove one"
            )
    accounts = sorted({role.account for binding in bindings if binding.edits_trust for role in binding.roles})
    if len(accounts) > 1:
        yield (
            f"bindings: name roles of the accounts {', '.join(accounts)}, but this program writes roles of its "
            "own account alone; correct the ARNs, or use mode annotate where another tool manages trust"
        )
