"""Associations that people made become managed, by unmodified boto3 against the stand-in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rig.aws import AwsStandIn, Deny
from tests.aws.conftest import Program, use
from tests.support.pods import CLUSTER, OWNER, PODS
from tests.support.sites import ISSUER, role, subject
from webhook.aws.association_tags import AssociationTags
from webhook.aws.associations import EksAssociations
from webhook.aws.cluster import ClusterCheck
from webhook.cli.adopt.adopting import tag_all
from webhook.cli.output import Done
from webhook.server.pod_identity import PodIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from webhook.podidentity.association import Association

PODS_ROLE = role("pods")


class Person(Program):
    """A person who takes over what is planned."""

    def __init__(self, aws: AwsStandIn) -> None:
        super().__init__()
        check = ClusterCheck(self.calls, self.caller, CLUSTER, lambda: ISSUER)
        self.pods = PodIdentity(check, OWNER, EksAssociations(self.calls, check), ())
        self.aws = aws

    def make(self, *numbers: int) -> list[Association]:
        """Have associations made by hand, with a tag of their own; answers them as they are planned."""
        return [self.run(self._creation(number)) for number in numbers]

    def _creation(self, number: int) -> Callable[[], Coroutine[Any, Any, Any]]:
        return lambda: self.pods.api.create(subject(number), PODS_ROLE, {"team": "backup"})

    def tag(self, associations: Sequence[Association]) -> Done:
        """Take them over."""
        done = Done()
        tags = AssociationTags(self.calls, self.pods.cluster, CLUSTER)
        self.run(lambda: tag_all(self.pods, tags, associations, lambda _: None, done))
        return done

    def tags(self) -> list[dict[str, str]]:
        """The tags of each association, oldest first."""
        return [dict(one.tags) for one in self.aws.associations(CLUSTER.name)]


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    with AwsStandIn() as aws:
        use(monkeypatch, aws.environment())
        aws.add_cluster(CLUSTER.name, ISSUER.value)
        document = json.dumps({"Version": "2012-10-17", "Statement": [PODS.render()]})
        for name in (PODS_ROLE.name, "other"):
            aws.admin_client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)
        found = Person(aws)
        yield found
        found.calls.close()


def test_those_that_people_made_get_our_tags_and_keep_their_own(person: Person) -> None:
    done = person.tag(person.make(1, 2, 3))
    assert (done.written, done.failed) == (["associations tagged as managed: 3"], [])
    assert person.tags() == [{"team": "backup", **OWNER.tags()}] * 3


def test_one_that_has_changed_since_the_plan_is_left_as_it_is(person: Person) -> None:
    changed, gone, same = person.make(1, 2, 3)
    person.run(lambda: person.pods.api.update(changed.id, role("other")))
    person.run(lambda: person.pods.api.delete(gone.id))
    done = person.tag([changed, gone, same])
    assert done.written == ["associations tagged as managed: 1"]
    assert sorted(line.partition(": ")[2] for line in done.failed) == sorted(
        f"association {one.id} has changed: run the command again" for one in (changed, gone)
    )
    assert person.tags() == [{"team": "backup"}, {"team": "backup", **OWNER.tags()}]


def test_a_refusal_is_named_and_the_others_are_done(person: Person) -> None:
    made = person.make(1, 2)
    with person.aws.fault(Deny(actions=("TagResource",), times=1)):
        done = person.tag(made)
    assert done.written == ["associations tagged as managed: 1"]
    (line,) = done.failed
    assert "not tagged: TagResource: AccessDenied" in line
    assert person.tag(made).written == ["associations tagged as managed: 1"], "the one that is as it was planned"
