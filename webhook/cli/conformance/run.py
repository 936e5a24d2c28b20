"""One run: the rights that it needs, what earlier runs left, the rows, and the removal of all that it made."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from webhook.aws.caller import CallerCheck
from webhook.aws.calls import AwsCalls
from webhook.cli.conformance import eks_rows, iam_rows, sts_rows
from webhook.cli.conformance.associations import Associations
from webhook.cli.conformance.associations import leftovers as left_associations
from webhook.cli.conformance.assumptions import ASSUMPTIONS
from webhook.cli.conformance.cluster import Site, Workload
from webhook.cli.conformance.lab import Lab, Timing
from webhook.cli.conformance.observation import Observation, Row, Verdict, not_observed
from webhook.cli.conformance.permissions import NAME, Scope
from webhook.cli.conformance.roles import Roles
from webhook.cli.conformance.roles import leftovers as left_roles
from webhook.cli.exits import Exit
from webhook.cli.running import to_its_end
from webhook.cli.setup.account import find_cluster
from webhook.cli.snapshots.session import READ_ATTEMPTS
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.model.aws_errors import AwsError
from webhook.model.errors import ClusterError, InvalidPolicyError
from webhook.model.names import ClusterArn, IssuerUrl
from webhook.runtime.clock import loop_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from webhook.aws.caller import Caller
    from webhook.cli.conformance.command import Shown
    from webhook.cli.conformance.lab import Left, Made


@dataclass(frozen=True, slots=True)
class Asked:
    """The options. Without `cluster` only the rows about IAM are asked."""

    cluster: str | None
    namespace: str
    context: str | None
    watch: float
    """Seconds."""
    approved: bool


async def conform(asked: Asked, shown: Shown, step: Callable[[str], None], timing: Timing | None = None) -> Exit:
    """Print the rights and, if approved, the result. Raises AwsError, ClusterError, InvalidNameError.

    Whatever ends it, what was made is removed before, and what could not be removed is printed.
    """
    timing = timing or Timing(loop_clock(), asyncio.sleep, asked.watch)
    with closing(AwsCalls(READ_ATTEMPTS)) as calls:
        step("asking AWS for the caller")
        caller, region = await CallerCheck(calls).caller(), await calls.region()
        scope = _scope(caller, region, asked.cluster)
        shown.rights(scope, region, asked.namespace)
        if not asked.approved:
            return Exit.CHANGES
        lab = Lab(calls, scope, f"{NAME}-{secrets.token_hex(4)}", timing, step)
        async with _site(lab, asked, caller, region) as site:
            rows, left = await _observed(lab, site, shown)
    shown.result(rows, left)
    is_well = all(row.observation.verdict in {Verdict.HOLDS, Verdict.NOT_ASKED} for row in rows)
    return Exit.of(problems=bool(left) or not is_well)


def _scope(caller: Caller, region: str, cluster: str | None) -> Scope:
    arn = cluster and ClusterArn(f"arn:{caller.partition}:eks:{region}:{caller.account}:cluster/{cluster}")
    return Scope(caller.partition, caller.account, arn or None)


@asynccontextmanager
async def _site(lab: Lab, asked: Asked, caller: Caller, region: str) -> AsyncIterator[Site | None]:
    """The cluster of the context, which has to be the one that was named."""
    if asked.cluster is None:
        yield None
        return
    with closing(Connection(person=True, context=asked.context)) as connection:
        lab.step("asking the API server for its issuer")
        issuer = IssuerUrl(await KubernetesApi(connection, ()).issuer())
        cluster = await find_cluster(lab.calls, caller, region, issuer, asked.cluster)
        yield Site(cluster.arn, issuer, Workload(lab, connection, asked.namespace))


async def _observed(lab: Lab, site: Site | None, shown: Shown) -> tuple[list[Row], list[Left]]:
    rows: list[Row] = []
    functions = _functions(lab, site)
    left: list[Left] = []
    try:
        for made in await _leftovers(lab, site):
            shown.leftover(made)
            lab.cleanup.add(made)
        await to_its_end(_cleaned(lab, left))
        for assumption in ASSUMPTIONS:
            function = functions.get(assumption.id)
            rows.append(Row(assumption, await _observation(function)))
    finally:
        try:
            await to_its_end(_cleaned(lab, left))
        finally:
            shown.left(left)
    return rows, left


async def _cleaned(lab: Lab, left: list[Left]) -> None:
    left += await lab.cleanup.remove_all(lab.step)


async def _leftovers(lab: Lab, site: Site | None) -> list[Made]:
    """What earlier runs have left, in the order in which they made it."""
    lab.step("looking for what an earlier run has left")
    found = await left_roles(lab)
    if site is not None:
        found += await site.workload.leftovers()
        found += await left_associations(lab, site.cluster, site.workload.subject.namespace)
    return found


def _functions(lab: Lab, site: Site | None) -> Mapping[str, Callable[[], Awaitable[Observation]]]:
    """What observes each assumption; none for those that need a cluster where there is none."""
    roles = Roles(lab, site)
    functions = {name: partial(row, lab, roles) for name, row in iam_rows.ROWS.items()}
    if site is not None:
        associations = Associations(lab, roles, site)
        functions |= {name: partial(row, lab, roles) for name, row in sts_rows.ROWS.items()}
        functions |= {name: partial(row, lab, roles, associations) for name, row in eks_rows.ROWS.items()}
    return functions


async def _observation(function: Callable[[], Awaitable[Observation]] | None) -> Observation:
    if function is None:
        return Observation("not asked: name a cluster with --cluster", Verdict.NOT_ASKED)
    try:
        return await function()
    except (AwsError, ClusterError, InvalidPolicyError) as error:
        return not_observed(error)
