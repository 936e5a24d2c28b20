"""Which statements are an installation's, also those that its bindings no longer give cause for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.cli.statement_words import clusters_of_pods, is_of_the_program
from webhook.iam.statement import sid_for_pods
from webhook.iam.trust_policy import Place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn
    from webhook.planning.snapshot import Installation


def own_in(role: RoleArn, installation: Installation, former_bindings: Collection[str] = ()) -> OwnStatement:
    """All that an installation may have written into `role`.

    That is also statements for pods of a binding that has another role or mode now, or is only among
    `former_bindings`: their Sids follow from the binding's name.
    """
    own, cluster = installation.own_in(role), installation.eks
    if cluster is None:
        return own
    names = {*former_bindings, *(binding.name for binding in installation.bindings)}
    sids = {sid_for_pods(installation.name, name, cluster) for name in names}
    return replace(own, former=frozenset(sids - {one.sid for one in own.pods}))


def other_statements_for_pods(policy: TrustPolicy, own: OwnStatement) -> Iterator[tuple[Place, frozenset[str]]]:
    """This program's statements for pods that are not `own`, each with the ARNs of its clusters.

    The Sid does not tell whose they are.
    """
    for index, one in enumerate(policy.statements):
        clusters = clusters_of_pods(one)
        if is_of_the_program(one) and clusters and not own.owns(one):
            yield Place(index, one["Sid"]), clusters
