"""Roles as a look at the account finds them: read, not there, or not to be read."""

from __future__ import annotations

from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import external_document, role
from tests.support.virtual_time import in_virtual_time
from webhook.planning.account import read_roles

READ, GONE, SHUT = role("read"), role("gone"), role("shut")


@in_virtual_time
async def test_a_missing_role_is_distinguished_from_one_that_may_not_be_read() -> None:
    iam = SimulatedIam()
    for one in (READ, SHUT):
        iam.store(one, external_document(one))
    iam.have(Trouble.ACCESS_DENIED, "read", role=SHUT)
    found = await read_roles(iam.client(), [READ, GONE, SHUT], lambda _: None)
    assert set(found.policies) == {READ}
    assert set(found.unread) == {GONE, SHUT}
    assert found.missing == {GONE}
