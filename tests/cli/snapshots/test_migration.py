"""Whose associations keep a binding's statement for pods on its way back to IRSA, and whose are let be."""

from __future__ import annotations

import asyncio
import io
import math
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.pods import CLUSTER, OWNER
from tests.support.sites import ISSUER, role
from webhook.cli.migrate import session as migration
from webhook.cli.migrate.rules import Course, Migration, MigrationStep
from webhook.cli.running import Progress
from webhook.iam.statement import PodStatement, sid_for_pods
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Account, LiveNamespace
from webhook.model.names import Subject
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement
from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation
from webhook.podidentity.association import Association, Listing

ROLE = role()
NAME = "mxp-controller"
PATTERN = NamePattern("mxp-*-system")
NOW = 1e6


def _binding(name: str, mode: Mode) -> Binding:
    tier = Requirement("tier", Operator.IN, frozenset({name}))
    return Binding(name, NAME, NamespaceSelector((tier,), PATTERN), mode, (ROLE,))


def _subject(name: str) -> Subject:
    return Subject(f"mxp-{name}-system", NAME)


GOLD, SILVER = _binding("gold", Mode.IRSA), _binding("silver", Mode.POD_IDENTITY)
MOVED = _subject("moved")


class _Api:
    """The port AssociationApi, as far as a look goes."""

    def __init__(self, *there: Association) -> None:
        self._there = there

    async def list(self, only: Subject | None = None) -> Listing:  # noqa: ARG002  the port's signature
        return Listing({one.subject: one.id for one in self._there})

    async def describe(self, association_id: str) -> Association:
        return next(one for one in self._there if one.id == association_id)


def _look(
    monkeypatch: pytest.MonkeyPatch, there: Association, namespace: LiveNamespace | None, *bindings: Binding
) -> Migration:
    """At binding gold, on its way to IRSA, with one control plane that has arrived, and an association `there`."""
    installation = Installation("mxp-identity", ISSUER, bindings, 600.0, None)
    own = installation.own_in(ROLE)
    statement = PodStatement("mxp-identity", GOLD.name, CLUSTER, NAME, PATTERN).render()
    policy = TrustPolicy({"Version": "2012-10-17", "Statement": [own.render([MOVED]), statement]})
    namespaces = {MOVED.namespace: LiveNamespace(MOVED.namespace, "1", {"tier": "gold"})}
    accounts = {(MOVED.namespace, NAME): Account(MOVED.namespace, NAME, ROLE.value)}
    if namespace is not None:
        namespaces[namespace.name] = namespace
        accounts[namespace.name, NAME] = Account(namespace.name, NAME)

    async def read_cluster() -> ClusterSnapshot:
        return ClusterSnapshot(namespaces, accounts, NOW)

    async def read_account(_: Any) -> AccountSnapshot:
        return AccountSnapshot({ROLE: policy}, {}, 8192)

    async def no_workloads(_: Any) -> dict[Subject, Any]:
        return {}

    monkeypatch.setattr(migration, "_workloads", no_workloads)
    here = SimpleNamespace(installation=installation, read_cluster=read_cluster, read_account=read_account)
    journey: Any = SimpleNamespace(
        here=here,
        binding=GOLD,
        course=Course(Mode.IRSA, switched=True),
        pods=SimpleNamespace(api=_Api(there), owner=OWNER),
        own_in=lambda _: own,
        sid=sid_for_pods("mxp-identity", GOLD.name, CLUSTER),
    )
    return asyncio.run(migration.look_at_migration(journey, Progress(io.StringIO(), quiet_seconds=math.inf)))


def _namespace(labels: dict[str, str], *, terminating: bool = False) -> LiveNamespace:
    return LiveNamespace(_subject("other").namespace, "2", labels, terminating=terminating)


OURS = Association("a-1", _subject("other"), ROLE.value, OWNER.tags())
THEIRS = Association("a-1", _subject("other"), ROLE.value)
SHOWN: dict[str, tuple[Association, LiveNamespace | None, str]] = {
    "external, of a namespace that is not selected": (THEIRS, _namespace({}), "external association"),
    "external, of a namespace to come": (THEIRS, None, "external association"),
    "ours, of a namespace that lost its label": (OURS, _namespace({}), "nothing gives it the role"),
    "ours, of a namespace being deleted": (OURS, _namespace({}, terminating=True), "is being deleted"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_the_statement_stays_as_long_as_an_association_works_by_it(
    monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    found, namespace, why = SHOWN[case]
    seen = _look(monkeypatch, found, namespace, GOLD)
    (left,) = seen.at(MigrationStep.BLOCKED)
    assert left.subject == found.subject
    assert why in left.why
    assert not seen.drops_statement


def test_a_managed_association_of_a_namespace_that_is_gone_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _look(monkeypatch, OURS, None, GOLD)
    assert [move.subject for move in seen.at(MigrationStep.DETACH)] == [OURS.subject]


LET_BE: dict[str, tuple[Association, LiveNamespace | None, tuple[Binding, ...]]] = {
    "of another role": (Association("a-1", _subject("other"), role("theirs").value), _namespace({}), (GOLD,)),
    "of another ServiceAccount": (
        Association("a-1", Subject(_subject("other").namespace, "vector"), ROLE.value),
        _namespace({}),
        (GOLD,),
    ),
    "outside the pattern": (Association("a-1", Subject("theirs", NAME), ROLE.value), None, (GOLD,)),
    "of a binding that stays": (OURS, _namespace({"tier": "silver"}), (GOLD, SILVER)),
    "of a binding that stays, being deleted": (
        OURS,
        _namespace({"tier": "silver"}, terminating=True),
        (GOLD, SILVER),
    ),
    "gone, and perhaps of a binding that stays": (OURS, None, (GOLD, SILVER)),
}


@pytest.mark.parametrize("case", LET_BE)
def test_associations_that_do_not_need_the_statement_are_kept_and_block_nothing(
    monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    seen = _look(monkeypatch, *LET_BE[case][:2], *LET_BE[case][2])
    assert [move.subject for move in seen.moves] == [MOVED]
    assert seen.drops_statement
