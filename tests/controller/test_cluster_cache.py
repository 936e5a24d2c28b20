"""What the cache answers at any moment equals what a look at everything would answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.simulated_cluster import LABEL, SimulatedCluster
from tests.support.sites import pool, role
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE
from webhook.controller.cluster_cache import ClusterCache
from webhook.model.bindings import Binding, ExistingAnnotation, Mode
from webhook.model.decisions import Account, wanted_grants
from webhook.model.names import Subject
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement

if TYPE_CHECKING:
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn

NAMES = ("mxp-a-system", "mxp-b-system", "other", "Not_A_Name")
ACCOUNTS = ("mxp-controller", "default")
LABELLED = NamespaceSelector((Requirement(LABEL, Operator.EXISTS),))
BINDINGS = (
    Binding("labelled", "mxp-controller", LABELLED, Mode.IRSA, pool(3)),
    Binding(
        "named",
        "mxp-controller",
        NamespaceSelector(pattern=NamePattern("mxp-*")),
        Mode.IRSA,
        (role("alone"),),
        ExistingAnnotation.OVERRIDE,
    ),
    Binding("untouched", "default", LABELLED, Mode.ANNOTATE, (role("annotated"),)),
)
ROLES = (*pool(3), role("alone"), role("annotated"))
ANNOTATIONS = (None, "", *(one.value for one in ROLES), "arn:aws:iam::123456789012:role/external", "nonsense")

SUBJECTS = [Subject(name, account) for name in NAMES[:3] for account in (*ACCOUNTS, "unbound")]

changes = st.one_of(
    st.tuples(st.just("namespace"), st.sampled_from(NAMES), st.booleans(), st.booleans()),
    st.tuples(st.just("no namespace"), st.sampled_from(NAMES)),
    st.tuples(st.just("account"), st.sampled_from(NAMES), st.sampled_from(ACCOUNTS), st.sampled_from(ANNOTATIONS)),
    st.tuples(st.just("no account"), st.sampled_from(NAMES), st.sampled_from(ACCOUNTS)),
    st.just(("cut",)),
    st.just(("forget",)),
    st.just(("wait",)),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(changes, max_size=30))
@in_virtual_time
async def test_the_index_equals_a_read_of_everything_after_any_changes(history: list[tuple[object, ...]]) -> None:
    cluster = SimulatedCluster(*ACCOUNTS, latency=0.001)
    cache = ClusterCache(BINDINGS, cluster.namespaces, cluster.accounts, now, GRACE)
    reported: set[str] = set()
    cache.on_change(reported.add)
    running = asyncio.create_task(cache.run())
    await cache.wait_until_synced()
    assert cache.synced
    for change in history:
        await _do(cluster, change)
    await asyncio.sleep(30)
    grants = _from_scratch(cluster)
    for one in ROLES:
        assert {grant.subject for grant in cache.grants_of(one)} == _wanted_in(grants, one)
        assert {subject for subject in SUBJECTS if cache.may_want(one, subject)} == _possible_in(grants, one)
    assert sorted(
        map(str, (grant for name in cache.namespaces_with_grants() for grant in cache.grants_in(name)))
    ) == (sorted(map(str, grants)))
    assert {grant.subject.namespace for grant in grants} <= reported
    running.cancel()


async def _do(cluster: SimulatedCluster, change: tuple[object, ...]) -> None:
    match change:
        case ("namespace", str(name), bool(selected), bool(terminating)):
            cluster.add_namespace(name, selected=selected, terminating=terminating)
        case ("no namespace", str(name)):
            cluster.namespaces.remove(name)
        case ("account", str(name), str(account), annotation):
            assert annotation is None or isinstance(annotation, str)
            cluster.accounts[account].put(name, Account(name, account, annotation))
        case ("no account", str(name), str(account)):
            cluster.accounts[account].remove(name)
        case ("cut",):
            cluster.break_watches()
        case ("forget",):
            cluster.break_watches()
            cluster.forget()
        case _:
            await asyncio.sleep(0.5)


def _from_scratch(cluster: SimulatedCluster) -> list[Grant]:
    accounts = {
        (account.namespace, account.name): account
        for source in cluster.accounts.values()
        for account in source.objects.values()
    }
    return wanted_grants(cluster.namespaces.objects.values(), accounts, BINDINGS)


def _wanted_in(grants: list[Grant], one: RoleArn) -> set[Subject]:
    """Annotated with it, or bound to it alone; never where trust is external."""
    return {
        grant.subject
        for grant in grants
        if grant.binding.mode is not Mode.ANNOTATE
        and (grant.annotated == one if grant.annotated else grant.binding.roles == (one,))
    }


def _possible_in(grants: list[Grant], one: RoleArn) -> set[Subject]:
    """Bound to it, alone or among others; never where trust is external."""
    return {
        grant.subject for grant in grants if grant.binding.mode is not Mode.ANNOTATE and one in grant.binding.roles
    }


@in_virtual_time
async def test_before_the_first_lists_and_once_its_namespace_is_gone_nothing_may_be_wanted() -> None:
    cluster = SimulatedCluster(*ACCOUNTS)
    cache = ClusterCache(BINDINGS, cluster.namespaces, cluster.accounts, now, GRACE)
    subject = Subject(NAMES[0], "mxp-controller")
    cluster.add_namespace(subject.namespace)
    found = [cache.may_want(ROLES[0], subject)]
    running = asyncio.create_task(cache.run())
    await asyncio.sleep(1)
    found.append(cache.may_want(ROLES[0], subject))
    cluster.namespaces.remove(subject.namespace)
    await asyncio.sleep(1)
    found.append(cache.may_want(ROLES[0], subject))
    assert found == [False, True, False]
    running.cancel()


@in_virtual_time
async def test_in_mode_pod_identity_no_subject_is_wanted_though_annotated() -> None:
    """Else a replica that hears of a write from before a change of mode would bring back what a person removed."""
    cluster = SimulatedCluster("mxp-controller")
    binding = Binding("pods", "mxp-controller", LABELLED, Mode.POD_IDENTITY, (ROLES[0],))
    cache = ClusterCache((binding,), cluster.namespaces, cluster.accounts, now, GRACE)
    subject = Subject(NAMES[0], "mxp-controller")
    cluster.add_namespace(subject.namespace)
    cluster.add_account(subject, ROLES[0].value)
    running = asyncio.create_task(cache.run())
    await asyncio.sleep(1)
    assert cache.grants_in(subject.namespace)
    assert not cache.may_want(ROLES[0], subject)
    running.cancel()


@in_virtual_time
async def test_the_cache_is_synced_only_when_every_list_was_read() -> None:
    cluster = SimulatedCluster(*ACCOUNTS)
    cluster.accounts["default"].failing_lists = 3
    cache = ClusterCache(BINDINGS, cluster.namespaces, cluster.accounts, now, GRACE)
    running = asyncio.create_task(cache.run())
    await asyncio.sleep(0.1)
    early = cache.synced
    await cache.wait_until_synced()
    assert (early, cache.synced) == (False, True)
    running.cancel()


@in_virtual_time
async def test_the_cache_answers_for_namespaces_and_accounts_as_last_shown() -> None:
    cluster = SimulatedCluster(*ACCOUNTS)
    cache = ClusterCache(BINDINGS, cluster.namespaces, cluster.accounts, now, GRACE)
    running = asyncio.create_task(cache.run())
    cluster.add_namespace(NAMES[0])
    cluster.add_account(Subject(NAMES[0], "default"), "x")
    await asyncio.sleep(1)
    live = cache.cached(NAMES[0])
    assert live is not None
    assert live.labels == {LABEL: "cp"}
    account = cache.account(Subject(NAMES[0], "default"))
    assert account is not None
    assert account.role_annotation == "x"
    assert cache.account(Subject(NAMES[0], "unbound")) is None
    assert cache.cached("nowhere") is None
    running.cancel()
