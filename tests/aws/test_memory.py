"""What AWS answers costs a bounded memory, as large as it is allowed to be and however often."""

from __future__ import annotations

import gc
import itertools
import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from rig.aws import AwsStandIn
from tests.aws.conftest import ROLE, use
from tests.aws.test_associations import Eks
from tests.support.misbehaving import Between, answer
from tests.support.pods import CLUSTER
from tests.support.sites import ISSUER
from tests.support.variants import variants
from webhook.aws.exchange import LARGEST, MOST_PARTS
from webhook.aws.simulation import not_allowed
from webhook.model.aws_errors import FailureKind
from webhook.podidentity.association import Listing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

MIB = 2**20
FAILURES = 30


def _xml(content: bytes, status: int = 200) -> bytes:
    body = b"<GetRoleResponse><GetRoleResult>%b</GetRoleResult></GetRoleResponse>" % content
    assert len(body) <= LARGEST
    return answer(status, body, "text/xml")


def _json(body: bytes, status: int = 200) -> bytes:
    assert len(body) <= LARGEST
    return answer(status, body, "application/json").replace(b"\r\n", b"\r\nx-amzn-RequestId: 1\r\n", 1)


NEARLY_ALL = b"x" * (LARGEST - 1000)
AS_MANY_AS_MAY_BE = MOST_PARTS - 100

# A parser allows it: what it becomes is at no place more than a hundred times as large as what was read so far.
ENTITIES = b'<!DOCTYPE r [<!ENTITY a "%b">]><r><!--%b-->%b</r>' % (b"x" * 15_000, b"y" * 950_000, b"&a;" * 6_000)

OF_IAM = {
    "one long element": _xml(b"<Role><RoleName>%b</RoleName></Role>" % NEARLY_ALL),
    "a long message": _xml(b"<Error><Code>Made.Up7</Code><Message>%b</Message></Error>" % NEARLY_ALL, 400),
    "elements": _xml(b"<m/>" * AS_MANY_AS_MAY_BE),
    "elements in elements": _xml(b"<a>" * (AS_MANY_AS_MAY_BE // 2) + b"</a>" * (AS_MANY_AS_MAY_BE // 2)),
    "attributes": _xml(b"<a %b/>" % b" ".join(b'a%d=""' % n for n in range(AS_MANY_AS_MAY_BE // 2))),
    "entities": answer(200, ENTITIES, "text/xml"),
    "more bytes than may be": answer(200, b"<a>" + b"x" * (2 * MIB), "text/xml"),
}
OF_EKS = {
    "one long value": _json(b'{"association": {"namespace": "%b"}}' % NEARLY_ALL),
    "a long message": _json(b'{"message": "%b"}' % NEARLY_ALL, 400),
    "objects": _json(b'{"associations": [%b{}]}' % (b"{}," * (AS_MANY_AS_MAY_BE // 2))),
    "lists in lists": _json(b"[" * AS_MANY_AS_MAY_BE),
}


ANSWERS = [*(f"iam-{one}" for one in OF_IAM), *(f"eks-{one}" for one in OF_EKS)]


class World:
    """A program that knows its identity and its cluster, with something between it and AWS."""

    def __init__(self, between: Between) -> None:
        self.between, self.program = between, Eks()
        self.program.run(self.program.read())
        assert self.program.run(self.program.associations.list) == Listing({})


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    patch = pytest.MonkeyPatch()
    with AwsStandIn() as aws, Between(int(aws.url.rpartition(":")[2])) as between:
        use(patch, {**aws.environment(), "AWS_ENDPOINT_URL": between.url})
        trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"}, "Action": "sts:*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        aws.admin_client("iam").create_role(RoleName=ROLE.name, AssumeRolePolicyDocument=document)
        aws.add_cluster(CLUSTER.name, ISSUER.value)
        world = World(between)
        yield world
        world.program.calls.close()
    patch.undo()


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """What only the collector would free stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("case", variants(ANSWERS, "iam-entities", "iam-more bytes than may be", "eks-objects"))
def test_the_same_failure_again_and_again_costs_no_more_memory_than_once(world: World, case: str) -> None:
    service, _, name = case.partition("-")
    call = world.program.read() if service == "iam" else world.program.associations.list
    world.between.misbehave((OF_IAM if service == "iam" else OF_EKS)[name])
    world.program.refused(call)
    tracemalloc.start()
    for _ in range(FAILURES):
        world.program.refused(call)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    world.between.misbehave(None)
    world.program.run(call)
    assert kept < 2 * MIB
    assert peak < 40 * MIB


def _pages(token: Callable[[int], str], associations: int = 100) -> Callable[[socket.socket], None]:
    """Pages of a list of associations, of which each names a next one."""
    numbers = itertools.count()

    def page(connection: socket.socket) -> None:
        number = next(numbers)
        found = [
            {"namespace": f"n{number}-{one}", "serviceAccount": "s", "associationId": f"a-{number:06}{one:06}"}
            for one in range(associations)
        ]
        body = {"associations": found, "nextToken": token(number)}
        connection.sendall(_json(json.dumps(body).encode()))

    return page


LISTS = {
    "the same token": (_pages(lambda _: "t"), "a page names itself"),
    "two tokens in turn": (_pages(lambda number: f"t{number % 2}"), "or one before it"),
    "an ever new token": (_pages("t{}".format), "more than 500 pages"),
    "a token as long as an answer": (_pages(lambda number: f"{number}" + "t" * 500_000, 0), "not AWS's answer"),
    "larger pages than were asked for": (_pages("t{}".format, 101), "not AWS's answer"),
}


@pytest.mark.parametrize("name", variants(LISTS, "two tokens in turn"))
def test_a_list_that_has_no_end_is_not_awss(world: World, name: str) -> None:
    how, words = LISTS[name]
    world.between.misbehave(how)
    tracemalloc.start()
    refused = world.program.refused(world.program.associations.list)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    world.between.misbehave(None)
    assert refused.kind is FailureKind.UNEXPECTED
    assert words in str(refused)
    assert peak < 40 * MIB
    assert world.program.run(world.program.associations.list) == Listing({})


NEVER_THE_LAST_PAGE = answer(
    200,
    b"<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults/>"
    b"<IsTruncated>true</IsTruncated><Marker>next</Marker></SimulatePrincipalPolicyResult>"
    b"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></SimulatePrincipalPolicyResponse>",
    "text/xml",
)


def test_a_simulation_that_has_no_end_is_not_awss(world: World) -> None:
    world.between.misbehave(NEVER_THE_LAST_PAGE)
    refused = world.program.refused(
        lambda: not_allowed(world.program.calls, ROLE, ["s3:GetObject"], ["*"], "us-west-2")
    )
    world.between.misbehave(None)
    assert refused.kind is FailureKind.UNEXPECTED
    assert "SimulatePrincipalPolicy: more than 50 pages of 1000: not AWS's answer" in str(refused)
