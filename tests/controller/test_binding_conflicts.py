"""How ServiceAccounts match the bindings is counted, and an ambiguous one is reported once."""

from __future__ import annotations

import asyncio

from tests.support.samples import sample
from tests.support.simulated_cluster import LABEL
from tests.support.sites import SERVICE_ACCOUNT, binding, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import INTERVAL, World, labelled
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Account, BindingMatch, LiveNamespace, binding_match, competing

EXTERNAL_ROLE = "arn:aws:iam::123456789012:role/made-by-hand"
BY_NAME = binding(role("by-name"))


def _counts() -> dict[str, float]:
    return {
        one.value: value
        for one in BindingMatch
        if (value := sample("mxp_identity_service_accounts", {"match": one.value}))
    }


@in_virtual_time
async def test_service_accounts_are_counted_by_how_they_stand_with_the_bindings() -> None:
    world = World(labelled())
    async with world.running():
        for number in range(5):
            world.cluster.add_namespace(subject(number).namespace, selected=number < 3)
            world.cluster.add_account(subject(number), EXTERNAL_ROLE if number == 0 else None)
        world.cluster.add_namespace(subject(9).namespace, terminating=True)
        world.cluster.add_account(subject(9))
        await asyncio.sleep(2 * INTERVAL)
        assert _counts() == {"external_role": 1, "bound": 2, "not_selected": 2}
    assert _counts() == {}, "who leads no longer counts nothing"


@in_virtual_time
async def test_an_ambiguous_one_is_reported_once_and_again_if_it_comes_back() -> None:
    world = World(labelled(), BY_NAME)
    account = subject(1)
    async with world.running():
        world.cluster.add_namespace(account.namespace)
        world.cluster.add_account(account)
        await asyncio.sleep(5 * INTERVAL)
        (event,) = [one for one in world.events.written if one.reason == "AmbiguousBinding"]
        assert (event.about.namespace, event.about.name) == (account.namespace, SERVICE_ACCOUNT)
        assert "binding backup decides" in event.message
        assert _counts() == {"ambiguous": 1}
        world.cluster.add_namespace(account.namespace, selected=False)
        await asyncio.sleep(2 * INTERVAL)
        world.cluster.add_namespace(account.namespace)
        await asyncio.sleep(2 * INTERVAL)
        assert world.events.reasons().count("AmbiguousBinding") == 2


def test_bindings_that_say_the_same_do_not_compete() -> None:
    account = Account(subject(1).namespace, SERVICE_ACCOUNT)
    namespace = LiveNamespace(account.namespace, "uid", {LABEL: "x"})
    same = Binding("same", SERVICE_ACCOUNT, BY_NAME.namespaces, Mode.IRSA, (role(),))
    assert binding_match(account, namespace, (labelled(), same)) is BindingMatch.BOUND
    assert competing(account, namespace, (labelled(), same, BY_NAME)) == (labelled(), BY_NAME)
    assert binding_match(account, None, (labelled(), BY_NAME)) is None
